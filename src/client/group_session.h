// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/result.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_function.h"
#include "client/cluster.h"
#include "client/membership.h"

namespace penstock::client {

/// What a group decided, for the application's thread to act on.
struct group_event {
  enum class kind : std::uint8_t {
    assigned,   ///< `generation` holds; if it is incremental, reconciled() is due
    rebalance,  ///< give the partitions up, then rejoin()
    lost,       ///< the partitions are gone; rejoin() to go on
    failed,     ///< the membership is over
  };
  kind what = kind::assigned;
  group_generation generation{};
  std::optional<error> why{};
};

/// A group membership on a thread and connections of its own, so that heartbeats do not wait for the
/// application.
class group_session {
 public:
  /// `wake` is called on the session's thread when there is an event.
  static result<std::unique_ptr<group_session>> start(const kafka::consumer_settings& settings,
                                                      topic_selection topics, unique_function<void()> wake);
  ~group_session();

  // The application's thread:
  std::optional<group_event> take_event();
  void polled() noexcept { last_poll_.store(io::clock::system().now().time_since_epoch().count()); }
  void rejoin();
  /// What the last incremental generation gives is what the application has.
  void reconciled();
  struct identity {
    std::string member_id;
    std::int32_t generation = -1;  ///< -1: not a member at the moment
  };
  /// Under which name to commit.
  identity current() const;
  /// What its connections have done; waits for the session's thread.
  connection_metrics measured();
  /// Leaves the group and ends the thread; waits for the coordinator at most `timeout`.
  void leave(std::chrono::milliseconds timeout);

 private:
  group_session() = default;
  void add(group_event e);
  void rename(const std::string& member_id, std::int32_t generation);

  io::event_loop loop_;
  std::unique_ptr<cluster> cluster_;
  std::unique_ptr<membership> member_;
  unique_function<void()> wake_;
  std::atomic<io::instant::rep> last_poll_{0};
  mutable std::mutex mutex_;
  std::deque<group_event> events_;  // under mutex_
  identity identity_;               // under mutex_
  std::thread thread_;
};

}  // namespace penstock::client
