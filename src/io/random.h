// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace penstock::io {

/// Where random numbers come from (ids, jitter), so that a test may fix them.
class random_source {
 public:
  virtual ~random_source() = default;
  virtual std::uint64_t next() noexcept = 0;

  /// The kernel's randomness, unpredictable; lives as long as the program. Safe from any thread.
  static random_source& system() noexcept;
};

/// A repeatable sequence (splitmix64). One thread at a time.
class seeded_random final : public random_source {
 public:
  explicit seeded_random(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept override {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

}  // namespace penstock::io
