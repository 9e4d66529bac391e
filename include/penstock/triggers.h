// SPDX-License-Identifier: Apache-2.0
// When a window gives its result: `.window(w).trigger(t)`. Without a trigger, windows of event time fire when
// the watermark reaches their last millisecond, windows of processing time when the clock does.
//
// A trigger of one's own:
//
//     struct my_trigger {
//       struct state { int seen = 0; };                       // a key and window; may be left out
//       trigger_result on_record(const T&, std::int64_t timestamp_ms, const time_window&, state&,
//       trigger_context&) const;
//       // where it sets timers:
//       trigger_result on_event_time(std::int64_t at, const time_window&, state&, trigger_context&) const;
//       trigger_result on_processing_time(std::int64_t at, const time_window&, state&, trigger_context&)
//       const;
//       // for sessions; `from` goes, `into` stays; timers of both are gone: set again what is needed
//       void on_merge(const time_window& merged, state& into, const state& from, trigger_context&) const;
//     };
// (Without a state the parameter is a `no_trigger_state&`.)
#pragma once

#include <penstock/detail/few.h>
#include <penstock/watermarks.h>
#include <penstock/windows.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

namespace penstock {

enum class trigger_result : std::uint8_t { wait, fire, purge, fire_and_purge };

struct no_trigger_state {};

/// A window's span, [start_ms, end_ms). A global window has neither: min_watermark and max_watermark.
struct time_window {
  std::int64_t start_ms;
  std::int64_t end_ms;
  /// Its largest timestamp.
  std::int64_t last() const noexcept { return end_ms == max_watermark ? end_ms : end_ms - 1; }
  friend bool operator==(const time_window&, const time_window&) = default;
};

/// The timers of one key and window.
class trigger_context {
 public:
  struct alarm {
    std::int64_t at;
    time_domain domain;
    friend bool operator==(const alarm&, const alarm&) = default;
  };
  trigger_context(detail::few<alarm>& alarms, std::int64_t watermark, std::int64_t processing_time) noexcept
      : alarms_(alarms), watermark_(watermark), processing_time_(processing_time) {}
  std::int64_t watermark() const noexcept { return watermark_; }
  std::int64_t processing_time() const noexcept { return processing_time_; }
  void set_event_timer(std::int64_t at) { set({at, time_domain::event}); }
  void set_processing_timer(std::int64_t at) { set({at, time_domain::processing}); }
  void delete_event_timer(std::int64_t at) { drop({at, time_domain::event}); }
  void delete_processing_timer(std::int64_t at) { drop({at, time_domain::processing}); }

 private:
  void set(alarm a) {
    if (std::find(alarms_.begin(), alarms_.end(), a) == alarms_.end()) alarms_.push_back(a);
  }
  void drop(const alarm& gone) {
    erase_if(alarms_, [&](const alarm& a) { return a == gone; });
  }
  detail::few<alarm>& alarms_;
  std::int64_t watermark_;
  std::int64_t processing_time_;
};

namespace triggers {

/// When the watermark reaches the window's last millisecond, and at each record that comes later (S5).
struct event_time {
  template <typename T, typename S>
  trigger_result on_record(const T&, std::int64_t, const time_window& w, S&, trigger_context& ctx) const {
    if (w.last() <= ctx.watermark()) return trigger_result::fire;
    ctx.set_event_timer(w.last());
    return trigger_result::wait;
  }
  template <typename S>
  trigger_result on_event_time(std::int64_t at, const time_window& w, S&, trigger_context&) const {
    return at == w.last() ? trigger_result::fire : trigger_result::wait;
  }
  template <typename S>
  void on_merge(const time_window& merged, S&, const S&, trigger_context& ctx) const {
    if (merged.last() > ctx.watermark()) ctx.set_event_timer(merged.last());
  }
};

/// When the clock reaches the window's last millisecond.
struct processing_time {
  template <typename T, typename S>
  trigger_result on_record(const T&, std::int64_t, const time_window& w, S&, trigger_context& ctx) const {
    ctx.set_processing_timer(w.last());
    return trigger_result::wait;
  }
  template <typename S>
  trigger_result on_processing_time(std::int64_t, const time_window&, S&, trigger_context&) const {
    return trigger_result::fire;
  }
  template <typename S>
  void on_merge(const time_window& merged, S&, const S&, trigger_context& ctx) const {
    ctx.set_processing_timer(merged.last());
  }
};

/// At every n-th record of a key and window.
struct count {
  std::int64_t n;
  struct state {
    std::int64_t seen = 0;
  };
  template <typename T>
  trigger_result on_record(const T&, std::int64_t, const time_window&, state& s, trigger_context&) const {
    if (++s.seen < n) return trigger_result::wait;
    s.seen = 0;
    return trigger_result::fire;
  }
  void on_merge(const time_window&, state& into, const state& from, trigger_context&) const {
    into.seen += from.seen;
  }
  static bool idle(const state& s) noexcept { return s.seen == 0; }
};

/// Every `interval` of event time, and at the window's end.
struct every_event_time {
  std::chrono::milliseconds interval;
  struct state {
    std::int64_t next = max_watermark;
  };
  template <typename T>
  trigger_result on_record(const T&, std::int64_t ts, const time_window& w, state& s,
                           trigger_context& ctx) const {
    if (w.last() <= ctx.watermark()) return trigger_result::fire;
    ctx.set_event_timer(w.last());
    if (s.next == max_watermark) set_next(detail::window_start(ts, 0, interval.count()), w, s, ctx);
    return trigger_result::wait;
  }
  trigger_result on_event_time(std::int64_t at, const time_window& w, state& s, trigger_context& ctx) const {
    if (at == w.last()) return trigger_result::fire;
    if (at != s.next) return trigger_result::wait;
    set_next(at, w, s, ctx);
    return trigger_result::fire;
  }
  void on_merge(const time_window& merged, state& into, const state& from, trigger_context& ctx) const {
    into.next = std::min(into.next, from.next);
    if (into.next != max_watermark) ctx.set_event_timer(into.next);
    if (merged.last() > ctx.watermark()) ctx.set_event_timer(merged.last());
  }

 private:
  void set_next(std::int64_t from, const time_window& w, state& s, trigger_context& ctx) const {
    s.next = std::min(detail::saturating_add(from, interval.count()), w.last());
    ctx.set_event_timer(s.next);
  }
};

/// Every `interval` of processing time after the first record.
struct every_processing_time {
  std::chrono::milliseconds interval;
  struct state {
    std::int64_t next = max_watermark;
  };
  template <typename T>
  trigger_result on_record(const T&, std::int64_t, const time_window&, state& s, trigger_context& ctx) const {
    if (s.next == max_watermark)
      set_next(detail::window_start(ctx.processing_time(), 0, interval.count()), s, ctx);
    return trigger_result::wait;
  }
  trigger_result on_processing_time(std::int64_t at, const time_window&, state& s,
                                    trigger_context& ctx) const {
    if (at != s.next) return trigger_result::wait;
    set_next(at, s, ctx);
    return trigger_result::fire;
  }
  void on_merge(const time_window&, state& into, const state& from, trigger_context& ctx) const {
    into.next = std::min(into.next, from.next);
    if (into.next != max_watermark) ctx.set_processing_timer(into.next);
  }

 private:
  void set_next(std::int64_t from, state& s, trigger_context& ctx) const {
    s.next = from + interval.count();
    ctx.set_processing_timer(s.next);
  }
};

/// Never: for windows that only a trigger of one's own, or the end, should fire.
struct never {
  template <typename T, typename S>
  trigger_result on_record(const T&, std::int64_t, const time_window&, S&, trigger_context&) const {
    return trigger_result::wait;
  }
  template <typename S>
  void on_merge(const time_window&, S&, const S&, trigger_context&) const {}
};

}  // namespace triggers

namespace detail {
template <typename Trigger>
struct trigger_state {
  using type = no_trigger_state;
};
template <typename Trigger>
requires requires { typename Trigger::state; }
struct trigger_state<Trigger> {
  using type = typename Trigger::state;
};
template <typename Trigger>
using trigger_state_t = typename trigger_state<Trigger>::type;
}  // namespace detail

namespace triggers {
/// As `inner`, and the window is empty again after it has fired.
template <typename Inner>
struct purging {
  Inner inner;
  using state = detail::trigger_state_t<Inner>;
  template <typename T>
  trigger_result on_record(const T& r, std::int64_t ts, const time_window& w, state& s,
                           trigger_context& ctx) const {
    return purged(inner.on_record(r, ts, w, s, ctx));
  }
  trigger_result on_event_time(std::int64_t at, const time_window& w, state& s, trigger_context& ctx) const {
    if constexpr (requires { inner.on_event_time(at, w, s, ctx); }) {
      return purged(inner.on_event_time(at, w, s, ctx));
    } else {
      return trigger_result::wait;
    }
  }
  trigger_result on_processing_time(std::int64_t at, const time_window& w, state& s,
                                    trigger_context& ctx) const {
    if constexpr (requires { inner.on_processing_time(at, w, s, ctx); }) {
      return purged(inner.on_processing_time(at, w, s, ctx));
    } else {
      return trigger_result::wait;
    }
  }
  void on_merge(const time_window& w, state& into, const state& from,
                trigger_context& ctx) const requires requires {
    inner.on_merge(w, into, from, ctx);
  }
  { inner.on_merge(w, into, from, ctx); }
  bool idle(const state& s) const requires requires { inner.idle(s); }
  { return inner.idle(s); }

 private:
  static trigger_result purged(trigger_result r) {
    return r == trigger_result::fire ? trigger_result::fire_and_purge : r;
  }
};
template <typename Inner>
purging(Inner) -> purging<Inner>;
}  // namespace triggers

/// A record of a window with its event time.
template <typename T>
struct stamped {
  T value;
  std::int64_t timestamp_ms;
};

/// What a window keeps of its records when it fires: `.window(w).evict(e)`. One's own is callable as
/// e(std::vector<stamped<T>>&, const time_window&) and takes out what is not to be seen.
namespace evictors {
/// The last n.
struct count {
  std::size_t n;
  template <typename T>
  void operator()(std::vector<stamped<T>>& records, const time_window&) const {
    if (records.size() > n) records.erase(records.begin(), records.end() - static_cast<std::ptrdiff_t>(n));
  }
};
/// Those that are less than `keep` older than the newest.
struct time {
  std::chrono::milliseconds keep;
  template <typename T>
  void operator()(std::vector<stamped<T>>& records, const time_window&) const {
    std::int64_t newest = min_watermark;
    for (const auto& r : records) newest = std::max(newest, r.timestamp_ms);
    std::erase_if(records, [&](const auto& r) {
      return r.timestamp_ms <= detail::saturating_add(newest, -keep.count());
    });
  }
};
}  // namespace evictors

}  // namespace penstock
