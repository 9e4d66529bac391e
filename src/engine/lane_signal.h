// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <utility>

namespace penstock::engine {

/// Wakes a lane that sleeps, and costs next to nothing when it does not.
///
/// The lane calls `about_to_sleep`, then looks for work once more, then sleeps; whoever gives it work does so
/// before `notify`. One of the two sees the other.
class lane_signal {
 public:
  /// `wake` makes the lane's loop return; called from any thread, and only between about_to_sleep and awake.
  explicit lane_signal(std::function<void()> wake) : wake_(std::move(wake)) {}
  void about_to_sleep() noexcept { asleep_.exchange(true, std::memory_order_seq_cst); }
  void awake() noexcept { asleep_.store(false, std::memory_order_relaxed); }
  void notify() {
    // A read-modify-write, so that it is ordered with the lane's own whichever comes first.
    if (asleep_.exchange(false, std::memory_order_seq_cst)) wake_();
  }
  /// The same for one who gave the work with a sequentially consistent store: it need not write here, where
  /// the lane's own processor would have to fetch it back.
  void notify_after_store() {
    if (asleep_.load(std::memory_order_seq_cst)) notify();
  }

 private:
  std::function<void()> wake_;
  std::atomic<bool> asleep_{false};
};

}  // namespace penstock::engine
