// SPDX-License-Identifier: Apache-2.0
// What state handles keep, a cell a row. A cell that holds anything holds its row.
#pragma once

#include <penstock/detail/state_rows.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {

/// How long state lives (S14). What has expired reads as absent at once; its memory goes a little later.
struct state_options {
  /// Counted from the last write; for lists and maps, from that of each entry. For ever, if not set.
  std::optional<std::chrono::milliseconds> ttl{};
  /// event: an entry is as old as the record that it was written for, and expires when the watermark has
  /// passed that by `ttl`; inside a timer, when the timer's time has.
  time_domain ttl_time = time_domain::processing;
  bool renewed_by_reading = false;
};

}  // namespace penstock

namespace penstock::detail {

/// When the content of a cell ends, where it does: before it, in what a column saves.
inline void put_until(std::int64_t until, std::string& out) {
  const bool ends = until != std::numeric_limits<std::int64_t>::max();
  out.push_back(ends ? '\1' : '\0');
  if (ends) encode_number(until, out);
}
inline bool take_until(std::string_view& in, std::int64_t& until) {
  bool ends = false;
  until = std::numeric_limits<std::int64_t>::max();
  return decode_number(in, ends) && (!ends || decode_number(in, until));
}
inline bool take_until(std::string_view& in) {
  std::int64_t until = 0;
  return take_until(in, until);
}

/// What all columns do about time.
class expiring_column : public state_column {
 public:
  expiring_column(state_rows& rows, const state_options& o)
      : rows_(rows), ttl_(o.ttl ? o.ttl->count() : 0), domain_(o.ttl_time), on_read_(o.renewed_by_reading) {}

 protected:
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
  std::int64_t deadline() const noexcept {
    if (ttl_ <= 0) return never;
    std::int64_t at;
    return __builtin_add_overflow(rows_.stamp(domain_), ttl_, &at) ? never : at;
  }
  bool over(std::int64_t deadline) const noexcept {
    return deadline != never && deadline <= rows_.now(domain_);
  }
  bool load_until(std::string_view& in, std::int64_t& until) const {
    if (!take_until(in, until)) return false;
    if (ttl_ <= 0) until = never;
    return true;
  }
  state_rows& rows_;
  const std::int64_t ttl_;
  const time_domain domain_;
  const bool on_read_;
};

template <typename V>
class value_column final : public expiring_column {
 public:
  using expiring_column::expiring_column;
  V* get() {
    const row_id row = rows_.current();
    if (row == no_row || !cells_[row].value) return nullptr;
    if (ttl_ > 0) {
      if (over(cells_[row].until)) {
        clear();
        return nullptr;
      }
      if (on_read_) {
        cells_[row].until = deadline();
        rows_.touch(row);
      }
    }
    return &*cells_[row].value;
  }
  template <typename U>
  V& set(U&& value) {
    const row_id row = rows_.need();
    cell& c = cells_[row];
    const bool fresh = !c.value.has_value();
    c.value = std::forward<U>(value);
    if (fresh) rows_.hold(row);
    if (ttl_ > 0) c.until = deadline();
    return *c.value;
  }
  /// f(V&) on the value, or on a new one, which goes again if f throws.
  template <typename F>
  const V& modify(F& f) {
    V* value = get();
    if (value == nullptr) {
      value = &set(V{});
      try {
        f(*value);
      } catch (...) {
        clear();
        throw;
      }
      return *value;
    }
    const row_id row = rows_.need();  // it counts as changed, even by half
    if (ttl_ > 0) cells_[row].until = deadline();
    f(*value);
    return *value;
  }
  void clear() {
    if (const row_id row = rows_.current(); row != no_row) drop(row);
  }
  void reach(row_id row) override { cells_.reach(row); }
  void expire(row_id row) override {
    if (cells_[row].value && over(cells_[row].until)) drop(row);
  }
  void save(row_id row, std::string& out) const override {
    const cell& c = cells_[row];
    if (!c.value) return;
    put_until(c.until, out);
    encode_state(*c.value, out);
  }
  bool load(row_id row, std::string_view in) override {
    if (in.empty()) return true;
    cell& c = cells_[row];
    if (!load_until(in, c.until) || !decode_all(in, c.value.emplace())) return false;
    rows_.hold(row);
    return true;
  }

 private:
  struct cell {
    std::optional<V> value;
    std::int64_t until = never;
  };
  void drop(row_id row) {
    if (!cells_[row].value) return;
    cells_[row].value.reset();
    rows_.let_go(row);
  }
  paged<cell> cells_;
};

template <typename V>
class list_column final : public expiring_column {
 public:
  using expiring_column::expiring_column;
  const std::vector<V>& get() {
    static const std::vector<V> empty;
    const row_id row = rows_.current();
    if (row == no_row) return empty;
    if (ttl_ > 0) {
      expire(row);
      if (on_read_) {
        std::fill(cells_[row].until.begin(), cells_[row].until.end(), deadline());
        rows_.touch(row);
      }
    }
    return cells_[row].values;
  }
  void add(V value) {
    const row_id row = rows_.need();
    cell& c = cells_[row];
    c.values.push_back(std::move(value));
    if (c.values.size() == 1) rows_.hold(row);
    if (ttl_ > 0) c.until.push_back(deadline());
  }
  void set(std::vector<V> values) {
    clear();
    if (values.empty()) return;
    const row_id row = rows_.need();
    rows_.hold(row);
    if (ttl_ > 0) cells_[row].until.assign(values.size(), deadline());
    cells_[row].values = std::move(values);
  }
  /// f(std::vector<V>&) on the list as it is, or on an empty one, which is not kept if f throws.
  template <typename F>
  const std::vector<V>& modify(F& f) {
    if (get().empty()) {
      std::vector<V> values;
      f(values);
      set(std::move(values));
      return get();
    }
    const row_id row = rows_.need();  // it counts as changed, even by half
    const auto settle = [&] {
      cell& c = cells_[row];
      if (c.values.empty()) {
        c = {};
        rows_.let_go(row);
      } else if (ttl_ > 0) {
        c.until.assign(c.values.size(), deadline());
      }
    };
    try {
      f(cells_[row].values);
    } catch (...) {
      settle();
      throw;
    }
    settle();
    return get();
  }
  void clear() {
    const row_id row = rows_.current();
    if (row == no_row || cells_[row].values.empty()) return;
    cells_[row] = {};
    rows_.let_go(row);
  }
  void reach(row_id row) override { cells_.reach(row); }
  void expire(row_id row) override {
    cell& c = cells_[row];
    if (c.values.empty()) return;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < c.values.size(); ++i) {
      if (over(c.until[i])) continue;
      if (kept != i) {
        c.values[kept] = std::move(c.values[i]);
        c.until[kept] = c.until[i];
      }
      ++kept;
    }
    if (kept == c.values.size()) return;
    rows_.touch(row);
    c.values.erase(c.values.begin() + static_cast<std::ptrdiff_t>(kept), c.values.end());
    c.until.resize(kept);
    if (kept != 0) return;
    c = {};
    rows_.let_go(row);
  }
  void save(row_id row, std::string& out) const override {
    const cell& c = cells_[row];
    if (c.values.empty()) return;
    for (std::size_t i = 0; i < c.values.size(); ++i) {
      put_until(i < c.until.size() ? c.until[i] : never, out);
      encode_state(static_cast<const V&>(c.values[i]), out);
    }
  }
  bool load(row_id row, std::string_view in) override {
    cell& c = cells_[row];
    while (!in.empty()) {
      std::int64_t until = never;
      V value{};
      if (!load_until(in, until) || !decode_state(in, value)) return false;
      c.values.push_back(std::move(value));
      if (ttl_ > 0) c.until.push_back(until);
    }
    if (!c.values.empty()) rows_.hold(row);
    return true;
  }

 private:
  struct cell {
    std::vector<V> values;
    std::vector<std::int64_t> until;  // only with a time to live
  };
  paged<cell> cells_;
};

/// Kept entry by entry: a change of one does not write the others again.
template <typename MK, typename V>
class map_column final : public expiring_column {
 public:
  struct entry {
    V value;
    std::int64_t until;
    bool changed = false;  // since it was saved, and listed in changed_
    bool saved = false;
  };
  using entries = std::map<MK, entry>;
  using expiring_column::expiring_column;

  V* get(const MK& key) {
    entries* all = live();
    if (all == nullptr) return nullptr;
    const auto at = all->find(key);
    if (at == all->end()) return nullptr;
    if (on_read_) {
      at->second.until = deadline();
      note(rows_.current(), *at);
    }
    return &at->second.value;
  }
  void put(MK key, V value) {
    const row_id row = rows_.need_untouched();
    entries& all = cells_[row];
    if (all.empty()) rows_.hold_untouched(row);
    const auto at = all.try_emplace(std::move(key)).first;
    at->second.value = std::move(value);
    at->second.until = deadline();
    note(row, *at);
  }
  template <typename F>
  const V& modify(const MK& key, F& f) {
    if (get(key) == nullptr) {
      put(key, V{});
      try {
        return change(key, f);
      } catch (...) {
        erase(key);
        throw;
      }
    }
    return change(key, f);
  }
  bool erase(const MK& key) {
    entries* all = live();
    if (all == nullptr) return false;
    const auto at = all->find(key);
    if (at == all->end()) return false;
    gone(rows_.current(), *at);
    all->erase(at);
    if (all->empty()) rows_.let_go_untouched(rows_.current());
    return true;
  }
  /// Null when there are none.
  entries* live() {
    const row_id row = rows_.current();
    if (row == no_row) return nullptr;
    if (ttl_ > 0) expire(row);
    return cells_[row].empty() ? nullptr : &cells_[row];
  }
  void clear() {
    const row_id row = rows_.current();
    if (row == no_row || cells_[row].empty()) return;
    for (const auto& e : cells_[row]) gone(row, e);
    cells_[row].clear();
    rows_.let_go_untouched(row);
  }
  void reach(row_id row) override { cells_.reach(row); }
  void expire(row_id row) override {
    entries& all = cells_[row];
    if (all.empty()) return;
    std::erase_if(all, [&](const auto& e) {
      if (!over(e.second.until)) return false;
      gone(row, e);
      return true;
    });
    if (all.empty()) rows_.let_go_untouched(row);
  }
  void save(row_id, std::string&) const override {}
  void inspect(row_id row, std::string& out) const override {
    for (const auto& [key, e] : cells_[row]) {
      encode_state(key, out);
      put_until(e.until, out);
      encode_state(e.value, out);
    }
  }
  bool load(row_id, std::string_view in) override { return in.empty(); }

  void save_entries(const take_entry& take) override {
    std::string name, value;
    for (const auto& [row, key] : changed_) {
      const auto at = cells_[row].find(key);
      if (at == cells_[row].end() || !at->second.changed) continue;
      at->second.changed = false;
      at->second.saved = true;
      name.clear();
      value.clear();
      encode_state(key, name);
      put_until(at->second.until, value);
      encode_state(at->second.value, value);
      take(row, name, value);
    }
    changed_.clear();
  }
  bool load_entry(row_id row, std::string_view name, std::string_view in) override {
    MK key{};
    entry e{V{}, never, false, true};
    if (!decode_all(name, key) || !load_until(in, e.until) || !decode_all(in, e.value)) return false;
    if (cells_[row].empty()) rows_.hold_untouched(row);
    cells_[row].insert_or_assign(std::move(key), std::move(e));
    return true;
  }

 private:
  using pair = typename entries::value_type;
  void note(row_id row, pair& e) {
    if (!rows_.noting() || e.second.changed) return;
    e.second.changed = true;
    changed_.emplace_back(row, e.first);
  }
  void gone(row_id row, const pair& e) {
    if (!e.second.saved) return;
    std::string name;
    encode_state(e.first, name);
    rows_.entry_gone(row, *this, name);
  }
  template <typename F>
  const V& change(const MK& key, F& f) {
    const row_id row = rows_.current();
    auto& e = *cells_[row].find(key);
    e.second.until = deadline();
    note(row, e);
    f(e.second.value);
    return e.second.value;
  }
  paged<entries> cells_;
  // A row may have become another key's meanwhile: then its entry is written once all the same.
  std::vector<std::pair<row_id, MK>> changed_;
};

/// The entries of a broadcast state.
template <typename MK, typename V>
class shared_map final : public shared_column {
 public:
  const std::map<MK, V>& entries() const noexcept { return entries_; }
  void put(MK key, V value) {
    if (noting_) changed_.insert(key);
    entries_.insert_or_assign(std::move(key), std::move(value));
  }
  bool erase(const MK& key) {
    if (entries_.erase(key) == 0) return false;
    if (noting_) changed_.insert(key);
    return true;
  }
  void note_changes() override { noting_ = true; }
  void save(state_log& to, const std::string& prefix) override {
    std::string row, value;
    for (const MK& key : changed_) {
      row = prefix;
      encode_state(key, row);
      const auto at = entries_.find(key);
      if (at == entries_.end()) {
        to.erase(shared_rows, row);
        continue;
      }
      value.clear();
      encode_state(at->second, value);
      to.put(shared_rows, row, value);
    }
    changed_.clear();
  }
  bool restore(std::string_view row, std::string_view value) override {
    MK key{};
    return decode_all(row, key) && decode_all(value, entries_[key]);
  }

 private:
  std::map<MK, V> entries_;
  std::set<MK> changed_;
  bool noting_ = false;
};

}  // namespace penstock::detail
