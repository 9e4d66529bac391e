// SPDX-License-Identifier: Apache-2.0
// Byte order. Kafka's protocol and its log files are big-endian throughout.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace penstock {

/// Borrowed bytes. Everywhere in Penstock raw bytes are a std::string_view; where null differs from empty
/// (Kafka keys and values), null is a view whose data() is nullptr.
using bytes_view = std::string_view;

namespace base {

template <std::integral T>
constexpr T byte_swap(T v) noexcept {
  if constexpr (sizeof(T) == 1) return v;
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(v)));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(v)));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(v)));
}

static_assert(std::endian::native == std::endian::little, "Penstock runs on little-endian machines");

/// Reads a big-endian integer; `p` needs no alignment.
template <std::integral T>
T load_be(const void* p) noexcept {
  T v;
  std::memcpy(&v, p, sizeof v);
  return byte_swap(v);
}

/// Writes a big-endian integer; `p` needs no alignment.
template <std::integral T>
void store_be(void* p, T v) noexcept {
  v = byte_swap(v);
  std::memcpy(p, &v, sizeof v);
}

}  // namespace base
}  // namespace penstock
