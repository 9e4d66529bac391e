// SPDX-License-Identifier: Apache-2.0
#include <penstock/detail/timer_set.h>

#include <algorithm>

namespace penstock::detail {
namespace {
std::uint64_t hash_of(const timer_key& t) noexcept { return key_traits<timer_key>::hash(t); }
timer_key key_of(const timer_id& t) noexcept { return {t.at, t.row}; }
}  // namespace

bool timer_set::add(std::int64_t at, row_id row) {
  const timer_key id{at, row};
  bool fresh = false;
  mark& m = marks_.at(hash_of(id), id, [&] {
    fresh = true;
    return mark::set;
  });
  if (!fresh && m == mark::set) return false;
  m = mark::set;
  ++live_;
  if (noting_) {
    by_row_.reach(row);
    by_row_[row].push_back(at);
  }
  if (fresh) queue_.add(at, row);
  return true;
}

bool timer_set::remove(std::int64_t at, row_id row) {
  const timer_key id{at, row};
  mark* const m = marks_.find(hash_of(id), id);
  if (m == nullptr || *m == mark::removed) return false;
  *m = mark::removed;
  --live_;
  if (noting_) forget(at, row);
  // Those that wait for their time to be forgotten must not pile up: a session that is always renewed.
  if (queue_.size() > 64 && live_ < queue_.size() / 4) {
    queue_.retain([&](const timer_id& t) {
      const timer_key known = key_of(t);
      if (*marks_.find(hash_of(known), known) == mark::set) return true;
      marks_.erase(hash_of(known), known);
      return false;
    });
  }
  return true;
}

bool timer_set::take(std::int64_t limit, timer_id& into) {
  constexpr std::size_t distance = 4;
  while (live_ != 0 && queue_.take(limit, into)) {
    if (const row_id row = queue_.ahead(distance); row != no_row) marks_.prefetch(hash_of({into.at, row}));
    const timer_key known = key_of(into);
    const bool set = *marks_.find(hash_of(known), known) == mark::set;
    marks_.erase(hash_of(known), known);
    if (!set) continue;
    --live_;
    if (noting_) forget(into.at, into.row);
    return true;
  }
  return false;
}

const std::vector<std::int64_t>& timer_set::of(row_id row) const noexcept {
  static const std::vector<std::int64_t> none;
  return by_row_.reaches(row) ? by_row_[row] : none;
}

void timer_set::forget(std::int64_t at, row_id row) {
  std::vector<std::int64_t>& all = by_row_[row];
  const auto it = std::find(all.begin(), all.end(), at);
  *it = all.back();
  all.pop_back();
}

}  // namespace penstock::detail
