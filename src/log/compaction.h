// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "log/partition_log.h"
#include "log/segment.h"
#include "wire/batch_builder.h"
#include "wire/record_cursor.h"

namespace penstock::log {

/// The last offset of each key, exactly (no digests that could collide), within a bound of memory.
class key_offsets {
 public:
  explicit key_offsets(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}
  /// False, and nothing done, when the memory is used up.
  bool put(std::string_view key, std::int64_t offset);
  std::optional<std::int64_t> find(std::string_view key) const;
  std::size_t size() const noexcept { return offsets_.size(); }

 private:
  static constexpr std::uint64_t entry_overhead = 96;  // node, bucket and string of one key, roughly

  std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0;
  std::deque<std::string> keys_;
  std::unordered_map<std::string_view, std::int64_t> offsets_;
};

/// One round of compaction: finds which records are the last of their keys, writes groups of closed segments
/// anew without the others, and swaps each group in. Readers and appends go on meanwhile.
class partition_log::compaction_run {
 public:
  explicit compaction_run(partition_log& log)
      : log_(log), fs_(*log.options_.files), config_(log.config()), keys_(config_.compaction_memory) {}
  result<compaction_result> run(bool force);

 private:
  struct group {
    std::vector<segment_ptr> segments;
    std::uint64_t bytes = 0;
  };

  result<bool> choose(bool force);
  result<> map_keys();
  result<bool> map_segment(segment& s);
  std::vector<group> make_groups() const;
  result<> rewrite(const group& g);
  /// Appends what is left of one batch to output_.
  result<> filter(const wire::batch_header& header, bytes_view batch, bool last_of_group);
  bool keep(const wire::batch_header& header, const record_view& record) const;
  result<> write_out(io::file& file, std::uint64_t& written);
  result<> swap_in(const group& g, std::shared_ptr<segment> made, io::file& file);
  bool last_of_producer(const wire::batch_header& header) const;
  bool was_aborted(const wire::batch_header& header) const;

  partition_log& log_;
  io::file_system& fs_;
  log_config config_;
  compaction_result result_;
  std::vector<segment_ptr> segments_;  // the closed ones that may be cleaned
  std::int64_t first_dirty_ = 0;
  std::int64_t end_ = 0;      // behind the last offset that may be cleaned
  std::int64_t map_end_ = 0;  // behind the last offset whose key is in the map
  std::int64_t now_ms_ = 0;
  key_offsets keys_;
  /// Every transaction here is decided; these were for nothing.
  std::unordered_map<std::int64_t, std::vector<aborted_transaction>> aborted_;  // by producer id
  std::unordered_map<std::int64_t, std::int64_t> last_of_producers_;            // id -> last offset
  wire::batch_builder builder_{1u << 30};
  wire::scratch_buffer records_;
  wire::scratch_buffer output_;
};

}  // namespace penstock::log
