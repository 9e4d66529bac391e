// SPDX-License-Identifier: Apache-2.0
// Finding offsets by time, and reading a log from end to end.
#include <fmt/format.h>

#include <algorithm>

#include "log/batch_scanner.h"
#include "log/segment_view.h"
#include "wire/record_cursor.h"

namespace penstock::log {

result<std::optional<timestamp_offset>> partition_log::find_timestamp(segment_view& view,
                                                                      std::int64_t target_ms) const {
  if (auto r = open_view(view); !r) return fail(r.error());
  const auto not_after = [&](const time_entry& e) { return e.timestamp_ms <= target_ms; };
  std::optional<time_entry> time;
  if (view.closed) {
    auto floor = floor_entry<time_entry>(*view.files->times, view.files->time_count, not_after);
    if (!floor) return fail(floor.error());
    time = *floor;
  } else {
    std::lock_guard lock(mutex_);
    time = floor_entry(view.in->indexes.times(), not_after);
  }
  std::uint64_t from = 0;
  if (time) {
    auto floor = floor_position(
        view, [&](const index_entry& e) { return e.relative_offset <= time->relative_offset; });
    if (!floor) return fail(floor.error());
    if (*floor) from = (*floor)->position;
  }
  wire::scratch_buffer scratch;
  const std::int64_t start = log_start_offset();
  batch_scanner scan(*view.file, from, view.size);
  while (true) {
    const auto step = scan.next();
    if (step == batch_scanner::step::end) return std::nullopt;
    if (step == batch_scanner::step::failed) return fail(scan.failure());
    if (step == batch_scanner::step::damaged)
      return fail(errc::corrupt, fmt::format("{} is damaged at position {}: {}", view.file->path(),
                                             scan.position(), scan.damage()));
    const wire::batch_header& header = scan.header();
    if (header.max_timestamp < target_ms || header.last_offset() < start) continue;
    auto batch = scan.bytes();
    if (!batch) return fail(batch.error());
    auto records = wire::open_records(header, *batch, scratch);
    if (!records) return fail(records.error());
    record_view record;
    while (records->next(record)) {
      if (record.timestamp_ms >= target_ms && record.offset >= start)
        return timestamp_offset{record.offset, record.timestamp_ms, header.leader_epoch};
    }
    if (records->damaged()) return fail(records->damage());
  }
}

result<std::int64_t> partition_log::max_timestamp_of(const segment_view& view) const {
  if (view.closed) return view.in->max_timestamp(config().index_interval_bytes);
  std::lock_guard lock(mutex_);
  return view.in->indexes.max_timestamp();
}

std::vector<partition_log::segment_view> partition_log::all_views() const {
  std::lock_guard lock(mutex_);
  std::vector<segment_view> views;
  views.reserve(segments_.size());
  for (const auto& s : segments_) views.push_back(view_of(s));
  return views;
}

result<std::optional<timestamp_offset>> partition_log::offset_for_timestamp(std::int64_t target_ms) const {
  return look([&]() -> result<std::optional<timestamp_offset>> {
    for (auto& view : all_views()) {
      auto latest = max_timestamp_of(view);
      if (!latest) return fail(latest.error());
      if (*latest < target_ms) continue;
      auto found = find_timestamp(view, target_ms);
      if (!found || *found) return found;
    }
    return std::nullopt;
  });
}

result<std::optional<timestamp_offset>> partition_log::max_timestamp() const {
  auto latest = look([&]() -> result<std::int64_t> {
    std::int64_t latest = -1;
    for (const auto& view : all_views()) {
      auto of_segment = max_timestamp_of(view);
      if (!of_segment) return fail(of_segment.error());
      latest = std::max(latest, *of_segment);
    }
    return latest;
  });
  if (!latest) return fail(latest.error());
  if (*latest < 0) return std::nullopt;
  auto found = offset_for_timestamp(*latest);
  if (!found || *found) return found;
  // The largest lies below the log start: what is left has to be looked through.
  latest = look([&] { return max_timestamp_from_start(); });
  if (!latest) return fail(latest.error());
  if (*latest < 0) return std::nullopt;
  return offset_for_timestamp(*latest);
}

result<std::int64_t> partition_log::max_timestamp_from_start() const {
  std::int64_t latest = -1;
  const std::int64_t start = log_start_offset();
  wire::scratch_buffer scratch;
  for (auto& view : all_views()) {
    if (auto r = open_view(view); !r) return fail(r.error());
    batch_scanner scan(*view.file, 0, view.size);
    while (scan.next() == batch_scanner::step::batch) {
      if (scan.header().last_offset() < start || scan.header().record_count == 0) continue;
      if (scan.header().base_offset >= start) {
        latest = std::max(latest, scan.header().max_timestamp);
        continue;
      }
      auto batch = scan.bytes();
      if (!batch) return fail(batch.error());
      auto records = wire::open_records(scan.header(), *batch, scratch);
      if (!records) return fail(records.error());
      record_view record;
      while (records->next(record)) {
        if (record.offset >= start) latest = std::max(latest, record.timestamp_ms);
      }
    }
  }
  return latest;
}

result<> partition_log::verify() const {
  return look([&]() -> result<> {
    for (auto& view : all_views()) {
      if (auto r = verify(view); !r) return r;
    }
    return {};
  });
}

result<> partition_log::verify(segment_view& view) const {
  if (auto r = open_view(view); !r) return r;
  batch_scanner scan(*view.file, 0, view.size, 1u << 20);
  std::int64_t expected = view.in->base_offset;
  while (true) {
    const auto step = scan.next();
    if (step == batch_scanner::step::end) return {};
    if (step == batch_scanner::step::failed) return fail(scan.failure());
    std::string what = step == batch_scanner::step::damaged ? scan.damage() : std::string();
    if (what.empty() && scan.header().base_offset < expected) what = "its offsets go back";
    if (what.empty()) {
      if (auto r = scan.check(); !r) what = r.error().message();
    }
    if (!what.empty())
      return fail(errc::corrupt, fmt::format("{} is damaged at position {} (offset {}): {}",
                                             view.file->path(), scan.position(), expected, what));
    expected = scan.header().next_offset();
  }
}

}  // namespace penstock::log
