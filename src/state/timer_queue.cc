// SPDX-License-Identifier: Apache-2.0
#include <penstock/detail/timer_queue.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

namespace penstock::detail {
namespace {
constexpr std::size_t worth_keeping = 1 << 16;
std::uint64_t hash_of(std::int64_t block) noexcept { return key_traits<std::int64_t>::hash(block); }
}  // namespace

void timer_queue::add(std::int64_t at, row_id row) {
  const std::int64_t number = block_of(at);
  const std::size_t offset = offset_of(at);
  ++size_;
  if (open_ != none_open && number <= open_) {
    if (number == open_ && at > due_at_) {
      laid_out_->rows[offset].push_back(row);
      laid_out_->filled[offset / 64] |= std::uint64_t{1} << (offset % 64);
    } else {
      past_.push_back({at, row});
      std::push_heap(past_.begin(), past_.end(), later);
    }
    return;
  }
  block& b = blocks_.at(hash_of(number), number, [&] {
    order_.push_back(number);
    std::push_heap(order_.begin(), order_.end(), std::greater<>());
    return block{};
  });
  b.first = std::min(b.first, offset);
  b.entries.push_back(std::uint64_t{offset} << 32 | row);
}

std::int64_t timer_queue::next() const noexcept {
  if (size_ == 0) return row_timers::none;
  std::int64_t earliest = row_timers::none;
  if (!past_.empty()) earliest = past_.front().at;
  if (due_next_ < due_.size()) return std::min(earliest, due_at_);
  if (laid_out_ != nullptr) {
    if (const std::size_t offset = laid_out_->first(); offset != block_ms)
      return std::min(earliest, time_of(open_, offset));
  }
  if (order_.empty()) return earliest;
  const std::int64_t number = order_.front();
  return std::min(earliest, time_of(number, blocks_.find(hash_of(number), number)->first));
}

bool timer_queue::take(std::int64_t limit, timer_id& into) {
  for (;;) {
    const bool due = due_next_ < due_.size();
    if (!past_.empty() && past_.front().at <= limit &&
        (!due || later({due_at_, due_[due_next_]}, past_.front()))) {
      into = past_.front();
      std::pop_heap(past_.begin(), past_.end(), later);
      past_.pop_back();
      --size_;
      return true;
    }
    if (due) {
      if (due_at_ > limit) return false;
      into = {due_at_, due_[due_next_++]};
      --size_;
      return true;
    }
    if (const std::size_t offset = laid_out_ == nullptr ? block_ms : laid_out_->first(); offset != block_ms) {
      if (time_of(open_, offset) > limit) return false;
      make_due(offset);
      continue;
    }
    if (order_.empty()) return false;
    const std::int64_t number = order_.front();
    if (time_of(number, blocks_.find(hash_of(number), number)->first) > limit) return false;
    open(number);
  }
}

void timer_queue::open(std::int64_t number) {
  std::pop_heap(order_.begin(), order_.end(), std::greater<>());
  order_.pop_back();
  if (laid_out_ == nullptr) laid_out_ = std::make_unique<layout>();
  const std::vector<std::uint64_t> entries = std::move(blocks_.find(hash_of(number), number)->entries);
  blocks_.erase(hash_of(number), number);
  for (const std::uint64_t e : entries) {
    const std::size_t offset = e >> 32;
    laid_out_->rows[offset].push_back(static_cast<row_id>(e));
    laid_out_->filled[offset / 64] |= std::uint64_t{1} << (offset % 64);
  }
  open_ = number;
  due_at_ = std::max(time_of(number, 0), std::numeric_limits<std::int64_t>::min() + 1) - 1;
}

void timer_queue::make_due(std::size_t offset) {
  std::vector<row_id>& rows = laid_out_->rows[offset];
  due_.clear();
  if (due_.capacity() > worth_keeping) due_.shrink_to_fit();
  due_.swap(rows);
  due_next_ = 0;
  due_at_ = time_of(open_, offset);
  laid_out_->filled[offset / 64] &= ~(std::uint64_t{1} << (offset % 64));
  if (!std::is_sorted(due_.begin(), due_.end())) std::sort(due_.begin(), due_.end());
}

std::size_t timer_queue::layout::first() const noexcept {
  for (std::size_t i = 0; i < filled.size(); ++i) {
    if (filled[i] != 0) return i * 64 + static_cast<std::size_t>(std::countr_zero(filled[i]));
  }
  return block_ms;
}

}  // namespace penstock::detail
