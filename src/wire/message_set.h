// SPDX-License-Identifier: Apache-2.0
// The formats before record batches. A message set is a row of messages, without a count:
//
//    0  i64  offset
//    8  i32  size          bytes after this field
//   12  u32  CRC-32 (that of zlib) of everything behind it
//   16  i8   magic         0, or 1 (since 0.10)
//   17  i8   attributes    bits 0-2 codec, 3 (v1) log append time
//   18  i64  timestamp     v1 only
//   ..  i32  key size (-1: null), key, i32 value size (-1: null), value
//
// With a codec the message is a wrapper: its value is a compressed message set. In v0 the inner messages
// have their own offsets. In v1 they count from 0 and the wrapper has the offset of the last one, so that a
// broker need not compress anew; with log append time they all take the wrapper's timestamp. There is no
// nesting beyond that.
#pragma once

#include <penstock/result.h>

#include <penstock/compression.h>

#include "base/bytes.h"
#include "wire/record_batch.h"
#include "wire/record_cursor.h"

namespace penstock::wire {

struct translated_messages {
  /// As of a batch v2 with these records, uncompressed; magic, offsets and timestamps are the messages'.
  batch_header header;
  /// The record section in the format of v2, in the scratch buffer.
  bytes_view records;
  /// Bytes of the section that were translated; 0 when not one whole message is there.
  std::size_t consumed = 0;
};

struct message_options {
  bool check_crc = true;
  std::size_t max_decompressed = default_max_decompressed;
};

/// Translates the messages v0 or v1 at the beginning of `section` into v2 records in `scratch`: either one
/// compressed wrapper, or the uncompressed messages before the next wrapper, the next batch v2, the next
/// change of format or the end. Errors: corrupt, unsupported, exhausted.
result<translated_messages> translate_messages(bytes_view section, const message_options& options,
                                               scratch_buffer& scratch);

/// Appends the records that are left in `records` to `out` as messages v1, which Kafka 0.10 takes (Produce
/// 2): plain ones, or with a codec one wrapper whose messages count from 0, so that the broker need not
/// compress anew (KIP-31). Offsets of the records do not matter. What the codec does not make smaller stays
/// plain.
///
/// Errors: unsupported for a record with headers, and for a codec that came later (zstd); corrupt for damaged
/// records; those of compress(). After an error `out` is as it was.
result<> write_messages(record_cursor records, compression codec, int level, scratch_buffer& out);

}  // namespace penstock::wire
