// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <utility>

namespace penstock::engine {

/// A bounded queue between one producing and one consuming thread; neither ever waits. What they tell each
/// other is sequentially consistent, so that a side which goes to sleep and the other which then looks
/// whether it does (lane_signal) cannot both miss each other.
template <typename T, std::size_t Capacity>
class spsc_ring {
  static_assert((Capacity & (Capacity - 1)) == 0, "the capacity is a power of two");

 public:
  /// False, and `value` untouched, when it is full.
  bool push(T& value) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ == Capacity) {
      head_seen_ = head_.load(std::memory_order_seq_cst);
      if (tail - head_seen_ == Capacity) return false;
    }
    slots_[tail % Capacity] = std::move(value);
    tail_.store(tail + 1, std::memory_order_seq_cst);
    return true;
  }
  bool pop(T& into) {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_seen_) {
      tail_seen_ = tail_.load(std::memory_order_seq_cst);
      if (head == tail_seen_) return false;
    }
    into = std::move(slots_[head % Capacity]);
    head_.store(head + 1, std::memory_order_seq_cst);
    return true;
  }

  /// For a thread that is both.
  bool empty() const noexcept {
    return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t line = 64;
  alignas(line) std::atomic<std::size_t> tail_{0};
  std::size_t head_seen_ = 0;  // the producer's
  alignas(line) std::atomic<std::size_t> head_{0};
  std::size_t tail_seen_ = 0;  // the consumer's
  alignas(line) std::array<T, Capacity> slots_{};
};

}  // namespace penstock::engine
