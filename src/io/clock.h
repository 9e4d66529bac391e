// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace penstock::io {

/// A point of the monotonic clock. Every timeout is measured with it (E21).
using instant = std::chrono::steady_clock::time_point;

/// Where the rest of Penstock gets the time from, so that a test may hold it.
class clock {
 public:
  virtual ~clock() = default;
  /// The monotonic clock.
  virtual instant now() const noexcept = 0;
  /// The wall clock, in milliseconds since 1970-01-01 UTC: for record timestamps and file ages only (E21).
  virtual std::int64_t wall_ms() const noexcept = 0;

  /// The machine's clock; lives as long as the program. Safe from any thread.
  static const clock& system() noexcept;
};

/// A clock that stands still until it is told otherwise. One thread at a time.
class manual_clock final : public clock {
 public:
  explicit manual_clock(std::int64_t wall_ms = 1'700'000'000'000) noexcept : wall_ms_(wall_ms) {}
  instant now() const noexcept override { return now_; }
  std::int64_t wall_ms() const noexcept override { return wall_ms_; }
  void advance(std::chrono::milliseconds by) noexcept {
    now_ += by;
    wall_ms_ += by.count();
  }

 private:
  instant now_{};
  std::int64_t wall_ms_;
};

}  // namespace penstock::io
