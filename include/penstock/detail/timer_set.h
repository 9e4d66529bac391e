// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/flat_table.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock::detail {

/// A key's number among those that an operator keeps state of on its lane.
using row_id = std::uint32_t;
inline constexpr row_id no_row = static_cast<row_id>(-1);

struct timer_id {
  std::int64_t at;
  row_id row;
  friend bool operator==(const timer_id&, const timer_id&) = default;
};

}  // namespace penstock::detail

namespace penstock {
template <>
struct key_traits<detail::timer_id> {
  static std::uint64_t hash(const detail::timer_id& t) noexcept {
    return detail::mix_hash(static_cast<std::uint64_t>(t.at), t.row);
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
  std::int64_t next() const noexcept;
  /// Takes the earliest one that is not after `limit`.
  bool take(std::int64_t limit, timer_id& into);
  std::size_t size() const noexcept { return live_; }

  /// From now on the timers of each row are known too. Called while there are none.
  void note_rows() noexcept { noting_ = true; }
  /// The timers of a row, in no order; nothing unless note_rows was called.
  const std::vector<std::int64_t>& of(row_id row) const noexcept;

 private:
  void note(std::int64_t at, row_id row);
  void forget(std::int64_t at, row_id row);
  enum class mark : std::uint8_t { removed, set };
  static bool later(const timer_id& a, const timer_id& b) noexcept {
    return a.at != b.at ? a.at > b.at : a.row > b.row;
  }
  void drop_removed();

  std::vector<timer_id> heap_;        // removed ones stay until they come up
  flat_table<timer_id, mark> marks_;  // of everything in the heap
  std::size_t live_ = 0;
  bool noting_ = false;
  std::vector<std::vector<std::int64_t>> by_row_;  // where rows are noted
};

}  // namespace penstock::detail
