// SPDX-License-Identifier: Apache-2.0
#include "base/crc32c.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace penstock::base {
namespace {

constexpr std::uint32_t polynomial = 0x82f63b78;  // Castagnoli, bit-reversed

// tables[k][b]: the sum of byte b followed by k zero bytes, so that eight bytes are looked up at a time.
using slicing_tables = std::array<std::array<std::uint32_t, 256>, 8>;
constexpr slicing_tables make_tables() {
  slicing_tables t{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t c = b;
    for (int i = 0; i < 8; ++i) c = (c >> 1) ^ ((c & 1) != 0 ? polynomial : 0);
    t[0][b] = c;
  }
  for (std::uint32_t b = 0; b < 256; ++b)
    for (std::size_t k = 1; k < 8; ++k) t[k][b] = (t[k - 1][b] >> 8) ^ t[0][t[k - 1][b] & 0xff];
  return t;
}
constexpr slicing_tables tables = make_tables();

}  // namespace

std::uint32_t detail::crc32c_portable(std::string_view bytes, std::uint32_t so_far) noexcept {
  std::uint32_t c = ~so_far;
  const char* p = bytes.data();
  std::size_t n = bytes.size();
  for (; n >= 8; n -= 8, p += 8) {
    std::uint32_t lo, hi;
    std::memcpy(&lo, p, 4);
    std::memcpy(&hi, p + 4, 4);
    lo ^= c;
    c = tables[7][lo & 0xff] ^ tables[6][(lo >> 8) & 0xff] ^ tables[5][(lo >> 16) & 0xff] ^
        tables[4][lo >> 24] ^ tables[3][hi & 0xff] ^ tables[2][(hi >> 8) & 0xff] ^
        tables[1][(hi >> 16) & 0xff] ^ tables[0][hi >> 24];
  }
  for (; n > 0; --n, ++p) c = (c >> 8) ^ tables[0][(c ^ static_cast<unsigned char>(*p)) & 0xff];
  return ~c;
}

#if defined(__x86_64__)
namespace {

// The instruction takes three cycles but starts one a cycle: three independent streams fill it. Their sums
// are joined by shifting the first over the length of what follows, a linear map kept as one table a byte.
constexpr std::size_t stream_bytes = 1024;
constexpr std::size_t block_bytes = 3 * stream_bytes;
constexpr std::size_t line_bytes = 64;
// Three streams that begin anew every block are nothing that the processor's own prefetching follows: from
// memory, asking for the lines of the block after next makes it half as fast again.
constexpr std::size_t ahead_bytes = 2 * block_bytes;

using shift_table = std::array<std::array<std::uint32_t, 256>, 4>;

constexpr std::uint32_t shift_by_zeros(std::uint32_t c, std::size_t zeros) {
  for (std::size_t i = 0; i < zeros; ++i) c = (c >> 8) ^ tables[0][c & 0xff];
  return c;
}
shift_table make_shift(std::size_t zeros) {
  // The map is linear: shift the 32 unit vectors, then combine them for each byte value.
  std::array<std::uint32_t, 32> unit{};
  for (std::size_t bit = 0; bit < 32; ++bit) unit[bit] = shift_by_zeros(std::uint32_t{1} << bit, zeros);
  shift_table t{};
  for (std::size_t k = 0; k < 4; ++k)
    for (std::size_t b = 0; b < 256; ++b)
      for (std::size_t bit = 0; bit < 8; ++bit)
        if ((b >> bit & 1) != 0) t[k][b] ^= unit[k * 8 + bit];
  return t;
}
std::uint32_t apply(const shift_table& t, std::uint32_t c) noexcept {
  return t[0][c & 0xff] ^ t[1][(c >> 8) & 0xff] ^ t[2][(c >> 16) & 0xff] ^ t[3][c >> 24];
}

std::uint64_t word(const char* p) noexcept {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(std::string_view bytes,
                                                             std::uint32_t so_far) noexcept {
  static const shift_table one = make_shift(stream_bytes);
  std::uint64_t c = ~so_far;
  const char* p = bytes.data();
  std::size_t n = bytes.size();
  while (n >= block_bytes) {
    std::uint64_t c1 = 0, c2 = 0;
    const char* const later = p + (n >= ahead_bytes + block_bytes ? ahead_bytes : 0);
    for (std::size_t line = 0; line < stream_bytes; line += line_bytes) {
      _mm_prefetch(later + line, _MM_HINT_T0);
      _mm_prefetch(later + stream_bytes + line, _MM_HINT_T0);
      _mm_prefetch(later + 2 * stream_bytes + line, _MM_HINT_T0);
      for (std::size_t i = line; i < line + line_bytes; i += 8) {
        c = _mm_crc32_u64(c, word(p + i));
        c1 = _mm_crc32_u64(c1, word(p + stream_bytes + i));
        c2 = _mm_crc32_u64(c2, word(p + 2 * stream_bytes + i));
      }
    }
    c = apply(one, static_cast<std::uint32_t>(c)) ^ c1;
    c = apply(one, static_cast<std::uint32_t>(c)) ^ c2;
    p += block_bytes;
    n -= block_bytes;
  }
  for (; n >= 8; n -= 8, p += 8) c = _mm_crc32_u64(c, word(p));
  auto c32 = static_cast<std::uint32_t>(c);
  for (; n > 0; --n, ++p) c32 = _mm_crc32_u8(c32, static_cast<unsigned char>(*p));
  return ~c32;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes, std::uint32_t so_far) noexcept {
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  return has_instruction ? crc32c_sse42(bytes, so_far) : detail::crc32c_portable(bytes, so_far);
}
#else
std::uint32_t crc32c(std::string_view bytes, std::uint32_t so_far) noexcept {
  return detail::crc32c_portable(bytes, so_far);
}
#endif

}  // namespace penstock::base
