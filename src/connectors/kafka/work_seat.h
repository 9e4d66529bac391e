// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/result.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/cluster.h"
#include "client/group_member.h"
#include "io/event_loop.h"

namespace penstock::connectors {

/// Which of the processes of an application works: a consumer group of their own, whose leader gives
/// everything to the one that works already, or, when that one has left or has been silent for the session's
/// time, to another. It decides who begins; that nobody goes on who should not is the transactional id's
/// work.
class work_seat {
 public:
  struct settings {
    std::string bootstrap_servers;
    kafka::connection_settings connection;
    std::string group;
    std::vector<std::string> topics;  ///< that exist: what a group is about
    std::chrono::milliseconds session_timeout{6'000};
  };
  /// `changed` is called on a thread of the seat's own when has() or failure() may have changed.
  static result<std::unique_ptr<work_seat>> join(settings s, std::function<void()> changed);
  /// Leaves, so that another one may begin at once.
  ~work_seat();

  bool has() const noexcept { return works_->load(); }
  /// Why it will never be given.
  std::optional<error> failure() const;

 private:
  class assignor;
  work_seat() = default;
  void fail_with(const error& why);

  io::event_loop loop_;
  std::unique_ptr<client::cluster> cluster_;
  std::unique_ptr<client::group_member> member_;
  std::function<void()> changed_;
  std::shared_ptr<std::atomic<bool>> works_ = std::make_shared<std::atomic<bool>>(false);
  mutable std::mutex mutex_;
  std::optional<error> failure_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace penstock::connectors
