// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "log/batch_scanner.h"
#include "log/partition_log.h"
#include "log/segment.h"

namespace penstock::log {

/// One opening of a log. After a clean stop it trusts the files and verifies the end; otherwise it walks what
/// may not have reached the disk. The rules are in README.md.
class partition_log::recovery_run {
 public:
  explicit recovery_run(partition_log& log)
      : log_(log), fs_(*log.options_.files), report_(log.report_), config_(log.options_.config) {}
  result<> run();

 private:
  // recovery_files.cc: names and small files
  result<> prepare_directory();
  result<> check_topic_id();
  result<> list_files();
  result<> finish_swaps();
  result<> finish_swap(std::int64_t base);
  result<> read_checkpoints();
  result<> open_segments();
  result<> drop_below_log_start();
  result<> remove_segment_files(std::int64_t base);
  result<> remove_snapshots_above(std::int64_t end);

  // recovery.cc: content
  result<> begin_at_log_start();
  result<bool> open_clean();
  result<> open_unclean();
  result<> check_closed(std::size_t i);
  result<> load_aborted(std::size_t count);
  result<> load_producers(std::int64_t before);
  result<> replay(std::int64_t from, std::size_t end_segment);
  result<> walk(std::size_t i);
  result<> finish_segment(std::size_t i);
  void note(segment& s, const wire::batch_header& header, std::uint64_t position, bytes_view batch);
  result<> sync_everything();
  result<> write_again(segment& s, std::uint64_t from);

  // recovery_damage.cc
  struct damage {
    std::size_t in;          // an index of segments()
    std::uint64_t position;  // where the bytes cannot be used any more
    std::int64_t expected;   // the offset that should be there
    std::string what;
  };
  bool at_seam(const damage& d);
  result<bool> is_torn_tail(const damage& d);
  /// True: everything from there on is cut off. False: what could be saved is in place, go on at the
  /// position.
  result<bool> handle(const damage& d);
  result<> cut_off(const damage& d);
  result<> leave_out(const damage& d);
  static result<std::optional<std::uint64_t>> find_continuation(const segment& s, const damage& d,
                                                                std::uint64_t size, std::int64_t& offset);
  result<> fill_gap(segment& s, std::int64_t first, std::int64_t end);
  result<> check_missing_end();

  std::vector<segment_ptr>& segments() { return log_.segments_; }

  partition_log& log_;
  io::file_system& fs_;
  recovery_report& report_;
  const log_config& config_;

  std::map<std::int64_t, io::directory_entry> logs_;  // by base offset
  std::vector<std::int64_t> snapshots_, swaps_;
  std::map<std::int64_t, bool> transaction_indexes_;
  bool fresh_ = false;  // no segment was there
  bool names_changed_ = false;
  bool rebuild_epochs_ = false;
  bool failed_ = false;  // see failed_file
  bool precise_ = true;  // what is behind the recovery point was never promised
  std::int64_t recovery_point_ = 0;
  bool recovery_point_known_ = false;
  std::int64_t expected_ = -1;                       // the offset at which the next segment must begin
  std::vector<aborted_transaction> walked_aborted_;  // of the segment that is walked
};

}  // namespace penstock::log
