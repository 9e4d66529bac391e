// SPDX-License-Identifier: Apache-2.0
// The steps of a fluent expression. Each is a small template that calls the next one directly, so that a
// whole expression becomes one loop without a call. `at` runs user code and remembers which step it was,
// should it throw.
#pragma once

#include <penstock/detail/op.h>
#include <penstock/detail/table_data.h>
#include <penstock/format.h>

#include <chrono>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::detail {

/// What one run of the loop counts. It lives in registers: that is why steps get it passed instead of
/// counting in members.
struct loop_state {
  std::uint64_t produced = 0;                ///< records that reached the terminal
  std::int64_t max_assigned = no_timestamp;  ///< the largest time that assign_timestamps gave
  std::uint32_t split = 0;                   ///< whose records they are
  bool may_take = false;                     ///< nobody else needs the records that come in
};

/// What a step that needs nothing does when its lane starts.
struct plain_step {
  static constexpr bool assigns_timestamps = false;
  static constexpr bool makes_watermarks = false;
  result<> open(services&) { return {}; }
};

/// A reference to what is the caller's to take, as that.
template <typename T>
T&& take(const T& value) noexcept {
  return static_cast<T&&>(const_cast<T&>(value));
}

/// What a function of records is sure to be given: an F that takes In&& alone wants a record of its own.
template <typename F, typename In>
using mapped_t =
    typename std::conditional_t<std::is_invocable_v<F&, const In&>, std::invoke_result<F&, const In&>,
                                std::invoke_result<F&, In&&>>::type;

/// Whether F has one signature, which takes In by value.
template <typename Signature, typename In>
inline constexpr bool first_by_value = false;
template <typename R, typename C, typename... Rest, typename In>
inline constexpr bool first_by_value<R (C::*)(In, Rest...), In> = true;
template <typename R, typename C, typename... Rest, typename In>
inline constexpr bool first_by_value<R (C::*)(In, Rest...) const, In> = true;
template <typename F, typename In>
constexpr bool takes_by_value() {
  if constexpr (requires { &F::operator(); }) {
    return first_by_value<decltype(&F::operator()), In>;
  } else {
    return false;
  }
}

template <typename F, typename In>
struct map_step : plain_step {
  static constexpr const char* name = "map";
  using out = std::decay_t<mapped_t<F, In>>;
  static constexpr bool wants_its_own =
      !std::is_trivially_copyable_v<In> && (!std::is_invocable_v<F&, const In&> || takes_by_value<F, In>());
  F f;
  explicit map_step(F user) : f(std::move(user)) {}
  template <typename V, typename At, typename Next>
  [[gnu::always_inline]] void apply(V&& value, std::int64_t ts, loop_state& loop, At at, Next&& next) {
    if constexpr (wants_its_own && std::is_lvalue_reference_v<V>) {
      next(at([&]() -> out {
             const In& record = value;
             return std::invoke(f, loop.may_take ? In(take(record)) : In(record));
           }),
           ts);
    } else if constexpr (!std::is_invocable_v<F&, const In&>) {
      next(at([&]() -> out { return std::invoke(f, In(std::forward<V>(value))); }), ts);
    } else if constexpr (std::is_invocable_v<F&, V&&>) {
      next(at([&]() -> out { return std::invoke(f, std::forward<V>(value)); }), ts);
    } else {
      next(at([&]() -> out { return std::invoke(f, std::as_const(value)); }), ts);
    }
  }
};

template <typename F, typename In>
struct filter_step : plain_step {
  static constexpr const char* name = "filter";
  using out = In;
  F f;
  explicit filter_step(F user) : f(std::move(user)) {}
  template <typename V, typename At, typename Next>
  [[gnu::always_inline]] void apply(V&& value, std::int64_t ts, loop_state&, At at, Next&& next) {
    if (at([&]() -> bool { return std::invoke(f, std::as_const(value)); })) next(std::forward<V>(value), ts);
  }
};

/// flat_map with a function that returns a range of results.
template <typename F, typename In>
struct expand_step : plain_step {
  static constexpr const char* name = "flat_map";
  using range = std::invoke_result_t<F&, const In&>;
  using out = std::decay_t<decltype(*std::begin(std::declval<range&>()))>;
  F f;
  explicit expand_step(F user) : f(std::move(user)) {}
  template <typename V, typename At, typename Next>
  void apply(V&& value, std::int64_t ts, loop_state&, At at, Next&& next) {
    auto&& results = at([&]() -> decltype(auto) { return std::invoke(f, std::as_const(value)); });
    for (auto&& one : results) next(out(std::move(one)), ts);
  }
};

/// flat_map with a function that is given an emitter.
template <typename Out, typename F, typename In>
struct emit_step : plain_step {
  static constexpr const char* name = "flat_map";
  using out = Out;
  F f;
  explicit emit_step(F user) : f(std::move(user)) {}
  template <typename V, typename At, typename Next>
  void apply(V&& value, std::int64_t ts, loop_state&, At at, Next&& next) {
    at([&] { std::invoke(f, std::as_const(value), [&](Out one) { next(std::move(one), ts); }); });
  }
};

template <typename Format>
struct decode_step : plain_step {
  static constexpr const char* name = "decode";
  using out = typename Format::value_type;
  Format format;
  out value{};  // used again for each record, so that strings keep their memory
  explicit decode_step(Format f) : format(std::move(f)) {}
  template <typename V, typename At, typename Next>
  void apply(V&& record, std::int64_t ts, loop_state&, At at, Next&& next) {
    at([&] {
      if (result<> r = decode_with(format, record, value); !r) throw decode_failure{std::move(r.error())};
    });
    next(std::move(value), ts);
  }
};

/// A time as the user gives it: milliseconds since 1970 as a number, or a point of the system clock.
template <typename Time>
concept event_time = std::is_convertible_v<Time, std::int64_t> || requires(Time t) {
  std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count();
};

template <event_time Time>
constexpr std::int64_t to_ms(const Time& t) {
  if constexpr (std::is_convertible_v<Time, std::int64_t>) {
    return static_cast<std::int64_t>(t);
  } else {
    return std::chrono::floor<std::chrono::milliseconds>(t.time_since_epoch()).count();
  }
}

template <typename F, typename In>
struct timestamp_step : plain_step {
  static constexpr const char* name = "assign_timestamps";
  static constexpr bool assigns_timestamps = true;
  using out = In;
  F f;
  explicit timestamp_step(F user) : f(std::move(user)) {}
  template <typename V, typename At, typename Next>
  [[gnu::always_inline]] void apply(V&& value, std::int64_t, loop_state& loop, At at, Next&& next) {
    const std::int64_t ts = at([&] { return to_ms(std::invoke(f, std::as_const(value))); });
    if (ts > loop.max_assigned) loop.max_assigned = ts;
    next(std::forward<V>(value), ts);
  }
};

/// A generator of watermarks that the user wrote; one a split, copies of the first.
template <typename G, typename In>
struct watermark_step : plain_step {
  static constexpr const char* name = "assign_watermarks";
  static constexpr bool makes_watermarks = true;
  using out = In;
  G fresh;
  std::vector<std::optional<G>> generators{};  // by split
  explicit watermark_step(G g) : fresh(std::move(g)) {}
  G& of(std::uint32_t split) {
    if (generators.size() <= split) generators.resize(split + 1);
    if (!generators[split]) generators[split].emplace(fresh);
    return *generators[split];
  }
  template <typename V, typename At, typename Next>
  void apply(V&& value, std::int64_t ts, loop_state& loop, At at, Next&& next) {
    at([&] { of(loop.split).on_event(static_cast<const In&>(value), ts); });
    next(std::forward<V>(value), ts);
  }
  std::int64_t watermark(std::uint32_t split, std::int64_t processing_time_ms) {
    if constexpr (requires(G & g) { g.watermark(processing_time_ms); }) {
      return of(split).watermark(processing_time_ms);
    } else {
      return of(split).watermark();
    }
  }
};

/// Looks a key up in a global table. Inner: records without a match are dropped.
template <typename K, typename V, typename KeyOf, typename Joiner, typename In, bool Inner>
struct table_join_step {
  static constexpr const char* name = "join";
  static constexpr bool assigns_timestamps = false;
  static constexpr bool makes_watermarks = false;
  using joined = std::conditional_t<Inner, const V&, const V*>;
  using out = std::decay_t<std::invoke_result_t<Joiner&, const In&, joined>>;
  std::uint32_t table;
  KeyOf key_of;
  Joiner joiner;
  const table_data<K, V>* data = nullptr;
  table_join_step(std::uint32_t node, KeyOf k, Joiner j)
      : table(node), key_of(std::move(k)), joiner(std::move(j)) {}
  result<> open(services& lane) {
    data = static_cast<const table_data<K, V>*>(lane.table(table));
    return {};
  }
  template <typename Value, typename At, typename Next>
  void apply(Value&& value, std::int64_t ts, loop_state&, At at, Next&& next) {
    const V* match = at([&] { return data->find(std::invoke(key_of, static_cast<const In&>(value))); });
    if constexpr (Inner) {
      if (match != nullptr)
        next(at([&]() -> out { return std::invoke(joiner, std::as_const(value), *match); }), ts);
    } else {
      next(at([&]() -> out { return std::invoke(joiner, std::as_const(value), match); }), ts);
    }
  }
};

}  // namespace penstock::detail
