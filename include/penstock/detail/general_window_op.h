// SPDX-License-Identifier: Apache-2.0
// Windows of every kind, a key at a time: sessions, global windows, triggers, evictors, window functions. The
// common cases (event time, aligned, no trigger) have operators of their own, which are much faster.
#pragma once

#include <penstock/aggregate.h>
#include <penstock/detail/op.h>
#include <penstock/detail/state_rows.h>
#include <penstock/detail/window_outlets.h>
#include <penstock/triggers.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace penstock::detail {

/// Which windows a record belongs to.
template <typename T>
struct window_rule {
  enum class kind : std::uint8_t { aligned, session, global };
  kind what = kind::aligned;
  window_shape shape{};                            // aligned
  std::function<std::int64_t(const T&)> gap_of{};  // session: of each record; if not set, `gap`
  std::int64_t gap = 0;
  std::int64_t lateness = 0;
  time_domain time = time_domain::event;
};

/// Gives what an aggregator makes of a window.
template <typename K, typename T, typename A>
struct aggregate_body {
  using contents = accumulator_t<A, T>;
  using out = window_result<K, aggregate_t<A, T>>;
  A aggregator;
  void add(contents& c, const T& record, std::int64_t) const { aggregator.add(c, record); }
  void merge(contents& into, contents&& from) const {
    if constexpr (mergeable<A, T>) aggregator.merge(into, std::as_const(from));
  }
  template <typename Emit>
  void fire(const K& key, const time_window& w, contents& c, Emit emit) const {
    emit(out{key, w.start_ms, w.end_ms, aggregator.result(std::as_const(c))});
  }
};

/// The same over records that an evictor has looked at.
template <typename K, typename T, typename A, typename Evictor>
struct evicting_body {
  using contents = std::vector<stamped<T>>;
  using out = window_result<K, aggregate_t<A, T>>;
  A aggregator;
  Evictor evictor;
  void add(contents& c, const T& record, std::int64_t ts) const { c.push_back({record, ts}); }
  void merge(contents& into, contents&& from) const {
    into.insert(into.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  }
  template <typename Emit>
  void fire(const K& key, const time_window& w, contents& c, Emit emit) const {
    evictor(c, w);
    if (c.empty()) return;
    accumulator_t<A, T> a{};
    for (const auto& r : c) aggregator.add(a, r.value);
    emit(out{key, w.start_ms, w.end_ms, aggregator.result(std::as_const(a))});
  }
};

struct no_evictor {
  template <typename C>
  void operator()(C&, const time_window&) const {}
};

/// Gives the whole window to a function.
template <typename K, typename T, typename Out, typename F, typename Evictor>
struct function_body {
  using contents = std::vector<stamped<T>>;
  using out = Out;
  F f;
  Evictor evictor;
  void add(contents& c, const T& record, std::int64_t ts) const { c.push_back({record, ts}); }
  void merge(contents& into, contents&& from) const {
    into.insert(into.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  }
  template <typename Emit>
  void fire(const K& key, const time_window& w, contents& c, Emit emit) {
    evictor(c, w);
    std::invoke(f, key, w, std::as_const(c), emit);
  }
};

template <typename K, typename T, typename Body, typename Trigger>
class general_window_op final : public op, public input<keyed_batch<K, T>>, private durable_state {
 public:
  using out = typename Body::out;
  general_window_op(window_rule<T> rule, Body body, Trigger trigger)
      : rule_(std::move(rule)), body_(std::move(body)), trigger_(std::move(trigger)) {
    check_kept<K>();
    check_kept<typename Body::contents>();
    check_kept<trigger_state_t<Trigger>>();
  }

  void connect(std::uint32_t outlet, op& consumer) override {
    outlets_.connect(outlet, consumer);
    add_downstream(consumer);
  }

  void push(keyed_batch<K, T>& records, bool) override {
    const std::size_t n = records.size();
    std::uint64_t hashes[batch_capacity];
    for (std::size_t i = 0; i < n; ++i) {
      hashes[i] = key_traits<K>::hash(records.keys[i]);
      rows_.prefetch(hashes[i]);
    }
    now_ = services_->processing_time();
    for (std::size_t i = 0; i < n && !stopped_; ++i) {
      if (i + look_ahead < n) prefetch_row(rows_.likely(hashes[i + look_ahead]));
      const std::int64_t ts = rule_.time == time_domain::event ? records.timestamps[i] : now_;
      if (ts == no_timestamp && rule_.what != window_rule<T>::kind::global) {
        services_->fail(
            error(errc::user, name_ + ": a record has no event time; give it one with assign_timestamps"));
        stopped_ = true;
        break;
      }
      rows_.select(records.keys[i], hashes[i]);
      try {
        take(records.values[i], ts);
      } catch (...) {
        if (!record_failed("window", {})) stopped_ = true;
      }
      settle();
    }
    op_counters::add(counters_.in, n);
    finish_batch();
  }

  void on_watermark(watermark w) override {
    watermark_ = std::max(watermark_, w.timestamp);
    now_ = services_->processing_time();
    run_alarms(event_, time_domain::event, watermark_);
    if (w.timestamp == max_watermark) run_alarms(processing_, time_domain::processing, max_watermark);
    finish_batch();
    pass_on(w);
  }

  void on_processing_time(std::int64_t now) override {
    now_ = now;
    asked_ = max_watermark;
    run_alarms(processing_, time_domain::processing, now);
    finish_batch();
  }

  void on_barrier(std::uint64_t epoch) override {
    seal_state(epoch, live_epochs_.empty() ? epoch + 1 : live_epochs_.begin()->first);
  }
  durable_state* durable() override { return this; }

 private:
  using kind = typename window_rule<T>::kind;
  struct open_window {
    time_window span;
    std::uint64_t first_epoch;
    std::int64_t first_ts;
    std::int64_t last_ts;
    bool filled = false;  // since it was opened or purged
    typename Body::contents contents{};
    trigger_state_t<Trigger> state{};
    few<trigger_context::alarm> alarms{};
  };
  struct cell {
    few<open_window> windows;  // of one key, by start
    // For what this row is in the timer sets: never later than the windows need. A window that grows leaves
    // it alone, so a session costs a timer a gap and not one a record.
    std::int64_t armed[2] = {max_watermark, max_watermark};
  };

  // A row a key: its windows.
  void note_changes() override { rows_.note_changes(); }
  void save_changes(state_log& to) override {
    rows_.save_changes(to, [&](row_id row, std::string& out) {
      const auto& all = cells_[row].windows;
      put_varint(all.size(), out);
      for (const open_window& w : all) save_window(w, out);
    });
    kept_watermark_.save(to, services_->context().lane, watermark_, layout());
  }
  static void save_window(const open_window& w, std::string& out) {
    encode_state(std::tuple(w.span.start_ms, w.span.end_ms, w.first_ts, w.last_ts, w.filled), out);
    encode_state(w.contents, out);
    encode_state(w.state, out);
    put_varint(w.alarms.size(), out);
    for (const auto& a : w.alarms) encode_state(std::tuple(a.at, a.domain), out);
  }
  bool restore(std::uint32_t partition, std::string_view row, std::string_view value) override {
    if (partition == shared_rows)
      return kept_watermark_.is_mine(row) && kept_watermark_.restore(value, layout());
    return rows_.restore(row, value, [&](row_id id, std::string_view& in) {
      cells_.reach(id);
      std::uint64_t n = 0;
      if (!take_varint(in, n) || n > in.size()) return false;
      for (std::uint64_t i = 0; i < n; ++i) {
        open_window w{{}, epoch_, max_watermark, min_watermark};
        if (!load_window(w, in)) return false;
        if (i == 0) rows_.hold(id);
        ++live_epochs_[epoch_];
        cells_[id].windows.push_back(std::move(w));
      }
      rearm(id);
      return true;
    });
  }
  static bool load_window(open_window& w, std::string_view& in) {
    std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, bool> times;
    std::vector<std::tuple<std::int64_t, time_domain>> alarms;
    if (!decode_state(in, times) || !decode_state(in, w.contents) || !decode_state(in, w.state) ||
        !decode_state(in, alarms))
      return false;
    std::tie(w.span.start_ms, w.span.end_ms, w.first_ts, w.last_ts, w.filled) = times;
    for (const auto& [at, domain] : alarms) w.alarms.push_back({at, domain});
    return true;
  }
  void restored() override {
    watermark_ = kept_watermark_.restored();
    if (const std::int64_t next = processing_.next(); next != asked_)
      services_->wake_at(*this, asked_ = next);
  }
  std::uint64_t layout() const noexcept {
    return mix_hash(rule_.shape.layout(),
                    static_cast<std::uint64_t>(rule_.what) * 4 + static_cast<std::uint64_t>(rule_.time)) >>
           1;
  }

  static constexpr std::size_t look_ahead = 8;
  void prefetch_row(row_id row) {
    if (row == no_row) return;
    rows_.prefetch_row(row);
    prefetch_all(cells_[row]);
  }

  std::int64_t expiry(const time_window& w) const { return saturating_add(w.last(), rule_.lateness); }
  std::int64_t time_now() const { return rule_.time == time_domain::event ? watermark_ : min_watermark; }

  void take(const T& record, std::int64_t ts) {
    switch (rule_.what) {
      case kind::aligned: {
        bool taken = false;
        rule_.shape.assign(ts, [&](std::int64_t start) {
          const time_window w{start, saturating_add(start, rule_.shape.size)};
          if (expiry(w) <= time_now()) return;
          taken = true;
          add(window_at(w), record, ts);
        });
        if (!taken) is_late(record, ts);
        break;
      }
      case kind::session: {
        const std::int64_t gap = rule_.gap_of ? rule_.gap_of(record) : rule_.gap;
        add_to_session(record, ts, {ts, saturating_add(ts, std::max<std::int64_t>(1, gap))});
        break;
      }
      case kind::global: add(window_at({min_watermark, max_watermark}), record, ts);
    }
  }

  few<open_window>& mine() {
    const row_id row = rows_.need();
    cells_.reach(row);
    return cells_[row].windows;
  }

  open_window& window_at(const time_window& w) {
    auto& all = mine();
    auto at = std::find_if(all.begin(), all.end(),
                           [&](const open_window& o) { return o.span.start_ms >= w.start_ms; });
    if (at != all.end() && at->span == w) return *at;
    return *open(all, at, w);
  }
  auto open(few<open_window>& all, open_window* at, const time_window& w) {
    if (all.empty()) rows_.hold(rows_.current());
    ++live_epochs_[epoch_];
    return all.insert(at, open_window{w, epoch_, max_watermark, min_watermark});
  }

  /// Merges what the record's own window touches (S3); late is judged of the result.
  void add_to_session(const T& record, std::int64_t ts, time_window w) {
    if (const row_id row = rows_.current(); row != no_row) {
      for (const open_window& o : cells_[row].windows) {
        if (o.span.start_ms <= w.end_ms && o.span.end_ms >= w.start_ms)
          w = {std::min(o.span.start_ms, w.start_ms), std::max(o.span.end_ms, w.end_ms)};
      }
    }
    if (expiry(w) <= time_now()) return is_late(record, ts);
    auto& all = mine();
    auto first = all.end();
    for (auto at = all.begin(); at != all.end();) {
      if (at->span.start_ms > w.end_ms || at->span.end_ms < w.start_ms) {
        ++at;
      } else if (first == all.end()) {
        first = at++;
      } else {
        merge(*first, *at);
        at = all.erase(at);
      }
    }
    if (first == all.end()) {
      const auto at = std::find_if(all.begin(), all.end(),
                                   [&](const open_window& o) { return o.span.start_ms >= w.start_ms; });
      return add(*open(all, at, w), record, ts);
    }
    if (first->span != w) {
      first->span = w;
      first->alarms.clear();
      trigger_context ctx(first->alarms, watermark_, now_);
      if constexpr (requires { trigger_.on_merge(w, first->state, first->state, ctx); }) {
        decltype(first->state) none{};
        trigger_.on_merge(w, first->state, none, ctx);
      }
    }
    add(*first, record, ts);
  }
  void merge(open_window& into, open_window& from) {
    body_.merge(into.contents, std::move(from.contents));
    into.filled |= from.filled;
    into.first_ts = std::min(into.first_ts, from.first_ts);
    into.last_ts = std::max(into.last_ts, from.last_ts);
    trigger_context ctx(into.alarms, watermark_, now_);
    const time_window both{std::min(into.span.start_ms, from.span.start_ms),
                           std::max(into.span.end_ms, from.span.end_ms)};
    if constexpr (requires { trigger_.on_merge(both, into.state, from.state, ctx); })
      trigger_.on_merge(both, into.state, from.state, ctx);
    // The older of the two epochs stays.
    forget_epoch(std::max(into.first_epoch, from.first_epoch));
    into.first_epoch = std::min(into.first_epoch, from.first_epoch);
  }

  void add(open_window& w, const T& record, std::int64_t ts) {
    body_.add(w.contents, record, ts);
    w.filled = true;
    w.first_ts = std::min(w.first_ts, ts);
    w.last_ts = std::max(w.last_ts, ts);
    trigger_context ctx(w.alarms, watermark_, now_);
    act(w, trigger_.on_record(record, ts, w.span, w.state, ctx));
  }

  void act(open_window& w, trigger_result r) {
    if (w.filled && (r == trigger_result::fire || r == trigger_result::fire_and_purge)) {
      // A global window shows the span of its records.
      const time_window shown =
          rule_.what == kind::global
              ? (w.last_ts == no_timestamp ? time_window{0, 0} : time_window{w.first_ts, w.last_ts + 1})
              : w.span;
      const std::int64_t ts = rule_.what == kind::global ? w.last_ts : w.span.last();
      body_.fire(rows_.key(), shown, w.contents, [&](out value) { outlets_.emit(std::move(value), ts); });
    }
    if (r == trigger_result::purge || r == trigger_result::fire_and_purge) {
      w.contents = {};
      w.filled = false;
      w.first_ts = max_watermark;
      w.last_ts = min_watermark;
    }
  }

  void is_late(const T& record, std::int64_t ts) {
    op_counters::add(counters_.late, 1);
    if (outlets_.late.connected() && saturating_add(ts, rule_.lateness) <= watermark_)
      outlets_.late.add(record, ts);
  }

  void run_alarms(row_timers& timers, time_domain domain, std::int64_t limit) {
    timer_id due{};
    const bool ending = limit == max_watermark;
    while (!stopped_ && timers.take(limit, due, armed_of(domain))) {
      prefetch_row(timers.ahead(2 * look_ahead));
      if (const row_id soon = timers.ahead(look_ahead); soon != no_row) rows_.prefetch_index_of(soon);
      rows_.select_row(due.row);
      try {
        ring(cells_[due.row].windows, domain, due.at);
      } catch (...) {
        if (!record_failed("window", {})) stopped_ = true;
      }
      if (domain == rule_.time) close_expired(cells_[due.row].windows, due.at);
      // The end comes once: a trigger that sets its next timer of processing time would never let it end.
      if (ending && domain == time_domain::processing) {
        for (open_window& w : cells_[due.row].windows)
          erase_if(w.alarms, [](const auto& a) { return a.domain == time_domain::processing; });
      }
      settle();
    }
  }
  /// Calls the trigger for each timer up to `until`, in the order of time.
  void ring(few<open_window>& all, time_domain domain, std::int64_t until) {
    for (open_window& w : all) {
      for (;;) {
        auto next = w.alarms.end();
        for (auto a = w.alarms.begin(); a != w.alarms.end(); ++a) {
          if (a->domain == domain && a->at <= until && (next == w.alarms.end() || a->at < next->at)) next = a;
        }
        if (next == w.alarms.end()) break;
        const std::int64_t at = next->at;
        w.alarms.erase(next);
        trigger_context ctx(w.alarms, watermark_, now_);
        if (domain == time_domain::event) {
          if constexpr (requires { trigger_.on_event_time(at, w.span, w.state, ctx); })
            act(w, trigger_.on_event_time(at, w.span, w.state, ctx));
        } else {
          if constexpr (requires { trigger_.on_processing_time(at, w.span, w.state, ctx); })
            act(w, trigger_.on_processing_time(at, w.span, w.state, ctx));
        }
      }
    }
  }
  void close_expired(few<open_window>& all, std::int64_t until) {
    if (rule_.what == kind::global) return;
    const bool had = !all.empty();
    erase_if(all, [&](const open_window& w) {
      if (expiry(w.span) > until) return false;
      forget_epoch(w.first_epoch);
      return true;
    });
    if (had && all.empty()) rows_.let_go(rows_.current());
  }
  /// A global window that is as good as new goes: its key may never come again.
  void forget_idle(few<open_window>& all) {
    if constexpr (requires(const open_window& w) { trigger_.idle(w.state); }) {
      if (rule_.what != kind::global || all.empty()) return;
      const open_window& w = *all.begin();
      if (w.filled || !w.alarms.empty() || !trigger_.idle(w.state)) return;
      forget_epoch(w.first_epoch);
      all.clear();
      rows_.let_go(rows_.current());
    }
  }
  void forget_epoch(std::uint64_t epoch) {
    const auto at = live_epochs_.find(epoch);
    if (--at->second == 0) live_epochs_.erase(at);
  }

  /// After work on a key: its timers are what its windows need.
  void settle() {
    if (const row_id row = rows_.current(); row != no_row) {
      cells_.reach(row);
      rows_.touch(row);
      forget_idle(cells_[row].windows);
      rearm(row);
    }
    rows_.done();
  }
  void rearm(row_id row) {
    cell& c = cells_[row];
    std::int64_t wanted[2] = {max_watermark, max_watermark};
    for (const open_window& w : c.windows) {
      for (const auto& a : w.alarms) {
        auto& at = wanted[static_cast<int>(a.domain)];
        at = std::min(at, a.at);
      }
      if (rule_.what != kind::global) {
        auto& at = wanted[static_cast<int>(rule_.time)];
        at = std::min(at, expiry(w.span));
      }
    }
    arm(event_, row, time_domain::event, wanted[0]);
    arm(processing_, row, time_domain::processing, wanted[1]);
  }
  void arm(row_timers& timers, row_id row, time_domain domain, std::int64_t wanted) {
    std::int64_t& armed = cells_[row].armed[static_cast<int>(domain)];
    if (wanted < armed || wanted == max_watermark) timers.arm(row, armed, wanted, armed_of(domain));
  }
  auto armed_of(time_domain domain) {
    return
        [this, domain](row_id row) -> std::int64_t& { return cells_[row].armed[static_cast<int>(domain)]; };
  }

  void finish_batch() {
    outlets_.flush(counters_);
    if (const std::int64_t next = processing_.next(); next != asked_)
      services_->wake_at(*this, asked_ = next);
  }

  window_rule<T> rule_;
  Body body_;
  Trigger trigger_;
  keyed_rows<K> rows_;
  paged<cell> cells_;
  row_timers event_, processing_;
  std::map<std::uint64_t, std::size_t> live_epochs_;  // windows by the epoch that they began in
  std::int64_t watermark_ = min_watermark;
  std::int64_t now_ = 0;
  std::int64_t asked_ = max_watermark;
  bool stopped_ = false;
  kept_watermark kept_watermark_;
  window_outlets<out, T> outlets_;
};

}  // namespace penstock::detail
