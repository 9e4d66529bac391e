// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/flat_table.h>
#include <penstock/detail/paged.h>
#include <penstock/detail/timer_queue.h>
#include <penstock/watermarks.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock::detail {
/// A timer as a key of twelve bytes.
struct timer_key {
  std::uint32_t early, late;  // the halves of its time
  row_id row;
  timer_key(std::int64_t at, row_id r) noexcept
      : early(static_cast<std::uint32_t>(static_cast<std::uint64_t>(at) >> 32)),
        late(static_cast<std::uint32_t>(at)),
        row(r) {}
  friend bool operator==(const timer_key&, const timer_key&) = default;
};
}  // namespace penstock::detail

namespace penstock {
template <>
struct key_traits<detail::timer_key> {
  static std::uint64_t hash(const detail::timer_key& t) noexcept {
    return detail::mix_hash(std::uint64_t{t.early} << 32 | t.late, t.row);
  }
};
}  // namespace penstock

namespace penstock::detail {

/// The timers of one operator in one domain: a set of (time, key), taken in the order of time (S11).
class timer_set {
 public:
  /// False when it was there already.
  bool add(std::int64_t at, row_id row);
  /// False when it was not there.
  bool remove(std::int64_t at, row_id row);
  /// No timer is before this time; max_watermark when there is none.
  std::int64_t next() const noexcept { return live_ == 0 ? max_watermark : queue_.next(); }
  /// Takes the earliest one that is not after `limit`.
  bool take(std::int64_t limit, timer_id& into);
  /// The row of the n-th timer after that which was taken last, if it is of the same time; else no_row.
  row_id ahead(std::size_t n) const noexcept { return queue_.ahead(n); }
  std::size_t size() const noexcept { return live_; }

  /// From now on the timers of each row are known too. Called while there are none.
  void note_rows() noexcept { noting_ = true; }
  /// The timers of a row, in no order; nothing unless note_rows was called.
  const std::vector<std::int64_t>& of(row_id row) const noexcept;

 private:
  void forget(std::int64_t at, row_id row);
  enum class mark : std::uint8_t { removed, set };

  timer_queue queue_;                  // removed ones stay until their time
  flat_table<timer_key, mark> marks_;  // of everything in the queue
  std::size_t live_ = 0;
  bool noting_ = false;
  paged<std::vector<std::int64_t>> by_row_;  // where rows are noted
};

}  // namespace penstock::detail
