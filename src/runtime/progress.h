// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/clock.h"

namespace penstock::runtime {

/// The text of a progress line: how many of how many, the rate, and the time left, which is what remains
/// divided by the rate. The rate is that of the last seconds, so a slow start does not linger in it.
class progress_text {
 public:
  progress_text(std::string what, const io::clock& clock) : what_(std::move(what)), clock_(clock) {}
  /// "departures: 120,000 of 336,776 records, 410,000/s, 0.5 s left"
  std::string update(std::uint64_t done, std::optional<std::uint64_t> total);

 private:
  std::string what_;
  const io::clock& clock_;
  std::optional<io::instant> last_;
  std::uint64_t last_done_ = 0;
  double rate_ = 0;
};

/// "336,776"
std::string with_thousands(std::uint64_t n);
/// "0.5 s", "2 min 5 s", "3 h 10 min"
std::string duration_text(double seconds);

}  // namespace penstock::runtime
