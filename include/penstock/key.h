// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace penstock {

/// How a type serves as a key: its bytes (which choose the partition, as Kafka's own partitioner would) and a
/// hash for tables in memory. There for integers, enumerations, strings, and pairs and tuples of them;
/// specialise it for a type of yours, which must compare with ==:
///
///     template <> struct penstock::key_traits<point> {
///       // Equal keys give equal bytes, others differ.
///       static void append(const point& p, std::string& out);
///       // All 64 bits well mixed.
///       static std::uint64_t hash(const point& p) noexcept;
///     };
template <typename K>
struct key_traits;

namespace detail {

constexpr std::uint64_t mix_hash(std::uint64_t a, std::uint64_t b) noexcept {
  const auto m = static_cast<unsigned __int128>(a ^ 0x9e3779b97f4a7c15) * (b ^ 0xd6e8feb86659fd93);
  return static_cast<std::uint64_t>(m) ^ static_cast<std::uint64_t>(m >> 64);
}

inline std::uint64_t hash_bytes(std::string_view bytes) noexcept {
  std::uint64_t h = bytes.size();
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    h = mix_hash(h, word);
  }
  std::uint64_t tail = 0;
  if (left != 0) std::memcpy(&tail, p, left);
  return mix_hash(h ^ tail, 0xa0761d6478bd642f);
}

/// murmur2 of the key's bytes, without its sign bit: `% partitions` is the partition.
std::uint32_t partition_hash(std::string_view key_bytes) noexcept;

/// Its steps, for what has its bytes four at a time.
inline constexpr std::uint32_t hash_factor = 0x5bd1e995;
constexpr std::uint32_t hash_of_length(std::uint32_t bytes) noexcept { return 0x9747b28c ^ bytes; }
constexpr std::uint32_t hash_with_word(std::uint32_t h, std::uint32_t word) noexcept {
  word *= hash_factor;
  word ^= word >> 24;
  return (h * hash_factor) ^ (word * hash_factor);
}
constexpr std::uint32_t finished_hash(std::uint32_t h) noexcept {
  h ^= h >> 13;
  h *= hash_factor;
  return (h ^ h >> 15) & 0x7fffffff;
}

/// The same of a few bytes: of numbers, without a call.
template <std::size_t N>
requires(N % 4 == 0) inline std::uint32_t partition_hash(const std::array<char, N>& key_bytes) noexcept {
  std::uint32_t h = hash_of_length(static_cast<std::uint32_t>(N));
  for (std::size_t i = 0; i < N; i += 4) {
    std::uint32_t k;
    std::memcpy(&k, key_bytes.data() + i, 4);
    h = hash_with_word(h, k);
  }
  return finished_hash(h);
}

/// The same of a key of any type; `scratch` is memory to use again.
template <typename K>
inline std::uint32_t hash_for_partition(const K& key, std::string& scratch) {
  if constexpr (std::is_same_v<K, std::string>) {
    return partition_hash(key);
  } else if constexpr (requires { key_traits<K>::bytes(key); }) {
    const auto bytes = key_traits<K>::bytes(key);
    if constexpr (sizeof bytes % 4 == 0) {
      return partition_hash(bytes);
    } else {
      return partition_hash(std::string_view(bytes.data(), bytes.size()));
    }
  } else {
    scratch.clear();
    key_traits<K>::append(key, scratch);
    return partition_hash(scratch);
  }
}

template <typename K>
concept key = std::equality_comparable<K> && requires(const K& k, std::string& out) {
  key_traits<K>::append(k, out);
  { key_traits<K>::hash(k) } -> std::convertible_to<std::uint64_t>;
};

}  // namespace detail

template <typename K>
requires std::integral<K> || std::is_enum_v<K>
struct key_traits<K> {
  /// Big-endian, as Kafka's serializers of int and long write it.
  static std::array<char, sizeof(K)> bytes(const K& k) noexcept {
    auto v = static_cast<std::uint64_t>(k) << (64 - 8 * sizeof(K));
    v = __builtin_bswap64(v);
    std::array<char, sizeof(K)> b;
    std::memcpy(b.data(), &v, sizeof(K));
    return b;
  }
  static void append(const K& k, std::string& out) {
    const auto b = bytes(k);
    out.append(b.data(), b.size());
  }
  static std::uint64_t hash(const K& k) noexcept {
    return static_cast<std::uint64_t>(k) * 0x9e3779b97f4a7c15;  // tables use the upper bits
  }
};

template <>
struct key_traits<std::string> {
  static void append(const std::string& k, std::string& out) { out.append(k); }
  static std::uint64_t hash(const std::string& k) noexcept { return detail::hash_bytes(k); }
};

template <typename... Parts>
struct key_traits<std::tuple<Parts...>> {
  static void append(const std::tuple<Parts...>& k, std::string& out) {
    std::apply([&](const Parts&... part) { (append_part(part, out), ...); }, k);
  }
  static std::uint64_t hash(const std::tuple<Parts...>& k) noexcept {
    std::uint64_t h = 0;
    std::apply([&](const Parts&... part) { ((h = detail::mix_hash(h, key_traits<Parts>::hash(part))), ...); },
               k);
    return h;
  }

 private:
  // The length goes before each part, so that ("a", "bc") and ("ab", "c") differ.
  template <typename Part>
  static void append_part(const Part& part, std::string& out) {
    const std::size_t at = out.size();
    out.append(4, '\0');
    key_traits<Part>::append(part, out);
    const auto size = static_cast<std::uint32_t>(out.size() - at - 4);
    for (int i = 0; i < 4; ++i)
      out[at + static_cast<std::size_t>(i)] = static_cast<char>(size >> (24 - 8 * i));
  }
};

template <typename First, typename Second>
struct key_traits<std::pair<First, Second>> {
  using as_tuple = key_traits<std::tuple<First, Second>>;
  static void append(const std::pair<First, Second>& k, std::string& out) {
    as_tuple::append({k.first, k.second}, out);
  }
  static std::uint64_t hash(const std::pair<First, Second>& k) noexcept {
    return detail::mix_hash(detail::mix_hash(0, key_traits<First>::hash(k.first)),
                            key_traits<Second>::hash(k.second));
  }
};

}  // namespace penstock
