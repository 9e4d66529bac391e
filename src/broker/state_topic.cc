// SPDX-License-Identifier: Apache-2.0
#include "broker/state_topic.h"

#include "broker/core.h"
#include "wire/records_reader.h"

namespace penstock::broker {

using wire::error_code;

std::int32_t state_partition(std::string_view name, std::int32_t partitions) noexcept {
  std::uint32_t hash = 0;
  const auto unit = [&](std::uint32_t u) { hash = hash * 31 + u; };
  for (std::size_t i = 0; i < name.size();) {
    const auto lead = static_cast<unsigned char>(name[i]);
    const std::size_t more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    std::uint32_t point = more == 0 ? lead : lead & (0x3fu >> more);
    for (std::size_t k = 1; k <= more && i + k < name.size(); ++k)
      point = point << 6 | (static_cast<unsigned char>(name[i + k]) & 0x3f);
    i += more + 1;
    if (point < 0x10000) {
      unit(point);
    } else {
      unit(0xd800 + ((point - 0x10000) >> 10));
      unit(0xdc00 + ((point - 0x10000) & 0x3ff));
    }
  }
  return static_cast<std::int32_t>(hash & 0x7fffffff) % partitions;
}

result<topic*> state_topic::made() {
  if (topic* t = core_.topics.find(topic_); t != nullptr) return t;
  // Smaller segments than Kafka's, so that compaction comes sooner and the next start reads less.
  auto made = core_.topics.create(
      {{std::string(topic_),
        partition_count,
        {{"cleanup.policy", "compact"}, {"compression.type", "producer"}, {"segment.bytes", "16777216"}}}});
  if (!made) return fail(made.error());
  return core_.topics.find(topic_);
}

result<syncer::target> state_topic::append(std::string_view name, std::span<const state_record> records,
                                           bool sync_soon, producer_identity transaction) {
  const auto refused = [](error_code e) { return fail(wire::make_error(e, "")); };
  auto t = made();
  if (!t) return refused(core_.storage_error(t.error()));
  partition& p = *(*t)->find(state_partition(name, (*t)->record.partitions));
  auto opened = core_.topics.open_log(p);
  if (!opened) return refused(core_.storage_error(opened.error()));

  builder_.reset();
  const std::int64_t now = core_.env.time->wall_ms();
  for (const auto& r : records)
    if (!builder_.append(r.key, r.value ? std::string_view(*r.value) : std::string_view(), now))
      return refused(error_code::record_list_too_large);
  wire::batch_builder::seal_options how;
  if (transaction.id >= 0) {
    how.producer_id = transaction.id;
    how.producer_epoch = transaction.epoch;
    how.base_sequence = 0;  // it is not looked at
    how.transactional = true;
  }
  if (auto sealed = builder_.seal(how); !sealed) return refused(core_.storage_error(sealed.error()));
  const auto bytes = builder_.sealed();
  auto appended = (*opened)->append(bytes, {.leader_epoch = core_.leader_epoch(), .check_producer = false});
  if (!appended) return refused(core_.storage_error(appended.error()));
  if (appended->status != log::append_status::appended) return refused(error_code::record_list_too_large);
  core_.appended(p, bytes.size(), sync_soon);
  return syncer::target{p.log, appended->last_offset + 1};
}

result<> state_topic::load(const reader& into) {
  topic* t = core_.topics.find(topic_);
  if (t == nullptr) return {};
  for (auto& p : t->partitions) {
    if (p->log == nullptr) continue;
    if (auto loaded = load_partition(*p, into); !loaded)
      return fail(loaded.error().with_context("partition " + p->name()));
  }
  return {};
}

result<> state_topic::load_partition(partition& p, const reader& into) {
  std::string bytes;
  wire::scratch_buffer scratch;
  std::int64_t offset = p.log->log_start_offset();
  while (offset < p.log->end_offset()) {
    auto slice = p.log->read({.offset = offset, .max_bytes = 4u << 20});
    if (!slice) return fail(slice.error());
    if (slice->length == 0) break;
    bytes.resize(slice->length);
    auto got = slice->file->read_at(slice->position, bytes);
    if (!got) return fail(got.error());
    wire::records_reader reader({bytes.data(), *got}, {.fetch_offset = offset});
    wire::fetched_batch batch;
    for (;;) {
      auto more = reader.next(batch, scratch);
      if (!more) return fail(more.error());
      if (!*more) break;
      record_view r;
      while (batch.cursor.next(r)) {
        if (!batch.header.control())
          into.record(batch.header, r);
        else if (const auto marker = wire::parse_marker(r); marker && into.marker)
          into.marker(batch.header, p.index, marker->type == wire::marker_type::commit);
      }
    }
    if (reader.next_offset() <= offset) break;
    offset = reader.next_offset();
  }
  return {};
}

}  // namespace penstock::broker
