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

/// Event-time windows of one shape, aggregated as records come (S1, S2, S4, S5). Outlet 0: results; outlet 1:
/// late records.
///
/// State is one table a window ("pane"), key to accumulator: a pane fires and goes as a whole, so timers are
/// a pane's, not a key's. Records are taken in blocks: their panes and hashes first, with the slots
/// prefetched, then the updates.
template <typename K, typename T, typename A>
class window_op final : public op, public input<keyed_batch<K, T>>, private durable_state {
 public:
  using accumulator = accumulator_t<A, T>;
  using result_type = window_result<K, aggregate_t<A, T>>;

  window_op(window_shape shape, A aggregator) : shape_(shape), aggregator_(std::move(aggregator)) {
    check_kept<K>();
    check_kept<accumulator>();
  }

  void connect(std::uint32_t outlet, op& consumer) override {
    outlets_.connect(outlet, consumer);
    add_downstream(consumer);
  }

  void push(keyed_batch<K, T>& records, bool) override {
    const std::size_t n = records.size();
    records.prefetch(0, block);
    for (std::size_t from = 0; from < n && !services_->failed(); from += block) {
      const std::size_t to = std::min(n, from + block);
      records.prefetch(to, block);
      if (all_in_one_pane(records, from, to)) {
        add_run(records, from, to);
      } else {
        add_each(records, from, to);
      }
    }
    op_counters::add(counters_.in, n);
    finish_batch();
  }

  void on_watermark(watermark w) override {
    if (w.timestamp > watermark_) {
      watermark_ = w.timestamp;
      if (watermark_ >= next_deadline_) run_timers();
    }
    pass_on(w);
  }

  void on_barrier(std::uint64_t epoch) override {
    std::uint64_t oldest = epoch + 1;
    for (const auto& [start, p] : panes_) oldest = std::min(oldest, p->first_epoch);
    seal_state(epoch, oldest);
  }
  durable_state* durable() override { return this; }
  reading reads() const override {
    if (outlets_.late.connected()) return {};
    return {reads_records<A>, {std::gcd(shape_.size, shape_.slide), shape_.offset}};
  }

 private:
  struct pane {
    std::int64_t start;
    std::uint64_t first_epoch;
    bool fired;
    flat_table<K, accumulator> groups;
  };
  struct placed {
    pane* in;
    std::uint64_t hash;
    std::size_t record;
  };
  static constexpr std::size_t block = 128;
  static constexpr std::size_t pool_limit = 4;
  static constexpr std::size_t near_panes = 128;  // a power of two

  // A row for each key and window: the window's start, the key.
  void note_changes() override { noting_ = true; }
  void save_changes(state_log& to) override {
    gone_.move_to(to);
    row_writer<K> rows(to);
    for (auto& [start, p] : panes_) {
      p->groups.take_changes([&, prefix = row_prefix(start)](const K& key, const accumulator& a) {
        rows.put(prefix, key, [&](std::string& out) { encode_state(a, out); });
      });
    }
    kept_watermark_.save(to, services_->context().lane, watermark_, shape_.layout());
  }
  bool restore(std::uint32_t partition, std::string_view row, std::string_view value) override {
    if (partition == shared_rows)
      return kept_watermark_.is_mine(row) && kept_watermark_.restore(value, shape_.layout());
    std::int64_t start = 0;
    K key{};
    if (!decode_number(row, start) || !decode_all(row, key)) return false;
    return decode_all(value,
                      pane_at(start).groups.at(key_traits<K>::hash(key), key, [] { return accumulator{}; }));
  }
  void restored() override {
    watermark_ = kept_watermark_.restored();
    next_deadline_ = max_watermark;
    for (auto& [start, p] : panes_) {
      p->groups.forget_changes();
      p->first_epoch = 0;  // its rows are in the log
      p->fired = shape_.last(start) <= watermark_;
      next_deadline_ = std::min(next_deadline_, p->fired ? shape_.expiry(start) : shape_.last(start));
    }
  }
  static std::string row_prefix(std::int64_t start) {
    std::string prefix;
    encode_number(start, prefix);
    return prefix;
  }
  void erase_rows(pane& p) {
    if (!noting_ || p.first_epoch == epoch_) return;  // none of them was written
    row_writer<K> rows(gone_);
    const std::string prefix = row_prefix(p.start);
    p.groups.for_each([&](const K& key, const accumulator&) { rows.erase(prefix, key); });
  }

  // The usual case: records close in time, all of one window that has not fired yet; `recent_` is that.
  bool all_in_one_pane(keyed_batch<K, T>& records, std::size_t from, std::size_t to) {
    if (recent_ == nullptr || shape_.slide != shape_.size) return false;
    const std::int64_t first = records.time(from);
    // Another lane may have sent them, which is somewhat ahead or behind.
    if (!is_within(first, recent_->start, shape_.size)) {
      if (first == no_timestamp) return false;
      const std::int64_t wanted = window_start(first, shape_.offset, shape_.slide);
      pane* near = near_[near_place(wanted)];
      if (near == nullptr || near->start != wanted) return false;
      recent_ = near;
    }
    if (recent_->fired) return false;
    return records.one_time_for_all() ||
           all_within(records.timestamps.data() + from, to - from, recent_->start, shape_.size);
  }

  std::size_t near_place(std::int64_t start) const noexcept {
    return static_cast<std::uint64_t>(start / shape_.slide) % near_panes;
  }

  void add_run(keyed_batch<K, T>& records, std::size_t from, std::size_t to) {
    std::uint64_t hashes[block];
    auto& groups = recent_->groups;
    const K* keys = records.keys.data();
    for (std::size_t i = from; i < to; ++i) {
      hashes[i - from] = key_traits<K>::hash(keys[i]);
      groups.prefetch(hashes[i - from]);
    }
    std::size_t i = from;
    for (;;) {
      try {
        for (; i < to; ++i)
          aggregator_.add(groups.at(hashes[i - from], keys[i], [] { return accumulator{}; }),
                          std::as_const(records.values[i]));
        return;
      } catch (...) {
        if (!record_failed("aggregate", {})) return;
        ++i;
      }
    }
  }

  void add_each(keyed_batch<K, T>& records, std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) place(records, i);
    update(records);
  }

  void place(keyed_batch<K, T>& records, std::size_t i) {
    const std::int64_t ts = records.time(i);
    if (ts == no_timestamp) {
      services_->fail(
          error(errc::user, name_ + ": a record has no event time; give it one with assign_timestamps"));
      return;
    }
    const std::uint64_t hash = key_traits<K>::hash(records.keys[i]);
    bool taken = false;
    shape_.assign(ts, [&](std::int64_t start) {
      if (shape_.expiry(start) <= watermark_) return;
      taken = true;
      pane& p = pane_at(start);
      p.groups.prefetch(hash);
      if (placed_count_ == block) update(records);
      placed_[placed_count_++] = {&p, hash, i};
    });
    if (taken) return;
    op_counters::add(counters_.late, 1);
    if (outlets_.late.connected() && saturating_add(ts, shape_.lateness) <= watermark_)
      outlets_.late.add(records.values[i], ts);
  }

  pane& pane_at(std::int64_t start) {
    if (recent_ != nullptr && recent_->start == start) return *recent_;
    pane*& near = near_[near_place(start)];
    if (near == nullptr || near->start != start) near = &far_pane_at(start);
    recent_ = near;
    return *near;
  }

  pane& far_pane_at(std::int64_t start) {
    std::unique_ptr<pane>& p = panes_[start];
    if (p == nullptr) {
      if (pool_.empty()) {
        p = std::make_unique<pane>();
        if (noting_) p->groups.note_changes();
      } else {
        p = std::move(pool_.back());
        pool_.pop_back();
      }
      p->start = start;
      p->first_epoch = epoch_;
      p->fired = shape_.last(start) <= watermark_;
      next_deadline_ = std::min(next_deadline_, p->fired ? shape_.expiry(start) : shape_.last(start));
    }
    return *p;
  }

  void update(keyed_batch<K, T>& records) {
    const std::size_t n = std::exchange(placed_count_, 0);
    std::size_t i = 0;
    for (;;) {
      try {
        for (; i < n; ++i) {
          const placed& at = placed_[i];
          const K& key = records.keys[at.record];
          accumulator& a = at.in->groups.at(at.hash, key, [] { return accumulator{}; });
          aggregator_.add(a, std::as_const(records.values[at.record]));
          if (at.in->fired) [[unlikely]]
            emit(*at.in, key, a);  // within the allowed lateness: fires for each record (S5)
        }
        return;
      } catch (...) {
        if (!record_failed("aggregate", {})) return;
        ++i;
      }
    }
  }

  void run_timers() {
    next_deadline_ = max_watermark;
    for (auto at = panes_.begin(); at != panes_.end();) {
      pane& p = *at->second;
      if (shape_.last(p.start) > watermark_) {
        next_deadline_ = std::min(next_deadline_, shape_.last(p.start));
        break;  // panes are in the order of their ends
      }
      if (!p.fired) fire(p);
      if (shape_.expiry(p.start) <= watermark_) {
        at = drop(at);
      } else {
        next_deadline_ = std::min(next_deadline_, shape_.expiry(p.start));
        ++at;
      }
    }
    finish_batch();
  }

  void fire(pane& p) {
    p.fired = true;
    p.groups.for_each([&](const K& key, const accumulator& a) { emit(p, key, a); });
  }

  void emit(const pane& p, const K& key, const accumulator& a) {
    try {
      outlets_.emit({key, p.start, saturating_add(p.start, shape_.size), aggregator_.result(a)},
                    shape_.last(p.start));
    } catch (...) {
      record_failed("aggregate", {});
    }
  }

  auto drop(typename std::map<std::int64_t, std::unique_ptr<pane>>::iterator at) {
    pane* gone = at->second.get();
    if (recent_ == gone) recent_ = nullptr;
    pane*& near = near_[near_place(gone->start)];
    if (near == gone) near = nullptr;
    erase_rows(*gone);
    at->second->groups.clear();
    if (pool_.size() < pool_limit) pool_.push_back(std::move(at->second));
    return panes_.erase(at);
  }

  void finish_batch() { outlets_.flush(counters_); }

  window_shape shape_;
  A aggregator_;
  std::int64_t watermark_ = min_watermark;
  std::int64_t next_deadline_ = max_watermark;           // the next time a pane fires or goes
  std::map<std::int64_t, std::unique_ptr<pane>> panes_;  // by start
  std::vector<std::unique_ptr<pane>> pool_;              // empty ones, with their memory
  pane* recent_ = nullptr;                               // the last one used
  std::array<pane*, near_panes> near_{};                 // by number of slides: finds a pane without the map
  std::array<placed, block> placed_;
  std::size_t placed_count_ = 0;
  bool noting_ = false;
  pending_rows gone_;
  kept_watermark kept_watermark_;
  window_outlets<result_type, T> outlets_;
};

}  // namespace penstock::detail
