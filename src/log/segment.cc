// SPDX-License-Identifier: Apache-2.0
#include "log/segment.h"

#include <fmt/format.h>

#include <atomic>

#include "log/batch_scanner.h"
#include "log/log_files.h"

namespace penstock::log {

void index_builder::add(const wire::batch_header& batch, std::uint64_t position,
                        std::uint32_t interval_bytes) {
  // What compaction left without records still has a timestamp, and no record to find by it.
  if (batch.record_count > 0 && batch.max_timestamp > max_timestamp_) {
    max_timestamp_ = batch.max_timestamp;
    max_timestamp_offset_ = batch.last_offset();
  }
  if (bytes_since_entry_ > interval_bytes) {
    offsets_.push_back({static_cast<std::int32_t>(batch.last_offset() - base_offset_),
                        static_cast<std::uint32_t>(position)});
    add_time();
    bytes_since_entry_ = 0;
  }
  bytes_since_entry_ += batch.total_size();
}

void index_builder::add_time() {
  if (max_timestamp_offset_ < 0) return;
  const time_entry e{max_timestamp_, static_cast<std::int32_t>(max_timestamp_offset_ - base_offset_)};
  if (times_.empty() || e.follows(times_.back())) times_.push_back(e);
}

void index_builder::finish() { add_time(); }

void index_builder::restore(std::vector<index_entry> offsets, std::vector<time_entry> times,
                            std::uint64_t bytes) {
  offsets_ = std::move(offsets);
  times_ = std::move(times);
  bytes_since_entry_ = bytes;
  if (times_.empty()) return;
  max_timestamp_ = times_.back().timestamp_ms;
  max_timestamp_offset_ = base_offset_ + times_.back().relative_offset;
}

void index_builder::release() {
  std::vector<index_entry>().swap(offsets_);
  std::vector<time_entry>().swap(times_);
}

std::uint64_t segment::next_id() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

std::string segment::path(std::string_view suffix) const {
  return fmt::format("{}/{:020}{}", directory_, base_offset, suffix);
}

result<> write_whole_file(io::file_system& fs, const std::string& path, std::string_view content) {
  auto file = fs.open(path, io::open_mode::read_write);
  if (!file) return fail(file.error());
  if (auto r = (*file)->truncate(0); !r) return r;
  return content.empty() ? result<>() : (*file)->write_at(0, content);
}

result<> segment::write_indexes(const index_builder& built) {
  std::lock_guard lock(mutex_);
  return write_indexes_locked(built);
}

result<> segment::write_indexes_locked(const index_builder& built) {
  max_timestamp_ = built.max_timestamp();
  files_.reset();
  if (auto r = write_whole_file(fs_, path(suffix::index), encode_index(built.offsets())); !r) return r;
  return write_whole_file(fs_, path(suffix::time_index), encode_index(built.times()));
}

result<> segment::rebuild_indexes(std::uint32_t index_interval_bytes) {
  std::lock_guard lock(mutex_);
  if (retired_) return fail(errc::not_found, fmt::format("{} was dropped", path(suffix::log)));
  return rebuild_locked(index_interval_bytes);
}

result<> segment::rebuild_locked(std::uint32_t index_interval_bytes) {
  auto file = fs_.open(path(suffix::log), io::open_mode::read);
  if (!file) return fail(file.error());
  auto size = (*file)->size();
  if (!size) return fail(size.error());
  index_builder built(base_offset);
  batch_scanner scan(**file, 0, *size);
  while (true) {
    const auto step = scan.next();
    if (step == batch_scanner::step::end) break;
    if (step == batch_scanner::step::failed) return fail(scan.failure());
    if (step == batch_scanner::step::damaged)
      return fail(errc::corrupt, fmt::format("{} is damaged at position {}: {}", (*file)->path(),
                                             scan.position(), scan.damage()));
    built.add(scan.header(), scan.position(), index_interval_bytes);
  }
  built.finish();
  rebuilt_ = true;
  if (auto r = write_indexes_locked(built); !r) return r;
  for (const auto suffix : {suffix::index, suffix::time_index}) {
    auto index = fs_.open(path(suffix), io::open_mode::read_write);
    if (!index) return fail(index.error());
    if (auto r = (*index)->sync(); !r) return r;
  }
  return {};
}

result<std::shared_ptr<const segment_files>> segment::open_files() {
  auto files = std::make_shared<segment_files>();
  auto log_file = fs_.open(path(suffix::log), io::open_mode::read);
  if (!log_file) return fail(log_file.error());
  auto log_size = (*log_file)->size();
  if (!log_size) return fail(log_size.error());
  const auto open_index = [&]<typename Entry>(std::string_view suffix, Entry, std::unique_ptr<io::file>& file,
                                              std::size_t& count) -> result<std::optional<Entry>> {
    auto opened = fs_.open(path(suffix), io::open_mode::read);
    if (!opened) return fail(errc::corrupt, opened.error().message());
    auto size = (*opened)->size();
    if (!size) return fail(size.error());
    count = *size / Entry::bytes;
    if (*size % Entry::bytes != 0)
      return fail(errc::corrupt, fmt::format("{} does not end with a whole entry", (*opened)->path()));
    file = std::move(*opened);
    if (count == 0) return std::optional<Entry>();
    char bytes[Entry::bytes];
    auto got = file->read_at(*size - Entry::bytes, bytes);
    if (!got) return fail(got.error());
    return std::optional<Entry>(Entry::load(bytes));
  };
  auto last = open_index(suffix::index, index_entry{}, files->offsets, files->offset_count);
  if (!last) return fail(last.error());
  auto last_time = open_index(suffix::time_index, time_entry{}, files->times, files->time_count);
  if (!last_time) return fail(last_time.error());
  const bool sensible = (!*last || ((*last)->plausible() && (*last)->position < *log_size)) &&
                        (!*last_time || (*last_time)->plausible()) &&
                        (*last_time || *log_size == 0 || rebuilt_);
  if (!sensible) return fail(errc::corrupt, fmt::format("the indexes of {} are damaged", path(suffix::log)));
  max_timestamp_ = *last_time ? (*last_time)->timestamp_ms : -1;
  files->log = std::move(*log_file);
  return std::shared_ptr<const segment_files>(std::move(files));
}

result<> segment::open_locked(std::uint32_t index_interval_bytes) {
  if (files_ != nullptr) return {};
  if (retired_) return fail(errc::not_found, fmt::format("{} was dropped", path(suffix::log)));
  auto opened = open_files();
  if (!opened && opened.error().kind() == errc::corrupt) {
    if (auto r = rebuild_locked(index_interval_bytes); !r) return r;
    opened = open_files();
  }
  if (!opened) return fail(opened.error());
  files_ = std::move(*opened);
  return {};
}

result<std::shared_ptr<const segment_files>> segment::files(std::uint32_t index_interval_bytes) {
  std::lock_guard lock(mutex_);
  if (auto r = open_locked(index_interval_bytes); !r) return fail(r.error());
  return files_;
}

void segment::release_files() {
  std::lock_guard lock(mutex_);
  files_.reset();
}

void segment::retire() {
  std::lock_guard lock(mutex_);
  retired_ = true;
}

result<std::int64_t> segment::max_timestamp(std::uint32_t index_interval_bytes) {
  std::lock_guard lock(mutex_);
  if (!max_timestamp_) {
    if (auto r = open_locked(index_interval_bytes); !r) return fail(r.error());
  }
  return *max_timestamp_;
}

result<> segment::sync_closed(io::file& log_file) {
  if (auto r = log_file.sync(); !r) return r;
  for (const auto suffix : {suffix::index, suffix::time_index, suffix::transaction_index}) {
    if (!fs_.exists(path(suffix))) continue;
    auto file = fs_.open(path(suffix), io::open_mode::read_write);
    if (!file) return fail(file.error());
    if (auto r = (*file)->sync(); !r) return r;
  }
  return {};
}

}  // namespace penstock::log
