// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "log/append_group.h"
#include "log/batch_scanner.h"
#include "log/partition_log.h"
#include "log/segment.h"

namespace penstock::log {

result<append_summary> partition_log::append(std::span<append_batch> batches, const append_options& options) {
  std::lock_guard append_lock(append_mutex_);
  if (closed_) return fail(errc::closed, fmt::format("{} is closed", options_.directory));
  if (poisoned_) return fail(poisoned_error());
  append_group& group = *group_;
  {
    std::lock_guard lock(mutex_);
    group.config = config_;
    group.begin(segments_.back());
  }
  group.now_ms = options_.clock->wall_ms();
  const std::int64_t end_before = end_offset();
  const std::size_t closed_before = rolls_;
  result<> done;
  for (auto& batch : batches) {
    done = add_to_group(group, batch, options);
    if (!done) break;
  }
  if (done) done = write_group(group);
  if (!done) {
    undo_group(group);
    if (end_offset() == end_before) return fail(done.error());
    for (auto& batch : batches) {
      if (batch.status == append_status::appended && batch.base_offset < 0)
        batch.status = append_status::not_written;
    }
  }
  append_summary summary{.end_offset = end_offset(), .flush_wanted = rolls_ != closed_before};
  if (group.config.flush == flush_policy::interval)
    summary.flush_wanted |=
        appended_bytes_ - flushed_bytes_.load(std::memory_order_acquire) >= group.config.flush_bytes;
  if (group.config.flush == flush_policy::each && summary.end_offset != end_before) {
    if (auto r = flush(); !r) return fail(r.error());
    summary.flush_wanted = false;
  }
  return summary;
}

result<append_batch> partition_log::append(std::span<char> bytes, const append_options& options) {
  append_batch batch{.bytes = bytes};
  auto summary = append({&batch, 1}, options);
  if (!summary) return fail(summary.error());
  return batch;
}

result<> partition_log::add_to_group(append_group& group, append_batch& batch,
                                     const append_options& options) {
  batch.status = append_status::appended;
  batch.base_offset = batch.last_offset = batch.log_append_time_ms = -1;
  const bytes_view bytes(batch.bytes.data(), batch.bytes.size());
  auto parsed = wire::parse_batch_header(bytes);
  if (!parsed) return fail(parsed.error());
  wire::batch_header& header = *parsed;
  if (header.total_size() != bytes.size())
    return fail(errc::invalid_argument, fmt::format("a batch says that it is of {} bytes and is of {}",
                                                    header.total_size(), bytes.size()));
  if (bytes.size() > group.config.segment_bytes) {
    batch.status = append_status::too_large;
    return {};
  }
  const auto marker = marker_of(header, bytes);
  if (options.check_producer) {
    const auto verdict = producers_.check(header, marker, options.epoch_of_its_own);
    batch.status = verdict.status;
    if (verdict.status == append_status::duplicate) {
      batch.base_offset = verdict.original.first_offset();
      batch.last_offset = verdict.original.last_offset;
      if (group.config.log_append_time) batch.log_append_time_ms = verdict.original.timestamp_ms;
    }
    if (verdict.status != append_status::appended) return {};
  }
  header.base_offset = group.next_offset;
  if (must_roll(*group.in, header, group)) {
    if (auto r = write_group(group); !r) return r;
    if (auto r = roll(group.next_offset); !r) return r;
    group.begin(segments_.back());
  }
  wire::set_base_offset(batch.bytes.data(), header.base_offset);
  wire::set_leader_epoch(batch.bytes.data(), options.leader_epoch);
  header.leader_epoch = options.leader_epoch;
  if (group.config.log_append_time && !header.control()) {
    wire::set_max_timestamp(batch.bytes, wire::timestamp_type::log_append_time, group.now_ms);
    header.max_timestamp = batch.log_append_time_ms = group.now_ms;
  }
  if (header.has_producer()) {
    group.producers_before.emplace_back(header.producer_id, producers_.find(header.producer_id));
    if (auto aborted = producers_.update(header, marker)) group.aborted.push_back(*aborted);
  }
  group.pieces.push_back(bytes);
  group.items.push_back({&batch, header});
  group.bytes += bytes.size();
  group.next_offset = header.next_offset();
  return {};
}

bool partition_log::must_roll(const segment& active, const wire::batch_header& batch,
                              const append_group& group) const {
  const log_config& config = group.config;
  const bool empty = active.size == 0 && group.items.empty();
  if (!active.reaches(batch.last_offset())) return true;
  if (empty) return false;
  if (group.position + group.bytes + batch.total_size() > config.segment_bytes) return true;
  const std::int64_t first =
      active.size != 0 ? active.first_timestamp : group.items.front().header.max_timestamp;
  const std::int64_t age =
      first >= 0 && batch.max_timestamp >= 0 ? batch.max_timestamp - first : group.now_ms - active.created_ms;
  if (age > config.segment_age.count()) return true;
  const auto most = [&](std::size_t entry) { return std::max<std::size_t>(config.index_bytes / entry, 1); };
  const std::size_t pending = group.items.size();
  return active.indexes.offsets().size() + pending >= most(index_entry::bytes) ||
         active.indexes.times().size() + pending + 1 >= most(time_entry::bytes);
}

result<> partition_log::write_group(append_group& group) {
  if (group.items.empty()) return {};
  if (auto r = group.in->log->write_at(group.position, group.pieces); !r) {
    if (r.error().kind() != errc::exhausted) return fail(poison(r.error()));
    // What was written of the group lies behind the end; the next append writes over it.
    (void)group.in->log->truncate(group.position);
    return r;
  }
  if (!group.aborted.empty()) {
    if (auto r = write_aborted(*group.in, group.aborted); !r) return fail(poison(r.error()));
  }
  publish_group(group);
  for (const auto& item : group.items) {
    item.batch->base_offset = item.header.base_offset;
    item.batch->last_offset = item.header.last_offset();
  }
  group.begin(group.in);
  return {};
}

void partition_log::publish_group(const append_group& group) {
  std::lock_guard lock(mutex_);
  segment& active = *group.in;
  if (active.size == 0) active.first_timestamp = group.items.front().header.max_timestamp;
  std::uint64_t position = group.position;
  for (const auto& item : group.items) {
    active.indexes.add(item.header, position, group.config.index_interval_bytes);
    position += item.header.total_size();
    if (epochs_.assign(item.header.leader_epoch, item.header.base_offset)) epochs_dirty_ = true;
  }
  active.size = position;
  active.next_offset = group.next_offset;
  aborted_.insert(aborted_.end(), group.aborted.begin(), group.aborted.end());
  appended_bytes_ += group.bytes;
  stable_offset_.store(producers_.first_open_offset().value_or(group.next_offset), std::memory_order_release);
  end_offset_.store(group.next_offset, std::memory_order_release);
}

void partition_log::undo_group(append_group& group) {
  for (auto before = group.producers_before.rbegin(); before != group.producers_before.rend(); ++before)
    producers_.restore(before->first, before->second);
  group.begin(group.in);
}

result<> partition_log::write_aborted(const segment& in, std::span<const aborted_transaction> aborted) {
  auto file = options_.files->open(in.path(suffix::transaction_index), io::open_mode::read_write);
  if (!file) return fail(file.error());
  auto size = (*file)->size();
  if (!size) return fail(size.error());
  std::string entries;
  for (const auto& t : aborted) append_to(entries, t);
  if (auto r = (*file)->write_at(*size, entries); !r) return r;
  std::lock_guard lock(mutex_);
  unsynced_files_.push_back((*file)->path());
  directory_dirty_ = true;
  return {};
}

result<partition_log::segment_ptr> partition_log::create_segment(std::int64_t base_offset) {
  auto made = std::make_shared<segment>(*options_.files, options_.directory, base_offset);
  auto file = options_.files->open(made->path(suffix::log), io::open_mode::read_write);
  if (!file) return fail(file.error());
  if (auto r = (*file)->truncate(0); !r) return fail(r.error());
  made->log = std::move(*file);
  made->created_ms = options_.clock->wall_ms();
  return made;
}

result<> partition_log::roll(std::int64_t base_offset) {
  auto made = create_segment(base_offset);
  if (!made) {
    if (made.error().kind() != errc::exhausted) return fail(poison(made.error()));
    return fail(made.error());
  }
  segment& active = *segments_.back();
  {
    std::lock_guard lock(mutex_);
    active.indexes.finish();
  }
  // Indexes and snapshot can be made again from the batches, so that a full disk here is no reason to stop.
  if (auto r = active.write_indexes(active.indexes); !r) {
    if (r.error().kind() != errc::exhausted) return fail(poison(r.error()));
    (void)options_.files->remove(active.path(suffix::time_index));
  }
  if (auto r = write_snapshot(base_offset); !r && r.error().kind() != errc::exhausted)
    return fail(poison(r.error()));
  std::lock_guard lock(mutex_);
  active.closed = true;
  active.indexes.release();
  segments_.push_back(*made);
  directory_dirty_ = true;
  ++rolls_;
  return {};
}

result<> partition_log::write_snapshot(std::int64_t offset) {
  const std::string name = path(fmt::format("{:020}{}", offset, suffix::snapshot));
  auto r = write_whole_file(*options_.files, name, producers_.encode());
  std::lock_guard lock(mutex_);
  unsynced_files_.push_back(name);
  return r;
}

}  // namespace penstock::log
