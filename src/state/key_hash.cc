// SPDX-License-Identifier: Apache-2.0
#include <penstock/detail/state_log.h>
#include <penstock/key.h>

#include <cstring>

#include "base/hash.h"

namespace penstock::detail {

std::uint32_t partition_hash(std::string_view key_bytes) noexcept {
  return base::murmur2(key_bytes) & 0x7fffffff;
}

namespace {

// As the compiler can do it for several at once.
inline std::uint32_t swap_bytes(std::uint32_t v) noexcept {
  return v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24;
}

}  // namespace

// Eight numbers at a time where the processor can. (What chooses runs before the sanitizers are there.)
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
__attribute__((target_clones("avx2", "default"), optimize("O3")))
#endif
void lanes_of_numbers(const void* keys, std::size_t n, std::uint32_t lanes, std::uint16_t* into) noexcept {
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

}  // namespace penstock::detail
