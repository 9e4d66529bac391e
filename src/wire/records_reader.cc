// SPDX-License-Identifier: Apache-2.0
#include "wire/records_reader.h"

#include <algorithm>

#include "wire/message_set.h"

namespace penstock::wire {

result<bool> records_reader::next(fetched_batch& batch, scratch_buffer& scratch) {
  uses_scratch_ = false;
  for (;;) {
    const int magic = peek_magic(rest_);
    if (magic == 0 || magic == 1) {
      auto more = next_messages(batch, scratch);
      if (!more || !*more || batch.header.next_offset() > options_.fetch_offset) return more;
      continue;
    }
    if (rest_.size() < batch_overhead) return false;
    auto header = parse_batch_header(rest_);
    if (!header) return fail(header.error());
    if (header->total_size() > rest_.size()) return false;
    const bytes_view bytes = rest_.substr(0, header->total_size());
    if (header->next_offset() > options_.fetch_offset) {
      if (options_.check_crc) {
        if (auto sound = check_crc(bytes); !sound) return fail(sound.error());
      }
      auto cursor = open_records(*header, bytes, scratch, options_.max_decompressed);
      if (!cursor) return fail(cursor.error());
      batch.header = *header;
      batch.cursor = *cursor;
      batch.cursor.skip_below(options_.fetch_offset);
      batch.bytes = bytes;
      uses_scratch_ = header->codec() != compression::none;
      rest_.remove_prefix(bytes.size());
      next_offset_ = header->next_offset();
      return true;
    }
    rest_.remove_prefix(bytes.size());
  }
}

result<bool> records_reader::next_messages(fetched_batch& batch, scratch_buffer& scratch) {
  auto translated = translate_messages(
      rest_, {.check_crc = options_.check_crc, .max_decompressed = options_.max_decompressed}, scratch);
  if (!translated) return fail(translated.error());
  if (translated->consumed == 0) return false;
  batch.header = translated->header;
  batch.cursor = record_cursor(batch.header, translated->records);
  batch.cursor.skip_below(options_.fetch_offset);
  batch.bytes = rest_.substr(0, translated->consumed);
  uses_scratch_ = true;
  rest_.remove_prefix(translated->consumed);
  next_offset_ = std::max(next_offset_, batch.header.next_offset());
  return true;
}

}  // namespace penstock::wire
