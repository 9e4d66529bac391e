// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_function.h"
#include "client/cluster.h"
#include "client/topic_selection.h"

namespace penstock::client {

/// What a generation gave to this member.
struct group_generation {
  std::int32_t id = -1;  ///< of the protocol `consumer`: the member epoch
  std::string member_id;
  std::vector<kafka::topic_partition> partitions;
  /// The member may still hold others: it gives those up, takes what is new, and says so with reconciled().
  /// Otherwise it has given up everything before.
  bool incremental = false;
};

/// Told on the loop. After `rebalance` and `lost` the member waits for rejoin(): the application gives its
/// partitions up first.
struct group_handlers {
  std::function<void(const group_generation&)> assigned;
  /// The member goes by another id or generation from now on, with the partitions it has.
  std::function<void(const std::string& member_id, std::int32_t generation)> renamed;
  std::function<void()> rebalance;           ///< the partitions are still this member's until rejoin()
  std::function<void(const error&)> lost;    ///< they are not any more
  std::function<void(const error&)> failed;  ///< for good
  /// When the application last asked for records.
  std::function<io::instant()> last_poll;
};

/// One member of a consumer group, by either protocol.
///
/// Threads: the cluster's loop, which must not depend on the application's pace (kafka::consumer gives it a
/// thread).
class membership {
 public:
  virtual ~membership() = default;
  virtual void start(topic_selection topics) = 0;
  /// Joins the group again, after `rebalance` or `lost`.
  virtual void rejoin() = 0;
  /// The application has what the last incremental generation gave it, and nothing else.
  virtual void reconciled() = 0;
  /// Tells the coordinator that this member goes, then calls `done`. (A static member of a classic group does
  /// not say so; one of the protocol `consumer` says that it may come back.)
  virtual void leave(unique_function<void()> done) = 0;
};

struct group_settings {
  std::string group_id;
  std::string instance_id{};                                            ///< empty: a dynamic member
  std::vector<std::shared_ptr<kafka::partition_assignor>> assignors{};  ///< classic; the preferred one first
  std::string remote_assignor{};  ///< consumer; empty: the broker's choice
  std::string rack{};
  std::chrono::milliseconds session_timeout{45'000};
  std::chrono::milliseconds heartbeat_interval{3'000};
  std::chrono::milliseconds rebalance_timeout{300'000};  ///< max.poll.interval.ms
};

/// What a member says when the application stopped polling.
error stopped_polling(const group_settings& settings);

}  // namespace penstock::client
