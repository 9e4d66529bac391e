// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/aggregate.h>
#include <penstock/detail/flat_table.h>
#include <penstock/detail/op.h>
#include <penstock/windows.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
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
class window_op final : public op, public input<keyed_batch<K, T>> {
 public:
  using accumulator = accumulator_t<A, T>;
  using result_type = window_result<K, aggregate_t<A, T>>;

  window_op(window_shape shape, A aggregator) : shape_(shape), aggregator_(std::move(aggregator)) {}

  void connect(std::uint32_t outlet, op& consumer) override {
    if (outlet == 0) {
      results_.connect(consumer);
    } else {
      late_.connect(consumer);
    }
    add_downstream(consumer);
  }

  void push(keyed_batch<K, T>& records, bool) override {
    const std::size_t n = records.size();
    for (std::size_t from = 0; from < n; from += block) {
      place(records, from, std::min(n, from + block));
      if (services_->failed()) return;
      update(records);
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
    epoch_ = epoch + 1;
    std::uint64_t oldest = epoch + 1;
    for (const auto& [start, p] : panes_) oldest = std::min(oldest, p->first_epoch);
    services_->acknowledge(epoch, oldest);
    pass_barrier(epoch);
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

  void place(keyed_batch<K, T>& records, std::size_t from, std::size_t to) {
    placed_.clear();
    const bool single = shape_.slide == shape_.size;
    for (std::size_t i = from; i < to; ++i) {
      const std::int64_t ts = records.timestamps[i];
      const std::uint64_t hash = key_traits<K>::hash(records.keys[i]);
      if (single && ts >= recent_start_ && ts < recent_end_) [[likely]] {
        recent_->groups.prefetch(hash);
        placed_.push_back({recent_, hash, i});
        continue;
      }
      place_slowly(records, i, ts, hash);
    }
  }

  void place_slowly(keyed_batch<K, T>& records, std::size_t i, std::int64_t ts, std::uint64_t hash) {
    if (ts == no_timestamp) {
      services_->fail(
          error(errc::user, name_ + ": a record has no event time; give it one with assign_timestamps"));
      return;
    }
    bool taken = false;
    shape_.assign(ts, [&](std::int64_t start) {
      if (shape_.expiry(start) <= watermark_) return;
      taken = true;
      pane& p = pane_at(start);
      p.groups.prefetch(hash);
      placed_.push_back({&p, hash, i});
    });
    if (taken) return;
    op_counters::add(counters_.late, 1);
    if (late_.connected() && saturating_add(ts, shape_.lateness) <= watermark_)
      late_.add(records.values[i], ts);
  }

  pane& pane_at(std::int64_t start) {
    std::unique_ptr<pane>& p = panes_[start];
    if (p == nullptr) {
      if (pool_.empty()) {
        p = std::make_unique<pane>();
      } else {
        p = std::move(pool_.back());
        pool_.pop_back();
      }
      p->start = start;
      p->first_epoch = epoch_;
      p->fired = shape_.last(start) <= watermark_;
      next_deadline_ = std::min(next_deadline_, p->fired ? shape_.expiry(start) : shape_.last(start));
    }
    recent_ = p.get();
    recent_start_ = start;
    recent_end_ = saturating_add(start, shape_.size);
    return *p;
  }

  void update(keyed_batch<K, T>& records) {
    std::size_t i = 0;
    const std::size_t n = placed_.size();
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
      results_.add(result_type{key, p.start, saturating_add(p.start, shape_.size), aggregator_.result(a)},
                   shape_.last(p.start));
      ++emitted_;
    } catch (...) {
      record_failed("aggregate", {});
    }
  }

  auto drop(typename std::map<std::int64_t, std::unique_ptr<pane>>::iterator at) {
    if (recent_ == at->second.get()) {
      recent_start_ = recent_end_ = 0;
      recent_ = nullptr;
    }
    at->second->groups.clear();
    if (pool_.size() < pool_limit) pool_.push_back(std::move(at->second));
    return panes_.erase(at);
  }

  void finish_batch() {
    results_.flush();
    late_.flush();
    op_counters::add(counters_.out, std::exchange(emitted_, 0));
  }

  window_shape shape_;
  A aggregator_;
  std::int64_t watermark_ = min_watermark;
  std::int64_t next_deadline_ = max_watermark;           // the next time a pane fires or goes
  std::map<std::int64_t, std::unique_ptr<pane>> panes_;  // by start
  std::vector<std::unique_ptr<pane>> pool_;              // empty ones, with their memory
  pane* recent_ = nullptr;                               // the pane of [recent_start_, recent_end_)
  std::int64_t recent_start_ = 0;
  std::int64_t recent_end_ = 0;
  std::vector<placed> placed_;
  std::uint64_t emitted_ = 0;
  output<batch<result_type>> results_;
  output<batch<T>> late_;
};

}  // namespace penstock::detail
