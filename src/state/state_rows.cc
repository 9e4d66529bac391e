// SPDX-License-Identifier: Apache-2.0
#include <penstock/detail/state_rows.h>

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <utility>

namespace penstock::detail {
namespace {
constexpr row_id swept_at_once = 16;
constexpr std::string_view names_row = "columns";
constexpr std::size_t none_here = static_cast<std::size_t>(-1);
std::string shared_prefix(const std::string& name) { return "shared/" + name + "/"; }
}  // namespace

void row_index::insert(std::uint64_t hash, row_id row) {
  if (parts_.size() == 1 && parts_[0].size >= most_in_one) make_many();
  part& p = part_of(hash);
  if (p.size >= p.limit)
    p.resize(std::max<std::size_t>(16, p.slots.size() * 2), 63 - part_shift_,
             static_cast<std::size_t>(&p - parts_.data()));
  p.put({static_cast<std::uint32_t>(hash >> 32), row});
}

void row_index::make_many() {
  const std::vector<part> before = std::move(parts_);
  parts_ = std::vector<part>(std::size_t{1} << part_bits);
  part_shift_ = 63 - part_bits;
  for (const slot& s : before[0].slots) {
    if (s.row != no_row) insert(std::uint64_t{s.hash} << 32, s.row);
  }
}

void row_index::part::resize(std::size_t room, int bits_before, std::size_t number) {
  const std::vector<slot> old = std::move(slots);
  slots.assign(room, slot{0, no_row});
  mask = room - 1;
  shift = std::max(0, 32 - bits_before - std::countr_zero(room));
  // Parts that are filled alike must not all be full at the same time.
  limit = room / 8 * 5 - (bits_before == 0 ? 0 : mix_hash(number, room) % (room / 8));
  size = 0;
  for (const slot& s : old) {
    if (s.row != no_row) put(s);
  }
}

void row_index::part::put(slot s) noexcept {
  std::size_t i = home(s.hash);
  while (slots[i].row != no_row) i = (i + 1) & mask;
  slots[i] = s;
  ++size;
}

void row_index::erase(std::uint64_t hash, row_id row) {
  part& p = part_of(hash);
  std::size_t gap = p.home(static_cast<std::uint32_t>(hash >> 32));
  while (p.slots[gap].row != row) gap = (gap + 1) & p.mask;
  --p.size;
  for (std::size_t i = (gap + 1) & p.mask; p.slots[i].row != no_row; i = (i + 1) & p.mask) {
    if (((i - p.home(p.slots[i].hash)) & p.mask) < ((i - gap) & p.mask)) continue;
    p.slots[gap] = p.slots[i];
    gap = i;
  }
  p.slots[gap].row = no_row;
}

row_id state_rows::take_row() {
  ++used_;
  if (free_ != none_free) {
    const row_id row = free_;
    free_ = std::exchange(holders_[row], 0) & ~is_free;
    return row;
  }
  const row_id row = rows_++;
  holders_.reach(row);
  if (noting_) flags_.reach(row);
  for (auto& c : columns_) c->reach(row);
  return row;
}

void state_rows::forget(row_id row) {
  if (noting_) {
    if ((flags_[row] & row_saved) != 0) row_gone(row);
    flags_[row] = 0;
  }
  free_row(row);
  holders_[row] = is_free | free_;
  free_ = row;
  --used_;
}

void state_rows::adopt(std::string name, std::unique_ptr<state_column> column, bool expires) {
  if (name.empty()) problem_ = "a state has an empty name";
  if (std::find(names_.begin(), names_.end(), name) != names_.end())
    problem_ = "two states have the name '" + name + "'";
  names_.push_back(std::move(name));
  if (expires) expiring_.push_back(column.get());
  column->number_ = columns_.size();
  columns_.push_back(std::move(column));
}

void state_rows::adopt(std::string name, std::unique_ptr<shared_column> column) {
  if (std::find(shared_names_.begin(), shared_names_.end(), name) != shared_names_.end())
    problem_ = "two broadcast states have the name '" + name + "'";
  shared_names_.push_back(std::move(name));
  shared_.push_back(std::move(column));
}

void state_rows::note_changes() {
  noting_ = true;
  for (auto& s : shared_) s->note_changes();
  number_columns({});
}

/// Those that are kept have the numbers they had, the others the next ones.
void state_rows::number_columns(std::vector<std::string> kept) {
  kept_names_ = std::move(kept);
  for (const std::string& name : names_)
    if (std::find(kept_names_.begin(), kept_names_.end(), name) == kept_names_.end())
      kept_names_.push_back(name);
  kept_columns_.assign(kept_names_.size(), none_here);
  kept_numbers_.assign(names_.size(), 0);
  for (std::size_t n = 0; n < kept_names_.size(); ++n) {
    const auto at = std::find(names_.begin(), names_.end(), kept_names_[n]);
    if (at == names_.end()) continue;
    kept_columns_[n] = static_cast<std::size_t>(at - names_.begin());
    kept_numbers_[kept_columns_[n]] = n;
  }
}

state_column* state_rows::column_kept_as(std::uint64_t number, bool& known) noexcept {
  known = number < kept_columns_.size();
  return known && kept_columns_[number] != none_here ? columns_[kept_columns_[number]].get() : nullptr;
}

void state_rows::note(row_id row) {
  if ((flags_[row] & row_changed) != 0) return;
  flags_[row] |= row_changed;
  changed_.push_back(row);
}

void state_rows::save_shared(state_log& to, bool first) {
  if (!first) return;
  for (std::size_t i = 0; i < shared_.size(); ++i) shared_[i]->save(to, shared_prefix(shared_names_[i]));
  if (std::exchange(names_saved_, true) || kept_names_.empty()) return;
  std::string value;
  encode_state(kept_names_, value);
  to.put(shared_rows, names_row, value);
}

bool state_rows::restore_shared(std::string_view row, std::string_view value) {
  if (row == names_row) {
    std::vector<std::string> saved;
    if (!decode_all(value, saved)) return false;
    number_columns(std::move(saved));
    return true;
  }
  for (std::size_t i = 0; i < shared_.size(); ++i) {
    const std::string prefix = shared_prefix(shared_names_[i]);
    if (row.starts_with(prefix)) return shared_[i]->restore(row.substr(prefix.size()), value);
  }
  return true;  // of a state that the function has no more
}

// Each column with its length, so that one that is gone can be passed over.
void state_rows::save_columns(row_id row, std::string& out) const {
  put_varint(kept_columns_.size(), out);
  std::string bytes;
  for (const std::size_t c : kept_columns_) {
    bytes.clear();
    if (c != none_here) columns_[c]->save(row, bytes);
    put_varint(bytes.size(), out);
    out += bytes;
  }
}

bool state_rows::load_columns(row_id row, std::string_view& in) {
  std::uint64_t n = 0;
  if (!take_varint(in, n) || n > kept_columns_.size()) return false;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint64_t size = 0;
    if (!take_varint(in, size) || size > in.size()) return false;
    const std::string_view bytes = in.substr(0, size);
    in.remove_prefix(size);
    if (kept_columns_[i] != none_here && !columns_[kept_columns_[i]]->load(row, bytes)) return false;
  }
  return true;
}

bool state_rows::inspect(std::string_view key, std::string_view column, std::string& out) {
  const auto at = std::find(names_.begin(), names_.end(), column);
  if (at == names_.end()) return false;
  const row_id row = row_of(key);
  if (row == no_row) return true;
  state_column& c = *columns_[static_cast<std::size_t>(at - names_.begin())];
  if (std::find(expiring_.begin(), expiring_.end(), &c) != expiring_.end()) c.expire(row);
  c.inspect(row, out);
  drop_if_unused(row);
  return true;
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
    if ((holders_[row] & is_free) != 0) continue;
    for (state_column* c : expiring_) c->expire(row);
    if (holders_[row] == 0) forget(row);
  }
}

}  // namespace penstock::detail
