// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/assignors.h"
#include "client/backoff.h"
#include "client/cluster.h"
#include "wire/messages/heartbeat.h"
#include "wire/messages/join_group.h"
#include "wire/messages/sync_group.h"

namespace penstock::client {

struct group_settings {
  std::string group_id;
  std::string instance_id{};  ///< empty: a dynamic member
  std::vector<kafka::assignor> assignors{kafka::assignor::range};
  std::chrono::milliseconds session_timeout{45'000};
  std::chrono::milliseconds heartbeat_interval{3'000};
  std::chrono::milliseconds rebalance_timeout{300'000};  ///< max.poll.interval.ms
};

/// What a generation gave to this member.
struct group_generation {
  std::int32_t id = -1;
  std::string member_id;
  std::vector<kafka::topic_partition> partitions;
};

/// Told on the loop. After `rebalance` and `lost` the member waits for rejoin(): the application gives its
/// partitions up first (eager rebalancing).
struct group_handlers {
  std::function<void(const group_generation&)> assigned;
  std::function<void()> rebalance;           ///< the partitions are still this member's until rejoin()
  std::function<void(const error&)> lost;    ///< they are not any more
  std::function<void(const error&)> failed;  ///< for good
  /// When the application last asked for records.
  std::function<io::instant()> last_poll;
};

/// A member of a classic consumer group: finds the coordinator, joins, shares out the partitions when it
/// leads, syncs, sends heartbeats, and says when the group wants to rebalance.
///
/// Threads: the cluster's loop, which must not depend on the application's pace (kafka::consumer gives it a
/// thread).
class group_member {
 public:
  group_member(cluster& c, group_settings settings, group_handlers handlers);
  ~group_member();

  void start(std::vector<std::string> topics);
  /// Joins the group again, after `rebalance` or `lost`.
  void rejoin();
  /// Tells the coordinator that this member goes (static members do not), then calls `done`.
  void leave(unique_function<void()> done);

 private:
  enum class state : std::uint8_t {
    idle,
    finding,
    joining,
    sharing_out,
    syncing,
    stable,
    interrupted,
    stopped
  };

  void find();
  void join();
  void joined(result<wire::join_group_response> response);
  void lead();
  void try_to_share_out();
  void sync(std::vector<wire::sync_group_request::sync_group_request_assignment> assignments);
  void synced(result<wire::sync_group_response> response);
  void tick();
  void heartbeat();
  void heartbeat_answered(result<wire::heartbeat_response> response);
  void metadata_changed();
  void send_leave(unique_function<void()> done);
  void retry(const error& why);
  void interrupt();
  void lose(const error& why, bool forget_member);
  void stop(const error& why);
  std::map<std::string, std::int32_t> partition_counts() const;
  bool is_static() const { return !settings_.instance_id.empty(); }

  cluster& cluster_;
  group_settings settings_;
  group_handlers handlers_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
  std::vector<std::string> topics_;

  state state_ = state::idle;
  std::uint64_t attempt_ = 0;  // answers of earlier attempts do not count
  std::int32_t coordinator_ = -1;
  group_generation generation_;
  std::vector<kafka::topic_partition> owned_;  // of the last generation, for the sticky assignor
  std::int32_t owned_generation_ = -1;
  bool leader_ = false;
  std::string protocol_;
  std::vector<group_subscription> members_;         // when leading
  std::map<std::string, std::int32_t> shared_out_;  // the partition counts that were shared out
  io::instant sharing_since_{};
  io::instant last_heartbeat_{};
  bool heartbeat_under_way_ = false;
  bool refind_ = false;
  backoff backoff_;
  io::timer timer_;  // back-off, or waiting for metadata
  io::timer heartbeats_;
};

}  // namespace penstock::client
