// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "base/unique_function.h"
#include "io/clock.h"

namespace penstock::io::detail {

/// What a queue knows of one timer. Lives inside the timer; its address must not change while it is queued.
struct timer_node {
  static constexpr std::size_t not_queued = std::numeric_limits<std::size_t>::max();
  instant when{};
  std::uint64_t sequence = 0;
  std::size_t place = not_queued;
  unique_function<void()> handler;
};

/// The timers of one loop: a binary heap whose nodes know their place, so that arming again or cancelling
/// costs O(log n) and no allocation. Ours instead of Asio's timers because it goes by the loop's clock, which
/// a test may hold, and because a timer that moves costs no system call.
class timer_queue {
 public:
  explicit timer_queue(const clock& time) noexcept : time_(time) {}
  ~timer_queue() { shut(); }
  timer_queue(const timer_queue&) = delete;
  timer_queue& operator=(const timer_queue&) = delete;

  void arm(timer_node& node, std::chrono::nanoseconds after, unique_function<void()> handler);
  void cancel(timer_node& node) noexcept;
  /// Runs the handlers that are due; of those armed meanwhile, none. Returns how many.
  std::size_t run_due();
  /// When the next one is due.
  std::optional<instant> next() const noexcept {
    return heap_.empty() ? std::nullopt : std::optional(heap_.front()->when);
  }
  /// Drops all handlers and takes no more.
  void shut() noexcept;

 private:
  static bool before(const timer_node& a, const timer_node& b) noexcept {
    return a.when != b.when ? a.when < b.when : a.sequence < b.sequence;
  }
  void put(std::size_t place, timer_node& node) noexcept {
    heap_[place] = &node;
    node.place = place;
  }
  void settle(std::size_t place, timer_node& node) noexcept;
  void take_out(timer_node& node) noexcept;

  const clock& time_;
  std::vector<timer_node*> heap_;
  std::uint64_t sequence_ = 0;
  bool shut_ = false;
};

}  // namespace penstock::io::detail
