// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace penstock::wire {

/// A 128-bit id, as Kafka gives to topics, clusters and members. All zero means "none".
struct uuid {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  /// A random (version 4) id from 128 random bits, which the caller draws from its io::random_source.
  static uuid from_random(std::uint64_t high_bits, std::uint64_t low_bits) noexcept {
    return {(high_bits & ~0xf000ULL) | 0x4000ULL, (low_bits & ~(3ULL << 62)) | (2ULL << 62)};
  }
  /// Reads what to_string wrote.
  static result<uuid> parse(std::string_view text);

  bool is_zero() const noexcept { return high == 0 && low == 0; }
  /// 22 characters of URL-safe base64 without padding, the form in which Kafka's tools print an id.
  std::string to_string() const;

  friend constexpr auto operator<=>(const uuid&, const uuid&) noexcept = default;
};

}  // namespace penstock::wire

template <>
struct std::hash<penstock::wire::uuid> {
  std::size_t operator()(const penstock::wire::uuid& id) const noexcept {
    return static_cast<std::size_t>(id.high ^ (id.low * 0x9e3779b97f4a7c15ULL));
  }
};
