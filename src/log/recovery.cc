// SPDX-License-Identifier: Apache-2.0
#include "log/recovery.h"

#include <fmt/format.h>

#include <algorithm>

#include "log/append_group.h"

namespace penstock::log {

namespace {

constexpr std::size_t verify_chunk = 1u << 20;

}  // namespace

result<std::unique_ptr<partition_log>> partition_log::open(open_options options) {
  std::unique_ptr<partition_log> log(new partition_log(std::move(options)));
  recovery_run run(*log);
  if (auto r = run.run(); !r) return fail(r.error());
  return log;
}

result<> partition_log::recovery_run::run() {
  if (auto r = prepare_directory(); !r) return r;
  if (auto r = list_files(); !r) return r;
  if (auto r = finish_swaps(); !r) return r;
  if (auto r = read_checkpoints(); !r) return r;
  if (auto r = open_segments(); !r) return r;
  bool clean = false;
  if (log_.options_.clean_shutdown && !fresh_ && !failed_) {
    auto opened = open_clean();
    if (!opened) return fail(opened.error());
    clean = *opened;
  }
  if (!clean) {
    if (auto r = open_unclean(); !r) return r;
  }
  const segment& last = *segments().back();
  log_.end_offset_ = last.next_offset;
  if (log_.log_start_ > last.next_offset) {
    if (auto r = begin_at_log_start(); !r) return r;
  }
  log_.stable_offset_ = log_.producers_.first_open_offset().value_or(log_.end_offset_);
  return sync_everything();
}

// The crash took records that delete_records had dropped anyway. The next open removes the old segments.
result<> partition_log::recovery_run::begin_at_log_start() {
  const std::int64_t start = log_.log_start_;
  const std::string snapshot = log_.path(fmt::format("{:020}{}", start, suffix::snapshot));
  if (auto r = io::write_file_atomically(fs_, snapshot, log_.producers_.encode()); !r) return r;
  auto made = log_.create_segment(start);
  if (!made) return fail(made.error());
  segments().assign(1, *made);
  log_.end_offset_ = start;
  names_changed_ = true;
  return {};
}

result<bool> partition_log::recovery_run::open_clean() {
  segment& s = *segments().back();
  const bool complete = recovery_point_known_ && (!rebuild_epochs_ || s.next_offset == 0) &&
                        std::find(snapshots_.begin(), snapshots_.end(), recovery_point_) != snapshots_.end();
  if (!complete) return false;
  auto file = fs_.open(s.path(suffix::log), io::open_mode::read_write);
  if (!file) return fail(file.error());

  std::uint64_t from = 0;
  index_builder built(s.base_offset);
  if (s.size > log_.options_.verify_when_clean) {
    auto offsets_file = io::read_file(fs_, s.path(suffix::index), 1u << 30);
    auto times_file = io::read_file(fs_, s.path(suffix::time_index), 1u << 30);
    if (!offsets_file || !times_file) return false;
    auto offsets = decode_index<index_entry>(*offsets_file);
    auto times = decode_index<time_entry>(*times_file);
    if (!offsets || !times) return false;
    const std::uint64_t verify_from = s.size - log_.options_.verify_when_clean;
    while (!offsets->empty() && offsets->back().position > verify_from) offsets->pop_back();
    if (!offsets->empty()) {
      from = offsets->back().position;
      while (!times->empty() && times->back().relative_offset > offsets->back().relative_offset)
        times->pop_back();
      built.restore(std::move(*offsets), std::move(*times), 0);
    }
  }
  std::int64_t next = s.base_offset;
  batch_scanner scan(**file, from, s.size, verify_chunk);
  for (auto step = scan.next(); step != batch_scanner::step::end; step = scan.next()) {
    if (step != batch_scanner::step::batch || scan.header().base_offset < next || !scan.check()) return false;
    next = scan.header().next_offset();
    built.add(scan.header(), scan.position(), config_.index_interval_bytes);
  }
  if (next != recovery_point_) return false;
  auto snapshot =
      io::read_file(fs_, log_.path(fmt::format("{:020}{}", recovery_point_, suffix::snapshot)), 1u << 30);
  if (!snapshot) return false;
  auto producers = producer_state::decode(*snapshot);
  if (!producers || !load_aborted(segments().size())) {
    log_.aborted_.clear();
    return false;
  }
  if (s.size != 0) {
    batch_scanner first(**file, 0, s.size, wire::batch_overhead);
    if (first.next() != batch_scanner::step::batch) return false;
    s.first_timestamp = first.header().max_timestamp;
  }
  log_.producers_ = std::move(*producers);
  report_.bytes_verified += s.size - from;
  s.indexes = std::move(built);
  s.next_offset = next;
  s.closed = s.synced = false;
  s.log = std::move(*file);
  return true;
}

result<> partition_log::recovery_run::open_unclean() {
  auto& all = segments();
  // The segment that ends with the recovery point may have been closed after that sync, its indexes with it.
  std::size_t first = log_.floor_segment(std::max<std::int64_t>(recovery_point_ - 1, 0));
  if (rebuild_epochs_ || failed_) first = 0;
  if (!load_aborted(first)) {
    report_.remarks.push_back(
        fmt::format("{}: a transaction index is damaged: all are built again", log_.options_.directory));
    log_.aborted_.clear();
    first = 0;
  }
  for (std::size_t i = 0; i < first; ++i) {
    if (auto r = check_closed(i); !r) {
      if (!log_.options_.accept_data_loss || r.error().kind() != errc::corrupt) return r;
      log_.aborted_.clear();
      first = 0;  // the walk leaves out what is damaged
    }
  }
  log_.epochs_.truncate_from_end(all[first]->base_offset);
  if (auto r = load_producers(all[first]->base_offset); !r) return r;
  if (first == 0) expected_ = all.front()->base_offset;
  for (std::size_t i = first; i < all.size(); ++i) {
    if (i > first && expected_ != all[i]->base_offset) {
      const std::int64_t base = all[i]->base_offset;
      const damage seam{
          i, 0, expected_,
          expected_ < base
              ? fmt::format("the records from offset {} to {} are missing before it", expected_, base - 1)
              : fmt::format("the segment before it ends with offset {}", expected_)};
      auto cut = handle(seam);
      if (!cut) return fail(cut.error());
      if (*cut) break;
      if (expected_ > base) {  // an overlap was left out as a whole
        --i;
        continue;
      }
    }
    if (i > first) {
      if (auto r = finish_segment(i - 1); !r) return r;
      if (auto r = log_.write_snapshot(all[i]->base_offset); !r) return r;
    }
    if (auto r = walk(i); !r) return r;
  }
  segment& last = *all.back();
  last.closed = last.synced = false;
  if (auto r = check_missing_end(); !r) return r;
  return remove_snapshots_above(last.next_offset);
}

// A closed segment that had been synced: it must end where the next one begins.
result<> partition_log::recovery_run::check_closed(std::size_t i) {
  segment& s = *segments()[i];
  auto files = s.files(config_.index_interval_bytes);
  if (!files) return fail(files.error());
  auto last = floor_entry<index_entry>(*(*files)->offsets, (*files)->offset_count,
                                       [](const index_entry&) { return true; });
  if (!last) return fail(last.error());
  const std::uint64_t from = *last ? (*last)->position : 0;
  batch_scanner scan(*(*files)->log, from, s.size, wire::batch_overhead);
  std::int64_t next = s.base_offset;
  auto step = scan.next();
  for (; step == batch_scanner::step::batch; step = scan.next()) next = scan.header().next_offset();
  s.release_files();
  if (step == batch_scanner::step::failed) return fail(scan.failure());
  if (step == batch_scanner::step::damaged || next != s.next_offset)
    return fail(errc::corrupt,
                fmt::format("{} is damaged at position {} (offset {}): {}", s.path(suffix::log),
                            scan.position(), next,
                            step == batch_scanner::step::damaged
                                ? scan.damage()
                                : fmt::format("the next segment begins with {}", s.next_offset)));
  return {};
}

void partition_log::recovery_run::note(segment& s, const wire::batch_header& header, std::uint64_t position,
                                       bytes_view batch) {
  if (s.size == 0) s.first_timestamp = header.max_timestamp;
  s.size = position + header.total_size();
  s.next_offset = header.next_offset();
  s.indexes.add(header, position, config_.index_interval_bytes);
  if (log_.epochs_.assign(header.leader_epoch, header.base_offset)) log_.epochs_dirty_ = true;
  if (auto aborted = log_.producers_.update(header, marker_of(header, batch)))
    walked_aborted_.push_back(*aborted);
}

// Reads a segment from its beginning, verifies every batch and builds everything that is derived from them.
result<> partition_log::recovery_run::walk(std::size_t i) {
  segment& s = *segments()[i];
  auto file = fs_.open(s.path(suffix::log), io::open_mode::read_write);
  if (!file) return fail(file.error());
  s.log = std::move(*file);
  auto size = s.log->size();
  if (!size) return fail(size.error());
  s.closed = s.synced = false;
  s.size = 0;
  s.next_offset = s.base_offset;
  s.indexes = index_builder(s.base_offset);
  walked_aborted_.clear();
  std::int64_t expected = std::max(expected_, s.base_offset);
  std::optional<std::uint64_t> first_unsynced;
  std::optional<batch_scanner> scan(std::in_place, *s.log, 0, *size, verify_chunk);
  while (true) {
    const auto step = scan->next();
    if (step == batch_scanner::step::end) break;
    if (step == batch_scanner::step::failed) return fail(scan->failure());
    damage d{i, scan->position(), expected, scan->damage()};
    if (step == batch_scanner::step::batch) {
      auto batch = scan->bytes();
      if (!batch) return fail(batch.error());
      const bool whole = wire::crc_matches(*batch);
      const bool reached =
          whole && s.reaches(scan->header().base_offset) && s.reaches(scan->header().last_offset());
      if (reached && scan->header().base_offset >= expected) {
        note(s, scan->header(), scan->position(), *batch);
        if (!first_unsynced && s.next_offset > recovery_point_) first_unsynced = scan->position();
        expected = s.next_offset;
        continue;
      }
      // The base offset is outside of the checksum.
      d.what = !whole    ? "the checksum of a batch does not match"
               : reached ? fmt::format("a batch begins with offset {} again", scan->header().base_offset)
                         : fmt::format("a batch claims the offset {}, which is none of this segment's",
                                       scan->header().base_offset);
    }
    auto cut = handle(d);
    if (!cut) return fail(cut.error());
    if (*cut) break;
    size = s.log->size();
    if (!size) return fail(size.error());
    expected = std::max(expected, s.next_offset);
    scan.emplace(*s.log, s.size, *size, verify_chunk);
  }
  report_.bytes_verified += s.size;
  expected_ = expected;
  if (failed_ && first_unsynced) {
    if (auto r = write_again(s, *first_unsynced); !r) return r;
  }
  log_.aborted_.insert(log_.aborted_.end(), walked_aborted_.begin(), walked_aborted_.end());
  const std::string aborted_path = s.path(suffix::transaction_index);
  if (walked_aborted_.empty()) {
    auto r = fs_.exists(aborted_path) ? fs_.remove(aborted_path) : result<>();
    return r;
  }
  std::string entries;
  for (const auto& t : walked_aborted_) append_to(entries, t);
  if (auto r = write_whole_file(fs_, aborted_path, entries); !r) return r;
  log_.unsynced_files_.push_back(aborted_path);
  names_changed_ = true;
  return {};
}

result<> partition_log::recovery_run::write_again(segment& s, std::uint64_t from) {
  std::string buffer(verify_chunk, '\0');
  while (from < s.size) {
    auto got = s.log->read_at(from, {buffer.data(), std::min<std::uint64_t>(buffer.size(), s.size - from)});
    if (!got) return fail(got.error());
    if (auto r = s.log->write_at(from, std::string_view(buffer).substr(0, *got)); !r) return r;
    from += *got;
  }
  return {};
}

result<> partition_log::recovery_run::finish_segment(std::size_t i) {
  segment& s = *segments()[i];
  s.indexes.finish();
  if (auto r = s.write_indexes(s.indexes); !r) return r;
  s.indexes.release();
  s.closed = true;
  s.synced = false;
  names_changed_ = true;
  return {};
}

// What a reader may get is on the disk before (E20), and so is what the recovery point will stand for.
result<> partition_log::recovery_run::sync_everything() {
  const std::int64_t end = log_.end_offset_;
  log_.recovery_point_ = std::min(recovery_point_, end);
  log_.directory_dirty_ |= names_changed_;
  if (fresh_ && end == log_.recovery_point_ && !failed_) return {};
  const bool unsynced = std::any_of(segments().begin(), segments().end(),
                                    [](const segment_ptr& s) { return s->closed && !s->synced; });
  if (end == recovery_point_ && !unsynced && !names_changed_ && !failed_) return {};
  if (auto flushed = log_.flush_locked(true); !flushed) return fail(flushed.error());
  if (!failed_) return {};
  if (auto r = fs_.remove(log_.path(failed_file)); !r) return r;
  return fs_.sync_directory(log_.options_.directory);
}

}  // namespace penstock::log
