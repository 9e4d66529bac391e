// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "wire/record_batch.h"

namespace penstock::wire {

/// What validate_batch() looks at.
struct batch_checks {
  /// Compute the checksum. Off where it has been done already.
  bool crc = true;
  /// What a producer may send: not a control batch, at least one record, base offset 0, offset deltas 0, 1,
  /// 2, ... to the last offset delta, create time, and a base sequence >= 0 with a producer id. Off for
  /// batches of a log, where offsets need only grow.
  bool from_producer = true;
  /// Note the records without a key (a compacted topic refuses them).
  bool find_null_keys = false;
  std::size_t max_decompressed = default_max_decompressed;
};

/// What was found in a batch that is sound.
struct batch_summary {
  batch_header header;
  /// Over the records; -1 in an empty batch. The header's max timestamp may disagree: a broker stores this.
  std::int64_t min_timestamp = -1;
  std::int64_t max_timestamp = -1;
  /// Offset of the first record with the max timestamp.
  std::int64_t max_timestamp_offset = -1;
  /// Bytes of the record section, uncompressed.
  std::size_t uncompressed_size = 0;
  /// Indices of the records without a key, the first `max_noted` of them.
  static constexpr std::size_t max_noted = 100;
  std::vector<std::int32_t> null_keys;
};

/// Checks one whole batch (`batch` is exactly its bytes) down to its records; a compressed one is
/// decompressed into `scratch`. Costs a walk over the records and the checksum.
///
/// Errors: of kind kafka, with the code that a broker answers: CORRUPT_MESSAGE (2) for a wrong size or
/// checksum or bytes that do not parse, INVALID_RECORD (87) for content that is not allowed,
/// MESSAGE_TOO_LARGE (10) beyond max_decompressed, UNSUPPORTED_COMPRESSION_TYPE (76) for a codec that is
/// none. The limit on the batch's own size, timestamps against the clock, null keys and sequences are the
/// caller's.
result<batch_summary> validate_batch(bytes_view batch, const batch_checks& checks, scratch_buffer& scratch);

}  // namespace penstock::wire
