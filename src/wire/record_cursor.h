// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/record_view.h>
#include <penstock/result.h>

#include <cstdint>

#include "base/bytes.h"
#include "wire/record_batch.h"

namespace penstock::wire {

/// Walks the records of one batch, in place: no allocation, no copy, about a cache line's worth of work each.
/// Checks all bounds; bytes of any content are safe.
///
///     record_cursor cursor(header, records);   // records: uncompressed; open_records() decompresses
///     record_view r;
///     while (cursor.next(r)) use(r);
///     if (cursor.damaged()) return fail(cursor.damage());
///
/// The views it gives borrow from `records`. A cursor is a cheap value; a copy walks on from the same place.
class record_cursor {
 public:
  record_cursor() noexcept = default;
  record_cursor(const batch_header& header, bytes_view records) noexcept
      : p_(records.data()),
        end_(records.data() + records.size()),
        base_offset_(header.base_offset),
        left_(header.record_count) {
    // With log append time all records are of the batch's max timestamp and their deltas do not count.
    const bool append_time = header.time_type() == timestamp_type::log_append_time;
    base_timestamp_ = append_time ? header.max_timestamp : header.base_timestamp;
    delta_mask_ = append_time ? 0 : -1;
  }

  /// The next record, or false at the end and at damage; `damaged()` tells which. After false, `record` is
  /// unspecified.
  [[gnu::always_inline]] bool next(record_view& record) noexcept;

  /// Goes to the first record whose offset is at least `offset`: a fetch returns whole batches, and the
  /// first may begin before what was asked for.
  void skip_below(std::int64_t offset) noexcept;

  /// Records that next() has yet to give, unless there is damage before.
  std::int32_t left() const noexcept { return left_; }
  /// The bytes contradict themselves or the record count. What next() gave before is whole.
  bool damaged() const noexcept { return damaged_; }
  /// The error to report if damaged().
  error damage() const;

 private:
  bool next_checked(record_view& record) noexcept;
  bool finish() noexcept;
  bool stop() noexcept {
    damaged_ = true;
    left_ = 0;
    return false;
  }

  const char* p_ = nullptr;
  const char* end_ = nullptr;
  std::int64_t base_offset_ = 0;
  std::int64_t base_timestamp_ = 0;
  std::int64_t delta_mask_ = -1;
  std::int32_t left_ = 0;
  bool damaged_ = false;
};

/// A cursor over the records of `batch`, one whole batch whose header is `header`. If it is compressed, its
/// records are decompressed into `scratch` first, at most `max_decompressed` bytes, and the views borrow from
/// there; otherwise `scratch` is not touched. Does not check the checksum.
result<record_cursor> open_records(const batch_header& header, bytes_view batch, scratch_buffer& scratch,
                                   std::size_t max_decompressed = default_max_decompressed);

namespace detail {

// A damaged header or delta must not be undefined behaviour.
constexpr std::int64_t add_wrapping(std::int64_t a, std::int64_t b) noexcept {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

/// Reads a zig-zag varint of one to three bytes without looking at any end; false if it is longer.
[[gnu::always_inline]] inline bool read_short_varint(const char*& p, std::int32_t& v) noexcept {
  std::uint32_t u = static_cast<unsigned char>(p[0]);
  if (u < 0x80) [[likely]] {
    p += 1;
  } else {
    const std::uint32_t second = static_cast<unsigned char>(p[1]);
    u = (u & 0x7f) | (second & 0x7f) << 7;
    if (second < 0x80) [[likely]] {
      p += 2;
    } else {
      const std::uint32_t third = static_cast<unsigned char>(p[2]);
      if (third >= 0x80) return false;
      u |= third << 14;
      p += 3;
    }
  }
  v = static_cast<std::int32_t>((u >> 1) ^ (~(u & 1) + 1));
  return true;
}

}  // namespace detail

// The fast path reads varints of up to three bytes and looks at the bounds three times: once for everything
// before the key (13 bytes at most), once that the record ends with room behind it for two more varints,
// and for key and value against the record's end. Whatever does not fit that - the last record of a section,
// fields over a million, headers - goes through next_checked(), which looks at each step.
inline bool record_cursor::next(record_view& record) noexcept {
  constexpr std::ptrdiff_t room_in_front = 16;
  constexpr std::ptrdiff_t room_behind = 6;
  if (left_ <= 0) [[unlikely]]
    return finish();
  const char* p = p_;
  if (end_ - p < room_in_front) [[unlikely]]
    return next_checked(record);
  std::int32_t length, timestamp_delta, offset_delta, key_size, value_size;
  if (!detail::read_short_varint(p, length)) [[unlikely]]
    return next_checked(record);
  if (length < 0 || length > end_ - p - room_behind) [[unlikely]]
    return next_checked(record);
  const char* const record_end = p + length;
  ++p;  // attributes, unused
  if (!detail::read_short_varint(p, timestamp_delta) || !detail::read_short_varint(p, offset_delta) ||
      !detail::read_short_varint(p, key_size)) [[unlikely]]
    return next_checked(record);
  if (key_size > record_end - p) [[unlikely]]
    return stop();
  if (key_size >= 0) {
    record.key = bytes_view(p, static_cast<std::size_t>(key_size));
    p += key_size;
  } else {
    // A null key moves nothing, so that `p` may have passed the record's end; it is not far enough to read
    // out of bounds (13 bytes of prefix, 3 more for the next varint), and the end is compared below.
    record.key = bytes_view();
  }
  if (!detail::read_short_varint(p, value_size)) [[unlikely]]
    return next_checked(record);
  if (value_size >= record_end - p) [[unlikely]]  // one byte at least must follow it
    return stop();
  if (value_size >= 0) {
    record.value = bytes_view(p, static_cast<std::size_t>(value_size));
    p += value_size;
  } else {
    record.value = bytes_view();
  }
  if (p + 1 != record_end || *p != 0) [[unlikely]]  // headers, or damage
    return next_checked(record);
  record.offset = detail::add_wrapping(base_offset_, offset_delta);
  record.timestamp_ms = detail::add_wrapping(base_timestamp_, timestamp_delta & delta_mask_);
  record.headers = header_list();
  p_ = record_end;
  --left_;
  return true;
}

}  // namespace penstock::wire
