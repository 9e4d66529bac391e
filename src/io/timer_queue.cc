// SPDX-License-Identifier: Apache-2.0
#include "io/timer_queue.h"

#include <algorithm>
#include <utility>

namespace penstock::io::detail {

void timer_queue::arm(timer_node& node, std::chrono::nanoseconds after, unique_function<void()> handler) {
  // The earlier handler goes last: it may own anything, even what calls us again.
  const auto earlier = std::exchange(node.handler, std::move(handler));
  if (shut_) {
    node.handler = nullptr;
    return;
  }
  const auto now = time_.now();
  after = std::max(after, std::chrono::nanoseconds::zero());
  node.when = after < instant::max() - now ? now + after : instant::max();
  node.sequence = sequence_++;
  if (node.place == timer_node::not_queued) {
    heap_.push_back(&node);
    node.place = heap_.size() - 1;
  }
  settle(node.place, node);
}

void timer_queue::cancel(timer_node& node) noexcept {
  if (node.place != timer_node::not_queued) take_out(node);
  const auto dropped = std::exchange(node.handler, nullptr);
}

std::size_t timer_queue::run_due() {
  if (heap_.empty()) return 0;
  const auto now = time_.now();
  const auto armed_from_here = sequence_;
  std::size_t ran = 0;
  while (!heap_.empty()) {
    timer_node& node = *heap_.front();
    // Whatever is armed from here on is not earlier than `now`, so it stands behind all that is due before
    // it.
    if (node.when > now || node.sequence >= armed_from_here) break;
    take_out(node);
    auto handler = std::exchange(node.handler, nullptr);  // the handler may destroy its timer
    handler();
    ++ran;
  }
  return ran;
}

void timer_queue::shut() noexcept {
  shut_ = true;
  while (!heap_.empty()) cancel(*heap_.back());
}

/// Moves the node up or down from `place` to where its time belongs.
void timer_queue::settle(std::size_t place, timer_node& node) noexcept {
  while (place > 0) {
    const auto parent = (place - 1) / 2;
    if (!before(node, *heap_[parent])) break;
    put(place, *heap_[parent]);
    place = parent;
  }
  while (true) {
    auto child = 2 * place + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
    if (!before(*heap_[child], node)) break;
    put(place, *heap_[child]);
    place = child;
  }
  put(place, node);
}

void timer_queue::take_out(timer_node& node) noexcept {
  const auto place = std::exchange(node.place, timer_node::not_queued);
  timer_node& last = *heap_.back();
  heap_.pop_back();
  if (&last != &node) settle(place, last);
}

}  // namespace penstock::io::detail
