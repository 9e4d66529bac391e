// SPDX-License-Identifier: Apache-2.0
// Base-128 variable-length integers, least significant group first, as in Protocol Buffers:
//   unsigned: the value as it is (Kafka's compact lengths and tags)
//   signed:   zig-zag first, so that small negative numbers stay short (the fields of a record)
#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock::base {

inline constexpr std::size_t max_varint32_bytes = 5;
inline constexpr std::size_t max_varint64_bytes = 10;

constexpr std::uint64_t zigzag(std::int64_t v) noexcept {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t v) noexcept {
  return static_cast<std::int64_t>((v >> 1) ^ (~(v & 1) + 1));
}

/// Bytes that write_uvarint will take.
constexpr std::size_t uvarint_size(std::uint64_t v) noexcept {
  return v == 0 ? 1 : (static_cast<std::size_t>(64 - __builtin_clzll(v)) + 6) / 7;
}
constexpr std::size_t varint_size(std::int64_t v) noexcept { return uvarint_size(zigzag(v)); }

/// Writes `v` at `out` (at least max_varint64_bytes, or uvarint_size(v), free) and returns the end.
inline char* write_uvarint(char* out, std::uint64_t v) noexcept {
  while (v >= 0x80) {
    *out++ = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  *out++ = static_cast<char>(v);
  return out;
}
inline char* write_varint(char* out, std::int64_t v) noexcept { return write_uvarint(out, zigzag(v)); }

/// Reads from [p, end). Returns the position behind it, or nullptr when it is cut off or longer than ten
/// bytes.
inline const char* read_uvarint(const char* p, const char* end, std::uint64_t& v) noexcept {
  if (p < end && static_cast<unsigned char>(*p) < 0x80) [[likely]] {
    v = static_cast<unsigned char>(*p);
    return p + 1;
  }
  std::uint64_t r = 0;
  for (int shift = 0; shift < 70 && p < end; shift += 7) {
    const auto b = static_cast<unsigned char>(*p++);
    if (shift == 63 && b > 1) return nullptr;  // bits beyond the 64th
    r |= static_cast<std::uint64_t>(b & 0x7f) << shift;
    if (b < 0x80) {
      v = r;
      return p;
    }
  }
  return nullptr;
}
inline const char* read_varint(const char* p, const char* end, std::int64_t& v) noexcept {
  std::uint64_t u;
  p = read_uvarint(p, end, u);
  if (p != nullptr) v = unzigzag(u);
  return p;
}

}  // namespace penstock::base
