// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace penstock::base {

/// Kafka's variant of 32-bit MurmurHash2 (seed 0x9747b28c), byte for byte what the Java client's default
/// partitioner computes; `partition_for_key` is its choice of partition.
inline std::uint32_t murmur2(std::string_view key) noexcept {
  constexpr std::uint32_t m = 0x5bd1e995;
  const char* p = key.data();
  auto n = static_cast<std::uint32_t>(key.size());
  std::uint32_t h = 0x9747b28c ^ n;
  for (; n >= 4; n -= 4, p += 4) {
    std::uint32_t k;
    std::memcpy(&k, p, 4);
    k *= m;
    k ^= k >> 24;
    k *= m;
    h = h * m ^ k;
  }
  switch (n) {
    case 3: h ^= static_cast<std::uint32_t>(static_cast<unsigned char>(p[2])) << 16; [[fallthrough]];
    case 2: h ^= static_cast<std::uint32_t>(static_cast<unsigned char>(p[1])) << 8; [[fallthrough]];
    case 1: h = (h ^ static_cast<unsigned char>(p[0])) * m;
  }
  h = (h ^ (h >> 13)) * m;
  return h ^ (h >> 15);
}

/// The partition of a key among `partitions` (> 0), as Kafka's Java client chooses it.
inline std::int32_t partition_for_key(std::string_view key, std::int32_t partitions) noexcept {
  return static_cast<std::int32_t>(murmur2(key) & 0x7fffffff) % partitions;
}

/// A strong 64-bit finaliser for integers, for hash tables.
constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93;
  return x ^ (x >> 32);
}

}  // namespace penstock::base
