// SPDX-License-Identifier: Apache-2.0
// Keyed state in memory: each key of an operator on a lane that has any state is a row, each state handle a
// column over the rows.
#pragma once

#include <penstock/detail/paged.h>
#include <penstock/detail/state_log.h>
#include <penstock/detail/timer_set.h>
#include <penstock/key.h>
#include <penstock/watermarks.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::detail {

/// Finds a row by the hash of its key. Eight bytes a slot; growing needs no key. From some size on it is many
/// tables, each of which grows by itself, so that no step takes long.
class row_index {
 public:
  template <typename Equal>
  row_id find(std::uint64_t hash, Equal equal) const {
    const part& p = part_of(hash);
    if (p.size == 0) return no_row;
    const auto h = static_cast<std::uint32_t>(hash >> 32);
    for (std::size_t i = p.home(h);; i = (i + 1) & p.mask) {
      const slot s = p.slots[i];
      if (s.row == no_row) return no_row;
      if (s.hash == h && equal(s.row)) return s.row;
    }
  }
  void insert(std::uint64_t hash, row_id row);
  void erase(std::uint64_t hash, row_id row);
  void prefetch(std::uint64_t hash) const noexcept {
    const part& p = part_of(hash);
    if (p.size != 0) __builtin_prefetch(&p.slots[p.home(static_cast<std::uint32_t>(hash >> 32))]);
  }

 private:
  struct slot {
    std::uint32_t hash;
    row_id row;
  };
  struct part {
    std::vector<slot> slots{};
    std::size_t mask = 0;
    std::size_t size = 0;
    std::size_t limit = 0;
    int shift = 31;
    std::size_t home(std::uint32_t hash) const noexcept { return (hash >> shift) & mask; }
    void resize(std::size_t slots, int bits_before, std::size_t number);
    void put(slot s) noexcept;
  };
  static constexpr int part_bits = 8;
  static constexpr std::size_t most_in_one = std::size_t{1} << 16;
  const part& part_of(std::uint64_t hash) const noexcept { return parts_[(hash >> 1) >> part_shift_]; }
  part& part_of(std::uint64_t hash) noexcept { return parts_[(hash >> 1) >> part_shift_]; }
  void make_many();
  std::vector<part> parts_ = std::vector<part>(1);
  int part_shift_ = 63;
};

/// Takes the entries of a map that changed: which row, the entry's key and value.
using take_entry = std::function<void(row_id row, std::string_view key, std::string_view value)>;

/// One state of a function, over all keys.
class state_column {
 public:
  virtual ~state_column() = default;
  /// Which of the operator's columns it is.
  std::size_t number() const noexcept { return number_; }
  /// There is room for this row.
  virtual void reach(row_id row) = 0;
  /// Forgets what has expired in a row. Called for a few rows now and then.
  virtual void expire(row_id row) = 0;
  /// Appends what it has in a row.
  virtual void save(row_id row, std::string& out) const = 0;
  /// The same, and what is kept beside the row as well: for tests.
  virtual void inspect(row_id row, std::string& out) const { save(row, out); }
  /// Puts back, into an empty row, what save made. False: damage.
  virtual bool load(row_id row, std::string_view bytes) = 0;
  /// Of a column whose content is kept entry by entry, beside the row: those that changed since the last
  /// call. What is erased is told to state_rows::entry_gone at once.
  virtual void save_entries(const take_entry&) {}
  virtual bool load_entry(row_id, std::string_view /*key*/, std::string_view /*value*/) { return false; }

 private:
  friend class state_rows;
  std::size_t number_ = 0;
};

/// A state that belongs to no key: the same on all lanes.
class shared_column {
 public:
  virtual ~shared_column() = default;
  virtual void note_changes() = 0;
  /// Rows below `prefix`.
  virtual void save(state_log& to, const std::string& prefix) = 0;
  virtual bool restore(std::string_view row, std::string_view value) = 0;
};

/// The rows of one operator on one lane, without their keys' type. A row is there as long as something holds
/// it: a value in a column, a timer.
class state_rows {
 public:
  state_rows() = default;
  state_rows(const state_rows&) = delete;
  state_rows& operator=(const state_rows&) = delete;
  virtual ~state_rows() = default;

  /// The row of the key that is being worked on, or no_row while it has no state.
  row_id current() const noexcept { return current_; }
  /// The same, made if it is not there.
  row_id need() {
    const row_id row = need_untouched();
    touch(row);
    return row;
  }
  /// For what is not kept in the row itself.
  row_id need_untouched() {
    if (current_ == no_row) current_ = make_row();
    return current_;
  }
  void hold_untouched(row_id row) { ++holders_[row]; }
  void let_go_untouched(row_id row) { --holders_[row]; }
  bool noting() const noexcept { return noting_; }
  /// An entry that was saved is gone.
  virtual void entry_gone(row_id row, const state_column& column, std::string_view key) = 0;
  void hold(row_id row) {
    ++holders_[row];
    touch(row);
  }
  void let_go(row_id row) {
    --holders_[row];
    touch(row);
  }
  /// Something of the row changes.
  void touch(row_id row) {
    if (noting_) [[unlikely]]
      note(row);
  }
  std::size_t size() const noexcept { return used_; }
  /// No state at all: no rows, and nothing broadcast.
  bool empty() const noexcept { return used_ == 0 && pinned_ == 0; }
  void pin(bool on) noexcept { on ? ++pinned_ : --pinned_; }
  /// Broadcast state may be written: every lane is being given the same record.
  bool broadcasting() const noexcept { return broadcasting_; }
  void set_broadcasting(bool on) noexcept { broadcasting_ = on; }

  /// The time that expiry goes by, and the time of what is being worked on.
  std::int64_t now(time_domain d) const noexcept { return d == time_domain::event ? event_now_ : wall_ms_; }
  std::int64_t stamp(time_domain d) const noexcept {
    return d == time_domain::event ? (stamp_ == no_stamp ? event_now_ : stamp_) : wall_ms_;
  }
  void set_time(std::int64_t event_now, std::int64_t wall_ms, std::int64_t timestamp) noexcept {
    event_now_ = event_now;
    wall_ms_ = wall_ms;
    stamp_ = timestamp;
  }

  /// Keeps a column, under a name that is unique in the operator.
  template <typename C>
  C& add_column(std::string name, std::unique_ptr<C> column, bool expires) {
    C& made = *column;
    adopt(std::move(name), std::move(column), expires);
    return made;
  }
  /// Keeps a state of all keys, under a name that is unique among those.
  template <typename C>
  C& add_shared(std::string name, std::unique_ptr<C> column) {
    C& made = *column;
    adopt(std::move(name), std::move(column));
    return made;
  }
  /// What is wrong with the states that were declared, or nothing.
  const std::string& problem() const noexcept { return problem_; }
  const std::vector<std::string>& column_names() const noexcept { return names_; }
  /// For tests: what a column has for a key, both as they would be saved; empty where there is nothing, or
  /// nothing any more. False: there is no column of this name.
  bool inspect(std::string_view key, std::string_view column, std::string& out);

  /// Lets some rows forget what has expired: a little of it after each batch.
  void sweep();

  /// From now on it is known which rows change.
  void note_changes();
  /// The states of all keys, and the names of the columns. `first`: this lane writes for all lanes.
  void save_shared(state_log& to, bool first);
  bool restore_shared(std::string_view row, std::string_view value);

 protected:
  /// f(row) for each row that changed and is still there.
  template <typename F>
  void take_changes(F f) {
    for (const row_id row : changed_) {
      if ((flags_[row] & row_changed) == 0) continue;
      flags_[row] = row_saved;
      f(row);
    }
    changed_.clear();
  }
  void mark_saved(row_id row) { flags_[row] = row_saved; }
  /// How a column is called in what is kept: the same number for ever.
  std::uint64_t kept_number(const state_column& c) const noexcept { return kept_numbers_[c.number()]; }
  template <typename F>
  void each_changed_entry(F f) {
    for (auto& c : columns_)
      c->save_entries(
          [&](row_id row, std::string_view key, std::string_view value) { f(*c, row, key, value); });
  }
  /// Null for one that the function has no more; `known` is false for one that it never had.
  state_column* column_kept_as(std::uint64_t number, bool& known) noexcept;
  void save_columns(row_id row, std::string& out) const;
  bool load_columns(row_id row, std::string_view& in);
  /// A row that was saved is about to be forgotten.
  virtual void row_gone(row_id row) = 0;

  static constexpr std::int64_t no_stamp = min_watermark;
  virtual row_id row_of(std::string_view saved_key) const = 0;
  virtual row_id make_row() = 0;
  virtual void free_row(row_id row) = 0;
  row_id take_row();
  void prefetch_holders(row_id row) const noexcept { __builtin_prefetch(&holders_[row], 1); }
  void drop_if_unused(row_id row) {
    if (holders_[row] == 0) forget(row);
  }

  row_id current_ = no_row;

 private:
  static constexpr std::uint8_t row_changed = 1, row_saved = 2;
  void adopt(std::string name, std::unique_ptr<state_column> column, bool expires);
  void adopt(std::string name, std::unique_ptr<shared_column> column);
  void forget(row_id row);
  void note(row_id row);
  void number_columns(std::vector<std::string> kept);

  std::vector<std::unique_ptr<state_column>> columns_;
  std::vector<state_column*> expiring_;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<shared_column>> shared_;
  std::vector<std::string> shared_names_;
  bool noting_ = false;
  bool names_saved_ = false;
  paged<std::uint8_t> flags_;    // where changes are noted
  std::vector<row_id> changed_;  // where changes are noted; one may stand there twice
  // Columns in what is kept are known by numbers that never change: those of states that are gone stay taken.
  std::vector<std::string> kept_names_;      // by number
  std::vector<std::size_t> kept_columns_;    // by number: which column; none_here: gone
  std::vector<std::uint64_t> kept_numbers_;  // by column
  std::string problem_;
  // How many hold a row; of a free one the free one before it. So that many rows may go at once without a
  // list that has to grow.
  static constexpr std::uint32_t is_free = 0x8000'0000;
  static constexpr row_id none_free = is_free - 1;
  paged<std::uint32_t> holders_;
  row_id free_ = none_free;
  row_id rows_ = 0;  // made so far, free ones too
  row_id swept_ = 0;
  std::size_t used_ = 0;
  std::size_t pinned_ = 0;
  bool broadcasting_ = false;
  std::int64_t event_now_ = min_watermark;
  std::int64_t wall_ms_ = 0;
  std::int64_t stamp_ = no_stamp;
};

/// Throws what the error policy reports, unless broadcast state may be written now.
void check_broadcasting(const state_rows& rows, const std::string& name);

/// The rows with their keys.
template <typename K>
class keyed_rows final : public state_rows {
 public:
  /// Work on this key begins. It must live until `done`.
  void select(const K& key, std::uint64_t hash) {
    key_ = &key;
    hash_ = hash;
    current_ = index_.find(hash, [&](row_id r) { return *keys_[r] == key; });
  }
  void select_row(row_id row) {
    current_ = row;
    held_ = *keys_[row];
    key_ = &*held_;
    hash_ = key_traits<K>::hash(*key_);
  }
  /// Work on the key has ended: its row goes if nothing is left in it.
  void done() {
    if (current_ != no_row) drop_if_unused(current_);
    current_ = no_row;
  }
  void prefetch(std::uint64_t hash) const noexcept { index_.prefetch(hash); }
  /// The row that a key of this hash has, nearly always: so that what belongs to it can be prefetched.
  row_id likely(std::uint64_t hash) const {
    return index_.find(hash, [](row_id) { return true; });
  }
  void prefetch_row(row_id row) const noexcept {
    __builtin_prefetch(&keys_[row], 1);
    prefetch_holders(row);
  }
  void prefetch_index_of(row_id row) const noexcept {
    if (keys_[row]) index_.prefetch(key_traits<K>::hash(*keys_[row]));
  }

  /// Writes the rows that changed; more(row, out) appends what the operator has beside the columns.
  template <typename More>
  void save_changes(state_log& to, More more) {
    gone_.move_to(to);
    row_writer<K> rows(to);
    take_changes([&](row_id row) {
      rows.put(prefix, *keys_[row], [&](std::string& out) {
        save_columns(row, out);
        more(row, out);
      });
    });
    each_changed_entry([&](const state_column& c, row_id row, std::string_view key, std::string_view value) {
      rows.put_part(entry_prefix_of(c), *keys_[row], key, value);
    });
  }
  /// Puts a row back; more(row, in) takes the rest. False: damage.
  template <typename More>
  bool restore(std::string_view name, std::string_view in, More more) {
    check_kept<K>();
    K key{};
    if (name.starts_with(entry_prefix)) return restore_entry(name.substr(entry_prefix.size()), in);
    if (!name.starts_with(prefix) || !decode_all(name.substr(prefix.size()), key)) return false;
    select(key, key_traits<K>::hash(key));
    const row_id row = need();
    const bool good = load_columns(row, in) && more(row, in) && in.empty();
    mark_saved(row);
    done();
    return good;
  }

  const K& key() const noexcept { return *key_; }
  const K& key_of(row_id row) const noexcept { return *keys_[row]; }

 private:
  row_id row_of(std::string_view saved_key) const override {
    check_kept<K>();
    K key{};
    if (!decode_all(saved_key, key)) return no_row;
    return index_.find(key_traits<K>::hash(key), [&](row_id r) { return *keys_[r] == key; });
  }
  row_id make_row() override {
    const row_id row = take_row();
    keys_.reach(row);
    keys_[row] = *key_;
    index_.insert(hash_, row);
    return row;
  }
  void free_row(row_id row) override {
    index_.erase(key_traits<K>::hash(*keys_[row]), row);
    keys_[row].reset();
  }

  void row_gone(row_id row) override { row_writer<K>(gone_).erase(prefix, *keys_[row]); }
  void entry_gone(row_id row, const state_column& c, std::string_view key) override {
    row_writer<K>(gone_).erase_part(entry_prefix_of(c), *keys_[row], key);
  }
  const std::string& entry_prefix_of(const state_column& c) {
    entry_name_.assign(entry_prefix);
    put_varint(this->kept_number(c), entry_name_);
    return entry_name_;
  }
  bool restore_entry(std::string_view name, std::string_view value) {
    std::uint64_t number = 0;
    K key{};
    if (!take_varint(name, number) || !decode_state(name, key)) return false;
    bool known = false;
    state_column* column = this->column_kept_as(number, known);
    if (column == nullptr) return known;
    select(key, key_traits<K>::hash(key));
    const bool good = column->load_entry(this->need_untouched(), name, value);
    done();
    return good;
  }

  static constexpr std::string_view prefix = "k";
  static constexpr std::string_view entry_prefix = "e";
  std::string entry_name_;
  pending_rows gone_;
  row_index index_;
  paged<std::optional<K>> keys_;
  const K* key_ = nullptr;
  std::uint64_t hash_ = 0;
  std::optional<K> held_;
};

}  // namespace penstock::detail
