// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace penstock {

/// How the records of a batch are compressed. The numbers are the protocol's.
enum class compression : std::int8_t { none = 0, gzip = 1, snappy = 2, lz4 = 3, zstd = 4 };

/// Asks for a codec's own default where a compression level is wanted. (zstd has levels below zero, so -1 is
/// a level.)
inline constexpr int default_compression_level = -0x7fffffff;

/// Kafka's name of a codec: "none", "gzip", "snappy", "lz4" or "zstd".
constexpr std::string_view to_string(compression codec) noexcept {
  switch (codec) {
    case compression::none: return "none";
    case compression::gzip: return "gzip";
    case compression::snappy: return "snappy";
    case compression::lz4: return "lz4";
    case compression::zstd: return "zstd";
  }
  return "unknown";
}

/// The codec of that name, or nothing. Kafka spells no compression both "none" and "uncompressed".
constexpr std::optional<compression> parse_compression(std::string_view name) noexcept {
  if (name == "uncompressed") return compression::none;
  for (const auto codec :
       {compression::none, compression::gzip, compression::snappy, compression::lz4, compression::zstd}) {
    if (name == to_string(codec)) return codec;
  }
  return std::nullopt;
}

}  // namespace penstock
