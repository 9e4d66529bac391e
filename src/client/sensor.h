// SPDX-License-Identifier: Apache-2.0
// Sums over the last 30 to 60 seconds and since the beginning. One thread; a few additions a measurement and
// no lock, and one measurement is a batch or a request, never a record.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>

#include "io/clock.h"

namespace penstock::client {

class sensor {
 public:
  /// As Kafka's: two windows of metrics.sample.window.ms.
  static constexpr std::chrono::seconds window{30};

  /// `times` measurements that come to `sum` together, the largest of them `largest`.
  void record(double sum, io::instant now, std::uint64_t times, double largest) noexcept {
    roll(now);
    auto& w = windows_[0];
    w.sum += sum;
    w.times += times;
    w.largest = w.times == times ? largest : std::max(w.largest, largest);
    total_ += sum;
    times_ += times;
  }
  void record(double value, io::instant now) noexcept { record(value, now, 1, value); }

  double total() const noexcept { return total_; }
  std::uint64_t times() const noexcept { return times_; }

  /// What the windows hold at `now`.
  struct view {
    double sum = 0;
    std::uint64_t times = 0;
    double largest = std::numeric_limits<double>::quiet_NaN();
    double seconds = 1;  ///< that they cover; at least one
    double total = 0;
    std::uint64_t all_times = 0;

    double average() const noexcept {
      return times == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(times);
    }
    double sum_rate() const noexcept { return sum / seconds; }
    double times_rate() const noexcept { return static_cast<double>(times) / seconds; }
    /// Both, as if one sensor had measured them.
    view& operator+=(const view& o) noexcept {
      sum += o.sum;
      times += o.times;
      if (!(largest >= o.largest)) largest = o.largest == o.largest ? o.largest : largest;
      seconds = std::max(seconds, o.seconds);
      total += o.total;
      all_times += o.all_times;
      return *this;
    }
  };
  view at(io::instant now) const noexcept {
    view v;
    v.total = total_;
    v.all_times = times_;
    auto begun = now;
    for (const auto& w : windows_) {
      if (w.begun == io::instant{} || now - w.begun >= 2 * window) continue;
      begun = std::min(begun, w.begun);
      if (w.times == 0) continue;
      v.largest = v.times == 0 ? w.largest : std::max(v.largest, w.largest);
      v.sum += w.sum;
      v.times += w.times;
    }
    v.seconds = std::max(1.0, std::chrono::duration<double>(now - begun).count());
    return v;
  }

 private:
  struct one_window {
    io::instant begun{};
    double sum = 0;
    std::uint64_t times = 0;
    double largest = 0;
  };

  void roll(io::instant now) noexcept {
    if (windows_[0].begun != io::instant{} && now - windows_[0].begun < window) return;
    windows_[1] = windows_[0];
    windows_[0] = {.begun = now};
  }

  std::array<one_window, 2> windows_{};
  double total_ = 0;
  std::uint64_t times_ = 0;
};

/// Milliseconds, so that percentiles can be told: counted in 8 classes for each doubling, within 7 % of the
/// truth, from a microsecond up. The same windows.
class distribution {
 public:
  struct view {
    std::array<std::uint32_t, 304> counts{};

    /// What the fraction `q` of all measurements stay below; NaN when there are none.
    double quantile(double q) const noexcept {
      std::uint64_t all = 0;
      for (const auto n : counts) all += n;
      if (all == 0) return std::numeric_limits<double>::quiet_NaN();
      auto left =
          std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(q * static_cast<double>(all))));
      std::size_t i = 0;
      while ((left -= counts[i]) > 0) ++i;
      return static_cast<double>(upper_end(i)) / 1000;
    }
    view& operator+=(const view& o) noexcept {
      for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += o.counts[i];
      return *this;
    }
  };

  void record(double ms, io::instant now) noexcept {
    if (begun_ == io::instant{} || now - begun_ >= sensor::window) {
      windows_[1] = now - begun_ < 2 * sensor::window ? windows_[0] : view{};
      windows_[0] = {};
      begun_ = now;
    }
    constexpr double longest = 1e12;  // microseconds: eleven days
    ++windows_[0].counts[class_of(static_cast<std::uint64_t>(std::clamp(ms * 1000, 0.0, longest)))];
  }
  view at(io::instant now) const noexcept {
    if (begun_ == io::instant{} || now - begun_ >= 2 * sensor::window) return {};
    auto both = windows_[0];
    return both += windows_[1];
  }

 private:
  static constexpr unsigned classes = 8;
  static constexpr std::size_t class_of(std::uint64_t us) noexcept {
    if (us < classes) return us;
    const auto shift = static_cast<unsigned>(std::bit_width(us)) - 4;
    return classes + shift * classes + ((us >> shift) & (classes - 1));
  }
  static constexpr std::uint64_t upper_end(std::size_t i) noexcept {
    if (i < classes) return i;
    const auto shift = (i - classes) / classes;
    return ((classes + (i - classes) % classes + 1) << shift) - 1;
  }

  std::array<view, 2> windows_{};
  io::instant begun_{};
};

}  // namespace penstock::client
