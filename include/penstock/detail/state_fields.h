// SPDX-License-Identifier: Apache-2.0
// The fields of a struct: as Boost.Describe knows them, or, for a plain struct that nobody described, as
// structured bindings find them.
#pragma once

#include <boost/describe.hpp>
#include <boost/mp11/algorithm.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace penstock::detail {

template <typename T>
concept is_described = std::is_class_v<T> && boost::describe::has_describe_members<T>::value;

/// Stands for a field of whatever type, where only the number of fields is asked.
template <typename Whole>
struct any_field {
  template <typename F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Whole>) operator F&() const& noexcept;
  template <typename F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Whole>) operator F&&() const&& noexcept;
};

inline constexpr std::size_t most_fields = 16;

template <typename T, std::size_t... I>
constexpr bool takes_fields(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), any_field<T>{})...}; };
}
template <typename T, std::size_t N = most_fields + 1>
constexpr std::size_t count_fields() {
  if constexpr (N == 0) {
    return 0;
  } else if constexpr (takes_fields<T>(std::make_index_sequence<N>{})) {
    return N;
  } else {
    return count_fields<T, N - 1>();
  }
}

/// A struct whose fields structured bindings can name. What is trivially copyable is kept as its bytes
/// instead (and an array among its fields would be counted wrong).
template <typename T>
concept plain_struct = std::is_class_v<T> && std::is_aggregate_v<T> && !std::is_trivially_copyable_v<T> &&
                       !is_described<T> && count_fields<T>() >= 1 && count_fields<T>() <= most_fields;

template <std::size_t N, typename T, typename F>
constexpr decltype(auto) with_fields(T& v, F&& f) {
  // clang-format off
  if constexpr (N == 1) { auto& [a] = v; return f(a); }
  else if constexpr (N == 2) { auto& [a, b] = v; return f(a, b); }
  else if constexpr (N == 3) { auto& [a, b, c] = v; return f(a, b, c); }
  else if constexpr (N == 4) { auto& [a, b, c, d] = v; return f(a, b, c, d); }
  else if constexpr (N == 5) { auto& [a, b, c, d, e] = v; return f(a, b, c, d, e); }
  else if constexpr (N == 6) { auto& [a, b, c, d, e, g] = v; return f(a, b, c, d, e, g); }
  else if constexpr (N == 7) { auto& [a, b, c, d, e, g, h] = v; return f(a, b, c, d, e, g, h); }
  else if constexpr (N == 8) { auto& [a, b, c, d, e, g, h, i] = v; return f(a, b, c, d, e, g, h, i); }
  else if constexpr (N == 9) { auto& [a, b, c, d, e, g, h, i, j] = v; return f(a, b, c, d, e, g, h, i, j); }
  else if constexpr (N == 10) { auto& [a, b, c, d, e, g, h, i, j, k] = v; return f(a, b, c, d, e, g, h, i, j, k); }
  else if constexpr (N == 11) { auto& [a, b, c, d, e, g, h, i, j, k, l] = v; return f(a, b, c, d, e, g, h, i, j, k, l); }
  else if constexpr (N == 12) { auto& [a, b, c, d, e, g, h, i, j, k, l, m] = v; return f(a, b, c, d, e, g, h, i, j, k, l, m); }
  else if constexpr (N == 13) { auto& [a, b, c, d, e, g, h, i, j, k, l, m, n] = v; return f(a, b, c, d, e, g, h, i, j, k, l, m, n); }
  else if constexpr (N == 14) { auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o] = v; return f(a, b, c, d, e, g, h, i, j, k, l, m, n, o); }
  else if constexpr (N == 15) { auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p] = v; return f(a, b, c, d, e, g, h, i, j, k, l, m, n, o, p); }
  else { auto& [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q] = v; return f(a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q); }
  // clang-format on
}

template <typename T>
using described_fields =
    boost::describe::describe_members<T, boost::describe::mod_public | boost::describe::mod_private |
                                             boost::describe::mod_inherited>;

/// f(field) for each.
template <typename T, typename F>
void for_each_field(T& value, F&& f) {
  using plain = std::remove_const_t<T>;
  if constexpr (is_described<plain>) {
    boost::mp11::mp_for_each<described_fields<plain>>([&](auto d) { f(value.*d.pointer); });
  } else {
    with_fields<count_fields<plain>()>(value, [&](auto&... field) { (f(field), ...); });
  }
}

/// Whether f(std::type_identity<field's type>) holds for all of them.
template <typename T, typename F>
constexpr bool fields_all(F f) {
  if constexpr (is_described<T>) {
    bool all = true;
    boost::mp11::mp_for_each<described_fields<T>>([&](auto d) {
      all = all && f(std::type_identity<std::remove_cvref_t<decltype(std::declval<T&>().*d.pointer)>>{});
    });
    return all;
  } else {
    using answers = decltype(with_fields<count_fields<T>()>(std::declval<T&>(), [](auto&... field) {
      return boost::mp11::mp_list<std::type_identity<std::remove_cvref_t<decltype(field)>>...>{};
    }));
    bool all = true;
    boost::mp11::mp_for_each<answers>([&](auto t) { all = all && f(t); });
    return all;
  }
}

}  // namespace penstock::detail
