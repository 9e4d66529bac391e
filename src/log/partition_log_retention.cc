// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "log/append_group.h"
#include "log/partition_log.h"
#include "log/segment.h"
#include "wire/error_code.h"

namespace penstock::log {

result<> partition_log::rename_dropped(const segment& s, dropped_files& into, bool keep_transaction_index) {
  for (const auto suffix : {suffix::log, suffix::index, suffix::time_index, suffix::transaction_index}) {
    if (keep_transaction_index && suffix == suffix::transaction_index) continue;
    const std::string from = s.path(suffix), to = from + std::string(suffix::deleted);
    auto r = options_.files->rename(from, to);
    if (!r && r.error().kind() != errc::not_found) return r;
    if (r) into.paths.push_back(to);
  }
  return {};
}

// The new log start is on the disk before any file goes: a crash in between leaves segments below the start,
// which the next open removes, and never a hole.
result<retention_result> partition_log::drop_segments(std::size_t count) {
  retention_result dropped;
  if (count == 0) return dropped;
  std::vector<segment_ptr> gone;
  std::int64_t start = 0, first_base = 0;
  {
    std::lock_guard lock(mutex_);
    gone.assign(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(count));
    first_base = segments_[count]->base_offset;
    start = std::max(log_start_offset(), first_base);
  }
  // The snapshot at the new start stands in for what goes, so it must be on the disk, too.
  if (auto r = flush(); !r) return fail(r.error());
  if (auto r = write_number_file(*options_.files, path(log_start_file), start); !r) return fail(r.error());
  {
    std::lock_guard lock(mutex_);
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(count));
    log_start_.store(start, std::memory_order_release);
    epochs_.truncate_from_start(start);
    epochs_dirty_ = true;
    directory_dirty_ = true;
    std::erase_if(aborted_, [&](const aborted_transaction& t) { return t.last_offset < start; });
    std::erase_if(open_closed_, [&](const segment_ptr& s) { return s->base_offset < start; });
    cache_.fill({});
  }
  dropped_files files{options_.clock->now(), {}};
  for (const auto& s : gone) {
    s->retire();
    ++dropped.segments;
    dropped.bytes += s->size;
    if (auto r = rename_dropped(*s, files); !r) return fail(r.error());
  }
  dropped_.push_back(std::move(files));
  if (auto r = remove_snapshots_below(first_base); !r) return fail(r.error());
  return dropped;
}

result<> partition_log::remove_snapshots_below(std::int64_t start) {
  auto entries = options_.files->list(options_.directory);
  if (!entries) return fail(entries.error());
  for (const auto& e : *entries) {
    const auto offset = offset_of_name(e.name, suffix::snapshot);
    if (!offset || *offset >= start) continue;
    auto r = options_.files->remove(path(e.name));
    if (!r && r.error().kind() != errc::not_found) return r;
  }
  return {};
}

result<std::size_t> partition_log::expired_segments(const log_config& config) {
  std::vector<segment_ptr> all;
  std::uint64_t bytes = 0;
  {
    std::lock_guard lock(mutex_);
    all = segments_;
    for (const auto& s : all) bytes += s->size;
  }
  const std::int64_t now = options_.clock->wall_ms();
  std::size_t count = 0;
  for (; count + 1 < all.size(); ++count) {
    segment& s = *all[count];
    bool expired = s.next_offset <= log_start_offset();
    if (config.cleanup_delete && config.retention_bytes >= 0)
      expired |= bytes >= s.size + static_cast<std::uint64_t>(config.retention_bytes);
    if (!expired && config.cleanup_delete && config.retention_age.count() >= 0) {
      auto latest = s.max_timestamp(config.index_interval_bytes);
      if (!latest) return fail(latest.error());
      expired = now - (*latest >= 0 ? *latest : s.created_ms) > config.retention_age.count();
    }
    if (!expired) break;
    bytes -= s.size;
  }
  return count;
}

result<retention_result> partition_log::apply_retention() {
  std::lock_guard maintenance_lock(maintenance_mutex_);
  std::lock_guard append_lock(append_mutex_);
  if (closed_) return fail(errc::closed, fmt::format("{} is closed", options_.directory));
  if (poisoned_) return fail(poisoned_error());
  const log_config config = this->config();
  const segment_ptr active = segments_.back();
  // An active segment that is old as a whole is closed first, so that an idle topic empties, too.
  const std::int64_t latest = active->indexes.max_timestamp();
  const std::int64_t age = options_.clock->wall_ms() - (latest >= 0 ? latest : active->created_ms);
  const bool old =
      config.cleanup_delete && config.retention_age.count() >= 0 && age > config.retention_age.count();
  if (active->size != 0 && (old || active->next_offset <= log_start_offset())) {
    auto before = expired_segments(config);
    if (!before) return fail(before.error());
    if (*before + 1 == segments_.size()) {
      if (auto r = roll(active->next_offset); !r) return fail(r.error());
    }
  }
  auto count = expired_segments(config);
  if (!count) return fail(count.error());
  return drop_segments(*count);
}

result<std::int64_t> partition_log::delete_records(std::int64_t offset) {
  std::lock_guard maintenance_lock(maintenance_mutex_);
  std::lock_guard append_lock(append_mutex_);
  if (closed_) return fail(errc::closed, fmt::format("{} is closed", options_.directory));
  if (poisoned_) return fail(poisoned_error());
  if (offset == -1) offset = end_offset();
  if (offset < 0 || offset > end_offset())
    return fail(wire::make_error(wire::error_code::offset_out_of_range,
                                 fmt::format("{}: cannot delete up to offset {}, the log ends with {}",
                                             options_.directory, offset, end_offset())));
  if (offset <= log_start_offset()) return log_start_offset();
  if (offset > recovery_point()) {
    if (auto r = flush(); !r) return fail(r.error());
  }
  if (auto r = write_number_file(*options_.files, path(log_start_file), offset); !r) return fail(r.error());
  std::lock_guard lock(mutex_);
  log_start_.store(offset, std::memory_order_release);
  epochs_.truncate_from_start(offset);
  epochs_dirty_ = true;
  std::erase_if(aborted_, [&](const aborted_transaction& t) { return t.last_offset < offset; });
  return offset;
}

result<std::size_t> partition_log::remove_deleted_files() {
  std::lock_guard maintenance_lock(maintenance_mutex_);
  const auto delay = config().file_delete_delay;
  const auto now = options_.clock->now();
  std::size_t removed = 0;
  while (!dropped_.empty() && now - dropped_.front().since >= delay) {
    for (const auto& path : dropped_.front().paths) {
      auto r = options_.files->remove(path);
      if (!r && r.error().kind() != errc::not_found) return fail(r.error());
      if (r) ++removed;
    }
    dropped_.erase(dropped_.begin());
  }
  return removed;
}

}  // namespace penstock::log
