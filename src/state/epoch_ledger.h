// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace penstock::state {

/// Where a source was when each epoch began: what a restart has to begin from, while state lives in memory
/// only, to rebuild the state of the oldest epoch that is still needed. One thread at a time.
///
/// A position is a number a split; all calls of one ledger give the same number of them.
class epoch_ledger {
 public:
  using positions = std::vector<std::int64_t>;

  /// The first epoch, and where it begins.
  epoch_ledger(std::uint64_t first_epoch, positions begin);
  /// `epoch` has ended, and the next one begins, here. Epochs end in order.
  void seal(std::uint64_t epoch, positions end);
  /// Where `epoch` began, or, for one that was thinned out, a little earlier: never later.
  const positions& begin_of(std::uint64_t epoch) const noexcept;
  /// Nobody will ask for an epoch before this one.
  void forget_before(std::uint64_t epoch);
  std::size_t size() const noexcept { return entries_.size(); }

 private:
  // Beyond this, every second entry of the older half goes: an open window of a month costs no more memory
  // than one of a day.
  static constexpr std::size_t limit = 4096;
  struct entry {
    std::uint64_t epoch;
    positions begin;
  };
  void thin_out();
  std::deque<entry> entries_;  // by epoch, never empty
};

}  // namespace penstock::state
