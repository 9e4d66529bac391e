// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/flat_table.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
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

/// Timers, taken in the order of time, then of row. Eight bytes each; adding and taking cost the same however
/// many there are, and no step looks at more of them than those of one second.
///
/// Time is cut into blocks of 1,024 ms. A block is a heap of unsorted entries until its time comes; then it
/// is laid out millisecond by millisecond, and a millisecond is sorted when it is reached.
class timer_queue {
 public:
  void add(std::int64_t at, row_id row);
  /// The time of the earliest; max_watermark when there is none.
  std::int64_t next() const noexcept;
  /// Takes the earliest, if that is not after `limit`.
  bool take(std::int64_t limit, timer_id& into);
  /// The row of the n-th one after that which was taken last, if it is of the same time; else no_row. To
  /// prefetch what it needs.
  row_id ahead(std::size_t n) const noexcept {
    return due_next_ + n < due_.size() ? due_[due_next_ + n] : no_row;
  }
  std::size_t size() const noexcept { return size_; }
  /// Drops those for which keep(timer_id) is false.
  template <typename Keep>
  void retain(Keep keep);

 private:
  static constexpr int block_bits = 10;
  static constexpr std::size_t block_ms = std::size_t{1} << block_bits;
  static constexpr std::int64_t none_open = std::int64_t{1} << 62;  // no time is in that block
  static std::int64_t block_of(std::int64_t at) noexcept { return at >> block_bits; }
  static std::size_t offset_of(std::int64_t at) noexcept { return static_cast<std::size_t>(at) % block_ms; }
  static std::int64_t time_of(std::int64_t block, std::size_t offset) noexcept {
    return block * static_cast<std::int64_t>(block_ms) + static_cast<std::int64_t>(offset);
  }
  static bool later(const timer_id& a, const timer_id& b) noexcept {
    return a.at != b.at ? a.at > b.at : a.row > b.row;
  }
  struct block {
    std::size_t first = block_ms;          // the smallest offset
    std::vector<std::uint64_t> entries{};  // offset, row
  };
  /// Of the block that is laid out: a list a millisecond, and a bit for each that is not empty.
  struct layout {
    std::array<std::vector<row_id>, block_ms> rows;
    std::array<std::uint64_t, block_ms / 64> filled{};
    std::size_t first() const noexcept;
  };
  void open(std::int64_t number);
  void make_due(std::size_t offset);

  std::size_t size_ = 0;
  flat_table<std::int64_t, block> blocks_;
  std::vector<std::int64_t> order_;  // their numbers, a heap
  std::int64_t open_ = none_open;
  std::unique_ptr<layout> laid_out_;
  std::vector<row_id> due_;  // of one millisecond, sorted
  std::size_t due_next_ = 0;
  std::int64_t due_at_ = 0;
  std::vector<timer_id> past_;  // a heap: what was added behind the time that had been reached
};

/// One timer a row, that its owner keeps beside what it has for the row; `max` while there is none. A timer
/// that is moved stays in the queue until its time, so moving it looks nothing up.
class row_timers {
 public:
  static constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();
  /// `armed` is the row's timer. armed_of(row) gives that of any row.
  template <typename ArmedOf>
  void arm(row_id row, std::int64_t& armed, std::int64_t wanted, ArmedOf armed_of) {
    if (wanted == armed) return;
    rows_ += static_cast<std::size_t>(wanted != none) - static_cast<std::size_t>(armed != none);
    armed = wanted;
    if (wanted != none) queue_.add(wanted, row);
    if (queue_.size() > 64 && queue_.size() / 4 > rows_)
      queue_.retain([&](const timer_id& id) { return armed_of(id.row) == id.at; });
  }
  /// Takes the earliest that is not after `limit`; its row has no timer then.
  template <typename ArmedOf>
  bool take(std::int64_t limit, timer_id& into, ArmedOf armed_of) {
    while (queue_.take(limit, into)) {
      std::int64_t& armed = armed_of(into.row);
      if (armed != into.at) continue;  // moved since
      armed = none;
      --rows_;
      return true;
    }
    return false;
  }
  /// No timer is before this time.
  std::int64_t next() const noexcept { return rows_ == 0 ? none : queue_.next(); }
  row_id ahead(std::size_t n) const noexcept { return queue_.ahead(n); }

 private:
  timer_queue queue_;
  std::size_t rows_ = 0;  // that have one
};

template <typename Keep>
void timer_queue::retain(Keep keep) {
  const auto drop = [&](auto& all, std::size_t from, auto id_of) {
    std::size_t kept = from;
    for (std::size_t i = from; i < all.size(); ++i) {
      if (keep(id_of(all[i]))) all[kept++] = all[i];
    }
    size_ -= all.size() - kept;
    all.resize(kept);
  };
  drop(due_, due_next_, [&](row_id row) { return timer_id{due_at_, row}; });
  drop(past_, 0, [](const timer_id& id) { return id; });
  std::make_heap(past_.begin(), past_.end(), later);
  if (laid_out_ != nullptr) {
    for (std::size_t offset = 0; offset < block_ms; ++offset) {
      auto& rows = laid_out_->rows[offset];
      drop(rows, 0, [&](row_id row) { return timer_id{time_of(open_, offset), row}; });
      if (rows.empty()) laid_out_->filled[offset / 64] &= ~(std::uint64_t{1} << (offset % 64));
    }
  }
  // A block that is empty now goes when its time comes.
  blocks_.for_each([&](std::int64_t number, block& b) {
    drop(b.entries, 0, [&](std::uint64_t e) {
      return timer_id{time_of(number, e >> 32), static_cast<row_id>(e)};
    });
  });
}

}  // namespace penstock::detail
