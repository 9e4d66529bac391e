// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace penstock {

/// No watermark yet, and the watermark that ends a stream: every window fires.
inline constexpr std::int64_t min_watermark = std::numeric_limits<std::int64_t>::min();
inline constexpr std::int64_t max_watermark = std::numeric_limits<std::int64_t>::max();

enum class time_domain : std::uint8_t {
  event,       ///< as the records' timestamps and the watermark say
  processing,  ///< as the wall clock says
};

/// How a source derives event time from its records (S6, S7). Each split (partition) has its own generator;
/// the source's watermark is the minimum over its active splits.
struct watermark_options {
  /// How far behind the newest record an older one may come: the watermark is `max timestamp - max_lag - 1
  /// ms`.
  std::chrono::milliseconds max_lag{0};
  /// A split that has brought nothing for so long leaves the minimum until it brings something. Never, if not
  /// set.
  std::optional<std::chrono::milliseconds> idle_after{};
  /// Splits of all sources with the same group keep together: one whose watermark is ahead of the slowest by
  /// more than max_drift is not read until that has caught up (S8). Idle splits hold nobody back. None, if
  /// empty.
  std::string align_with{};
  std::chrono::milliseconds max_drift{0};
};

}  // namespace penstock
