// SPDX-License-Identifier: Apache-2.0
#include "wire/batch_builder.h"

#include "base/crc32c.h"
#include "wire/compression.h"
#include "wire/message_set.h"

namespace penstock::wire {

void batch_builder::reset(std::int64_t base_offset, std::optional<std::int64_t> base_timestamp) {
  buffer_.clear();
  buffer_.prepare(batch_overhead);
  buffer_.commit(batch_overhead);
  sealed_compressed_ = false;
  base_offset_ = base_offset;
  has_base_timestamp_ = base_timestamp.has_value();
  base_timestamp_ = base_timestamp.value_or(-1);
  max_timestamp_ = -1;
  next_delta_ = 0;
  count_ = 0;
}

result<bytes_view> batch_builder::seal(const seal_options& o) {
  sealed_compressed_ = false;
  if (o.codec != compression::none && count_ != 0) {
    compressed_.clear();
    compressed_.prepare(batch_overhead);
    compressed_.commit(batch_overhead);
    if (auto done = compress(o.codec, o.level, buffer_.view().substr(batch_overhead), compressed_); !done)
      return fail(done.error());
    sealed_compressed_ = compressed_.size() < buffer_.size();
  }

  const std::span<char> batch = sealed();
  batch_header h;
  h.base_offset = base_offset_;
  h.length = static_cast<std::int32_t>(batch.size() - log_overhead);
  h.leader_epoch = o.leader_epoch;
  int attributes = sealed_compressed_ ? static_cast<int>(o.codec) : 0;
  if (o.time_type == timestamp_type::log_append_time) attributes |= batch_header::log_append_time_bit;
  if (o.transactional) attributes |= batch_header::transactional_bit;
  if (o.control) attributes |= batch_header::control_bit;
  if (o.delete_horizon) attributes |= batch_header::delete_horizon_bit;
  h.attributes = static_cast<std::int16_t>(attributes);
  h.last_offset_delta =
      o.last_offset_delta.value_or(count_ == 0 ? 0 : static_cast<std::int32_t>(next_delta_ - 1));
  h.base_timestamp = base_timestamp_;
  h.max_timestamp = o.max_timestamp.value_or(max_timestamp_);
  h.producer_id = o.producer_id;
  h.producer_epoch = o.producer_epoch;
  h.base_sequence = o.base_sequence;
  h.record_count = count_;
  write_batch_header(h, batch);
  set_crc(batch);
  return bytes_view(batch.data(), batch.size());
}

result<bytes_view> batch_builder::seal_as_messages(compression codec, int level) {
  batch_header h;
  h.base_timestamp = base_timestamp_;
  h.record_count = count_;
  compressed_.clear();
  sealed_compressed_ = true;
  if (auto done = write_messages({h, buffer_.view().substr(batch_overhead)}, codec, level, compressed_);
      !done)
    return fail(done.error());
  return compressed_.view();
}

record_cursor batch_builder::records() const noexcept {
  batch_header h;
  h.base_offset = base_offset_;
  h.base_timestamp = base_timestamp_;
  h.record_count = count_;
  return {h, buffer_.view().substr(batch_overhead)};
}

std::span<char> batch_builder::sealed() noexcept {
  scratch_buffer& holds_it = sealed_compressed_ ? compressed_ : buffer_;
  return {holds_it.data(), holds_it.size()};
}

}  // namespace penstock::wire
