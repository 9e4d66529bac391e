// SPDX-License-Identifier: Apache-2.0
#include "log/partition_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "log/append_group.h"
#include "log/segment.h"

namespace penstock::log {

partition_log::partition_log(open_options options)
    : options_(std::move(options)),
      group_(std::make_unique<append_group>()),
      recovery_point_file_(*options_.files, path(recovery_point_file_name), *options_.clock),
      config_(options_.config) {}

partition_log::~partition_log() = default;

std::string partition_log::path(std::string_view name) const {
  return fmt::format("{}/{}", options_.directory, name);
}

error partition_log::poison(const error& cause) {
  // If not even that works there is nothing more to be done here.
  (void)options_.files->open(path(failed_file), io::open_mode::read_write);
  std::lock_guard lock(mutex_);
  if (!poisoned_.exchange(true)) poison_message_ = cause.message();
  return error(errc::io, fmt::format("{} takes no more writes: {}", options_.directory, poison_message_));
}

error partition_log::poisoned_error() const {
  std::lock_guard lock(mutex_);
  return error(errc::io, fmt::format("{} takes no more writes: {}", options_.directory, poison_message_));
}

void partition_log::set_config(const log_config& config) {
  std::lock_guard lock(mutex_);
  config_ = config;
}

log_config partition_log::config() const {
  std::lock_guard lock(mutex_);
  return config_;
}

std::uint64_t partition_log::size_bytes() const {
  std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (const auto& s : segments_) bytes += s->size;
  return bytes;
}

std::size_t partition_log::segment_count() const {
  std::lock_guard lock(mutex_);
  return segments_.size();
}

epoch_end_offset partition_log::end_offset_for_epoch(std::int32_t epoch) const {
  std::lock_guard lock(mutex_);
  return epochs_.end_offset_for(epoch, end_offset());
}

std::int32_t partition_log::latest_leader_epoch() const {
  std::lock_guard lock(mutex_);
  return epochs_.latest();
}

std::int32_t partition_log::leader_epoch_of(std::int64_t offset) const {
  std::lock_guard lock(mutex_);
  return epochs_.epoch_of(offset);
}

std::vector<producer_entry> partition_log::producers() const {
  std::lock_guard lock(append_mutex_);
  return producers_.entries();
}

std::optional<producer_entry> partition_log::producer(std::int64_t producer_id) const {
  std::lock_guard lock(append_mutex_);
  return producers_.find(producer_id);
}

std::size_t partition_log::expire_producers() {
  std::lock_guard lock(append_mutex_);
  return producers_.expire(options_.clock->wall_ms() - config().producer_expiry.count());
}

result<std::vector<aborted_transaction>> partition_log::aborted_transactions(std::int64_t offset,
                                                                             std::int64_t upper_bound) const {
  std::lock_guard lock(mutex_);
  std::vector<aborted_transaction> found;
  const auto first = std::lower_bound(
      aborted_.begin(), aborted_.end(), offset,
      [](const aborted_transaction& t, std::int64_t offset) { return t.last_offset < offset; });
  for (auto t = first; t != aborted_.end(); ++t) {
    if (t->first_offset < upper_bound) found.push_back(*t);
    // Whatever aborts later began at or behind this one's last stable offset.
    if (t->last_stable_offset >= upper_bound) break;
  }
  return found;
}

// What one flush has to do, gathered under the lock and done without it.
struct partition_log::flush_plan {
  std::int64_t target = 0;
  std::uint64_t appended_bytes = 0;
  std::vector<std::pair<segment_ptr, std::shared_ptr<io::file>>> closed;
  std::shared_ptr<io::file> active;
  std::vector<std::string> files;
  std::optional<std::string> epochs;
  bool directory = false, parent = false;
};

partition_log::flush_plan partition_log::plan_flush() {
  std::lock_guard lock(mutex_);
  flush_plan plan;
  plan.target = end_offset();
  plan.appended_bytes = appended_bytes_;
  for (const auto& s : segments_) {
    if (s->closed && !s->synced) plan.closed.emplace_back(s, s->log);
  }
  const auto& active = segments_.back();
  if (active->next_offset > std::max(recovery_point(), active->base_offset)) plan.active = active->log;
  plan.files.swap(unsynced_files_);
  if (std::exchange(epochs_dirty_, false)) plan.epochs = epochs_.encode();
  plan.directory = std::exchange(directory_dirty_, false);
  plan.parent = std::exchange(parent_dirty_, false);
  return plan;
}

void partition_log::take_back(const flush_plan& plan) {
  std::lock_guard lock(mutex_);
  unsynced_files_.insert(unsynced_files_.end(), plan.files.begin(), plan.files.end());
  epochs_dirty_ |= plan.epochs.has_value();
  directory_dirty_ |= plan.directory;
  parent_dirty_ |= plan.parent;
}

result<> partition_log::sync_plan(const flush_plan& plan) {
  io::file_system& fs = *options_.files;
  for (const auto& [closed, file] : plan.closed) {
    if (auto r = closed->sync_closed(*file); !r) return r;
  }
  if (plan.active != nullptr) {
    if (auto r = plan.active->sync(); !r) return r;
  }
  for (const auto& name : plan.files) {
    if (!fs.exists(name)) continue;  // a snapshot that is not needed any more
    auto file = fs.open(name, io::open_mode::read_write);
    if (!file) return fail(file.error());
    if (auto r = (*file)->sync(); !r) return r;
  }
  if (plan.directory) {
    if (auto r = fs.sync_directory(options_.directory); !r) return r;
  }
  if (plan.parent) {
    const std::string& d = options_.directory;
    if (auto r = fs.sync_directory(d.substr(0, d.rfind('/'))); !r) return r;
  }
  return {};
}

result<std::int64_t> partition_log::flush() {
  std::lock_guard flush_lock(flush_mutex_);
  return flush_locked(false);
}

result<std::int64_t> partition_log::flush_locked(bool durable_note) {
  if (poisoned_) return fail(poisoned_error());
  const flush_plan plan = plan_flush();
  if (plan.epochs) {
    if (auto r = io::write_file_atomically(*options_.files, path(epochs_file), *plan.epochs); !r) {
      if (r.error().kind() != errc::exhausted) return fail(poison(r.error()));
      take_back(plan);  // nothing was synced yet, so that the next flush may do it all
      return fail(r.error());
    }
  }
  if (auto r = sync_plan(plan); !r) return fail(poison(r.error()));
  if (plan.target != recovery_point() || durable_note) {
    if (auto r = recovery_point_file_.store(plan.target, durable_note); !r) return fail(poison(r.error()));
  }
  flushed_bytes_.store(plan.appended_bytes, std::memory_order_release);
  std::lock_guard lock(mutex_);
  for (const auto& [closed, file] : plan.closed) {
    closed->synced = true;
    closed->log.reset();
  }
  recovery_point_.store(plan.target, std::memory_order_release);
  return plan.target;
}

result<> partition_log::close() {
  std::lock_guard append_lock(append_mutex_);
  if (closed_) return {};
  if (poisoned_) return fail(poisoned_error());
  closed_ = true;
  const auto write_ends = [&]() -> result<> {
    index_builder built = segments_.back()->indexes;
    built.finish();
    if (auto r = segments_.back()->write_indexes(built); !r) return r;
    return write_snapshot(end_offset());
  };
  if (auto r = write_ends(); !r) return r;
  {
    std::lock_guard lock(mutex_);
    for (const auto suffix : {suffix::index, suffix::time_index, suffix::transaction_index})
      unsynced_files_.push_back(segments_.back()->path(suffix));
    directory_dirty_ = true;
  }
  std::lock_guard flush_lock(flush_mutex_);
  auto flushed = flush_locked(true);
  return flushed ? result<>() : result<>(fail(flushed.error()));
}

}  // namespace penstock::log
