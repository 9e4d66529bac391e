// SPDX-License-Identifier: Apache-2.0
#include <penstock/detail/timer_set.h>

#include <algorithm>
#include <limits>

namespace penstock::detail {
namespace {
std::uint64_t hash_of(const timer_id& t) noexcept { return key_traits<timer_id>::hash(t); }
}  // namespace

bool timer_set::add(std::int64_t at, row_id row) {
  const timer_id id{at, row};
  bool fresh = false;
  mark& m = marks_.at(hash_of(id), id, [&] {
    fresh = true;
    return mark::set;
  });
  if (!fresh && m == mark::set) return false;
  m = mark::set;
  ++live_;
  if (noting_) note(at, row);
  if (fresh) {
    heap_.push_back(id);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  return true;
}

bool timer_set::remove(std::int64_t at, row_id row) {
  const timer_id id{at, row};
  mark* const m = marks_.find(hash_of(id), id);
  if (m == nullptr || *m == mark::removed) return false;
  *m = mark::removed;
  --live_;
  if (noting_) forget(at, row);
  // Those that wait for their time to be forgotten must not pile up: a session that is always renewed.
  if (heap_.size() > 64 && live_ < heap_.size() / 4) drop_removed();
  return true;
}

void timer_set::drop_removed() {
  std::erase_if(heap_, [&](const timer_id& id) {
    if (*marks_.find(hash_of(id), id) == mark::set) return false;
    marks_.erase(hash_of(id), id);
    return true;
  });
  std::make_heap(heap_.begin(), heap_.end(), later);
}

std::int64_t timer_set::next() const noexcept {
  return live_ == 0 ? std::numeric_limits<std::int64_t>::max() : heap_.front().at;
}

bool timer_set::take(std::int64_t limit, timer_id& into) {
  while (live_ != 0 && heap_.front().at <= limit) {
    into = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
    const bool set = *marks_.find(hash_of(into), into) == mark::set;
    marks_.erase(hash_of(into), into);
    if (!set) continue;
    --live_;
    if (noting_) forget(into.at, into.row);
    return true;
  }
  return false;
}

const std::vector<std::int64_t>& timer_set::of(row_id row) const noexcept {
  static const std::vector<std::int64_t> none;
  return row < by_row_.size() ? by_row_[row] : none;
}

void timer_set::note(std::int64_t at, row_id row) {
  if (row >= by_row_.size()) by_row_.resize(std::size_t{row} + 1);
  by_row_[row].push_back(at);
}

void timer_set::forget(std::int64_t at, row_id row) {
  std::vector<std::int64_t>& all = by_row_[row];
  const auto it = std::find(all.begin(), all.end(), at);
  *it = all.back();
  all.pop_back();
}

}  // namespace penstock::detail
