// SPDX-License-Identifier: Apache-2.0
// The names of a log's files, and the two small files of our own:
//
//   recovery-point   two slots at 0 and 512, of 20 bytes: u32 CRC-32C of the rest, i64 offset, i64 count of
//   writes. The
//                    newest whole slot counts. One slot is overwritten without a sync after each flush; from
//                    time to time it is synced and the other one takes its place. So a crash leaves at least
//                    the synced one.
//   log-start        text: the first offset after delete_records or retention. Replaced atomically.
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "io/clock.h"
#include "io/file.h"

namespace penstock::log {

namespace suffix {
inline constexpr std::string_view log = ".log";
inline constexpr std::string_view index = ".index";
inline constexpr std::string_view time_index = ".timeindex";
inline constexpr std::string_view transaction_index = ".txnindex";
inline constexpr std::string_view snapshot = ".snapshot";
inline constexpr std::string_view deleted = ".deleted";  ///< behind the others: waits for its removal
inline constexpr std::string_view cleaned = ".cleaned";  ///< being written
inline constexpr std::string_view swap = ".swap";        ///< whole; takes the place of the segments it covers
}  // namespace suffix

inline constexpr std::string_view epochs_file = "leader-epoch-checkpoint";
inline constexpr std::string_view metadata_file = "partition.metadata";
inline constexpr std::string_view recovery_point_file_name = "recovery-point";
inline constexpr std::string_view log_start_file = "log-start";
inline constexpr std::string_view cleaner_file = "cleaner-offset";
/// Left behind by a log that could not write or sync (E19). What the system holds in memory of its files may
/// not be on the disk, and no sync would bring it there: the next open writes it again.
inline constexpr std::string_view failed_file = "storage-failed";

/// `<20 digits><suffix>`, of exactly that suffix: the offset, otherwise nothing.
std::optional<std::int64_t> offset_of_name(std::string_view name, std::string_view suffix);

/// A file with one number as text. Absent: nothing. Errors: corrupt; io.
result<std::optional<std::int64_t>> read_number_file(io::file_system& fs, const std::string& path);
result<> write_number_file(io::file_system& fs, const std::string& path, std::int64_t number);

/// The durable recovery point; see above. Used by one thread at a time.
class recovery_point_file {
 public:
  struct state {
    bool exists = false;
    std::optional<std::int64_t> offset;  ///< nothing although it exists: both slots are damaged
  };
  recovery_point_file(io::file_system& fs, std::string path, const io::clock& clock)
      : fs_(fs), path_(std::move(path)), clock_(clock) {}
  /// After a failed sync (`failed`) the newest slot is the next to be overwritten, not the one that is on the
  /// disk.
  result<state> load(bool failed);
  /// Notes that all below `offset` is synced. `durable`: syncs the note, too.
  result<> store(std::int64_t offset, bool durable);

 private:
  static constexpr std::chrono::seconds sync_interval{5};

  io::file_system& fs_;
  std::string path_;
  const io::clock& clock_;
  std::unique_ptr<io::file> file_;
  std::int64_t writes_ = 0;
  int slot_ = 0;
  std::optional<io::instant> last_sync_;
};

}  // namespace penstock::log
