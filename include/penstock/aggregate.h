// SPDX-License-Identifier: Apache-2.0
// Aggregators: how the records of a window or a key become one value. Ready here: count, count_if, sum, mean,
// min, max, and all_of for several at once. One's own is a type with
//
//     using accumulator = A;                          made with A{} for each window and key
//     void add(A& a, const T& record) const;
//     R result(const A& a) const;
//     void merge(A& into, const A& later) const;      for sessions; makes hopping windows fast
//
// An aggregator is copied to every lane. One that counts, whatever the records are, says
//
//     static constexpr bool reads_records = false;
//
// and must not look at what add() is given: records are then neither kept nor carried to another lane.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace penstock {
namespace detail {

template <typename V>
struct optional_traits {
  static constexpr bool optional = false;
  using value = V;
};
template <typename V>
struct optional_traits<std::optional<V>> {
  static constexpr bool optional = true;
  using value = V;
};

/// What a field (a member pointer or a function of the record) gives, without its optional.
template <typename F, typename T>
using field_traits = optional_traits<std::decay_t<std::invoke_result_t<const F&, const T&>>>;
template <typename F, typename T>
using field_value = typename field_traits<F, T>::value;

/// Calls use(value) unless the field is empty.
template <typename F, typename T, typename Use>
void with_field(const F& f, const T& record, Use&& use) {
  decltype(auto) v = std::invoke(f, record);
  if constexpr (field_traits<F, T>::optional) {
    if (v.has_value()) use(*v);
  } else {
    use(v);
  }
}

template <typename A, typename T>
struct accumulator_of {};
template <typename A, typename T>
requires requires { typename A::accumulator; }
struct accumulator_of<A, T> {
  using type = typename A::accumulator;
};
template <typename A, typename T>
requires requires { typename A::template accumulator_for<T>; }
struct accumulator_of<A, T> {
  using type = typename A::template accumulator_for<T>;
};
template <typename A, typename T>
using accumulator_t = typename accumulator_of<A, T>::type;

template <typename A, typename T>
concept aggregator = std::copy_constructible<A> &&
    requires(const A& a, accumulator_t<A, T>& acc, const T& record) {
  requires std::default_initializable<accumulator_t<A, T>>;
  a.add(acc, record);
  a.result(std::as_const(acc));
};
/// Can take another accumulator in: sessions and hopping windows by slices need it.
template <typename A, typename T>
concept mergeable = requires(const A& a, accumulator_t<A, T>& into, const accumulator_t<A, T>& from) {
  a.merge(into, from);
};
/// Whether it looks at the records that it is given.
template <typename A>
inline constexpr bool reads_records = !requires {
  requires !A::reads_records;
};
/// The sentences about an aggregator, and about a function that reduces.
template <typename A, typename T>
consteval bool must_aggregate() {
  constexpr bool aggregates_it = aggregator<A, T>;
  static_assert(
      aggregates_it,
      "aggregate(name, a): a must be an aggregator of the stream's type: accumulator, add(accumulator&, "
      "const T&), result(const accumulator&); see <penstock/aggregate.h>");
  return aggregates_it;
}
template <typename F, typename T>
consteval bool must_reduce() {
  constexpr bool reduces = std::is_invocable_r_v<T, const F&, const T&, const T&>;
  static_assert(reduces, "reduce(name, f): f must be callable as T f(const T&, const T&)");
  return reduces;
}
template <typename A, typename T>
using aggregate_t =
    std::decay_t<decltype(std::declval<const A&>().result(std::declval<const accumulator_t<A, T>&>()))>;

/// Integers are summed in 64 bits, the rest in its own type.
template <typename V>
using sum_type = std::conditional_t<std::is_integral_v<V>, std::int64_t, V>;

struct count_aggregator {
  using accumulator = std::int64_t;
  static constexpr bool reads_records = false;
  template <typename T>
  void add(std::int64_t& n, const T&) const {
    ++n;
  }
  void merge(std::int64_t& n, const std::int64_t& more) const { n += more; }
  std::int64_t result(const std::int64_t& n) const { return n; }
};

template <typename F>
struct count_if_aggregator {
  F predicate;
  using accumulator = std::int64_t;
  template <typename T>
  void add(std::int64_t& n, const T& record) const {
    if (std::invoke(predicate, record)) ++n;
  }
  void merge(std::int64_t& n, const std::int64_t& more) const { n += more; }
  std::int64_t result(const std::int64_t& n) const { return n; }
};

template <typename V>
struct sum_state {
  sum_type<V> sum{};
};
template <typename F>
struct sum_aggregator {
  F field;
  template <typename T>
  using accumulator_for = sum_state<field_value<F, T>>;
  template <typename V, typename T>
  void add(sum_state<V>& a, const T& record) const {
    with_field(field, record, [&](const auto& v) { a.sum += static_cast<sum_type<V>>(v); });
  }
  template <typename V>
  void merge(sum_state<V>& a, const sum_state<V>& more) const {
    a.sum += more.sum;
  }
  template <typename V>
  sum_type<V> result(const sum_state<V>& a) const {
    return a.sum;
  }
};

template <typename V, bool Optional>
struct mean_state {
  sum_type<V> sum{};
  std::int64_t n = 0;
};
template <typename F>
struct mean_aggregator {
  F field;
  template <typename T>
  using accumulator_for = mean_state<field_value<F, T>, field_traits<F, T>::optional>;
  template <typename V, bool Optional, typename T>
  void add(mean_state<V, Optional>& a, const T& record) const {
    with_field(field, record, [&](const auto& v) {
      a.sum += static_cast<sum_type<V>>(v);
      ++a.n;
    });
  }
  template <typename V, bool Optional>
  void merge(mean_state<V, Optional>& a, const mean_state<V, Optional>& more) const {
    a.sum += more.sum;
    a.n += more.n;
  }
  template <typename V>
  double result(const mean_state<V, false>& a) const {
    return static_cast<double>(a.sum) / static_cast<double>(a.n);
  }
  template <typename V>
  std::optional<double> result(const mean_state<V, true>& a) const {
    if (a.n == 0) return std::nullopt;
    return static_cast<double>(a.sum) / static_cast<double>(a.n);
  }
};

template <typename V, bool Optional>
struct extreme_state {
  std::optional<V> best{};
};
template <typename F, typename Better>
struct extreme_aggregator {
  F field;
  template <typename T>
  using accumulator_for = extreme_state<field_value<F, T>, field_traits<F, T>::optional>;
  template <typename V, bool Optional, typename T>
  void add(extreme_state<V, Optional>& a, const T& record) const {
    with_field(field, record, [&](const auto& v) {
      if (!a.best || Better{}(v, *a.best)) a.best = v;
    });
  }
  template <typename V, bool Optional>
  void merge(extreme_state<V, Optional>& a, const extreme_state<V, Optional>& more) const {
    if (more.best && (!a.best || Better{}(*more.best, *a.best))) a.best = more.best;
  }
  template <typename V>
  V result(const extreme_state<V, false>& a) const {
    return *a.best;
  }
  template <typename V>
  std::optional<V> result(const extreme_state<V, true>& a) const {
    return a.best;
  }
};

template <typename A, typename Acc>
concept merges_as = requires(const A& a, Acc& into, const Acc& from) {
  a.merge(into, from);
};
template <typename... As>
struct all_aggregator {
  std::tuple<As...> parts;
  template <typename T>
  using accumulator_for = std::tuple<accumulator_t<As, T>...>;
  template <typename... Accs, typename T>
  void add(std::tuple<Accs...>& a, const T& record) const {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (std::get<I>(parts).add(std::get<I>(a), record), ...);
    }
    (std::index_sequence_for<As...>{});
  }
  template <typename... Accs>
  void merge(std::tuple<Accs...>& a, const std::tuple<Accs...>& more) const
      requires(merges_as<As, Accs>&&...) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (std::get<I>(parts).merge(std::get<I>(a), std::get<I>(more)), ...);
    }
    (std::index_sequence_for<As...>{});
  }
  template <typename... Accs>
  auto result(const std::tuple<Accs...>& a) const {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple(std::get<I>(parts).result(std::get<I>(a))...);
    }
    (std::index_sequence_for<As...>{});
  }
};

/// reduce as an aggregator: the first record, then f(so far, next).
template <typename T, typename F>
struct reduce_aggregator {
  F f;
  using accumulator = std::optional<T>;
  void add(std::optional<T>& a, const T& record) const {
    if (a) {
      a = std::invoke(f, std::as_const(*a), record);
    } else {
      a = record;
    }
  }
  /// For sessions that become one. (Hopping windows are not made from slices with it: f may not be
  /// associative.)
  static constexpr bool in_slices = false;
  void merge(std::optional<T>& a, const std::optional<T>& more) const {
    if (more) add(a, *more);
  }
  T result(const std::optional<T>& a) const { return *a; }
};

}  // namespace detail

/// How many records. Gives std::int64_t.
inline detail::count_aggregator count() { return {}; }
/// How many records for which the predicate (a member pointer or a function) holds. Gives std::int64_t.
template <typename F>
detail::count_if_aggregator<F> count_if(F predicate) {
  return {std::move(predicate)};
}
/// The sum of a field; empty optionals count as nothing. Integers give std::int64_t, the rest its own type.
template <typename F>
detail::sum_aggregator<F> sum(F field) {
  return {std::move(field)};
}
/// The mean of a field as a double. For an optional field: the mean of those that are there, nothing if none
/// is.
template <typename F>
detail::mean_aggregator<F> mean(F field) {
  return {std::move(field)};
}
/// The least value of a field; an optional field gives an optional.
template <typename F>
detail::extreme_aggregator<F, std::less<>> min(F field) {
  return {std::move(field)};
}
/// The largest value of a field; an optional field gives an optional.
template <typename F>
detail::extreme_aggregator<F, std::greater<>> max(F field) {
  return {std::move(field)};
}
/// Several aggregators over the same records. Gives a std::tuple of their results.
template <typename... Aggregators>
detail::all_aggregator<Aggregators...> all_of(Aggregators... parts) {
  return {std::tuple<Aggregators...>(std::move(parts)...)};
}

}  // namespace penstock
