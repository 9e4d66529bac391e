// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/aggregate.h>
#include <penstock/detail/flat_table.h>
#include <penstock/detail/op.h>
#include <penstock/detail/window_outlets.h>
#include <penstock/windows.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::detail {

/// Whether hopping windows of this aggregator may be put together from slices.
template <typename A, typename T>
concept sliceable = mergeable<A, T> && !requires {
  requires !A::in_slices;
};

/// Hopping windows without allowed lateness (S1, S2, S4, S5) from slices: a record is added to one slice, of
/// the length gcd(size, slide), whatever the number of windows it is in. Outlet 0: results; outlet 1: late
/// records.
///
/// A firing must not cost a merge for each slice of the window, so slices are a queue made of two stacks:
/// `back` is the sum of the newer slices of the last window, each kept as it is too; the older ones, in
/// front, have been turned into sums from themselves to the newest in front. A window is the first of those
/// sums and `back`: two lookups a key. When the front is used up, the slices behind it are turned (`flip`):
/// about three merges for each key and slice over its life. A record that is not late for all of its windows
/// but in time only for later ones may fall into slices that are summed already; it is added to the sums as
/// well.
template <typename K, typename T, typename A>
class slice_op final : public op, public input<keyed_batch<K, T>>, private durable_state {
 public:
  using accumulator = accumulator_t<A, T>;
  using result_type = window_result<K, aggregate_t<A, T>>;

  slice_op(window_shape shape, A aggregator)
      : shape_(shape), length_(std::gcd(shape.size, shape.slide)), aggregator_(std::move(aggregator)) {
    check_kept<K>();
    check_kept<accumulator>();
  }

  void connect(std::uint32_t outlet, op& consumer) override {
    outlets_.connect(outlet, consumer);
    add_downstream(consumer);
  }

  void push(keyed_batch<K, T>& records, bool) override {
    const std::size_t n = records.size();
    for (std::size_t from = 0; from < n && !services_->failed(); from += block) {
      const std::size_t to = std::min(n, from + block);
      std::size_t at = from;
      while (at < to && !services_->failed()) at = add_run(records, at, to);
    }
    op_counters::add(counters_.in, n);
    finish_batch();
  }

  void on_watermark(watermark w) override {
    if (w.timestamp > watermark_) {
      watermark_ = w.timestamp;
      fire_due();
      finish_batch();
    }
    pass_on(w);
  }

  void on_barrier(std::uint64_t epoch) override {
    std::uint64_t oldest = epoch + 1;
    for (const auto& [start, s] : slices_) oldest = std::min(oldest, s->first_epoch);
    seal_state(epoch, oldest);
  }
  durable_state* durable() override { return this; }
  reading reads() const override {
    if (outlets_.late.connected()) return {};
    return {reads_records<A>, {length_, shape_.offset}};
  }

 private:
  using table = flat_table<K, accumulator>;
  struct slice {
    std::int64_t start;
    std::uint64_t first_epoch;
    table groups;
    bool logged = false;                    // rows of it may be in the log
    std::unique_ptr<table> since_summed{};  // where state is kept: what came after `groups` became a sum
  };
  using slices = std::map<std::int64_t, std::unique_ptr<slice>>;
  static constexpr std::size_t block = 128;
  static constexpr std::size_t pool_limit = 8;
  static constexpr std::int64_t unset = max_watermark;

  // What is kept is a slice by itself, never a sum: a row for each slice and key, and a second one for what
  // came after the slice had become a sum. After a restart all slices begin anew as if none had fired yet.
  static constexpr char itself = 's', later = 't';
  void note_changes() override { noting_ = true; }
  void save_changes(state_log& to) override {
    for (auto& [start, s] : slices_) save_slice(*s);
    gone_.move_to(to);
    kept_watermark_.save(to, services_->context().lane, watermark_, shape_.layout());
  }
  void save_slice(slice& s) {
    s.logged = true;
    if (s.start >= front_end_) save_table(s.groups, row_prefix(itself, s.start));
    if (s.since_summed != nullptr) save_table(*s.since_summed, row_prefix(later, s.start));
  }
  void save_table(table& t, const std::string& prefix) {
    row_writer<K> rows(gone_);
    t.take_changes([&](const K& key, const accumulator& a) {
      rows.put(prefix, key, [&](std::string& out) { encode_state(a, out); });
    });
  }
  bool restore(std::uint32_t partition, std::string_view row, std::string_view value) override {
    if (partition == shared_rows)
      return kept_watermark_.is_mine(row) && kept_watermark_.restore(value, shape_.layout());
    if (row.empty() || (row.front() != itself && row.front() != later)) return false;
    const bool after = row.front() == later;
    row.remove_prefix(1);
    std::int64_t start = 0;
    K key{};
    accumulator a{};
    if (!decode_number(row, start) || !decode_all(row, key) || !decode_all(value, a)) return false;
    slice& s = slice_at(start);
    if (after && s.since_summed == nullptr) s.since_summed = std::make_unique<table>();
    table& into = after ? *s.since_summed : s.groups;
    into.at(key_traits<K>::hash(key), key, [] { return accumulator{}; }) = std::move(a);
    return true;
  }
  void restored() override {
    watermark_ = kept_watermark_.restored();
    next_start_ = unset;
    for (auto& [start, s] : slices_) {
      if (s->since_summed != nullptr) merge_tables(s->groups, *s->since_summed);
      next_start_ = std::min(next_start_, first_window_of(start));
      s->logged = true;
      s->groups.forget_changes();
    }
    for (auto& [start, s] : slices_) fold_rows(*s);
  }
  /// The two rows of a key as one.
  void fold_rows(slice& s) {
    if (s.since_summed == nullptr) return;
    row_writer<K> rows(gone_);
    s.since_summed->for_each([&](const K& key, const accumulator&) {
      rows.erase(row_prefix(later, s.start), key);
      rows.put(row_prefix(itself, s.start), key,
               [&](std::string& out) { encode_state(*s.groups.find(key_traits<K>::hash(key), key), out); });
    });
    s.since_summed.reset();
  }
  static std::string row_prefix(char which, std::int64_t start) {
    std::string prefix(1, which);
    encode_number(start, prefix);
    return prefix;
  }
  void erase_rows(slice& s) {
    if (!std::exchange(s.logged, false)) return;
    row_writer<K> rows(gone_);
    const std::string prefix = row_prefix(itself, s.start);
    s.groups.for_each([&](const K& key, const accumulator&) { rows.erase(prefix, key); });
    if (s.since_summed == nullptr) return;
    const std::string second = row_prefix(later, s.start);
    s.since_summed->for_each([&](const K& key, const accumulator&) { rows.erase(second, key); });
  }

  /// Adds records from `at` on as long as they are in one slice; the number of the next one.
  std::size_t add_run(keyed_batch<K, T>& records, std::size_t at, std::size_t to) {
    const std::int64_t first = records.time(at);
    if (first == no_timestamp) {
      services_->fail(
          error(errc::user, name_ + ": a record has no event time; give it one with assign_timestamps"));
      return to;
    }
    if (newest_window_is_late(first)) {
      op_counters::add(counters_.late, 1);
      if (outlets_.late.connected() && first <= watermark_) outlets_.late.add(records.values[at], first);
      return at + 1;
    }
    slice& into = slice_at(first);
    std::size_t end = records.one_time_for_all() ? to : at + 1;
    while (end < to && is_within(records.timestamps[end], into.start, length_)) ++end;
    std::uint64_t hashes[block];
    for (std::size_t i = at; i < end; ++i) {
      hashes[i - at] = key_traits<K>::hash(records.keys[i]);
      into.groups.prefetch(hashes[i - at]);
    }
    const bool summed = into.start < back_end_;
    std::size_t i = at;
    for (;;) {
      try {
        for (; i < end; ++i) {
          const K& key = records.keys[i];
          const T& value = std::as_const(records.values[i]);
          aggregator_.add(into.groups.at(hashes[i - at], key, [] { return accumulator{}; }), value);
          if (summed) [[unlikely]]
            add_to_sums(into, hashes[i - at], key, value);
        }
        return end;
      } catch (...) {
        if (!record_failed("aggregate", {})) return to;
        ++i;
      }
    }
  }

  /// Of the windows that hold `ts` the last one ends last: late when that is.
  bool newest_window_is_late(std::int64_t ts) const noexcept {
    return shape_.last(window_start(ts, shape_.offset, shape_.slide)) <= watermark_;
  }

  std::int64_t first_start_after(std::int64_t t) const noexcept {
    return saturating_add(window_start(t, shape_.offset, shape_.slide), shape_.slide);
  }
  /// Of the windows that hold `ts` the first that is not late.
  std::int64_t first_window_of(std::int64_t ts) const noexcept {
    const std::int64_t holds_it = first_start_after(saturating_add(ts, -shape_.size));
    if (watermark_ == min_watermark) return holds_it;
    return std::max(holds_it, first_start_after(saturating_add(watermark_, 1 - shape_.size)));
  }

  slice& slice_at(std::int64_t ts) {
    if (recent_ != nullptr && is_within(ts, recent_->start, length_)) return *recent_;
    const std::int64_t start = window_start(ts, shape_.offset, length_);
    std::unique_ptr<slice>& s = slices_[start];
    if (s == nullptr) {
      s = take_slice();
      s->start = start;
      s->first_epoch = epoch_;
      // A slice that begins among those in front must hold the sum of what follows it there.
      if (start < front_end_) adopt_sum(*s);
    }
    next_start_ = std::min(next_start_, first_window_of(ts));
    recent_ = s.get();
    return *s;
  }

  std::unique_ptr<slice> take_slice() {
    if (pool_.empty()) {
      auto fresh = std::make_unique<slice>();
      if (noting_) fresh->groups.note_changes();
      return fresh;
    }
    auto s = std::move(pool_.back());
    pool_.pop_back();
    return s;
  }

  /// A record has come into a slice that is part of `back_`, or of the sums in front.
  void add_to_sums(slice& into, std::uint64_t hash, const K& key, const T& value) {
    const auto make = [] { return accumulator{}; };
    if (into.start >= front_end_) {
      aggregator_.add(back_.at(hash, key, make), value);
      return;
    }
    if (noting_) {
      if (into.since_summed == nullptr) {
        into.since_summed = std::make_unique<table>();
        into.since_summed->note_changes();
      }
      aggregator_.add(into.since_summed->at(hash, key, make), value);
    }
    for (auto at = slices_.begin(); at != slices_.end() && at->first < into.start; ++at)
      aggregator_.add(at->second->groups.at(hash, key, make), value);
  }
  void adopt_sum(slice& s) {
    const auto next = slices_.upper_bound(s.start);
    if (next != slices_.end() && next->first < front_end_) merge_tables(s.groups, next->second->groups);
  }

  void merge_tables(table& into, table& from) {
    from.for_each([&](const K& key, const accumulator& a) {
      bool fresh = false;
      accumulator& sum = into.at(key_traits<K>::hash(key), key, [&] {
        fresh = true;
        return a;
      });
      if (!fresh) aggregator_.merge(sum, a);
    });
  }

  void fire_due() {
    while (!slices_.empty() && shape_.last(next_start_) <= watermark_) {
      fire(next_start_);
      next_start_ = saturating_add(next_start_, shape_.slide);
      drop_before(next_start_);
      if (slices_.empty() || slices_.begin()->first >= saturating_add(next_start_, shape_.size)) restart();
    }
  }

  void fire(std::int64_t start) {
    const std::int64_t end = saturating_add(start, shape_.size);
    for (auto at = slices_.lower_bound(std::max(back_end_, start)); at != slices_.end() && at->first < end;
         ++at)
      merge_tables(back_, at->second->groups);
    back_end_ = std::max(back_end_, end);
    table* front = nullptr;
    if (slices_.begin()->first < front_end_) front = &slices_.begin()->second->groups;
    if (front == nullptr) {
      back_.for_each([&](const K& key, const accumulator& a) { emit(start, key, a); });
      return;
    }
    front->for_each([&](const K& key, const accumulator& a) {
      const accumulator* newer = back_.find(key_traits<K>::hash(key), key);
      if (newer == nullptr) return emit(start, key, a);
      accumulator both = a;
      aggregator_.merge(both, *newer);
      emit(start, key, both);
    });
    back_.for_each([&](const K& key, const accumulator& a) {
      if (front->find(key_traits<K>::hash(key), key) == nullptr) emit(start, key, a);
    });
  }

  void emit(std::int64_t start, const K& key, const accumulator& a) {
    try {
      outlets_.emit({key, start, saturating_add(start, shape_.size), aggregator_.result(a)},
                    shape_.last(start));
    } catch (...) {
      record_failed("aggregate", {});
    }
  }

  void drop_before(std::int64_t start) {
    bool turn = false;
    while (!slices_.empty() && slices_.begin()->first < start) {
      turn |= slices_.begin()->first >= front_end_;  // `back_` holds what is no longer in any window
      release(std::move(slices_.begin()->second));
      slices_.erase(slices_.begin());
    }
    if (turn) flip();
  }
  void release(std::unique_ptr<slice> s) {
    if (recent_ == s.get()) recent_ = nullptr;
    erase_rows(*s);
    s->groups.clear();
    s->since_summed.reset();
    if (pool_.size() < pool_limit) pool_.push_back(std::move(s));
  }

  /// All slices of the last window become sums from themselves on; `back_` begins anew.
  void flip() {
    if (noting_) {  // what they are by themselves is written before it is lost
      for (auto& [start, s] : slices_) save_slice(*s);
    }
    back_.clear();
    front_end_ = back_end_;
    const auto end = slices_.lower_bound(front_end_);
    slice* newer = nullptr;
    for (auto at = end; at != slices_.begin();) {
      --at;
      if (newer != nullptr) {
        merge_tables(at->second->groups, newer->groups);
        at->second->first_epoch = std::min(at->second->first_epoch, newer->first_epoch);
      }
      newer = at->second.get();
    }
  }

  /// Nothing that has been summed is needed any more.
  void restart() {
    back_.clear();
    back_end_ = front_end_ = min_watermark;
    next_start_ = unset;
    if (slices_.empty()) return;
    next_start_ = first_start_after(saturating_add(slices_.begin()->first, -shape_.size));
  }

  void finish_batch() { outlets_.flush(counters_); }

  window_shape shape_;
  std::int64_t length_;
  A aggregator_;
  std::int64_t watermark_ = min_watermark;
  slices slices_;
  std::int64_t next_start_ = unset;         // the next window to fire
  std::int64_t front_end_ = min_watermark;  // slices before this one are sums
  std::int64_t back_end_ = min_watermark;   // those from there to here are in `back_` too
  table back_;
  std::vector<std::unique_ptr<slice>> pool_;
  slice* recent_ = nullptr;
  bool noting_ = false;
  pending_rows gone_;
  kept_watermark kept_watermark_;
  window_outlets<result_type, T> outlets_;
};

}  // namespace penstock::detail
