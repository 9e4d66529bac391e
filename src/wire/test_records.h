// SPDX-License-Identifier: Apache-2.0
// For tests: records that own their bytes, to compare with what a cursor gives.
#pragma once

#include <penstock/record_view.h>

#include <cstdint>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "wire/record_cursor.h"

namespace penstock::wire::testing {

inline constexpr compression all_codecs[] = {compression::none, compression::gzip, compression::snappy,
                                             compression::lz4, compression::zstd};

struct owned_record {
  std::int64_t offset = 0;
  std::int64_t timestamp_ms = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;
  friend bool operator==(const owned_record&, const owned_record&) = default;
};

inline std::optional<std::string> own(std::string_view v) {
  return v.data() == nullptr ? std::nullopt : std::optional<std::string>(v);
}
inline std::string_view borrow(const std::optional<std::string>& v) {
  return v ? std::string_view(*v) : std::string_view();
}

inline owned_record own(const record_view& r) {
  owned_record o{r.offset, r.timestamp_ms, own(r.key), own(r.value), {}};
  for (const auto& h : r.headers) o.headers.emplace_back(std::string(h.key), own(h.value));
  return o;
}

inline std::vector<record_header> borrow_headers(const owned_record& r) {
  std::vector<record_header> out;
  for (const auto& [key, value] : r.headers) out.push_back({key, borrow(value)});
  return out;
}

/// Everything that is left in `cursor`; check damaged() afterwards.
inline std::vector<owned_record> drain(record_cursor& cursor) {
  std::vector<owned_record> out;
  record_view r;
  while (cursor.next(r)) out.push_back(own(r));
  return out;
}

inline void PrintTo(const owned_record& r, std::ostream* os) {
  *os << "{offset " << r.offset << ", timestamp " << r.timestamp_ms << ", key "
      << (r.key ? "'" + *r.key + "'" : "null") << ", value " << (r.value ? "'" + *r.value + "'" : "null");
  for (const auto& [key, value] : r.headers) *os << ", " << key << "=" << value.value_or("null");
  *os << "}";
}

/// `count` records of all shapes: null, empty, short and long keys and values, headers, times back and forth.
inline std::vector<owned_record> random_records(std::mt19937_64& random, std::size_t count) {
  const auto below = [&](std::uint64_t n) { return random() % n; };
  const auto bytes = [&](std::size_t size) {
    std::string s(size, '\0');
    // Few letters, so that there is something to compress.
    for (auto& c : s) c = static_cast<char>('a' + below(4));
    return s;
  };
  const auto nullable = [&](std::size_t max) -> std::optional<std::string> {
    switch (below(8)) {
      case 0: return std::nullopt;
      case 1: return "";
      case 2: return bytes(below(max * 20));
      default: return bytes(below(max));
    }
  };
  std::vector<owned_record> out(count);
  std::int64_t time = 1'700'000'000'000;
  for (std::size_t i = 0; i < count; ++i) {
    time += static_cast<std::int64_t>(below(4000)) - 1000;
    if (below(20) == 0) time += 86'400'000;
    out[i] = {static_cast<std::int64_t>(i), time, nullable(30), nullable(200), {}};
    for (auto n = below(4) == 0 ? below(4) : 0; n > 0; --n)
      out[i].headers.emplace_back(bytes(below(10)), nullable(20));
  }
  return out;
}

}  // namespace penstock::wire::testing
