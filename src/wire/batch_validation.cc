// SPDX-License-Identifier: Apache-2.0
#include "wire/batch_validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "wire/error_code.h"
#include "wire/record_cursor.h"

namespace penstock::wire {
namespace {

auto refuse(error_code why, std::string_view message) { return fail(make_error(why, message)); }

auto refuse(const error& cause) {
  switch (cause.kind()) {
    case errc::exhausted: return refuse(error_code::message_too_large, cause.message());
    case errc::unsupported: return refuse(error_code::unsupported_compression_type, cause.message());
    default: return refuse(error_code::corrupt_message, cause.message());
  }
}

result<> check_producer_header(const batch_header& h) {
  if (h.base_offset != 0)
    return refuse(error_code::invalid_record,
                  fmt::format("the batch's base offset is {}, not 0", h.base_offset));
  if (h.control()) return refuse(error_code::invalid_record, "a producer may not write control batches");
  if (h.record_count == 0) return refuse(error_code::invalid_record, "the batch has no records");
  if (h.record_count - 1 != h.last_offset_delta)
    return refuse(error_code::invalid_record,
                  fmt::format("the batch has {} records but a last offset delta of {}", h.record_count,
                              h.last_offset_delta));
  if (h.time_type() != timestamp_type::create_time)
    return refuse(error_code::invalid_record, "a producer may not set log append time");
  if (h.has_producer() && h.base_sequence < 0)
    return refuse(error_code::invalid_record,
                  fmt::format("the batch of producer {} has no sequence number", h.producer_id));
  if (!h.has_producer() && h.transactional())
    return refuse(error_code::invalid_record, "a transactional batch has no producer id");
  return {};
}

result<> check_records(record_cursor cursor, const batch_checks& checks, batch_summary& summary) {
  const batch_header& h = summary.header;
  record_view record;
  std::int64_t last = h.base_offset - 1;
  std::int32_t index = 0;
  summary.min_timestamp = std::numeric_limits<std::int64_t>::max();
  summary.max_timestamp = std::numeric_limits<std::int64_t>::min();
  for (; cursor.next(record); ++index) {
    const bool in_order = checks.from_producer ? record.offset == last + 1 : record.offset > last;
    if (!in_order || record.offset > h.last_offset()) [[unlikely]]
      return refuse(error_code::invalid_record,
                    fmt::format("record {} of the batch at offset {} has the offset {}", index, h.base_offset,
                                record.offset));
    last = record.offset;
    summary.min_timestamp = std::min(summary.min_timestamp, record.timestamp_ms);
    if (record.timestamp_ms > summary.max_timestamp) {
      summary.max_timestamp = record.timestamp_ms;
      summary.max_timestamp_offset = record.offset;
    }
    if (checks.find_null_keys && !record.has_key() && summary.null_keys.size() < batch_summary::max_noted)
      summary.null_keys.push_back(index);
  }
  if (cursor.damaged()) return refuse(cursor.damage());
  if (index == 0) summary.min_timestamp = summary.max_timestamp = -1;
  return {};
}

}  // namespace

result<batch_summary> validate_batch(bytes_view batch, const batch_checks& checks, scratch_buffer& scratch) {
  auto header = parse_batch_header(batch);
  if (!header) return refuse(header.error());
  if (header->total_size() != batch.size())
    return refuse(error_code::corrupt_message,
                  fmt::format("a batch of {} bytes says that it has {}", batch.size(), header->total_size()));
  if (checks.crc) {
    if (auto sound = check_crc(batch); !sound) return refuse(sound.error());
  }
  if (checks.from_producer) {
    if (auto allowed = check_producer_header(*header); !allowed) return fail(allowed.error());
  }
  batch_summary summary;
  summary.header = *header;
  auto cursor = open_records(*header, batch, scratch, checks.max_decompressed);
  if (!cursor) return refuse(cursor.error());
  summary.uncompressed_size =
      header->codec() == compression::none ? batch.size() - batch_overhead : scratch.size();
  if (auto sound = check_records(*cursor, checks, summary); !sound) return fail(sound.error());
  return summary;
}

}  // namespace penstock::wire
