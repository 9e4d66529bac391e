// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace penstock {

/// What a window gives for one key: [start_ms, end_ms) in milliseconds since 1970 UTC. The record's timestamp
/// is end_ms - 1.
template <typename K, typename R>
struct window_result {
  K key;
  std::int64_t start_ms;
  std::int64_t end_ms;
  R value;
  friend bool operator==(const window_result&, const window_result&) = default;
};

/// Windows of one size, side by side (S1).
struct tumbling {
  std::chrono::milliseconds size;
  std::chrono::milliseconds offset{0};  ///< shifts the windows: 1h windows that begin at half past
  std::chrono::milliseconds allowed_lateness{
      0};  ///< how long a window that has fired still takes records (S4, S5)
};

/// Windows of one size that begin every `slide` (S2): a record is in size / slide of them.
struct hopping {
  std::chrono::milliseconds size;
  std::chrono::milliseconds slide;
  std::chrono::milliseconds offset{0};
  std::chrono::milliseconds allowed_lateness{0};
};

/// Windows that go on as long as records of a key come within `gap` of each other (S3). The aggregator must
/// be able to merge.
struct session {
  std::chrono::milliseconds gap;
  std::chrono::milliseconds allowed_lateness{0};
};

/// The same with a gap for each record: gap_of(record), a duration.
template <typename F>
struct session_by {
  F gap_of;
  std::chrono::milliseconds allowed_lateness{0};
};
template <typename F>
session_by(F) -> session_by<F>;

/// One window a key, without an end: fires when its trigger says so.
struct global_window {};

/// The next `size` records of a key.
struct count_window {
  std::int64_t size;
};

/// The last `size` records of a key, at every slide-th.
struct sliding_count {
  std::int64_t size;
  std::int64_t slide;
};

/// tumbling, hopping or session windows over the wall clock instead of event time. Nothing is late; at the
/// end of the input what is open fires.
template <typename Window>
struct clock_window {
  Window window;
};
template <typename Window>
constexpr clock_window<Window> processing_time(Window w) {
  return {w};
}

namespace detail {

constexpr std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t r;
  if (__builtin_add_overflow(a, b, &r))
    return b > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
  return r;
}

/// The start of the last window that holds `ts`, of windows that begin every `slide` (S1, S2).
constexpr std::int64_t window_start(std::int64_t ts, std::int64_t offset, std::int64_t slide) noexcept {
  std::int64_t since = 0;  // `offset`, or a window that begins as many slides from there
  if (__builtin_sub_overflow(ts, offset, &since)) [[unlikely]] {
    const auto rest = [slide](std::int64_t t) { return t % slide + (t % slide < 0 ? slide : 0); };
    since = rest(ts) - rest(offset);
  }
  const std::int64_t r = since % slide;
  return saturating_add(ts, r < 0 ? -(r + slide) : -r);
}

/// Windows that begin every `slide` and are `size` long: tumbling ones have slide == size.
struct window_shape {
  std::int64_t size;
  std::int64_t slide;
  std::int64_t offset;
  std::int64_t lateness;

  /// Calls f(start) for each window that holds `ts`, from the last one down.
  template <typename F>
  void assign(std::int64_t ts, F&& f) const {
    for (std::int64_t s = window_start(ts, offset, slide); ts - s < size; s -= slide) {
      f(s);
      if (s < std::numeric_limits<std::int64_t>::min() + slide) break;
    }
  }
  /// The window's largest timestamp, at which it fires.
  std::int64_t last(std::int64_t start) const noexcept { return saturating_add(start, size - 1); }
  /// When its state goes (S5), and from when on its records are late (S4).
  std::int64_t expiry(std::int64_t start) const noexcept { return saturating_add(last(start), lateness); }

  /// Differs for windows whose kept state does not fit each other.
  std::uint64_t layout() const noexcept {
    return (static_cast<std::uint64_t>(size) * 31 + static_cast<std::uint64_t>(slide)) * 31 +
           static_cast<std::uint64_t>(offset);
  }
  /// What is wrong with it, or nothing.
  std::string_view problem() const noexcept {
    if (size <= 0) return "a window's size must be more than 0";
    if (slide <= 0) return "a window's slide must be more than 0";
    if (slide > size) return "a window's slide must not exceed its size";
    if (lateness < 0) return "a window's allowed lateness must not be negative";
    return {};
  }
};

constexpr window_shape shape_of(const tumbling& w) noexcept {
  return {w.size.count(), w.size.count(), w.offset.count(), w.allowed_lateness.count()};
}
constexpr window_shape shape_of(const hopping& w) noexcept {
  return {w.size.count(), w.slide.count(), w.offset.count(), w.allowed_lateness.count()};
}
std::string describe_window(const tumbling& w);
std::string describe_window(const hopping& w);
std::string describe_window(const session& w);

}  // namespace detail
}  // namespace penstock
