// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/broker.h>
#include <penstock/result.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_function.h"
#include "broker/topics.h"
#include "broker/worker.h"
#include "io/event_loop.h"

namespace penstock::broker {

/// Group commit: one sync of a partition serves every append since the last one. Lives on the server's
/// thread; the syncs run on its own.
class syncer {
 public:
  struct target {
    std::shared_ptr<log::partition_log> log;
    std::int64_t offset = 0;  ///< below it all must be on the disk
  };
  /// `synced` is called after each sync, with the topic and the partition, `failed` when one failed: then
  /// nothing is confirmed any more (E19).
  struct events {
    unique_function<void(const wire::uuid& topic, std::int32_t partition)> synced;
    unique_function<void(const error&)> failed;
  };
  syncer(io::event_loop& loop, flush_policy policy, std::chrono::milliseconds interval, events on);

  /// After an append: sees to it that the partition is synced when the policy says so. `soon` when the log
  /// asks for it.
  void appended(partition& p, bool soon);
  /// Calls `done(true)` when all targets are on the disk, perhaps at once; `done(false)` when that cannot be
  /// any more.
  void when_synced(std::vector<target> targets, unique_function<void(bool)> done);
  /// Forgets a topic that is being removed, and calls `done` when no sync of it is under way.
  void forget(const topic& t, unique_function<void()> done);
  /// Syncs everything that waits for it, then calls `done`.
  void drain(unique_function<void()> done);

 private:
  struct dirty {
    std::shared_ptr<log::partition_log> log;
    wire::uuid topic;
    std::int32_t partition;
    bool* unsynced;  ///< partition::unsynced; valid until forget()
  };
  struct wait {
    std::vector<target> targets;
    unique_function<void(bool)> done;
  };
  void begin_round();
  void end_round(std::vector<dirty> round, const result<>& outcome);
  void answer_waits();

  io::event_loop& loop_;
  flush_policy policy_;
  std::chrono::milliseconds interval_;
  events on_;
  std::vector<dirty> dirty_;
  std::vector<wait> waits_;
  std::vector<unique_function<void()>> drained_;
  io::timer timer_;
  bool running_ = false;
  bool failed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  worker worker_;  // last: its thread ends before the rest goes
};

}  // namespace penstock::broker
