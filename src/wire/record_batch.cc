// SPDX-License-Identifier: Apache-2.0
#include "wire/record_batch.h"

#include <fmt/format.h>

#include <limits>

#include "base/crc32c.h"
#include "wire/batch_builder.h"

namespace penstock::wire {
namespace {

enum position : std::size_t {
  at_base_offset = 0,
  at_length = 8,
  at_leader_epoch = 12,
  at_magic = 16,
  at_crc = 17,
  at_attributes = 21,
  at_last_offset_delta = 23,
  at_base_timestamp = 27,
  at_max_timestamp = 35,
  at_producer_id = 43,
  at_producer_epoch = 51,
  at_base_sequence = 53,
  at_record_count = 57,
};

constexpr std::int32_t min_length = batch_overhead - log_overhead;
constexpr std::int32_t min_message_length = 14;

std::uint32_t compute_crc(bytes_view batch) noexcept { return base::crc32c(batch.substr(at_attributes)); }

// A batch of which one field cannot be; `base_offset` finds it.
auto impossible(std::int64_t base_offset, std::string_view field, std::int64_t value) {
  return fail(errc::corrupt, fmt::format("batch at offset {} has {} {}", base_offset, field, value));
}

}  // namespace

std::int32_t batch_header::last_sequence() const noexcept {
  return base_sequence < 0 ? -1 : add_sequence(base_sequence, last_offset_delta);
}

std::size_t peek_total_size(bytes_view bytes) noexcept {
  if (bytes.size() < log_overhead) return 0;
  const auto length = base::load_be<std::int32_t>(bytes.data() + at_length);
  return length < min_message_length ? 0 : log_overhead + static_cast<std::size_t>(length);
}

int peek_magic(bytes_view bytes) noexcept {
  return bytes.size() <= magic_position ? -1 : static_cast<signed char>(bytes[magic_position]);
}

result<batch_header> parse_batch_header(bytes_view bytes) {
  if (bytes.size() < batch_overhead)
    return fail(errc::corrupt, fmt::format("{} bytes are too few for a record batch", bytes.size()));
  const char* const p = bytes.data();
  batch_header h;
  h.base_offset = base::load_be<std::int64_t>(p + at_base_offset);
  h.length = base::load_be<std::int32_t>(p + at_length);
  h.leader_epoch = base::load_be<std::int32_t>(p + at_leader_epoch);
  h.magic = base::load_be<std::int8_t>(p + at_magic);
  h.crc = base::load_be<std::uint32_t>(p + at_crc);
  h.attributes = base::load_be<std::int16_t>(p + at_attributes);
  h.last_offset_delta = base::load_be<std::int32_t>(p + at_last_offset_delta);
  h.base_timestamp = base::load_be<std::int64_t>(p + at_base_timestamp);
  h.max_timestamp = base::load_be<std::int64_t>(p + at_max_timestamp);
  h.producer_id = base::load_be<std::int64_t>(p + at_producer_id);
  h.producer_epoch = base::load_be<std::int16_t>(p + at_producer_epoch);
  h.base_sequence = base::load_be<std::int32_t>(p + at_base_sequence);
  h.record_count = base::load_be<std::int32_t>(p + at_record_count);

  if (h.magic != 2)
    return fail(errc::unsupported, fmt::format("batch at offset {} has magic {} where 2 is expected",
                                               h.base_offset, static_cast<int>(h.magic)));
  if (h.length < min_length) return impossible(h.base_offset, "length", h.length);
  if (h.record_count < 0) return impossible(h.base_offset, "record count", h.record_count);
  if (h.last_offset_delta < 0) return impossible(h.base_offset, "last offset delta", h.last_offset_delta);
  if (h.base_offset < 0 || h.base_offset >= std::numeric_limits<std::int64_t>::max() - h.last_offset_delta)
    return impossible(h.base_offset, "last offset delta", h.last_offset_delta);
  if (h.codec() > compression::zstd)
    return fail(errc::unsupported, fmt::format("batch at offset {} has the unknown compression codec {}",
                                               h.base_offset, static_cast<int>(h.codec())));
  return h;
}

void write_batch_header(const batch_header& h, std::span<char> batch) noexcept {
  char* const p = batch.data();
  base::store_be(p + at_base_offset, h.base_offset);
  base::store_be(p + at_length, h.length);
  base::store_be(p + at_leader_epoch, h.leader_epoch);
  base::store_be(p + at_magic, h.magic);
  base::store_be(p + at_crc, h.crc);
  base::store_be(p + at_attributes, h.attributes);
  base::store_be(p + at_last_offset_delta, h.last_offset_delta);
  base::store_be(p + at_base_timestamp, h.base_timestamp);
  base::store_be(p + at_max_timestamp, h.max_timestamp);
  base::store_be(p + at_producer_id, h.producer_id);
  base::store_be(p + at_producer_epoch, h.producer_epoch);
  base::store_be(p + at_base_sequence, h.base_sequence);
  base::store_be(p + at_record_count, h.record_count);
}

bool crc_matches(bytes_view batch) noexcept {
  return batch.size() >= batch_overhead &&
         base::load_be<std::uint32_t>(batch.data() + at_crc) == compute_crc(batch);
}

result<> check_crc(bytes_view batch) {
  if (crc_matches(batch)) return {};
  if (batch.size() < batch_overhead)
    return fail(errc::corrupt, fmt::format("{} bytes are too few for a record batch", batch.size()));
  return fail(errc::corrupt, fmt::format("batch at offset {} has a wrong checksum",
                                         base::load_be<std::int64_t>(batch.data() + at_base_offset)));
}

void set_crc(std::span<char> batch) noexcept {
  base::store_be(batch.data() + at_crc, compute_crc({batch.data(), batch.size()}));
}

void set_base_offset(char* batch, std::int64_t base_offset) noexcept {
  base::store_be(batch + at_base_offset, base_offset);
}

void set_leader_epoch(char* batch, std::int32_t leader_epoch) noexcept {
  base::store_be(batch + at_leader_epoch, leader_epoch);
}

void set_max_timestamp(std::span<char> batch, timestamp_type type, std::int64_t max_timestamp) noexcept {
  char* const p = batch.data();
  const auto before = base::load_be<std::int16_t>(p + at_attributes);
  const auto after = static_cast<std::int16_t>(type == timestamp_type::log_append_time
                                                   ? before | batch_header::log_append_time_bit
                                                   : before & ~batch_header::log_append_time_bit);
  if (before == after && base::load_be<std::int64_t>(p + at_max_timestamp) == max_timestamp) return;
  base::store_be(p + at_attributes, after);
  base::store_be(p + at_max_timestamp, max_timestamp);
  set_crc(batch);
}

void set_producer(std::span<char> batch, std::int64_t producer_id, std::int16_t producer_epoch,
                  std::int32_t base_sequence) noexcept {
  base::store_be(batch.data() + at_producer_id, producer_id);
  base::store_be(batch.data() + at_producer_epoch, producer_epoch);
  base::store_be(batch.data() + at_base_sequence, base_sequence);
  set_crc(batch);
}

// Key: i16 version 0, i16 type. Value: i16 version 0, i32 coordinator epoch. Later versions may only add
// fields, so more bytes are no error.
result<transaction_marker> parse_marker(const record_view& record) {
  if (record.key.size() < 4)
    return fail(errc::corrupt, fmt::format("control record at offset {} has a key of {} bytes", record.offset,
                                           record.key.size()));
  const auto version = base::load_be<std::int16_t>(record.key.data());
  const auto type = base::load_be<std::int16_t>(record.key.data() + 2);
  if (version < 0) return impossible(record.offset, "control record version", version);
  if (type != static_cast<std::int16_t>(marker_type::abort) &&
      type != static_cast<std::int16_t>(marker_type::commit))
    return fail(errc::unsupported, fmt::format("control record at offset {} is of type {}, not the end of a "
                                               "transaction",
                                               record.offset, type));
  if (record.value.size() < 6)
    return fail(errc::corrupt, fmt::format("control record at offset {} has a value of {} bytes",
                                           record.offset, record.value.size()));
  return transaction_marker{static_cast<marker_type>(type),
                            base::load_be<std::int32_t>(record.value.data() + 2)};
}

void append_marker_batch(transaction_marker marker, std::int64_t producer_id, std::int16_t producer_epoch,
                         std::int64_t timestamp_ms, std::int32_t leader_epoch, scratch_buffer& out) {
  char key[4];
  base::store_be<std::int16_t>(key, 0);
  base::store_be(key + 2, static_cast<std::int16_t>(marker.type));
  char value[6];
  base::store_be<std::int16_t>(value, 0);
  base::store_be(value + 2, marker.coordinator_epoch);
  batch_builder builder;
  builder.append({key, sizeof key}, {value, sizeof value}, timestamp_ms);
  // Nothing to compress, so nothing that can fail.
  out.append(*builder.seal({.producer_id = producer_id,
                            .producer_epoch = producer_epoch,
                            .transactional = true,
                            .control = true,
                            .leader_epoch = leader_epoch}));
}

}  // namespace penstock::wire
