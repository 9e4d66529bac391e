// SPDX-License-Identifier: Apache-2.0
#include "wire/record_cursor.h"

#include <fmt/format.h>

#include <limits>

#include "base/varint.h"
#include "wire/compression.h"

namespace penstock::wire {
namespace {

// Reads fields one by one, never past `end`; after a failure everything reads as 0.
struct field_reader {
  const char* p;
  const char* end;

  std::int64_t varint64() noexcept {
    std::int64_t v = 0;
    p = p == nullptr ? nullptr : base::read_varint(p, end, v);
    return p == nullptr ? 0 : v;
  }
  std::int32_t varint32() noexcept {
    const std::int64_t v = varint64();
    if (v < std::numeric_limits<std::int32_t>::min() || v > std::numeric_limits<std::int32_t>::max()) {
      p = nullptr;
      return 0;
    }
    return static_cast<std::int32_t>(v);
  }
  bytes_view bytes() noexcept {
    const std::int32_t size = varint32();
    if (p == nullptr || size < 0) return {};
    if (size > end - p) {
      p = nullptr;
      return {};
    }
    const bytes_view v(p, static_cast<std::size_t>(size));
    p += size;
    return v;
  }
  void skip_header() noexcept {
    const char* const key = p;
    bytes();
    // A header's key is never null; its first byte would be that of a negative number.
    if (p != nullptr && (static_cast<unsigned char>(*key) & 1) != 0) p = nullptr;
    bytes();
  }
};

}  // namespace

bool record_cursor::finish() noexcept {
  if (left_ == 0 && p_ != end_) damaged_ = true;
  return false;
}

bool record_cursor::next_checked(record_view& record) noexcept {
  field_reader in{p_, end_};
  const std::int32_t length = in.varint32();
  if (in.p == nullptr || length < 1 || length > end_ - in.p) return stop();
  in.end = in.p + length;
  ++in.p;  // attributes, unused
  const std::int64_t timestamp_delta = in.varint64();
  const std::int32_t offset_delta = in.varint32();
  record.key = in.bytes();
  record.value = in.bytes();
  const std::int32_t header_count = in.varint32();
  // A header has two bytes at least, so that a wrong count cannot keep us long.
  if (in.p == nullptr || header_count < 0 || header_count > (in.end - in.p) / 2) return stop();
  const bytes_view headers(in.p, static_cast<std::size_t>(in.end - in.p));
  for (std::int32_t i = 0; i < header_count && in.p != nullptr; ++i) in.skip_header();
  if (in.p != in.end) return stop();
  record.headers = header_count == 0 ? header_list() : header_list(headers, header_count);
  record.offset = detail::add_wrapping(base_offset_, offset_delta);
  record.timestamp_ms = detail::add_wrapping(base_timestamp_, timestamp_delta & delta_mask_);
  p_ = in.end;
  --left_;
  return true;
}

void record_cursor::skip_below(std::int64_t offset) noexcept {
  if (offset <= base_offset_) return;
  record_view record;
  for (;;) {
    record_cursor ahead = *this;
    if (ahead.next(record) && record.offset >= offset) return;
    *this = ahead;
    if (left_ == 0) return;
  }
}

error record_cursor::damage() const {
  return error(errc::corrupt, fmt::format("batch at offset {} holds a damaged record", base_offset_));
}

result<record_cursor> open_records(const batch_header& header, bytes_view batch, scratch_buffer& scratch,
                                   std::size_t max_decompressed) {
  const bytes_view records = batch.substr(batch_overhead);
  if (header.codec() == compression::none) return record_cursor(header, records);
  scratch.clear();
  // Compaction may leave a batch without records, and then without a compressed blob.
  if (header.record_count == 0) return record_cursor(header, scratch.view());
  if (auto done = decompress(header.codec(), records, max_decompressed, scratch); !done)
    return fail(done.error().with_context(fmt::format("batch at offset {}", header.base_offset)));
  return record_cursor(header, scratch.view());
}

}  // namespace penstock::wire
