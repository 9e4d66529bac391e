// SPDX-License-Identifier: Apache-2.0
// The members of structs that describe themselves (BOOST_DESCRIBE_STRUCT), for formats.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <boost/describe/members.hpp>
#include <cstddef>
#include <optional>
#include <string_view>
#include <type_traits>

namespace penstock::detail {

template <typename T>
concept described = boost::describe::has_describe_members<T>::value;

template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <described T>
using members_of = boost::describe::describe_members<T, boost::describe::mod_public>;

template <typename T, typename Member>
using member_type = std::remove_cvref_t<decltype(std::declval<T&>().*Member::pointer)>;

template <template <typename...> typename List, typename... Members, typename F>
constexpr void for_each_member(List<Members...>, F&& f) {
  (f(Members{}), ...);
}
/// Calls f(member descriptor) for each member, in order: D::name, D::pointer.
template <described T, typename F>
constexpr void for_each_member(F&& f) {
  for_each_member(members_of<T>{}, f);
}

template <template <typename...> typename List, typename... Members>
constexpr std::size_t count_members(List<Members...>) {
  return sizeof...(Members);
}
template <described T>
inline constexpr std::size_t member_count = count_members(members_of<T>{});

template <template <typename...> typename List, typename... Members>
constexpr auto names_in(List<Members...>) {
  return std::array<std::string_view, sizeof...(Members)>{std::string_view(Members::name)...};
}
template <described T>
inline constexpr auto member_names = names_in(members_of<T>{});

/// A function for each member, made by Make::make<T, Member>() (all of one type), to call by number.
template <typename Make, typename T, template <typename...> typename List, typename... Members>
constexpr auto functions_in(List<Members...>) {
  return std::array{Make::template make<T, Members>()...};
}
template <typename Make, described T>
inline constexpr auto member_functions = functions_in<Make, T>(members_of<T>{});

}  // namespace penstock::detail
