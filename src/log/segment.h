// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"
#include "log/sparse_index.h"
#include "wire/record_batch.h"

namespace penstock::log {

/// Builds both sparse indexes of a segment while its batches pass by, once in order.
class index_builder {
 public:
  explicit index_builder(std::int64_t base_offset) : base_offset_(base_offset) {}
  void add(const wire::batch_header& batch, std::uint64_t position, std::uint32_t interval_bytes);
  /// Adds the largest timestamp, as the end of a closed segment's time index.
  void finish();

  std::span<const index_entry> offsets() const noexcept { return offsets_; }
  std::span<const time_entry> times() const noexcept { return times_; }
  std::int64_t max_timestamp() const noexcept { return max_timestamp_; }
  /// Goes on with what another process had written; `bytes` of batches follow the last entry of `offsets`.
  void restore(std::vector<index_entry> offsets, std::vector<time_entry> times, std::uint64_t bytes);
  void release();

 private:
  void add_time();

  std::int64_t base_offset_;
  std::int64_t max_timestamp_ = -1;
  std::int64_t max_timestamp_offset_ = -1;
  std::uint64_t bytes_since_entry_ = 0;
  std::vector<index_entry> offsets_;
  std::vector<time_entry> times_;
};

/// The open files of a closed segment; immutable.
struct segment_files {
  std::shared_ptr<const io::file> log;
  std::unique_ptr<io::file> offsets, times;
  std::size_t offset_count = 0, time_count = 0;
};

/// A part of the log: one .log file and its indexes. The last segment of a log is active: written, its
/// indexes in memory. All others are closed, and their files are opened when they are read.
///
/// The plain members are the log's to guard: it writes them under its lock, where readers copy them.
class segment {
 public:
  segment(io::file_system& fs, std::string directory, std::int64_t base_offset)
      : base_offset(base_offset),
        next_offset(base_offset),
        indexes(base_offset),
        fs_(fs),
        directory_(std::move(directory)) {}

  /// `<directory>/<base offset, 20 digits><suffix>`
  std::string path(std::string_view suffix) const;

  /// An offset behind the base that the indexes, which keep it in 31 bits, can hold.
  bool reaches(std::int64_t offset) const noexcept {
    return offset - base_offset <= std::numeric_limits<std::int32_t>::max();
  }

  const std::uint64_t id = next_id();  ///< of this object; a segment that takes its place has another
  const std::int64_t base_offset;
  std::int64_t next_offset;  ///< behind the last batch; of a closed segment, where the next one begins
  std::uint64_t size = 0;
  bool closed = false;
  bool synced = false;  ///< closed, and all its files are on the disk
  std::int64_t created_ms = 0;
  std::int64_t first_timestamp = -1;  ///< of the first batch; what segment.ms counts from
  index_builder indexes;              ///< while active
  std::shared_ptr<io::file> log;      ///< while active or not synced

  /// The files of a closed segment, opened and with indexes that make sense: they are built again where not.
  /// Any thread. Errors: not_found when the segment was deleted; io; corrupt.
  result<std::shared_ptr<const segment_files>> files(std::uint32_t index_interval_bytes);
  /// From now on its files belong to no one or to another segment: they are not opened any more.
  void retire();
  /// Lets go of the open files; readers that hold them keep them.
  void release_files();
  /// The largest timestamp of a closed segment, -1 when its records have none.
  result<std::int64_t> max_timestamp(std::uint32_t index_interval_bytes);

  /// Writes the indexes of `built` to their files and remembers its largest timestamp. Syncs nothing.
  result<> write_indexes(const index_builder& built);
  /// Reads the whole segment, writes its indexes anew and syncs them.
  result<> rebuild_indexes(std::uint32_t index_interval_bytes);
  /// Syncs the .log and everything beside it that exists.
  result<> sync_closed(io::file& log_file);

 private:
  static std::uint64_t next_id() noexcept;
  result<> write_indexes_locked(const index_builder& built);
  result<> rebuild_locked(std::uint32_t index_interval_bytes);
  result<> open_locked(std::uint32_t index_interval_bytes);
  result<std::shared_ptr<const segment_files>> open_files();

  io::file_system& fs_;
  std::string directory_;
  std::mutex mutex_;  // of those below; held over I/O, so never waited for under the log's lock
  bool retired_ = false;
  bool rebuilt_ = false;  // an empty time index is right: the records have no timestamps
  std::shared_ptr<const segment_files> files_;
  std::optional<std::int64_t> max_timestamp_;
};

/// Replaces the content of a file, without a sync.
result<> write_whole_file(io::file_system& fs, const std::string& path, std::string_view content);

}  // namespace penstock::log
