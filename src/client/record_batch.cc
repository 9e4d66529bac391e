// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <new>
#include <type_traits>

#include "client/batch_data.h"

namespace penstock::kafka {
namespace {

static_assert(std::is_trivially_copyable_v<wire::record_cursor> && sizeof(wire::record_cursor) <= 64 &&
                  alignof(wire::record_cursor) <= 8,
              "record_batch::reader keeps a cursor in bytes of its own");

wire::record_cursor& as_cursor(std::array<char, 64>& bytes) noexcept {
  return *std::launder(reinterpret_cast<wire::record_cursor*>(bytes.data()));
}
const wire::record_cursor& as_cursor(const std::array<char, 64>& bytes) noexcept {
  return *std::launder(reinterpret_cast<const wire::record_cursor*>(bytes.data()));
}

}  // namespace

const std::string& record_batch::topic() const noexcept { return data_->batch.partition->topic; }
std::int32_t record_batch::partition() const noexcept { return data_->batch.partition->partition; }
std::int64_t record_batch::first_offset() const noexcept { return data_->batch.first_offset; }
std::int64_t record_batch::next_offset() const noexcept { return data_->batch.next_offset; }
std::int64_t record_batch::high_watermark() const noexcept { return data_->batch.high_watermark; }
std::int32_t record_batch::leader_epoch() const noexcept { return data_->batch.header.leader_epoch; }
std::int32_t record_batch::count() const noexcept { return data_->batch.records.left(); }
std::size_t record_batch::bytes() const noexcept { return data_->batch.bytes; }

record_batch::reader::reader(const record_batch& batch) : batch_(&batch) {
  new (cursor_.data()) wire::record_cursor(batch.data_->batch.records);
  fill();
}

void record_batch::reader::fill() {
  // A local copy, so that the loop keeps it in registers.
  wire::record_cursor cursor = as_cursor(cursor_);
  std::uint32_t n = 0;
  while (n < chunk_records && cursor.next(chunk_[n])) ++n;
  as_cursor(cursor_) = cursor;
  at_ = 0;
  filled_ = n;
  if (n == 0 && cursor.damaged() && batch_->data_->damage) *batch_->data_->damage = status().error();
}

result<> record_batch::reader::status() const {
  const auto& cursor = as_cursor(cursor_);
  if (!cursor.damaged()) return {};
  return fail(cursor.damage().with_context(fmt::format("topic '{}', partition {}, batch at offset {}",
                                                       batch_->topic(), batch_->partition(),
                                                       batch_->data_->batch.header.base_offset)));
}

}  // namespace penstock::kafka
