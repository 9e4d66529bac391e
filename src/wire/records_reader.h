// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <cstdint>

#include "base/bytes.h"
#include "wire/record_batch.h"
#include "wire/record_cursor.h"

namespace penstock::wire {

/// A batch of a fetch response, ready to be read.
struct fetched_batch {
  batch_header header;
  /// Its records from the fetch offset on.
  record_cursor cursor;
  /// Its bytes as they came (of a message set: of the messages that were put together).
  bytes_view bytes;
};

/// Walks a record section as a broker returns it: batches one after another, the last perhaps cut off. It may
/// also hold messages of the old formats v0 and v1; they are translated, so that one cursor reads all.
///
///     records_reader reader(section, {.fetch_offset = 1000});
///     fetched_batch batch;
///     for (;;) {
///       auto more = reader.next(batch, scratch);  // result<bool>
///       if (!more) return fail(more.error());
///       if (!*more) break;
///       if (batch.header.control()) ...           // a transaction's end; not for the application
///       while (batch.cursor.next(record)) ...
///     }
///     position = reader.next_offset();
///
/// Views borrow from `section`, or from `scratch` where the batch was compressed or translated
/// (uses_scratch(): then pass another buffer, or be done with the views, before the next call).
class records_reader {
 public:
  struct options {
    /// Batches that end before it are left out, and records below it in the first batch.
    std::int64_t fetch_offset = 0;
    bool check_crc = true;
    std::size_t max_decompressed = default_max_decompressed;
  };
  records_reader(bytes_view section, const options& o) noexcept
      : rest_(section), options_(o), next_offset_(o.fetch_offset) {}

  /// True: `batch` is set. False: the end, or what is left is not a whole batch. After an error the reader
  /// stays at the batch with the error: next_offset() is its base offset or the fetch offset.
  result<bool> next(fetched_batch& batch, scratch_buffer& scratch);

  /// Whether the last batch given borrows from the scratch buffer instead of the section.
  bool uses_scratch() const noexcept { return uses_scratch_; }
  /// Where to fetch next: behind the last batch given or left out, never before the fetch offset.
  std::int64_t next_offset() const noexcept { return next_offset_; }
  /// After the end: bytes at the end that are not a whole batch. Usual in fetch responses.
  std::size_t cut_off_bytes() const noexcept { return rest_.size(); }
  /// The size of the batch that was cut off, 0 when not even that is there. If no batch came before it, a
  /// fetch must ask for at least so much.
  std::size_t cut_off_batch_size() const noexcept { return peek_total_size(rest_); }

 private:
  result<bool> next_messages(fetched_batch& batch, scratch_buffer& scratch);

  bytes_view rest_;
  options options_;
  std::int64_t next_offset_;
  bool uses_scratch_ = false;
};

}  // namespace penstock::wire
