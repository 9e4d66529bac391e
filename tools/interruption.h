// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "io/event_loop.h"
#include "io/signals.h"

namespace penstock::tools {

/// Turns SIGINT and SIGTERM into a flag and a call, for commands that work until they are told to stop.
///
///     interruption stop([&] { consumer->wake_up(); });
///     while (!stop.asked()) ...
class interruption {
 public:
  /// `wake` is called on a thread of this object's own and must be safe from there.
  explicit interruption(std::function<void()> wake = {});
  ~interruption();
  interruption(const interruption&) = delete;
  interruption& operator=(const interruption&) = delete;

  bool asked() const noexcept { return asked_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> asked_{false};
  std::function<void()> wake_;
  io::event_loop loop_;
  io::stop_signals signals_;
  std::thread thread_;
};

}  // namespace penstock::tools
