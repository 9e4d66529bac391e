// SPDX-License-Identifier: Apache-2.0
// Private to compression*.cc and message_set.cc: one codec each. Compressing appends to `out`; so does
// decompressing, until `out` holds max_out bytes. Levels are already checked.
#pragma once

#include <penstock/result.h>

#include <cstddef>
#include <string_view>

#include "base/bytes.h"
#include "wire/scratch_buffer.h"

namespace penstock::wire::codecs {

result<> gzip_compress(int level, bytes_view in, scratch_buffer& out);
result<> gzip_decompress(bytes_view in, std::size_t max_out, scratch_buffer& out);

result<> snappy_compress(bytes_view in, scratch_buffer& out);
result<> snappy_decompress(bytes_view in, std::size_t max_out, scratch_buffer& out);

/// `level` 0: the fast compressor.
result<> lz4_compress(int level, bytes_view in, scratch_buffer& out);
result<> lz4_decompress(bytes_view in, std::size_t max_out, scratch_buffer& out);
/// Takes any header checksum: Kafka's clients computed it over the wrong bytes in message sets v0.
result<> lz4_decompress_v0(bytes_view in, std::size_t max_out, scratch_buffer& out);

result<> zstd_compress(int level, bytes_view in, scratch_buffer& out);
result<> zstd_decompress(bytes_view in, std::size_t max_out, scratch_buffer& out);

// What all of them report.
inline auto damaged(std::string_view codec) {
  return fail(errc::corrupt, std::string(codec) + " data is damaged");
}
inline auto cut_off(std::string_view codec) {
  return fail(errc::corrupt, std::string(codec) + " data ends too early");
}
inline auto too_large(std::string_view codec, std::size_t max_out) {
  return fail(errc::exhausted, std::string(codec) + " data decompresses to more than the limit of " +
                                   std::to_string(max_out) + " bytes");
}

/// The room that a streaming decoder gets next: twice what is there, but one byte past the limit at most.
/// That byte tells "as much as allowed" from "more".
inline std::size_t next_room(const scratch_buffer& out, std::size_t in_size, std::size_t max_out) {
  const std::size_t wanted = std::max({out.size(), in_size * 3, std::size_t{64} << 10});
  return std::min(std::max(wanted, out.capacity() - out.size()), max_out + 1 - out.size());
}

}  // namespace penstock::wire::codecs
