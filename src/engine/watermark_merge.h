// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/op.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace penstock::engine {

using detail::watermark;

/// Event time of one input among several.
struct input_time {
  std::int64_t timestamp = min_watermark;
  bool idle = false;
  bool finished() const noexcept { return timestamp == max_watermark; }
};

/// The time of all inputs together (S6, S7): the minimum over those that are active; the maximum over the
/// idle ones when none is. A finished input says nothing about the others, so it takes part only when all are
/// finished: the end.
template <typename Inputs, typename TimeOf>
watermark merge_times(const Inputs& inputs, TimeOf time_of) {
  std::int64_t active_min = max_watermark;
  std::int64_t idle_max = min_watermark;
  bool any_active = false;
  bool any_idle = false;
  for (const auto& in : inputs) {
    const input_time t = time_of(in);
    if (t.finished()) continue;
    if (t.idle) {
      any_idle = true;
      idle_max = std::max(idle_max, t.timestamp);
    } else {
      any_active = true;
      active_min = std::min(active_min, t.timestamp);
    }
  }
  if (any_active) return {active_min, false};
  if (any_idle) return {idle_max, true};
  return {max_watermark, false};
}

/// What an operator passes on: never goes back (S6).
class monotonic_watermark {
 public:
  explicit monotonic_watermark(std::int64_t floor = min_watermark) : current_{floor, false} {}
  /// True when `next` changes what is seen downstream.
  bool advance(watermark next) noexcept {
    next.timestamp = std::max(next.timestamp, current_.timestamp);
    if (announced_ && next == current_) return false;
    announced_ = true;
    current_ = next;
    return true;
  }
  watermark current() const noexcept { return current_; }

 private:
  watermark current_;
  bool announced_ = false;
};

}  // namespace penstock::engine
