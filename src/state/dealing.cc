// SPDX-License-Identifier: Apache-2.0
// Which lane each record of a block goes to, and in which order they are copied out: as many at a time as the
// processor can.
#include <penstock/detail/dealing.h>
#include <penstock/detail/state_log.h>
#include <penstock/key.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
// The compiler's own header begins some with a value that is none (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#endif

namespace penstock::detail {
namespace {

// As the compiler can do it for several at once.
inline std::uint32_t swap_bytes(std::uint32_t v) noexcept {
  return v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24;
}

[[gnu::always_inline]] inline void lanes_one_by_one(const void* keys, std::size_t n, std::uint32_t lanes,
                                                    std::uint16_t* into) noexcept {
  const char* const bytes = static_cast<const char*>(keys);
  for (std::size_t i = 0; i < n; ++i) {
    std::uint64_t key;
    std::memcpy(&key, bytes + 8 * i, 8);
    std::uint32_t h = hash_of_length(8);
    h = hash_with_word(h, swap_bytes(static_cast<std::uint32_t>(key >> 32)));
    h = finished_hash(hash_with_word(h, swap_bytes(static_cast<std::uint32_t>(key))));
    into[i] = static_cast<std::uint16_t>(lane_of_key(h, lanes));
  }
}

[[gnu::always_inline]] inline bool within_one_by_one(const std::int64_t* times, std::size_t n,
                                                     std::int64_t start, std::int64_t length) noexcept {
  // In whole words, which the compiler can do for several at once.
  const std::int64_t last = start > std::numeric_limits<std::int64_t>::max() - (length - 1)
                                ? std::numeric_limits<std::int64_t>::max()
                                : start + (length - 1);
  std::int64_t outside = 0;
  for (std::size_t i = 0; i < n; ++i)
    outside |= -static_cast<std::int64_t>(times[i] < start) | -static_cast<std::int64_t>(times[i] > last);
  return outside == 0;
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define PENSTOCK_VECTORS 1

enum class vectors : std::uint8_t { none, avx2, avx512 };
vectors processor_has() noexcept {
  static const vectors has = [] {
    if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
        __builtin_cpu_supports("avx512vl") != 0)
      return vectors::avx512;
    return __builtin_cpu_supports("avx2") != 0 ? vectors::avx2 : vectors::none;
  }();
  return has;
}

#define PENSTOCK_AVX512 target("avx512f,avx512bw,avx512vl,avx2,popcnt,prefer-vector-width=512")

// The compiler makes the same loop do eight numbers at a time, or sixteen.
__attribute__((target("avx2"), optimize("O3"))) void lanes_by_eight(const void* keys, std::size_t n,
                                                                    std::uint32_t lanes,
                                                                    std::uint16_t* into) noexcept {
  lanes_one_by_one(keys, n, lanes, into);
}
__attribute__((PENSTOCK_AVX512, optimize("O3"))) void lanes_by_sixteen(const void* keys, std::size_t n,
                                                                       std::uint32_t lanes,
                                                                       std::uint16_t* into) noexcept {
  lanes_one_by_one(keys, n, lanes, into);
}

__attribute__((target("avx2"), optimize("O3"))) bool within_by_four(const std::int64_t* times, std::size_t n,
                                                                    std::int64_t start,
                                                                    std::int64_t length) noexcept {
  return within_one_by_one(times, n, start, length);
}
__attribute__((PENSTOCK_AVX512, optimize("O3"))) bool within_by_eight(const std::int64_t* times,
                                                                      std::size_t n, std::int64_t start,
                                                                      std::int64_t length) noexcept {
  return within_one_by_one(times, n, start, length);
}

/// A pass a lane, sixteen records at a time: their numbers, those of the lane pushed together.
__attribute__((PENSTOCK_AVX512)) void sort_by_sixteen(const std::uint16_t* lane_of, std::size_t n,
                                                      std::size_t lanes, std::uint16_t* order,
                                                      std::uint16_t* ends) noexcept {
  const __m512i counted = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  std::uint16_t* to = order;
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    const __m512i wanted = _mm512_set1_epi32(static_cast<int>(lane));
    __m512i numbers = counted;
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) {
      const __m512i found =
          _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(lane_of + i)));
      const __mmask16 here = _mm512_cmpeq_epi32_mask(found, wanted);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                          _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(here, numbers)));
      to += _mm_popcnt_u32(here);
      numbers = _mm512_add_epi32(numbers, _mm512_set1_epi32(16));
    }
    for (; i < n; ++i) {
      *to = static_cast<std::uint16_t>(i);
      to += lane_of[i] == lane;
    }
    ends[lane] = static_cast<std::uint16_t>(to - order);
  }
}

/// The lanes of sixteen numbers, as lanes_one_by_one finds them. By hand, since they stay in registers so: by
/// way of lanes_by_sixteen and memory, pick_by_sixteen costs 0.15 ns a number more.
__attribute__((PENSTOCK_AVX512, always_inline)) inline __m512i lanes_of_sixteen(__m512i first, __m512i second,
                                                                                __m512i lanes) noexcept {
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i swapped = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
  const __m512i factor = _mm512_set1_epi32(static_cast<int>(hash_factor));
  const auto word = [&](__m512i w) __attribute__((PENSTOCK_AVX512, always_inline)) {
    w = _mm512_mullo_epi32(_mm512_shuffle_epi8(w, swapped), factor);
    return _mm512_mullo_epi32(_mm512_xor_si512(w, _mm512_srli_epi32(w, 24)), factor);
  };
  const __m512i upper = _mm512_permutex2var_epi32(first, _mm512_or_si512(even, _mm512_set1_epi32(1)), second);
  const __m512i lower = _mm512_permutex2var_epi32(first, even, second);
  __m512i h =
      _mm512_xor_si512(_mm512_set1_epi32(static_cast<int>(hash_of_length(8) * hash_factor)), word(upper));
  h = _mm512_xor_si512(_mm512_mullo_epi32(h, factor), word(lower));
  h = _mm512_mullo_epi32(_mm512_xor_si512(h, _mm512_srli_epi32(h, 13)), factor);
  h = _mm512_xor_si512(h, _mm512_srli_epi32(h, 15));
  static_assert(std::has_single_bit(key_partitions));
  const __m512i partition = _mm512_and_si512(h, _mm512_set1_epi32(key_partitions - 1));
  return _mm512_srli_epi32(_mm512_mullo_epi32(partition, lanes), std::countr_zero(key_partitions));
}

__attribute__((PENSTOCK_AVX512)) void pick_by_sixteen(const void* keys, std::size_t n, std::size_t lanes,
                                                      void* const* into, std::uint16_t* counts) noexcept {
  const char* const from = static_cast<const char*>(keys);
  char* to[most_pick_lanes];
  for (std::size_t lane = 0; lane < lanes; ++lane) to[lane] = static_cast<char*>(into[lane]);
  const __m512i count = _mm512_set1_epi32(static_cast<int>(lanes));
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    // Both are read before any is written: that may be to the same place.
    const __m512i first = _mm512_loadu_si512(from + 8 * i);
    const __m512i second = _mm512_loadu_si512(from + 8 * i + 64);
    const __m512i lane_of = lanes_of_sixteen(first, second, count);
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const __mmask16 here = _mm512_cmpeq_epi32_mask(lane_of, _mm512_set1_epi32(static_cast<int>(lane)));
      _mm512_storeu_si512(to[lane], _mm512_maskz_compress_epi64(static_cast<__mmask8>(here), first));
      to[lane] += 8 * _mm_popcnt_u32(here & 0xff);
      _mm512_storeu_si512(to[lane], _mm512_maskz_compress_epi64(static_cast<__mmask8>(here >> 8), second));
      to[lane] += 8 * _mm_popcnt_u32(here >> 8);
    }
  }
  std::uint16_t rest[16];
  lanes_one_by_one(from + 8 * i, n - i, static_cast<std::uint32_t>(lanes), rest);
  for (std::size_t r = 0; i < n; ++i, ++r) {
    std::memmove(to[rest[r]], from + 8 * i, 8);
    to[rest[r]] += 8;
  }
  for (std::size_t lane = 0; lane < lanes; ++lane)
    counts[lane] = static_cast<std::uint16_t>((to[lane] - static_cast<char*>(into[lane])) / 8);
}
#endif

}  // namespace

bool pick_by_lane(const void* keys, std::size_t n, std::size_t lanes, void* const* into,
                  std::uint16_t* counts) noexcept {
#if defined(PENSTOCK_VECTORS)
  if (processor_has() == vectors::avx512) {
    pick_by_sixteen(keys, n, lanes, into, counts);
    return true;
  }
#endif
  return false;
}

void lanes_of_numbers(const void* keys, std::size_t n, std::uint32_t lanes, std::uint16_t* into) noexcept {
#if defined(PENSTOCK_VECTORS)
  const vectors has = processor_has();
  if (has == vectors::avx512) return lanes_by_sixteen(keys, n, lanes, into);
  if (has == vectors::avx2) return lanes_by_eight(keys, n, lanes, into);
#endif
  lanes_one_by_one(keys, n, lanes, into);
}

bool all_within(const std::int64_t* times, std::size_t n, std::int64_t start, std::int64_t length) noexcept {
#if defined(PENSTOCK_VECTORS)
  const vectors has = processor_has();
  if (has == vectors::avx512) return within_by_eight(times, n, start, length);
  if (has == vectors::avx2) return within_by_four(times, n, start, length);
#endif
  return within_one_by_one(times, n, start, length);
}

void sort_by_lane(const std::uint16_t* lane_of, std::size_t n, std::size_t lanes, std::uint16_t* order,
                  std::uint16_t* ends) noexcept {
#if defined(PENSTOCK_VECTORS)
  if (lanes <= 16 && processor_has() == vectors::avx512)
    return sort_by_sixteen(lane_of, n, lanes, order, ends);
#endif
  sort_by_lane_plainly(lane_of, n, lanes, order, ends);
}

void sort_by_lane_plainly(const std::uint16_t* lane_of, std::size_t n, std::size_t lanes,
                          std::uint16_t* order, std::uint16_t* ends) noexcept {
  if (lanes <= 4) {  // a pass a lane: no count in memory that the next record waits for
    std::size_t at = 0;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      for (std::size_t i = 0; i < n; ++i) {
        order[at] = static_cast<std::uint16_t>(i);
        at += lane_of[i] == lane;
      }
      ends[lane] = static_cast<std::uint16_t>(at);
    }
    return;
  }
  std::fill_n(ends, lanes, std::uint16_t{0});
  for (std::size_t i = 0; i < n; ++i) ++ends[lane_of[i]];
  std::uint16_t before = 0;
  for (std::size_t lane = 0; lane < lanes; ++lane)
    before = static_cast<std::uint16_t>(before + std::exchange(ends[lane], before));
  for (std::size_t i = 0; i < n; ++i) order[ends[lane_of[i]]++] = static_cast<std::uint16_t>(i);
}

}  // namespace penstock::detail
