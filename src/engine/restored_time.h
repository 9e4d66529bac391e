// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/watermarks.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::engine {

/// What a restart finds beside a split's position: the event time that the operators had reached.
struct restored_time {
  std::int64_t watermark = min_watermark;
  bool idle = false;
  /// The split's own, before it was merged with the others. Known where positions are those of the barrier.
  std::int64_t split = min_watermark;
};
std::string encode_time(restored_time t);
/// Nothing when there is none, or it is not ours.
std::optional<restored_time> decode_time(std::string_view metadata);

}  // namespace penstock::engine
