// SPDX-License-Identifier: Apache-2.0
// Windows a record-width apart, and the last word of a window. Included by <penstock/stream.h>.
// stream.h brings this file in behind its own declarations: see detail/keyed_api.h.
#include <penstock/stream.h>
#ifndef PENSTOCK_SLIDING_H
#define PENSTOCK_SLIDING_H

#include <penstock/detail/keyed_api.h>
#include <penstock/windowed.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace penstock {

namespace detail {

/// The records of a key by time; a timer where a window ends. The windows are those that end with a record,
/// and those that begin right after one and hold another (S12, KIP-450).
template <typename K, typename T, typename A>
struct sliding_function {
  using output = window_result<K, aggregate_t<A, T>>;
  map_state<std::int64_t, std::vector<T>> records;
  std::int64_t difference, grace;
  A aggregator;
  sliding_function(auto& state, std::int64_t d, std::int64_t g, A a)
      : records(state, "records"), difference(d), grace(g), aggregator(std::move(a)) {}

  void process(const T& record, auto& ctx) {
    const std::int64_t ts = ctx.timestamp();
    if (!ctx.has_timestamp())
      throw std::runtime_error("a record has no event time; give it one with assign_timestamps");
    const std::int64_t next_closes = saturating_add(saturating_add(ts, difference + 1), grace);
    if (next_closes <= ctx.watermark()) {
      ctx.emit(side_output<T>{"late"}, record);
      return;
    }
    const auto* there = records.get(ts);
    std::vector<T> all = there == nullptr ? std::vector<T>{} : *there;
    all.push_back(record);
    records.put(ts, std::move(all));
    if (saturating_add(ts, grace) > ctx.watermark()) ctx.set_event_timer(saturating_add(ts, grace));
    ctx.set_event_timer(next_closes);
  }

  void on_timer(const timer& due, auto& ctx) {
    const std::int64_t last = due.timestamp_ms - grace;
    const std::int64_t first = last - difference;
    accumulator_t<A, T> sum{};
    bool any = false;
    std::vector<std::int64_t> gone;
    records.for_each([&](const std::int64_t& ts, const std::vector<T>& all) {
      if (ts <= first) gone.push_back(ts);
      if (ts < first || ts > last) return;
      any = true;
      for (const T& r : all) aggregator.add(sum, r);
    });
    for (const std::int64_t ts : gone) records.erase(ts);
    if (any) ctx.emit(output{ctx.key(), first, last + 1, aggregator.result(std::as_const(sum))}, last);
  }
};

/// The last result of each window of a key, once no other can come.
template <typename R>
struct last_of_window {
  using output = R;
  map_state<std::int64_t, std::vector<R>> results;  // by the time at which a window closes; by start within
  std::int64_t lateness;
  last_of_window(auto& state, std::int64_t l) : results(state, "results"), lateness(l) {}
  void process(const R& r, auto& ctx) {
    const std::int64_t closes = saturating_add(r.end_ms - 1, lateness);
    if (closes <= ctx.watermark()) return ctx.emit(r);
    const auto* there = results.get(closes);
    std::vector<R> all = there == nullptr ? std::vector<R>{} : *there;
    std::erase_if(all, [&](const R& old) { return old.start_ms == r.start_ms; });
    all.push_back(r);
    results.put(closes, std::move(all));
    ctx.set_event_timer(closes);
  }
  void on_timer(const timer& due, auto& ctx) {
    if (const auto* all = results.get(due.timestamp_ms); all != nullptr) {
      for (const R& r : *all) ctx.emit(r, r.end_ms - 1);
    }
    results.erase(due.timestamp_ms);
  }
};

template <typename R>
concept result_of_window = requires(const R& r) {
  { r.start_ms } -> std::convertible_to<std::int64_t>;
  { r.end_ms } -> std::convertible_to<std::int64_t>;
};

}  // namespace detail

/// keyed.window(sliding{...}): results come once, when the window's grace is over.
template <typename K, typename T>
class sliding_windowed {
 public:
  sliding_windowed(keyed<K, T> records, sliding window) : records_(records), window_(window) {}

  template <typename A>
  auto aggregate(detail::named name, A aggregator) const {
    if constexpr (detail::must_aggregate<A, T>()) {
      const std::string called = name.name;
      if (window_.difference.count() < 0 || window_.grace.count() < 0)
        records_.in()->add_problem(called + ": a sliding window's difference and grace must not be negative");
      const auto made = records_.template process<detail::sliding_function<K, T, A>>(
          std::move(name), window_.difference.count(), window_.grace.count(), std::move(aggregator));
      (void)made.side(side_output<T>{"late"});  // the first: outlet 1
      return windowed_results<K, detail::aggregate_t<A, T>, T>(*records_.in(), made.from().node);
    } else {
      return detail::broken{};
    }
  }

 private:
  keyed<K, T> records_;
  sliding window_;
};

template <typename K, typename T>
auto keyed<K, T>::suppress(detail::named name, until_window_closes until) const {
  constexpr bool has_windows = detail::result_of_window<T>;
  static_assert(has_windows,
                "suppress(name, until_window_closes{...}): the records must be results of windows");
  if constexpr (has_windows) {
    return process<detail::last_of_window<T>>(std::move(name), until.allowed_lateness.count());
  } else {
    return detail::broken{};
  }
}

}  // namespace penstock

#endif
