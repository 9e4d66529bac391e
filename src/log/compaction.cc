// SPDX-License-Identifier: Apache-2.0
#include "log/compaction.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "log/append_group.h"
#include "log/batch_scanner.h"

namespace penstock::log {

bool key_offsets::put(std::string_view key, std::int64_t offset) {
  if (const auto known = offsets_.find(key); known != offsets_.end()) {
    known->second = offset;
    return true;
  }
  const std::uint64_t bytes = key.size() + entry_overhead;
  if (bytes_ + bytes > max_bytes_ && !offsets_.empty()) return false;
  bytes_ += bytes;
  offsets_.emplace(keys_.emplace_back(key), offset);
  return true;
}

std::optional<std::int64_t> key_offsets::find(std::string_view key) const {
  const auto known = offsets_.find(key);
  if (known == offsets_.end()) return std::nullopt;
  return known->second;
}

result<compaction_result> partition_log::compact(bool force) {
  std::lock_guard maintenance_lock(maintenance_mutex_);
  if (poisoned_) return fail(poisoned_error());
  if (!config().cleanup_compact) return compaction_result{};
  return compaction_run(*this).run(force);
}

result<compaction_result> partition_log::compaction_run::run(bool force) {
  now_ms_ = log_.options_.clock->wall_ms();
  auto worth_it = choose(force);
  if (!worth_it) return fail(worth_it.error());
  if (!*worth_it) return result_;
  result_.ran = true;
  if (auto r = map_keys(); !r) return fail(r.error());
  for (const auto& p : log_.producers()) last_of_producers_[p.producer_id] = p.last_offset();
  for (const auto& g : make_groups()) {
    if (auto r = rewrite(g); !r) return fail(r.error());
  }
  if (auto r = write_number_file(fs_, log_.path(cleaner_file), map_end_); !r) return fail(r.error());
  return result_;
}

// What may be cleaned: closed and synced segments below the first open transaction and older than the minimal
// lag.
result<bool> partition_log::compaction_run::choose(bool force) {
  if (auto r = log_.flush(); !r) return fail(r.error());
  auto cleaned = read_number_file(fs_, log_.path(cleaner_file));
  if (!cleaned && cleaned.error().kind() != errc::corrupt) return fail(cleaned.error());
  first_dirty_ = cleaned ? cleaned->value_or(0) : 0;
  std::vector<segment_ptr> closed;
  {
    std::lock_guard lock(log_.mutex_);
    for (const auto& s : log_.segments_) {
      if (!s->synced) break;
      closed.push_back(s);
    }
  }
  const std::int64_t stable = log_.last_stable_offset();
  std::uint64_t clean_bytes = 0, dirty_bytes = 0;
  bool overdue = false;
  for (const auto& s : closed) {
    if (s->next_offset > stable) break;
    const bool dirty = s->next_offset > first_dirty_;
    if (dirty) {
      auto latest = s->max_timestamp(config_.index_interval_bytes);
      if (!latest) return fail(latest.error());
      const std::int64_t age = now_ms_ - (*latest >= 0 ? *latest : s->created_ms);
      if (config_.min_compaction_lag.count() > 0 && age < config_.min_compaction_lag.count()) break;
      overdue |= age > config_.max_compaction_lag.count();
    }
    (dirty ? dirty_bytes : clean_bytes) += s->size;
    segments_.push_back(s);
  }
  if (segments_.empty()) return false;
  end_ = segments_.back()->next_offset;
  auto aborted = log_.aborted_transactions(segments_.front()->base_offset, end_);
  if (!aborted) return fail(aborted.error());
  for (const auto& t : *aborted) aborted_[t.producer_id].push_back(t);
  if (force) return true;
  if (dirty_bytes == 0) return false;
  const double ratio = static_cast<double>(dirty_bytes) / static_cast<double>(dirty_bytes + clean_bytes);
  return overdue || ratio > config_.min_cleanable_dirty_ratio;
}

result<> partition_log::compaction_run::map_keys() {
  map_end_ = std::min(std::max(first_dirty_, segments_.front()->base_offset), end_);
  for (const auto& s : segments_) {
    if (s->next_offset <= first_dirty_) continue;
    auto whole = map_segment(*s);
    if (!whole) return fail(whole.error());
    if (!*whole) return {};
    map_end_ = s->next_offset;
  }
  return {};
}

// False when the memory was used up; map_end_ is then within the segment.
result<bool> partition_log::compaction_run::map_segment(segment& s) {
  auto files = s.files(config_.index_interval_bytes);
  if (!files) return fail(files.error());
  batch_scanner scan(*(*files)->log, 0, s.size, 1u << 20);
  while (true) {
    const auto step = scan.next();
    if (step == batch_scanner::step::end) return true;
    if (step == batch_scanner::step::failed) return fail(scan.failure());
    if (step == batch_scanner::step::damaged)
      return fail(errc::corrupt, fmt::format("{} is damaged at position {}: {}", s.path(suffix::log),
                                             scan.position(), scan.damage()));
    const auto& header = scan.header();
    if (header.last_offset() < first_dirty_) continue;
    if (!header.control() && !was_aborted(header)) {
      auto batch = scan.bytes();
      if (!batch) return fail(batch.error());
      if (auto r = wire::check_crc(*batch); !r) return fail(r.error().with_context(s.path(suffix::log)));
      auto records = wire::open_records(header, *batch, records_);
      if (!records) return fail(records.error());
      record_view record;
      while (records->next(record)) {
        if (record.offset < first_dirty_ || !record.has_key()) continue;
        if (!keys_.put(record.key, record.offset)) {
          map_end_ = record.offset;
          return false;
        }
      }
      if (records->damaged()) return fail(records->damage().with_context(s.path(suffix::log)));
    }
    map_end_ = header.next_offset();
  }
}

// Neighbours that fit into one segment become one. A segment with aborted transactions stays by itself, and
// so does its transaction index.
std::vector<partition_log::compaction_run::group> partition_log::compaction_run::make_groups() const {
  std::vector<group> groups;
  bool alone = true;
  for (const auto& s : segments_) {
    if (s->base_offset >= map_end_) break;
    const bool aborts = fs_.exists(s->path(suffix::transaction_index));
    const bool fits = !groups.empty() && !alone && !aborts &&
                      groups.back().bytes + s->size <= config_.segment_bytes &&
                      s->next_offset - groups.back().segments.front()->base_offset <=
                          std::numeric_limits<std::int32_t>::max();
    if (!fits) groups.emplace_back();
    groups.back().segments.push_back(s);
    groups.back().bytes += s->size;
    alone = aborts;
  }
  return groups;
}

bool partition_log::compaction_run::keep(const wire::batch_header& header, const record_view& record) const {
  if (record.offset >= map_end_) return true;
  if (!record.has_key()) return false;
  if (const auto last = keys_.find(record.key); last && record.offset < *last) return false;
  if (!record.is_tombstone() || !header.has_delete_horizon()) return true;
  return header.base_timestamp > now_ms_;  // the horizon
}

// All batches of a producer from the begin of its transaction to the marker belong to it.
bool partition_log::compaction_run::was_aborted(const wire::batch_header& header) const {
  if (!header.transactional() || header.control()) return false;
  const auto of = aborted_.find(header.producer_id);
  return of != aborted_.end() && std::any_of(of->second.begin(), of->second.end(), [&](const auto& t) {
           return t.first_offset <= header.base_offset && header.base_offset <= t.last_offset;
         });
}

bool partition_log::compaction_run::last_of_producer(const wire::batch_header& header) const {
  const auto last = last_of_producers_.find(header.producer_id);
  return header.has_producer() && last != last_of_producers_.end() && last->second == header.last_offset();
}

result<> partition_log::compaction_run::filter(const wire::batch_header& header, bytes_view batch,
                                               bool last_of_group) {
  // Marks of the ends of transactions stay.
  if (header.control() || header.base_offset >= map_end_) {
    result_.records_before += static_cast<std::uint64_t>(header.record_count);
    result_.records_after += static_cast<std::uint64_t>(header.record_count);
    output_.append(batch);
    return {};
  }
  if (was_aborted(header)) {
    result_.records_before += static_cast<std::uint64_t>(header.record_count);
    if (last_of_group || last_of_producer(header)) output_.append(make_empty_batch(header));
    return {};
  }
  auto records = wire::open_records(header, batch, records_);
  if (!records) return fail(records.error());
  std::int32_t kept = 0;
  bool tombstones = false;
  record_view record;
  wire::record_cursor first_pass = *records;
  while (first_pass.next(record)) {
    if (!keep(header, record)) continue;
    ++kept;
    tombstones |= record.is_tombstone();
  }
  if (first_pass.damaged()) return fail(first_pass.damage());
  result_.records_before += static_cast<std::uint64_t>(header.record_count);
  result_.records_after += static_cast<std::uint64_t>(kept);
  const bool set_horizon = tombstones && !header.has_delete_horizon();
  if (kept == header.record_count && !set_horizon &&
      (kept > 0 || last_of_group || last_of_producer(header))) {
    output_.append(batch);
    return {};
  }
  if (kept == 0) {
    if (last_of_group || last_of_producer(header)) output_.append(make_empty_batch(header));
    return {};
  }
  // The horizon takes the place of the base timestamp; the records' deltas are relative to it.
  builder_.reset(header.base_offset,
                 set_horizon ? now_ms_ + config_.delete_retention.count() : header.base_timestamp);
  while (records->next(record)) {
    if (keep(header, record) && !builder_.append_at_offset(record))
      return fail(errc::exhausted, fmt::format("{}: the batch at offset {} is too large to compact",
                                               log_.options_.directory, header.base_offset));
  }
  wire::batch_builder::seal_options seal{.codec = header.codec()};
  seal.producer_id = header.producer_id;
  seal.producer_epoch = header.producer_epoch;
  seal.base_sequence = header.base_sequence;
  seal.transactional = header.transactional();
  seal.delete_horizon = set_horizon || header.has_delete_horizon();
  seal.leader_epoch = header.leader_epoch;
  seal.time_type = header.time_type();
  if (header.time_type() == wire::timestamp_type::log_append_time) seal.max_timestamp = header.max_timestamp;
  seal.last_offset_delta = header.last_offset_delta;
  auto sealed = builder_.seal(seal);
  if (!sealed) return fail(sealed.error());
  output_.append(*sealed);
  return {};
}

result<> partition_log::compaction_run::write_out(io::file& file, std::uint64_t& written) {
  if (auto r = file.write_at(written, output_.view()); !r) return r;
  written += output_.size();
  output_.clear();
  return {};
}

result<> partition_log::compaction_run::rewrite(const group& g) {
  constexpr std::size_t write_bytes = 1u << 20;
  auto made = std::make_shared<segment>(fs_, log_.options_.directory, g.segments.front()->base_offset);
  const std::string cleaned = made->path(suffix::log) + std::string(suffix::cleaned);
  auto file = fs_.open(cleaned, io::open_mode::read_write);
  if (!file) return fail(file.error());
  if (auto r = (*file)->truncate(0); !r) return r;
  std::uint64_t written = 0;
  output_.clear();
  for (const auto& s : g.segments) {
    auto files = s->files(config_.index_interval_bytes);
    if (!files) return fail(files.error());
    batch_scanner scan(*(*files)->log, 0, s->size, write_bytes);
    auto step = scan.next();
    for (; step == batch_scanner::step::batch; step = scan.next()) {
      auto batch = scan.bytes();
      if (!batch) return fail(batch.error());
      if (auto r = wire::check_crc(*batch); !r) return fail(r.error().with_context(s->path(suffix::log)));
      const bool last = s == g.segments.back() && scan.next_position() == s->size;
      const std::uint64_t position = written + output_.size();
      const std::size_t before = output_.size();
      if (auto r = filter(scan.header(), *batch, last); !r) return r;
      if (output_.size() != before) {
        auto header = wire::parse_batch_header(output_.view().substr(before));
        if (!header) return fail(header.error());
        if (position == 0) made->first_timestamp = header->max_timestamp;
        made->indexes.add(*header, position, config_.index_interval_bytes);
      }
      if (output_.size() < write_bytes) continue;
      if (auto r = write_out(**file, written); !r) return r;
    }
    if (step == batch_scanner::step::failed) return fail(scan.failure());
    if (step == batch_scanner::step::damaged)
      return fail(errc::corrupt, fmt::format("{} is damaged at position {}: {}", s->path(suffix::log),
                                             scan.position(), scan.damage()));
  }
  if (auto r = write_out(**file, written); !r) return r;
  if (auto r = (*file)->sync(); !r) return fail(log_.poison(r.error()));
  made->size = written;
  made->next_offset = g.segments.back()->next_offset;
  made->created_ms = g.segments.back()->created_ms;
  made->closed = made->synced = true;
  made->indexes.finish();
  result_.bytes_before += g.bytes;
  result_.bytes_after += written;
  return swap_in(g, std::move(made), **file);
}

// Renaming to .swap decides: from then on an interruption is finished by the next open (recovery_files.cc).
result<> partition_log::compaction_run::swap_in(const group& g, std::shared_ptr<segment> made,
                                                io::file& file) {
  const std::string target = made->path(suffix::log);
  const std::string cleaned = target + std::string(suffix::cleaned),
                    swap = target + std::string(suffix::swap);
  const std::string& directory = log_.options_.directory;
  std::lock_guard append_lock(log_.append_mutex_);
  if (log_.closed_) return fail(errc::closed, fmt::format("{} is closed", directory));
  const auto step = [&]() -> result<> {
    if (auto r = fs_.rename(cleaned, swap); !r) return r;
    if (auto r = fs_.sync_directory(directory); !r) return r;
    dropped_files files{log_.options_.clock->now(), {}};
    for (const auto& s : g.segments) {
      s->retire();
      const bool same = s->base_offset == made->base_offset;
      if (auto r = log_.rename_dropped(*s, files, same); !r) return r;
    }
    log_.dropped_.push_back(std::move(files));
    if (auto r = fs_.sync_directory(directory); !r) return r;
    if (auto r = fs_.rename(swap, target); !r) return r;
    if (auto r = made->write_indexes(made->indexes); !r) return r;
    if (auto r = made->sync_closed(file); !r) return r;
    return fs_.sync_directory(directory);
  };
  if (auto r = step(); !r) return fail(log_.poison(r.error()));
  made->indexes.release();
  std::lock_guard lock(log_.mutex_);
  const auto first = std::find(log_.segments_.begin(), log_.segments_.end(), g.segments.front());
  const auto behind = log_.segments_.erase(first, first + static_cast<std::ptrdiff_t>(g.segments.size()));
  log_.segments_.insert(behind, std::move(made));
  for (const auto& s : g.segments) std::erase(log_.open_closed_, s);
  log_.cache_.fill({});
  return {};
}

}  // namespace penstock::log
