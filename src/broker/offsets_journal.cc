// SPDX-License-Identifier: Apache-2.0
#include "broker/offsets_journal.h"

#include <spdlog/spdlog.h>

#include "broker/core.h"
#include "wire/records_reader.h"

namespace penstock::broker {

using wire::error_code;

std::int32_t group_partition(std::string_view group, std::int32_t partitions) noexcept {
  std::uint32_t hash = 0;
  const auto unit = [&](std::uint32_t u) { hash = hash * 31 + u; };
  for (std::size_t i = 0; i < group.size();) {
    const auto lead = static_cast<unsigned char>(group[i]);
    const std::size_t more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    std::uint32_t point = more == 0 ? lead : lead & (0x3fu >> more);
    for (std::size_t k = 1; k <= more && i + k < group.size(); ++k)
      point = point << 6 | (static_cast<unsigned char>(group[i + k]) & 0x3f);
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

void offsets_journal::write(const std::string& group, std::vector<state_record> records,
                            unique_function<void(error_code)> done) {
  auto made = core_.offsets_topic_made();
  if (!made) return done(core_.storage_error(made.error()));
  partition& p = *(*made)->find(group_partition(group, (*made)->record.partitions));
  auto opened = core_.topics.open_log(p);
  if (!opened) return done(core_.storage_error(opened.error()));

  builder_.reset();
  const std::int64_t now = core_.env.time->wall_ms();
  for (const auto& r : records)
    if (!builder_.append(r.key, r.value ? std::string_view(*r.value) : std::string_view(), now))
      return done(error_code::record_list_too_large);
  if (auto sealed = builder_.seal({}); !sealed) return done(core_.storage_error(sealed.error()));
  const auto bytes = builder_.sealed();
  auto appended = (*opened)->append(bytes, {.leader_epoch = core_.leader_epoch(), .check_producer = false});
  if (!appended) return done(core_.storage_error(appended.error()));
  if (appended->status != log::append_status::appended) return done(error_code::record_list_too_large);
  core_.appended(p, bytes.size(), false);
  if (!core_.answers_after_sync()) return done(error_code::none);
  core_.syncs.when_synced({{p.log, appended->last_offset + 1}},
                          [done = std::move(done)](bool synced) mutable {
                            done(synced ? error_code::none : error_code::kafka_storage_error);
                          });
}

result<> offsets_journal::load(group_coordinator& into) {
  topic* t = core_.topics.find(offsets_topic);
  if (t == nullptr) return {};
  for (auto& p : t->partitions) {
    if (p->log == nullptr) continue;
    if (auto loaded = load_partition(*p, into); !loaded)
      return fail(loaded.error().with_context("partition " + p->name()));
  }
  return {};
}

result<> offsets_journal::load_partition(partition& p, group_coordinator& into) {
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
      if (batch.header.control()) continue;
      record_view r;
      while (batch.cursor.next(r)) {
        const auto value = r.is_tombstone() ? std::nullopt : std::optional(r.value);
        if (auto taken = into.restore(r.key, value); !taken)
          spdlog::warn("{} offset {}: {}", p.name(), r.offset, taken.error().message());
      }
    }
    if (reader.next_offset() <= offset) break;
    offset = reader.next_offset();
  }
  return {};
}

}  // namespace penstock::broker
