// SPDX-License-Identifier: Apache-2.0
#include "wire/compression.h"

#include <fmt/format.h>

#include "wire/compression_codecs.h"

namespace penstock::wire {
namespace {

auto not_a_codec(compression codec) {
  return fail(errc::unsupported, fmt::format("compression codec {} is unknown", static_cast<int>(codec)));
}

result<int> checked_level(compression codec, int level) {
  const auto range = levels_of(codec);
  if (level == default_compression_level) return range.standard;
  if (level < range.min || level > range.max)
    return fail(errc::invalid_argument,
                fmt::format("{} has levels {} to {}, not {}", to_string(codec), range.min, range.max, level));
  return level;
}

result<> compress_at(compression codec, int level, bytes_view in, scratch_buffer& out) {
  switch (codec) {
    case compression::gzip: return codecs::gzip_compress(level, in, out);
    // As Java's client has it, lz4's standard level is not a high-compression level but the fast compressor.
    case compression::lz4:
      return codecs::lz4_compress(level == levels_of(codec).standard ? 0 : level, in, out);
    case compression::zstd: return codecs::zstd_compress(level, in, out);
    default: return not_a_codec(codec);
  }
}

}  // namespace

compression_levels levels_of(compression codec) noexcept {
  switch (codec) {
    case compression::gzip: return {1, 9, 6};
    case compression::lz4: return {1, 17, 9};
    case compression::zstd: return {-131072, 22, 3};
    default: return {0, 0, 0};
  }
}

result<> compress(compression codec, int level, bytes_view in, scratch_buffer& out) {
  if (codec == compression::none) {
    out.append(in);
    return {};
  }
  if (codec == compression::snappy) return codecs::snappy_compress(in, out);
  auto checked = checked_level(codec, level);
  if (!checked) return fail(checked.error());
  return compress_at(codec, *checked, in, out);
}

result<> decompress(compression codec, bytes_view in, std::size_t max_out, scratch_buffer& out) {
  out.clear();
  switch (codec) {
    case compression::none:
      if (in.size() > max_out) return codecs::too_large("uncompressed", max_out);
      out.append(in);
      return {};
    case compression::gzip: return codecs::gzip_decompress(in, max_out, out);
    case compression::snappy: return codecs::snappy_decompress(in, max_out, out);
    case compression::lz4: return codecs::lz4_decompress(in, max_out, out);
    case compression::zstd: return codecs::zstd_decompress(in, max_out, out);
  }
  return not_a_codec(codec);
}

result<> compress(compression codec, int level, bytes_view in, std::string& out) {
  scratch_buffer buffer;
  if (auto done = compress(codec, level, in, buffer); !done) return done;
  out.assign(buffer.view());
  return {};
}

result<> decompress(compression codec, bytes_view in, std::size_t max_out, std::string& out) {
  scratch_buffer buffer;
  if (auto done = decompress(codec, in, max_out, buffer); !done) return done;
  out.assign(buffer.view());
  return {};
}

}  // namespace penstock::wire
