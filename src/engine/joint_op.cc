// SPDX-License-Identifier: Apache-2.0
#include <penstock/detail/joint_op.h>

#include <algorithm>

#include "engine/watermark_merge.h"

namespace penstock::detail {

void joint_op::port_time(std::size_t index, watermark w) {
  inlet& in = inlets_[index];
  in.time = w;
  if (!std::exchange(in.spoken, true)) ++spoken_;
  if (silent()) return;
  watermark merged = engine::merge_times(inlets_, [](const inlet& i) {
    return engine::input_time{i.time.timestamp, i.time.idle};
  });
  merged.timestamp = std::max(merged.timestamp, current_.timestamp);
  if (std::exchange(announced_, true) && merged == current_) return;
  current_ = merged;
  on_watermark(merged);
}

void joint_op::port_barrier(std::size_t index, std::uint64_t epoch) {
  inlets_[index].at_barrier = true;
  if (++at_barrier_ != inlets_.size()) return;
  at_barrier_ = 0;
  for (inlet& in : inlets_) in.at_barrier = false;
  on_barrier(epoch);
}

}  // namespace penstock::detail
