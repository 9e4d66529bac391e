// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/joint_op.h>
#include <penstock/detail/state_rows.h>
#include <penstock/windows.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::detail {

/// Pairs of records of one key whose times are near each other: b.ts in [a.ts + lower, a.ts + upper] (S9). A
/// record is late when it is behind the watermark by more than the grace. Outlet 0: results; 1 and 2: late
/// records of either side.
///
/// Outer rows come out when nothing can match any more, with their own time; so that they are not late
/// downstream, the watermark is passed on that much later.
template <typename K, typename A, typename B, typename Out, typename Joiner, bool Left, bool Right>
class interval_join_op final : public joint_op, private durable_state {
 public:
  interval_join_op(std::int64_t lower, std::int64_t upper, std::int64_t grace, Joiner joiner)
      : lower_(lower), upper_(upper), grace_(grace), joiner_(std::move(joiner)) {
    add_port(std::make_unique<typed_port<interval_join_op, keyed_batch<K, A>, 0>>(*this));
    add_port(std::make_unique<typed_port<interval_join_op, keyed_batch<K, B>, 1>>(*this));
    check_kept<K>();
    check_kept<A>();
    check_kept<B>();
    hold_ = grace_;
    if (Left) hold_ = std::max(hold_, upper_ + grace_ + 1);
    if (Right) hold_ = std::max(hold_, grace_ - lower_ + 1);
  }

  void connect(std::uint32_t outlet, op& consumer) override {
    if (outlet == 0) {
      results_.connect(consumer);
    } else if (outlet == 1) {
      late_left_.connect(consumer);
    } else {
      late_right_.connect(consumer);
    }
    add_downstream(consumer);
  }

  void take(std::integral_constant<std::size_t, 0>, keyed_batch<K, A>& records, bool) {
    each(records, late_left_, [&](cell& c, const A& a, std::int64_t ts) {
      bool matched = false;
      for (auto& b : between(c.right, saturating_add(ts, lower_), saturating_add(ts, upper_))) {
        join(a, b.value, std::max(ts, b.ts));
        b.matched = matched = true;
      }
      keep(c.left, a, ts, matched);
    });
  }
  void take(std::integral_constant<std::size_t, 1>, keyed_batch<K, B>& records, bool) {
    each(records, late_right_, [&](cell& c, const B& b, std::int64_t ts) {
      bool matched = false;
      for (auto& a : between(c.left, saturating_add(ts, -upper_), saturating_add(ts, -lower_))) {
        join(a.value, b, std::max(ts, a.ts));
        a.matched = matched = true;
      }
      keep(c.right, b, ts, matched);
    });
  }

  void on_watermark(watermark w) override {
    watermark_ = std::max(watermark_, w.timestamp);
    timer_id due{};
    while (!stopped_ && timers_.take(before_watermark(), due, armed_of())) {
      prefetch_row(timers_.ahead(2 * look_ahead));
      prefetch_sides(timers_.ahead(look_ahead));
      rows_.select_row(due.row);
      rows_.touch(due.row);
      sweep(cells_[due.row]);
      rearm();
      rows_.done();
    }
    finish_batch();
    if (w.timestamp != max_watermark && hold_ > 0)
      w.timestamp = std::max(min_watermark, saturating_add(w.timestamp, -hold_));
    pass_on(w);
  }

  void on_barrier(std::uint64_t epoch) override {
    if (rows_.empty()) first_epoch_ = 0;
    seal_state(epoch, first_epoch_ == 0 ? epoch + 1 : first_epoch_);
  }
  durable_state* durable() override { return this; }

 private:
  template <typename V>
  struct entry {
    V value;
    std::int64_t ts;
    bool matched;
  };
  struct cell {
    std::vector<entry<A>> left;  // by time
    std::vector<entry<B>> right;
    std::int64_t armed = max_watermark;
  };

  /// What is due is behind the watermark, not at it; at the end of the stream everything is.
  std::int64_t before_watermark() const {
    return watermark_ == max_watermark ? max_watermark : saturating_add(watermark_, -1);
  }

  // A row a key: the records of either side.
  void note_changes() override { rows_.note_changes(); }
  void save_changes(state_log& to) override {
    rows_.save_changes(to, [&](row_id row, std::string& out) {
      save_side(cells_[row].left, out);
      save_side(cells_[row].right, out);
    });
    kept_watermark_.save(to, services_->context().lane, watermark_);
  }
  template <typename V>
  static void save_side(const std::vector<entry<V>>& all, std::string& out) {
    put_varint(all.size(), out);
    for (const entry<V>& e : all) {
      encode_state(std::pair(e.ts, e.matched), out);
      encode_state(e.value, out);
    }
  }
  template <typename V>
  bool load_side(std::vector<entry<V>>& all, row_id row, std::string_view& in) {
    std::uint64_t n = 0;
    if (!take_varint(in, n) || n > in.size()) return false;
    if (n != 0) rows_.hold(row);
    for (std::uint64_t i = 0; i < n; ++i) {
      std::pair<std::int64_t, bool> about;
      V value{};
      if (!decode_state(in, about) || !decode_state(in, value)) return false;
      all.push_back({std::move(value), about.first, about.second});
    }
    return true;
  }
  bool restore(std::uint32_t partition, std::string_view row, std::string_view value) override {
    if (partition == shared_rows) return kept_watermark_.is_mine(row) && kept_watermark_.restore(value);
    return rows_.restore(row, value, [&](row_id id, std::string_view& in) {
      cells_.reach(id);
      cell& c = cells_[id];
      c.armed = max_watermark;
      if (!load_side(c.left, id, in) || !load_side(c.right, id, in)) return false;
      rearm();
      return true;
    });
  }
  void restored() override { watermark_ = kept_watermark_.restored(); }

  static constexpr std::size_t look_ahead = 6;
  void prefetch_row(row_id row) {
    if (row == no_row) return;
    rows_.prefetch_row(row);
    prefetch_all(cells_[row]);
  }
  void prefetch_sides(row_id row) {
    if (row == no_row) return;
    __builtin_prefetch(cells_[row].left.data(), 1);
    __builtin_prefetch(cells_[row].right.data(), 1);
  }

  template <typename Records, typename Late, typename Take>
  void each(Records& records, Late& late, Take take_one) {
    const std::size_t n = records.size();
    std::uint64_t hashes[batch_capacity];
    for (std::size_t i = 0; i < n; ++i) {
      hashes[i] = key_traits<K>::hash(records.keys[i]);
      rows_.prefetch(hashes[i]);
    }
    for (std::size_t i = 0; i < n && !stopped_; ++i) {
      if (i + 2 * look_ahead < n) prefetch_row(rows_.likely(hashes[i + 2 * look_ahead]));
      if (i + look_ahead < n) prefetch_sides(rows_.likely(hashes[i + look_ahead]));
      const std::int64_t ts = records.timestamps[i];
      if (ts == no_timestamp) {
        services_->fail(
            error(errc::user, name_ + ": a record has no event time; give it one with assign_timestamps"));
        stopped_ = true;
        break;
      }
      if (saturating_add(ts, grace_) < watermark_) {
        op_counters::add(counters_.late, 1);
        if (late.connected()) late.add(records.values[i], ts);
        continue;
      }
      rows_.select(records.keys[i], hashes[i]);
      const row_id row = rows_.need();
      cells_.reach(row);
      rows_.hold(row);  // for the length of this work
      try {
        take_one(cells_[row], std::as_const(records.values[i]), ts);
      } catch (...) {
        if (!record_failed("join", {})) stopped_ = true;
      }
      rearm();
      rows_.let_go(row);
      rows_.done();
    }
    op_counters::add(counters_.in, n);
    finish_batch();
    if (first_epoch_ == 0 && !rows_.empty()) first_epoch_ = epoch_;
  }

  template <typename V>
  struct range {
    entry<V>*first, *last;
    entry<V>* begin() const { return first; }
    entry<V>* end() const { return last; }
  };
  template <typename V>
  static range<V> between(std::vector<entry<V>>& all, std::int64_t from, std::int64_t to) {
    const auto first = std::lower_bound(all.begin(), all.end(), from,
                                        [](const entry<V>& e, std::int64_t t) { return e.ts < t; });
    const auto last =
        std::upper_bound(first, all.end(), to, [](std::int64_t t, const entry<V>& e) { return t < e.ts; });
    return {all.data() + (first - all.begin()), all.data() + (last - all.begin())};
  }

  template <typename V>
  void keep(std::vector<entry<V>>& all, const V& value, std::int64_t ts, bool matched) {
    if (all.empty()) rows_.hold(rows_.current());
    const auto at = std::upper_bound(all.begin(), all.end(), ts,
                                     [](std::int64_t t, const entry<V>& e) { return t < e.ts; });
    all.insert(at, {value, ts, matched});
  }

  void rearm() {
    const row_id row = rows_.current();
    cell& c = cells_[row];
    std::int64_t wanted = max_watermark;
    if (!c.left.empty()) wanted = std::min(wanted, saturating_add(c.left.front().ts, upper_ + grace_));
    if (!c.right.empty()) wanted = std::min(wanted, saturating_add(c.right.front().ts, grace_ - lower_));
    if (wanted >= c.armed) return;
    timers_.arm(row, c.armed, wanted, armed_of());
  }
  auto armed_of() {
    return [this](row_id row) -> std::int64_t& { return cells_[row].armed; };
  }

  void sweep(cell& c) {
    drop(c.left, upper_, [&](const entry<A>& e) {
      if constexpr (Left) {
        if (!e.matched)
          alone([&] { return joiner_(as_left(e.value), static_cast<const B*>(nullptr)); }, e.ts);
      }
    });
    drop(c.right, -lower_, [&](const entry<B>& e) {
      if constexpr (Right) {
        if (!e.matched)
          alone([&] { return joiner_(static_cast<const A*>(nullptr), as_right(e.value)); }, e.ts);
      }
    });
  }
  template <typename V, typename Gone>
  void drop(std::vector<entry<V>>& all, std::int64_t reach, Gone gone) {
    std::size_t n = 0;
    while (n < all.size() &&
           (watermark_ == max_watermark || saturating_add(all[n].ts, reach + grace_) < watermark_))
      gone(all[n++]);
    if (n == 0) return;
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n));
    if (all.empty()) rows_.let_go(rows_.current());
  }

  // In outer joins the side that may be missing comes as a pointer.
  static decltype(auto) as_left(const A& a) {
    if constexpr (Right) {
      return &a;
    } else {
      return (a);
    }
  }
  static decltype(auto) as_right(const B& b) {
    if constexpr (Left) {
      return &b;
    } else {
      return (b);
    }
  }
  void join(const A& a, const B& b, std::int64_t ts) {
    results_.add(joiner_(as_left(a), as_right(b)), ts);
    ++emitted_;
  }
  template <typename Make>
  void alone(Make make, std::int64_t ts) {
    try {
      results_.add(make(), ts);
      ++emitted_;
    } catch (...) {
      if (!record_failed("join", {})) stopped_ = true;
    }
  }
  void finish_batch() {
    results_.flush();
    late_left_.flush();
    late_right_.flush();
    op_counters::add(counters_.out, std::exchange(emitted_, 0));
  }

  std::int64_t lower_, upper_, grace_, hold_;
  Joiner joiner_;
  keyed_rows<K> rows_;
  paged<cell> cells_;
  row_timers timers_;
  std::int64_t watermark_ = min_watermark;
  std::uint64_t first_epoch_ = 0;
  std::uint64_t emitted_ = 0;
  bool stopped_ = false;
  kept_watermark kept_watermark_;
  output<batch<Out>> results_;
  output<batch<A>> late_left_;
  output<batch<B>> late_right_;
};

}  // namespace penstock::detail
