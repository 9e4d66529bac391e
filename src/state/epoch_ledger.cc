// SPDX-License-Identifier: Apache-2.0
#include "state/epoch_ledger.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace penstock::state {

epoch_ledger::epoch_ledger(std::uint64_t first_epoch, positions begin) {
  entries_.push_back({first_epoch, std::move(begin)});
}

void epoch_ledger::seal(std::uint64_t epoch, positions end) {
  // Nothing was read in that epoch: the next one begins where it did, and one entry serves both.
  if (end == entries_.back().begin) return;
  entries_.push_back({epoch + 1, std::move(end)});
  if (entries_.size() > limit) thin_out();
}

const epoch_ledger::positions& epoch_ledger::begin_of(std::uint64_t epoch) const noexcept {
  auto after = std::upper_bound(entries_.begin(), entries_.end(), epoch,
                                [](std::uint64_t e, const entry& x) { return e < x.epoch; });
  return after == entries_.begin() ? entries_.front().begin : std::prev(after)->begin;
}

void epoch_ledger::forget_before(std::uint64_t epoch) {
  while (entries_.size() > 1 && entries_[1].epoch <= epoch) entries_.pop_front();
}

void epoch_ledger::thin_out() {
  std::deque<entry> kept;
  const std::size_t half = entries_.size() / 2;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (i == 0 || i >= half || i % 2 == 0) kept.push_back(std::move(entries_[i]));
  }
  entries_ = std::move(kept);
}

}  // namespace penstock::state
