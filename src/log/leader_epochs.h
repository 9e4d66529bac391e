// SPDX-License-Identifier: Apache-2.0
// The file leader-epoch-checkpoint, text as Kafka writes it:
//   0                       version
//   2                       entries
//   0 0                     epoch, first offset
//   3 1500
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::log {

/// The answer of OffsetForLeaderEpoch: -1, -1 when nothing is known.
struct epoch_end_offset {
  std::int32_t epoch = -1;
  std::int64_t end_offset = -1;
  friend bool operator==(const epoch_end_offset&, const epoch_end_offset&) = default;
};

/// Which leader epoch began at which offset. A value without locks or files.
class leader_epochs {
 public:
  struct entry {
    std::int32_t epoch;
    std::int64_t start_offset;
    friend bool operator==(const entry&, const entry&) = default;
  };

  /// Notes a batch of `epoch` at `offset`; true when that began a new epoch. An older epoch changes nothing.
  bool assign(std::int32_t epoch, std::int64_t offset);
  /// Drops what begins at or after `end`.
  void truncate_from_end(std::int64_t end);
  /// The first epoch left begins at `start` at the earliest.
  void truncate_from_start(std::int64_t start);

  /// The latest epoch ends at `log_end`; an unknown one is answered with the next lower.
  epoch_end_offset end_offset_for(std::int32_t epoch, std::int64_t log_end) const noexcept;
  std::int32_t latest() const noexcept { return entries_.empty() ? -1 : entries_.back().epoch; }
  /// The epoch that wrote `offset`, -1 before the first.
  std::int32_t epoch_of(std::int64_t offset) const noexcept;
  const std::vector<entry>& entries() const noexcept { return entries_; }

  std::string encode() const;
  static result<leader_epochs> decode(std::string_view text);

 private:
  std::vector<entry> entries_;  // both fields strictly ascending
};

}  // namespace penstock::log
