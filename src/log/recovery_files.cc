// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "log/recovery.h"

namespace penstock::log {

result<> partition_log::recovery_run::prepare_directory() {
  if (auto r = fs_.make_directories(log_.options_.directory); !r) return r;
  if (log_.options_.topic_id.empty()) return {};
  return check_topic_id();
}

result<> partition_log::recovery_run::check_topic_id() {
  const std::string path = log_.path(metadata_file);
  const std::string content = fmt::format("version: 0\ntopic_id: {}\n", log_.options_.topic_id);
  if (fs_.exists(path)) {
    auto found = io::read_file(fs_, path, 4096);
    if (!found) return fail(found.error());
    if (*found == content) return {};
    // Written before the first sync, so that a crash may have cut it off; anything whole is another topic's.
    if (found->size() == content.size() && found->starts_with("version: 0\ntopic_id: ") &&
        found->back() == '\n' && found->find('\0') == std::string::npos)
      return fail(errc::invalid_argument,
                  fmt::format("{} belongs to another topic: its id is {}, not {}", log_.options_.directory,
                              found->substr(21, found->size() - 22), log_.options_.topic_id));
  }
  if (auto r = write_whole_file(fs_, path, content); !r) return r;
  log_.unsynced_files_.push_back(path);
  names_changed_ = true;
  return {};
}

result<> partition_log::recovery_run::list_files() {
  auto entries = fs_.list(log_.options_.directory);
  if (!entries) return fail(entries.error());
  std::vector<std::string> leftovers;
  for (auto& e : *entries) {
    const std::string_view name = e.name;
    if (e.is_directory) continue;
    if (name.ends_with(suffix::deleted) || name.ends_with(suffix::cleaned) || name.ends_with(".tmp")) {
      leftovers.push_back(e.name);
    } else if (auto swap = offset_of_name(name, ".log.swap")) {
      swaps_.push_back(*swap);
    } else if (auto base = offset_of_name(name, suffix::log)) {
      logs_.emplace(*base, std::move(e));
    } else if (auto offset = offset_of_name(name, suffix::snapshot)) {
      snapshots_.push_back(*offset);
    } else if (auto of = offset_of_name(name, suffix::transaction_index)) {
      transaction_indexes_[*of] = true;
    }
  }
  for (const auto& name : leftovers) {
    if (auto r = fs_.remove(log_.path(name)); !r && r.error().kind() != errc::not_found) return r;
  }
  return {};
}

result<> partition_log::recovery_run::remove_segment_files(std::int64_t base) {
  for (const auto s : {suffix::index, suffix::time_index, suffix::transaction_index, suffix::log}) {
    auto r = fs_.remove(log_.path(fmt::format("{:020}{}", base, s)));
    if (!r && r.error().kind() != errc::not_found) return r;
  }
  transaction_indexes_.erase(base);
  names_changed_ = true;
  return {};
}

// A compaction was interrupted after its result was whole and synced, and before it had taken its place.
result<> partition_log::recovery_run::finish_swaps() {
  for (const std::int64_t base : swaps_) {
    if (auto r = finish_swap(base); !r) return r;
  }
  if (swaps_.empty()) return {};
  if (auto r = fs_.sync_directory(log_.options_.directory); !r) return r;
  logs_.clear();
  snapshots_.clear();
  swaps_.clear();
  return list_files();
}

result<> partition_log::recovery_run::finish_swap(std::int64_t base) {
  const std::string target = log_.path(fmt::format("{:020}{}", base, suffix::log));
  const std::string swap = fmt::format("{}{}", target, suffix::swap);
  auto file = fs_.open(swap, io::open_mode::read);
  if (!file) return fail(file.error());
  auto size = (*file)->size();
  if (!size) return fail(size.error());
  batch_scanner scan(**file, 0, *size);
  std::int64_t end = base;
  for (auto step = scan.next(); step != batch_scanner::step::end; step = scan.next()) {
    if (step == batch_scanner::step::failed) return fail(scan.failure());
    if (step == batch_scanner::step::damaged)
      return fail(errc::corrupt,
                  fmt::format("{} is damaged at position {}: {}", swap, scan.position(), scan.damage()));
    end = scan.header().next_offset();
  }
  for (const auto& [replaced, entry] : logs_) {
    if (replaced <= base || replaced >= end) continue;
    if (auto r = remove_segment_files(replaced); !r) return r;
  }
  for (const auto s : {suffix::index, suffix::time_index}) {
    auto r = fs_.remove(log_.path(fmt::format("{:020}{}", base, s)));
    if (!r && r.error().kind() != errc::not_found) return r;
  }
  // The segments that it replaces must be gone for good before it stands as an ordinary one.
  if (auto r = fs_.sync_directory(log_.options_.directory); !r) return r;
  report_.remarks.push_back(fmt::format("finished the compaction of {}", target));
  return fs_.rename(swap, target);
}

result<> partition_log::recovery_run::read_checkpoints() {
  failed_ = fs_.exists(log_.path(failed_file));
  if (failed_)
    report_.remarks.push_back(
        fmt::format("{}: an earlier write or sync failed: everything is verified and what was not "
                    "synced is written again",
                    log_.options_.directory));
  auto point = log_.recovery_point_file_.load(failed_);
  if (!point) return fail(point.error());
  recovery_point_known_ = point->offset.has_value();
  recovery_point_ = point->offset.value_or(0);
  // With the policy `none` the recovery point may lag far behind, and with a damaged one nothing is known.
  precise_ = config_.flush != flush_policy::none && (recovery_point_known_ || !point->exists);
  log_.parent_dirty_ = !point->exists;
  if (point->exists && !recovery_point_known_)
    report_.remarks.push_back(
        fmt::format("{} is damaged: all segments are verified", log_.path(recovery_point_file_name)));

  auto start = read_number_file(fs_, log_.path(log_start_file));
  if (!start) return fail(start.error());
  log_.log_start_ = start->value_or(0);

  const std::string epochs = log_.path(epochs_file);
  rebuild_epochs_ = true;
  if (!fs_.exists(epochs)) return {};
  auto text = io::read_file(fs_, epochs);
  if (!text) return fail(text.error());
  if (auto decoded = leader_epochs::decode(*text)) {
    log_.epochs_ = std::move(*decoded);
    rebuild_epochs_ = false;
  } else {
    report_.remarks.push_back(fmt::format("{} is damaged: it is built again", epochs));
  }
  return {};
}

// Only if a snapshot stands in for what the segments tell of their producers. A segment that retention
// dropped may be back, with holes around it; then the snapshot is there for certain.
result<> partition_log::recovery_run::drop_below_log_start() {
  const auto above = logs_.upper_bound(log_.log_start_);
  if (above == logs_.begin() || std::prev(above) == logs_.begin()) return {};
  const auto first = std::prev(above);
  auto snapshot =
      io::read_file(fs_, log_.path(fmt::format("{:020}{}", first->first, suffix::snapshot)), 1u << 30);
  if (!snapshot || !producer_state::decode(*snapshot)) return {};
  while (logs_.begin() != first) {
    if (auto r = remove_segment_files(logs_.begin()->first); !r) return r;
    logs_.erase(logs_.begin());
  }
  return {};
}

result<> partition_log::recovery_run::open_segments() {
  if (auto r = drop_below_log_start(); !r) return r;
  if (!logs_.empty() && logs_.begin()->first > log_.log_start_ && precise_ &&
      recovery_point_ <= log_.log_start_) {
    // Nothing had been synced yet, and the crash took the first file's name.
    for (const auto& [base, entry] : logs_) {
      report_.bytes_truncated += entry.size;
      if (auto r = remove_segment_files(base); !r) return r;
    }
    logs_.clear();
  }
  for (const auto& [base, entry] : logs_) {
    auto s = std::make_shared<segment>(fs_, log_.options_.directory, base);
    s->size = entry.size;
    s->created_ms = entry.modified_ms;
    s->closed = s->synced = true;
    if (!segments().empty()) segments().back()->next_offset = base;
    segments().push_back(std::move(s));
  }
  fresh_ = segments().empty();
  if (fresh_) {
    auto made = log_.create_segment(log_.log_start_);
    if (!made) return fail(made.error());
    segments().push_back(std::move(*made));
    names_changed_ = true;
    return {};
  }
  const std::int64_t first = segments().front()->base_offset;
  if (first > log_.log_start_) {
    const auto message = fmt::format("{}: the records from offset {} to {} are missing",
                                     log_.options_.directory, log_.log_start_.load(), first - 1);
    if (!log_.options_.accept_data_loss) return fail(errc::data_loss, message);
    report_.remarks.push_back(message);
    log_.log_start_ = first;
  }
  return {};
}

result<> partition_log::recovery_run::remove_snapshots_above(std::int64_t end) {
  for (const std::int64_t offset : snapshots_) {
    if (offset <= end) continue;
    names_changed_ = true;  // of a history that is lost: it must not come back when the log has grown past it
    auto r = fs_.remove(log_.path(fmt::format("{:020}{}", offset, suffix::snapshot)));
    if (!r && r.error().kind() != errc::not_found) return r;
  }
  return {};
}

}  // namespace penstock::log
