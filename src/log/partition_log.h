// SPDX-License-Identifier: Apache-2.0
// One partition's log: record batches as they came over the wire, in segments, in Kafka's own file layout.
//
//   <topic>-<partition>/
//     00000000000000000000.log         batches, one behind the other; the name is the first offset
//     00000000000000000000.index       offset -> position, sparse
//     00000000000000000000.timeindex   timestamp -> offset, sparse
//     00000000000000000000.txnindex    aborted transactions, if there were any
//     00000000000000000000.snapshot    idempotent producers as of that offset
//     leader-epoch-checkpoint          epoch -> first offset
//     partition.metadata               topic id
//     recovery-point                   how far the log has been synced      (ours)
//     log-start                        first offset after delete-records    (ours)
//
// What is in these files, and what survives which failure, is described in README.md beside this file.
#pragma once

#include <penstock/result.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/clock.h"
#include "io/file.h"
#include "log/leader_epochs.h"
#include "log/log_config.h"
#include "log/log_files.h"
#include "log/producer_state.h"
#include "log/sparse_index.h"
#include "log/transaction_index.h"

namespace penstock::log {

class segment;
struct append_group;
struct segment_files;

struct open_options {
  io::file_system* files = nullptr;
  const io::clock* clock = nullptr;
  std::string directory;  ///< `<data>/<topic>-<partition>`; made if it is not there
  std::string topic_id;   ///< written to partition.metadata (base64, 22 characters); empty: not written
  log_config config;
  /// The last process closed this log (close() returned success for all logs of the directory). Then nothing
  /// is replayed, and only the end of the last segment is verified.
  bool clean_shutdown = false;
  /// Bytes of the last segment's end whose checksums are verified even after a clean stop.
  std::uint64_t verify_when_clean = 8u << 20;
  /// Leave out batches that are damaged instead of refusing to open. Their offsets stay empty.
  bool accept_data_loss = false;
};

/// What open() found and did, for the server's log.
struct recovery_report {
  std::uint64_t bytes_verified = 0;
  std::uint64_t bytes_truncated = 0;  ///< of a torn tail
  std::vector<std::string> remarks;   ///< one plain sentence each
};

/// One batch to append, and what became of it.
struct append_batch {
  /// A whole v2 batch, validated by the caller (checksum, records). Base offset and leader epoch are set in
  /// place; with log_append_time also the timestamp and the checksum. Must stay until append returns.
  std::span<char> bytes;

  append_status status = append_status::appended;
  std::int64_t base_offset = -1;
  std::int64_t last_offset = -1;
  std::int64_t log_append_time_ms = -1;  ///< unless the topic's time type is LogAppendTime
};

struct append_options {
  std::int32_t leader_epoch = 0;
  /// False for batches that no client made (the coordinators' own): no sequence check, state kept all the
  /// same.
  bool check_producer = true;
  /// The batch or marker is of a producer whose epoch is raised with each transaction (KIP-890).
  bool epoch_of_its_own = false;
};

struct append_summary {
  std::int64_t end_offset = 0;  ///< the next offset to be given
  /// The flush policy wants flush() called soon from the flush thread: enough bytes are unsynced, or a
  /// segment was closed. (The interval is the caller's timer; see needs_flush().)
  bool flush_wanted = false;
};

struct read_request {
  std::int64_t offset = 0;
  std::uint64_t max_bytes = 1u << 20;
  /// Only batches whose base offset is below: the high watermark or the last stable offset.
  std::int64_t upper_bound = std::numeric_limits<std::int64_t>::max();
  /// The first batch is returned even if it is larger than max_bytes (KIP-74).
  bool at_least_one = true;
};

/// A range of whole batches in one segment. The file stays readable, and the range unchanged, as long as
/// `file` is held, even when the segment is deleted meanwhile.
struct read_slice {
  std::shared_ptr<const io::file> file;
  std::uint64_t position = 0;
  std::uint64_t length = 0;  ///< 0: nothing to read now
  std::int64_t base_offset =
      -1;  ///< of the first batch, which may begin before the offset that was asked for
  std::int64_t next_offset = -1;  ///< where to go on
};

struct timestamp_offset {
  std::int64_t offset = -1;
  std::int64_t timestamp_ms = -1;
  std::int32_t leader_epoch = -1;
};

struct compaction_result {
  bool ran = false;  ///< false: nothing to do
  std::uint64_t bytes_before = 0, bytes_after = 0;
  std::uint64_t records_before = 0, records_after = 0;
};

struct retention_result {
  std::size_t segments = 0;
  std::uint64_t bytes = 0;
};

/// One partition's log.
///
/// Threads: append, append_marker, set_config and close from one thread at a time (they lock, so any thread
/// will do). read and all other const functions from any thread at any time; they never wait for a write or a
/// sync. flush, apply_retention, delete_records, remove_deleted_files and compact may each run on another
/// thread beside appends and reads; among themselves they take turns where they must.
///
/// Errors: a failed write or sync poisons the log: appends and flushes answer errc::io from then on, reads go
/// on (E19). A full disk does not: append answers errc::exhausted until there is room, and nothing of the
/// call was appended.
class partition_log {
 public:
  /// Opens or creates. Errors: corrupt, naming file and offset, when bytes that had been synced are damaged;
  /// data_loss when they are missing; io.
  static result<std::unique_ptr<partition_log>> open(open_options options);
  /// Syncs nothing; call close() first for a clean stop. Files handed out by read stay readable.
  ~partition_log();
  partition_log(const partition_log&) = delete;
  partition_log& operator=(const partition_log&) = delete;

  const recovery_report& recovery() const noexcept { return report_; }
  const std::string& directory() const noexcept { return options_.directory; }

  // Writing

  /// Appends in order, with one write where the batches fall into one segment. Each batch gets its own
  /// status; an error of the call means that none of them was appended.
  result<append_summary> append(std::span<append_batch> batches, const append_options& options = {});
  /// One batch.
  result<append_batch> append(std::span<char> batch, const append_options& options = {});

  /// Syncs what was appended before the call; from then on it survives a crash of the machine. Returns the
  /// offset up to which the log is synced.
  result<std::int64_t> flush();
  /// True when appended bytes wait for a sync.
  bool needs_flush() const noexcept {
    return recovery_point_.load(std::memory_order_acquire) < end_offset_.load(std::memory_order_acquire);
  }
  /// Flushes and writes indexes and producers, so that the next open may skip the replay. Appends are refused
  /// after it.
  result<> close();

  /// Applies from the next append, flush, retention run or compaction on.
  void set_config(const log_config& config);
  log_config config() const;

  // Reading

  /// The batches from the one that contains `offset` on. length 0 at the end or at the upper bound. Errors:
  /// OFFSET_OUT_OF_RANGE (errc::kafka) below log_start_offset or above end_offset; io.
  result<read_slice> read(const read_request& request) const;

  std::int64_t log_start_offset() const noexcept { return log_start_.load(std::memory_order_acquire); }
  /// The next offset to be given: also the high watermark, there being one replica.
  std::int64_t end_offset() const noexcept { return end_offset_.load(std::memory_order_acquire); }
  /// Offsets below it are synced.
  std::int64_t recovery_point() const noexcept { return recovery_point_.load(std::memory_order_acquire); }
  /// The first offset of the earliest open transaction, or end_offset: the bound for read_committed.
  std::int64_t last_stable_offset() const noexcept { return stable_offset_.load(std::memory_order_acquire); }
  std::uint64_t size_bytes() const;
  std::size_t segment_count() const;

  /// The first record, in order of offsets, with timestamp >= target, from log_start on.
  result<std::optional<timestamp_offset>> offset_for_timestamp(std::int64_t target_ms) const;
  /// The first record with the largest timestamp; nothing when the log is empty.
  result<std::optional<timestamp_offset>> max_timestamp() const;
  /// OffsetForLeaderEpoch, and the epoch of an offset.
  epoch_end_offset end_offset_for_epoch(std::int32_t epoch) const;
  std::int32_t latest_leader_epoch() const;  ///< -1 when nothing was ever appended
  std::int32_t leader_epoch_of(std::int64_t offset) const;

  /// Aborted transactions that a read_committed reader of [offset, upper_bound) must know, in order of their
  /// markers.
  result<std::vector<aborted_transaction>> aborted_transactions(std::int64_t offset,
                                                                std::int64_t upper_bound) const;
  /// The producers with state here (DescribeProducers).
  std::vector<producer_entry> producers() const;
  /// One of them.
  std::optional<producer_entry> producer(std::int64_t producer_id) const;

  /// Reads everything and checks every checksum; for a scrub. Errors: corrupt, naming file and offset.
  result<> verify() const;

  // Maintenance

  /// Records below `offset` are gone for readers when it returns, for good; -1: all. Returns the new log
  /// start offset. Errors: OFFSET_OUT_OF_RANGE above end_offset.
  result<std::int64_t> delete_records(std::int64_t offset);
  /// Drops whole segments by size, age and log start. Their files are removed by remove_deleted_files later.
  result<retention_result> apply_retention();
  /// Removes files of segments that were dropped at least file_delete_delay ago. Returns how many.
  result<std::size_t> remove_deleted_files();
  /// Forgets producers that sent nothing for producer_expiry. Returns how many.
  std::size_t expire_producers();
  /// One round of compaction, if the topic is compacted and dirty enough, or `force`. Closed segments only:
  /// keeps the last record of each key, removes tombstones after delete_retention, never renumbers. Runs
  /// beside appends and reads.
  result<compaction_result> compact(bool force = false);

 private:
  explicit partition_log(open_options options);

  using segment_ptr = std::shared_ptr<segment>;
  class recovery_run;
  class compaction_run;
  struct flush_plan;
  struct segment_view;
  struct dropped_files {
    io::instant since;
    std::vector<std::string> paths;
  };
  /// Where a reader that goes on at `offset` finds its batch.
  struct cached_position {
    std::int64_t offset = -1;
    std::uint64_t segment_id = 0;
    std::uint64_t position = 0;
  };

  std::string path(std::string_view name) const;
  error poison(const error& cause);
  error poisoned_error() const;
  flush_plan plan_flush();
  void take_back(const flush_plan& plan);
  result<> sync_plan(const flush_plan& plan);
  result<std::int64_t> flush_locked(bool durable_note);  // flush_mutex_ is held

  // partition_log_append.cc; append_mutex_ is held
  result<> add_to_group(append_group& group, append_batch& batch, const append_options& options);
  result<> write_group(append_group& group);
  void publish_group(const append_group& group);
  void undo_group(append_group& group);
  result<> write_aborted(const segment& in, std::span<const aborted_transaction> aborted);
  bool must_roll(const segment& active, const wire::batch_header& batch, const append_group& group) const;
  result<> roll(std::int64_t base_offset);
  result<segment_ptr> create_segment(std::int64_t base_offset);
  result<> write_snapshot(std::int64_t offset);

  // partition_log_read.cc; floor_segment, cached, cache and view_of want mutex_ held
  std::size_t floor_segment(std::int64_t offset) const;  // an index of segments_
  std::optional<std::uint64_t> cached(std::uint64_t segment_id, std::int64_t offset) const;
  void cache(std::uint64_t segment_id, std::int64_t offset, std::uint64_t position) const;
  segment_view view_of(const segment_ptr& s) const;
  std::vector<segment_view> all_views() const;
  result<> open_view(segment_view& view) const;
  template <typename Below>
  result<std::optional<index_entry>> floor_position(const segment_view& view, Below below) const;
  result<bool> locate(const segment_view& view, std::int64_t offset, std::uint64_t& position,
                      std::int64_t& base_offset) const;
  result<std::uint64_t> read_end(const segment_view& view, std::uint64_t position, std::int64_t limit,
                                 const read_request& request) const;
  result<read_slice> try_read(const read_request& request) const;
  result<std::optional<timestamp_offset>> find_timestamp(segment_view& view, std::int64_t target_ms) const;
  result<std::int64_t> max_timestamp_of(const segment_view& view) const;
  result<std::int64_t> max_timestamp_from_start() const;
  result<> verify(segment_view& view) const;
  result<> rebuild_index_at(std::int64_t offset) const;
  template <typename Look>
  auto look(Look look) const;

  // partition_log_retention.cc; maintenance_mutex_ and append_mutex_ are held
  result<retention_result> drop_segments(std::size_t count);
  result<> rename_dropped(const segment& s, dropped_files& into, bool keep_transaction_index = false);
  result<> remove_snapshots_below(std::int64_t start);
  result<std::size_t> expired_segments(const log_config& config);

  open_options options_;
  recovery_report report_;

  // Read without a lock; written under mutex_.
  std::atomic<std::int64_t> log_start_{0};
  std::atomic<std::int64_t> end_offset_{0};
  std::atomic<std::int64_t> stable_offset_{0};
  std::atomic<std::int64_t> recovery_point_{0};
  std::atomic<std::uint64_t> flushed_bytes_{0};
  std::atomic<bool> poisoned_{false};

  // Locks, in the order in which they are taken.
  std::mutex maintenance_mutex_;     // retention, delete_records, compaction: one at a time
  mutable std::mutex append_mutex_;  // appends, and whatever changes the list of segments
  std::mutex flush_mutex_;           // one sync at a time
  mutable std::mutex mutex_;         // the fields marked so; held briefly, never over I/O

  // append_mutex_
  producer_state producers_;
  bool closed_ = false;
  std::size_t rolls_ = 0;
  std::unique_ptr<append_group> group_;  // its memory is used again

  // maintenance_mutex_
  std::vector<dropped_files> dropped_;

  // flush_mutex_
  recovery_point_file recovery_point_file_;

  // mutex_
  log_config config_;
  std::vector<segment_ptr> segments_;  // ascending; the last one is active
  leader_epochs epochs_;
  std::vector<aborted_transaction> aborted_;  // of all segments, in order
  std::vector<std::string> unsynced_files_;   // snapshots and the like, for the next flush
  bool epochs_dirty_ = false;
  bool directory_dirty_ = false;
  bool parent_dirty_ = false;
  std::uint64_t appended_bytes_ = 0;
  std::string poison_message_;
  mutable std::array<cached_position, 32> cache_;
  mutable std::size_t next_cached_ = 0;
  mutable std::vector<segment_ptr>
      open_closed_;  // the closed segments with open files, the last used at the back
};

}  // namespace penstock::log
