// SPDX-License-Identifier: Apache-2.0
// A record batch, Kafka's format v2 (since 0.11). All integers are big-endian.
//
//    0  i64  base offset               offset of the first record; the broker sets it
//    8  i32  length                    bytes after this field
//   12  i32  partition leader epoch    the broker sets it
//   16  i8   magic                     2
//   17  u32  CRC-32C                   of everything behind it, so that the broker may set the fields before
//   it 21  i16  attributes                bits 0-2 codec, 3 log append time, 4 transactional, 5 control,
//                                      6 base timestamp is the delete horizon
//   23  i32  last offset delta         stays when compaction removes the last record
//   27  i64  base timestamp
//   35  i64  max timestamp
//   43  i64  producer id               -1: not idempotent
//   51  i16  producer epoch
//   53  i32  base sequence
//   57  i32  record count
//   61       records, as one compressed blob unless the codec is none
//
// A record; varints are zig-zag:
//   varint length of the rest, i8 attributes (0), varint64 timestamp delta, varint offset delta,
//   varint key size (-1: null), key, varint value size (-1: null), value,
//   varint header count, per header: varint key size, key, varint value size (-1: null), value
#pragma once

#include <penstock/compression.h>
#include <penstock/record_view.h>
#include <penstock/result.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "wire/scratch_buffer.h"

namespace penstock::wire {

/// Bytes of a batch before its records.
inline constexpr std::size_t batch_overhead = 61;
/// Base offset and length: what must be there to know the size of a batch, or of a message v0/v1.
inline constexpr std::size_t log_overhead = 12;
/// Where the magic byte is, in a batch and in a message v0/v1 alike.
inline constexpr std::size_t magic_position = 16;
/// What a batch may decompress to unless the caller says otherwise.
inline constexpr std::size_t default_max_decompressed = std::size_t{256} << 20;

enum class timestamp_type : std::uint8_t { create_time, log_append_time };

/// The fields of a batch before its records.
struct batch_header {
  static constexpr std::int16_t codec_mask = 0x07;
  static constexpr std::int16_t log_append_time_bit = 0x08;
  static constexpr std::int16_t transactional_bit = 0x10;
  static constexpr std::int16_t control_bit = 0x20;
  static constexpr std::int16_t delete_horizon_bit = 0x40;

  std::int64_t base_offset = 0;
  std::int32_t length = 0;
  std::int32_t leader_epoch = -1;
  /// 2; records_reader also gives 0 and 1, for what it translated from a message set.
  std::int8_t magic = 2;
  std::uint32_t crc = 0;
  std::int16_t attributes = 0;
  std::int32_t last_offset_delta = 0;
  std::int64_t base_timestamp = -1;
  std::int64_t max_timestamp = -1;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  std::int32_t base_sequence = -1;
  std::int32_t record_count = 0;

  /// Bytes of the whole batch.
  std::size_t total_size() const noexcept { return log_overhead + static_cast<std::size_t>(length); }
  std::int64_t last_offset() const noexcept { return base_offset + last_offset_delta; }
  /// Where the next batch may begin. Not base offset + record count: compaction leaves holes.
  std::int64_t next_offset() const noexcept { return last_offset() + 1; }
  compression codec() const noexcept { return static_cast<compression>(attributes & codec_mask); }
  timestamp_type time_type() const noexcept {
    return (attributes & log_append_time_bit) != 0 ? timestamp_type::log_append_time
                                                   : timestamp_type::create_time;
  }
  bool transactional() const noexcept { return (attributes & transactional_bit) != 0; }
  bool control() const noexcept { return (attributes & control_bit) != 0; }
  bool has_delete_horizon() const noexcept { return (attributes & delete_horizon_bit) != 0; }
  bool has_producer() const noexcept { return producer_id >= 0; }
  /// The sequence number of the last record; after 2^31-1 they go on with 0. -1 without a producer.
  std::int32_t last_sequence() const noexcept;

  friend bool operator==(const batch_header&, const batch_header&) = default;
};

/// `sequence` plus `n` >= 0, going on with 0 after 2^31-1.
constexpr std::int32_t add_sequence(std::int32_t sequence, std::int32_t n) noexcept {
  return static_cast<std::int32_t>((static_cast<std::int64_t>(sequence) + n) & 0x7fffffff);
}

/// The bytes of the whole batch or message that begins at `bytes`, or 0 when fewer than log_overhead bytes
/// are there or its length cannot be one (below 14, the smallest message v0).
std::size_t peek_total_size(bytes_view bytes) noexcept;
/// The magic byte of the batch or message that begins at `bytes`, or -1 when it is not there.
int peek_magic(bytes_view bytes) noexcept;

/// Reads and checks the fields of a batch: magic 2, length >= 49, record count and last offset delta not
/// negative, no offset overflow, a known codec. Needs the first batch_overhead bytes only; that the rest is
/// there (total_size()) and whole (check_crc) is the caller's to see. Errors: corrupt, or unsupported for
/// another magic or codec.
result<batch_header> parse_batch_header(bytes_view bytes);

/// Writes all fields into the first batch_overhead bytes; `crc` as it is in the header.
void write_batch_header(const batch_header& header, std::span<char> batch) noexcept;

/// Whether the checksum is right. `batch` is one whole batch exactly.
bool crc_matches(bytes_view batch) noexcept;
/// The same as a result: corrupt, naming the offset.
result<> check_crc(bytes_view batch);
/// Computes the checksum of one whole batch and stores it.
void set_crc(std::span<char> batch) noexcept;

// Changes in place. These two lie outside the checksum:
void set_base_offset(char* batch, std::int64_t base_offset) noexcept;
void set_leader_epoch(char* batch, std::int32_t leader_epoch) noexcept;
/// Sets timestamp type and max timestamp and computes the checksum anew (not if nothing changes). `batch` is
/// one whole batch. With log_append_time every record reads as of `max_timestamp`.
void set_max_timestamp(std::span<char> batch, timestamp_type type, std::int64_t max_timestamp) noexcept;
/// Sets who produced the batch and computes the checksum anew: a producer whose epoch changed sends its
/// pending batches again so.
void set_producer(std::span<char> batch, std::int64_t producer_id, std::int16_t producer_epoch,
                  std::int32_t base_sequence) noexcept;

/// The end of a transaction in a partition (KIP-98): a control batch of one record.
enum class marker_type : std::int16_t { abort = 0, commit = 1 };
struct transaction_marker {
  marker_type type = marker_type::abort;
  std::int32_t coordinator_epoch = 0;
  friend bool operator==(const transaction_marker&, const transaction_marker&) = default;
};
/// Reads the record of a control batch. Errors: corrupt when too short, unsupported for control records that
/// are not transaction markers (types 2 and up: Raft), which a consumer skips.
result<transaction_marker> parse_marker(const record_view& control_record);
/// Appends a whole marker batch (base offset 0) to `out`.
void append_marker_batch(transaction_marker marker, std::int64_t producer_id, std::int16_t producer_epoch,
                         std::int64_t timestamp_ms, std::int32_t leader_epoch, scratch_buffer& out);

}  // namespace penstock::wire
