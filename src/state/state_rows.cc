// SPDX-License-Identifier: Apache-2.0
#include <penstock/detail/state_rows.h>

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace penstock::detail {
namespace {
constexpr row_id swept_at_once = 16;
}  // namespace

void row_index::insert(std::uint64_t hash, row_id row) {
  if (size_ + 1 > slots_.size() / 8 * 5) {
    const std::vector<slot> old = std::move(slots_);
    slots_.assign(std::max<std::size_t>(16, old.size() * 2), slot{0, no_row});
    mask_ = slots_.size() - 1;
    shift_ = 32 - std::countr_zero(slots_.size());
    for (const slot& s : old) {
      if (s.row != no_row) put(s);
    }
  }
  put({static_cast<std::uint32_t>(hash >> 32), row});
  ++size_;
}

void row_index::put(slot s) noexcept {
  std::size_t i = s.hash >> shift_;
  while (slots_[i].row != no_row) i = (i + 1) & mask_;
  slots_[i] = s;
}

void row_index::erase(std::uint64_t hash, row_id row) {
  std::size_t gap = static_cast<std::uint32_t>(hash >> 32) >> shift_;
  while (slots_[gap].row != row) gap = (gap + 1) & mask_;
  --size_;
  for (std::size_t i = (gap + 1) & mask_; slots_[i].row != no_row; i = (i + 1) & mask_) {
    const std::size_t home = slots_[i].hash >> shift_;
    if (((i - home) & mask_) < ((i - gap) & mask_)) continue;
    slots_[gap] = slots_[i];
    gap = i;
  }
  slots_[gap].row = no_row;
}

row_id state_rows::take_row() {
  ++used_;
  if (!free_.empty()) {
    const row_id row = free_.back();
    free_.pop_back();
    return row;
  }
  const row_id row = rows_++;
  holders_.reach(row);
  for (auto& c : columns_) c->reach(row);
  return row;
}

void state_rows::forget(row_id row) {
  free_row(row);
  free_.push_back(row);
  --used_;
}

void state_rows::adopt(std::string name, std::unique_ptr<state_column> column, bool expires) {
  if (name.empty()) problem_ = "a state has an empty name";
  if (std::find(names_.begin(), names_.end(), name) != names_.end())
    problem_ = "two states have the name '" + name + "'";
  names_.push_back(std::move(name));
  if (expires) expiring_.push_back(column.get());
  columns_.push_back(std::move(column));
}

void check_broadcasting(const state_rows& rows, const std::string& name) {
  if (!rows.broadcasting())
    throw std::logic_error("the broadcast state '" + name + "' is written outside of process_broadcast");
}

void state_rows::sweep() {
  if (expiring_.empty() || used_ == 0) return;
  for (row_id i = 0; i < swept_at_once; ++i) {
    if (swept_ >= rows_) swept_ = 0;
    const row_id row = swept_++;
    if (holders_[row] == 0) continue;  // free
    for (state_column* c : expiring_) c->expire(row);
    if (holders_[row] == 0) forget(row);
  }
}

}  // namespace penstock::detail
