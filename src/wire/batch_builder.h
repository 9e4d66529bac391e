// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/compression.h>
#include <penstock/record_view.h>
#include <penstock/result.h>

#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "wire/record_batch.h"
#include "wire/record_cursor.h"
#include "wire/record_writer.h"
#include "wire/scratch_buffer.h"

namespace penstock::wire {

/// Builds a record batch: append() writes each record once, in its final format, into one buffer that is used
/// again for the next batch.
///
///     batch_builder b(16384);
///     while (b.append(key, value, timestamp_ms)) ...   // false: full, seal and begin the next
///     auto batch = b.seal({.codec = compression::lz4});  // result<bytes_view>
///     ...                                               // `*batch` is valid until reset() or destruction
///     b.reset();
///
/// One owner, no locks; a moved-from builder may only be destroyed or assigned to.
class batch_builder {
 public:
  static constexpr std::size_t default_max_bytes = std::size_t{1} << 20;

  /// A batch takes records up to `max_bytes` (uncompressed, all included); the first is taken whatever its
  /// size, so that one large record has a batch of its own.
  explicit batch_builder(std::size_t max_bytes = default_max_bytes) : max_bytes_(max_bytes) { reset(); }

  /// Begins a new batch and keeps the memory. Without `base_timestamp` the first record's timestamp is the
  /// base.
  void reset(std::int64_t base_offset = 0, std::optional<std::int64_t> base_timestamp = std::nullopt);
  void set_max_bytes(std::size_t max_bytes) noexcept { max_bytes_ = max_bytes; }

  /// Adds a record behind the last. False, and nothing done, when the batch is full. A key or value with
  /// data() == nullptr is null.
  bool append(bytes_view key, bytes_view value, std::int64_t timestamp_ms,
              std::span<const record_header> headers = {}) {
    return write(next_delta_, timestamp_ms, key, value, detail::listed_headers{headers});
  }
  /// Adds a copy of `record` behind the last; its offset does not matter.
  bool append(const record_view& record) {
    return write(next_delta_, record.timestamp_ms, record.key, record.value,
                 detail::copied_headers{record.headers});
  }
  /// Adds a copy of `record` at its own offset, which must be greater than the last one's and at most
  /// 2^31-1 beyond the base offset: to write the holes that compaction leaves.
  bool append_at_offset(const record_view& record) {
    return write(record.offset - base_offset_, record.timestamp_ms, record.key, record.value,
                 detail::copied_headers{record.headers});
  }

  std::int32_t record_count() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }
  /// Bytes of the batch so far, before compression.
  std::size_t size() const noexcept { return buffer_.size(); }
  std::int64_t base_offset() const noexcept { return base_offset_; }
  std::int64_t max_timestamp() const noexcept { return max_timestamp_; }

  /// The most that a record with these fields adds to a batch.
  static constexpr std::size_t record_size_bound(std::size_t key_size, std::size_t value_size,
                                                 std::size_t headers_size = 0) noexcept {
    return detail::record_overhead_bound + key_size + value_size + headers_size;
  }

  struct seal_options {
    compression codec = compression::none;
    int level = default_compression_level;
    std::int64_t producer_id = -1;
    std::int16_t producer_epoch = -1;
    std::int32_t base_sequence = -1;
    bool transactional = false;
    bool control = false;
    bool delete_horizon = false;
    std::int32_t leader_epoch = -1;
    timestamp_type time_type = timestamp_type::create_time;
    /// Instead of the greatest timestamp appended.
    std::optional<std::int64_t> max_timestamp = std::nullopt;
    /// Instead of the last record's (compaction keeps a batch's end when its last record goes).
    std::optional<std::int32_t> last_offset_delta = std::nullopt;
  };
  /// Finishes the batch and returns its bytes. A batch that the codec does not make smaller stays
  /// uncompressed. May be called again, with other options; no append() in between. Errors: those of
  /// compress().
  result<bytes_view> seal(const seal_options& options);
  /// The same as messages v1, for brokers before Kafka 0.11 (message_set.h): no producer id, no headers.
  /// Errors: those of write_messages().
  result<bytes_view> seal_as_messages(compression codec, int level);
  /// What was appended so far, to walk through; valid until the next append() or reset().
  record_cursor records() const noexcept;
  /// The bytes of the last seal(), to change in place (set_producer()).
  std::span<char> sealed() noexcept;

 private:
  static constexpr std::size_t max_record_bytes = std::size_t{1} << 30;

  template <typename Headers>
  bool write(std::int64_t offset_delta, std::int64_t timestamp_ms, bytes_view key, bytes_view value,
             const Headers& headers);

  scratch_buffer buffer_;
  scratch_buffer compressed_;
  bool sealed_compressed_ = false;
  std::size_t max_bytes_;
  std::int64_t base_offset_ = 0;
  std::int64_t base_timestamp_ = -1;
  std::int64_t max_timestamp_ = -1;
  std::int64_t next_delta_ = 0;
  std::int32_t count_ = 0;
  bool has_base_timestamp_ = false;
};

template <typename Headers>
inline bool batch_builder::write(std::int64_t offset_delta, std::int64_t timestamp_ms, bytes_view key,
                                 bytes_view value, const Headers& headers) {
  const std::size_t header_size = headers.count() == 0 ? 0 : headers.size();
  const std::size_t bound = record_size_bound(key.size(), value.size(), header_size);
  if (buffer_.size() + bound > max_bytes_ && (count_ != 0 || buffer_.size() + bound > max_record_bytes))
      [[unlikely]]
    return false;
  if (!has_base_timestamp_) [[unlikely]] {
    base_timestamp_ = timestamp_ms;
    has_base_timestamp_ = true;
  }
  const auto timestamp_delta = static_cast<std::int64_t>(static_cast<std::uint64_t>(timestamp_ms) -
                                                         static_cast<std::uint64_t>(base_timestamp_));
  detail::write_record(buffer_, offset_delta, timestamp_delta, key, value, headers, header_size);
  if (timestamp_ms > max_timestamp_) max_timestamp_ = timestamp_ms;
  next_delta_ = offset_delta + 1;
  ++count_;
  return true;
}

}  // namespace penstock::wire
