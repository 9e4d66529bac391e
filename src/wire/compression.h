// SPDX-License-Identifier: Apache-2.0
// The codecs of a record batch, each in the framing that Kafka's clients use:
//   gzip    RFC 1952, any number of members
//   snappy  written in the framing of Java's SnappyOutputStream ("xerial"); read in that and as one raw block
//   lz4     the LZ4 frame format with independent 64 KiB blocks; in message sets v0 also with Kafka's wrong
//           header checksum
//   zstd    RFC 8878
#pragma once

#include <penstock/compression.h>
#include <penstock/result.h>

#include <cstddef>
#include <string>

#include "base/bytes.h"
#include "wire/scratch_buffer.h"

namespace penstock::wire {

/// Levels a codec takes: gzip 1..9, lz4 1..17, zstd -131072..22; none and snappy have no levels.
struct compression_levels {
  int min, max, standard;
};
compression_levels levels_of(compression codec) noexcept;

/// Compresses `in` and appends the result to `out`. `level` must lie within levels_of(codec), or be
/// default_compression_level; with none and snappy it is ignored.
///
/// The codecs' contexts are kept per thread and used again. Errors: invalid_argument for a level out of
/// range, unsupported for a codec that is no codec.
result<> compress(compression codec, int level, bytes_view in, scratch_buffer& out);

/// Decompresses `in` into `out`, which is cleared first, up to `max_out` bytes. Errors: corrupt when the
/// bytes are not what the codec writes or end too early, exhausted when they would give more than `max_out`,
/// unsupported for a codec that is no codec. After an error `out` holds unspecified bytes.
result<> decompress(compression codec, bytes_view in, std::size_t max_out, scratch_buffer& out);

/// The same into strings; here too `out` is replaced.
result<> compress(compression codec, int level, bytes_view in, std::string& out);
result<> decompress(compression codec, bytes_view in, std::size_t max_out, std::string& out);

}  // namespace penstock::wire
