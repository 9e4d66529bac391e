// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

#include "io/random.h"

namespace penstock::client {

/// Waiting times that double from `first` to `last`, each varied by a fifth either way, so that clients which
/// lost the same broker do not come back in step.
class backoff {
 public:
  backoff(std::chrono::milliseconds first, std::chrono::milliseconds last) noexcept
      : first_(first), last_(last) {}

  std::chrono::milliseconds next(io::random_source& random) noexcept {
    auto wait = first_ * (std::int64_t{1} << std::min(failures_, 20));
    if (wait > last_ || wait < first_) wait = last_;
    if (failures_ < 20) ++failures_;
    const auto spread = wait.count() * 2 / 5 + 1;
    const auto jitter = static_cast<std::int64_t>(random.next() % static_cast<std::uint64_t>(spread));
    return std::chrono::milliseconds(wait.count() * 4 / 5 + jitter);
  }
  void reset() noexcept { failures_ = 0; }
  int failures() const noexcept { return failures_; }

 private:
  std::chrono::milliseconds first_, last_;
  int failures_ = 0;
};

}  // namespace penstock::client
