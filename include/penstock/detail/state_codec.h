// SPDX-License-Identifier: Apache-2.0
// How state becomes bytes, and state again: what a changelog holds.
#pragma once

#include <penstock/detail/state_fields.h>

#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace penstock {

/// How a type of one's own is kept, where it is neither trivially copyable, nor a plain struct of kept
/// fields, nor described by BOOST_DESCRIBE_STRUCT:
///
///     template <> struct penstock::state_codec<money> {
///       static void encode(const money& m, std::string& out);
///       static bool decode(std::string_view& in, money& m);   // takes its bytes from the front
///     };
///
/// encode appends at least one byte. decode answers false for bytes that encode never made, and reads no
/// further than `in`: a topic is outside data.
template <typename T>
struct state_codec;

namespace detail {

template <typename T>
concept own_codec = requires(const T& value, T& into, std::string& out, std::string_view& in) {
  state_codec<T>::encode(value, out);
  { state_codec<T>::decode(in, into) } -> std::same_as<bool>;
};

inline void put_varint(std::uint64_t v, std::string& out) {
  char bytes[10];
  std::size_t n = 0;
  while (v >= 0x80) {
    bytes[n++] = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  bytes[n++] = static_cast<char>(v);
  out.append(bytes, n);
}
inline bool take_varint(std::string_view& in, std::uint64_t& v) {
  v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (in.empty()) return false;
    const auto b = static_cast<std::uint8_t>(in.front());
    in.remove_prefix(1);
    if (shift == 63 && b > 1) return false;
    v |= std::uint64_t{b & 0x7fu} << shift;
    if (b < 0x80) return true;
  }
  return false;
}

template <typename T>
inline constexpr bool kept_duration = false;
template <typename R, typename P>
inline constexpr bool kept_duration<std::chrono::duration<R, P>> = true;
template <typename T>
inline constexpr bool kept_time_point = false;
template <typename C, typename D>
inline constexpr bool kept_time_point<std::chrono::time_point<C, D>> = true;
template <typename T>
inline constexpr bool kept_optional = false;
template <typename T>
inline constexpr bool kept_optional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kept_variant = false;
template <typename... Ts>
inline constexpr bool kept_variant<std::variant<Ts...>> = true;

template <typename T>
concept tuple_like = requires {
  std::tuple_size<T>::value;
};
/// Vectors, sets, maps, deques: whatever has elements that can be added.
template <typename T>
concept growing = requires(T& c, typename T::value_type v) {
  { c.size() } -> std::convertible_to<std::size_t>;
  c.clear();
  c.insert(c.end(), std::move(v));
  c.begin() != c.end();
};
template <typename T>
concept borrowing = std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_reference_v<T> ||
    std::is_same_v<T, std::string_view> || requires(const T& v) {
  v.headers;
  v.offset;
  v.timestamp_ms;  // a record_view: it points into a buffer
};
/// What a map's elements are when they are made: without the const of the key.
template <typename V>
struct plain_element {
  using type = V;
};
template <typename A, typename B>
struct plain_element<std::pair<const A, B>> {
  using type = std::pair<A, B>;
};

template <typename T>
constexpr bool kept();
template <typename T, std::size_t... I>
constexpr bool elements_kept(std::index_sequence<I...>) {
  return (kept<std::remove_const_t<std::tuple_element_t<I, T>>>() && ...);
}
template <typename T>
constexpr bool alternatives_kept() {
  return []<typename... Ts>(std::type_identity<std::variant<Ts...>>) {
    return (kept<Ts>() && ...);
  }(std::type_identity<T>{});
}

/// Whether a type can be kept.
template <typename T>
constexpr bool kept() {
  if constexpr (own_codec<T>) {
    return true;
  } else if constexpr (borrowing<T>) {
    return false;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T> || kept_duration<T> ||
                       kept_time_point<T> || std::is_same_v<T, std::string> ||
                       std::is_same_v<T, std::monostate> || std::is_same_v<T, std::vector<bool>>) {
    return true;
  } else if constexpr (kept_optional<T>) {
    return kept<typename T::value_type>();
  } else if constexpr (kept_variant<T>) {
    return alternatives_kept<T>() && std::default_initializable<T>;
  } else if constexpr (tuple_like<T>) {
    return elements_kept<T>(std::make_index_sequence<std::tuple_size_v<T>>{});
  } else if constexpr (growing<T>) {
    using element = typename plain_element<typename T::value_type>::type;
    return kept<element>() && std::default_initializable<element>;
  } else if constexpr (is_described<T> || plain_struct<T>) {
    return fields_all<T>([]<typename F>(std::type_identity<F>) { return kept<F>(); });
  } else {
    return std::is_trivially_copyable_v<T>;
  }
}

/// For messages of the compiler: state of type T must be kept. Called in constructors: a type that is nested
/// in its function is complete there, and not before.
template <typename T>
constexpr void check_kept() {
  constexpr bool can_be = kept<T>();
  static_assert(
      can_be,
      "this type is used as state and cannot be kept: make it trivially copyable, a plain struct of "
      "such fields, or describe it with BOOST_DESCRIBE_STRUCT, or specialise penstock::state_codec for it");
  static_assert(!can_be || std::default_initializable<T>,
                "this type is used as state and must be default constructible to be restored");
}

template <typename T>
void encode_state(const T& value, std::string& out);
template <typename T>
bool decode_state(std::string_view& in, T& value);

template <typename T>
void encode_number(T value, std::string& out) {
  if constexpr (std::is_floating_point_v<T> || sizeof(T) == 1) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out.append(bytes, sizeof(T));
  } else if constexpr (std::is_signed_v<T>) {
    const auto v = static_cast<std::int64_t>(value);
    put_varint((static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63), out);
  } else {
    put_varint(static_cast<std::uint64_t>(value), out);
  }
}
template <typename T>
bool decode_number(std::string_view& in, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (in.empty() || static_cast<std::uint8_t>(in.front()) > 1) return false;
    value = in.front() != 0;
    in.remove_prefix(1);
    return true;
  } else if constexpr (std::is_floating_point_v<T> || sizeof(T) == 1) {
    if (in.size() < sizeof(T)) return false;
    std::memcpy(&value, in.data(), sizeof(T));
    in.remove_prefix(sizeof(T));
    return true;
  } else {
    std::uint64_t v;
    if (!take_varint(in, v)) return false;
    if constexpr (std::is_signed_v<T>) {
      const auto wide = static_cast<std::int64_t>((v >> 1) ^ (~(v & 1) + 1));
      value = static_cast<T>(wide);
      return static_cast<std::int64_t>(value) == wide;
    } else {
      value = static_cast<T>(v);
      return static_cast<std::uint64_t>(value) == v;
    }
  }
}

template <typename T>
void encode_state(const T& value, std::string& out) {
  if constexpr (own_codec<T>) {
    state_codec<T>::encode(value, out);
  } else if constexpr (std::is_arithmetic_v<T>) {
    encode_number(value, out);
  } else if constexpr (std::is_enum_v<T>) {
    encode_number(static_cast<std::underlying_type_t<T>>(value), out);
  } else if constexpr (kept_duration<T>) {
    encode_number(value.count(), out);
  } else if constexpr (kept_time_point<T>) {
    encode_number(value.time_since_epoch().count(), out);
  } else if constexpr (std::is_same_v<T, std::string>) {
    put_varint(value.size(), out);
    out.append(value);
  } else if constexpr (std::is_same_v<T, std::monostate>) {
    out.push_back('\0');
  } else if constexpr (kept_optional<T>) {
    out.push_back(value.has_value() ? '\1' : '\0');
    if (value) encode_state(*value, out);
  } else if constexpr (kept_variant<T>) {
    put_varint(value.index(), out);
    std::visit([&](const auto& v) { encode_state(v, out); }, value);
  } else if constexpr (tuple_like<T>) {
    if constexpr (std::tuple_size_v<T> == 0) out.push_back('\0');
    std::apply([&](const auto&... part) { (encode_state(part, out), ...); }, value);
  } else if constexpr (growing<T>) {
    put_varint(value.size(), out);
    for (const auto& v : value) encode_state(static_cast<const typename T::value_type&>(v), out);
  } else if constexpr (is_described<T> || plain_struct<T>) {
    bool any = false;
    for_each_field(value, [&](const auto& field) {
      any = true;
      encode_state(field, out);
    });
    if (!any) out.push_back('\0');
  } else if constexpr (kept<T>()) {  // anything else was refused where the state was declared
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out.append(bytes, sizeof(T));
  }
}

template <std::size_t I, typename T>
bool decode_alternative(std::size_t index, std::string_view& in, T& value) {
  if constexpr (I == std::variant_size_v<T>) {
    return false;
  } else {
    if (index != I) return decode_alternative<I + 1>(index, in, value);
    return decode_state(in, value.template emplace<I>());
  }
}

template <typename T>
bool decode_elements(std::string_view& in, T& value) {
  using element = typename plain_element<typename T::value_type>::type;
  std::uint64_t n;
  // Every element has a byte at least, so that a number from outside cannot ask for more memory than that.
  if (!take_varint(in, n) || n > in.size()) return false;
  value.clear();
  for (std::uint64_t i = 0; i < n; ++i) {
    element e{};
    if (!decode_state(in, e)) return false;
    value.insert(value.end(), std::move(e));
  }
  return true;
}

template <typename T>
bool decode_state(std::string_view& in, T& value) {
  if constexpr (own_codec<T>) {
    return state_codec<T>::decode(in, value);
  } else if constexpr (std::is_arithmetic_v<T>) {
    return decode_number(in, value);
  } else if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> v{};
    if (!decode_number(in, v)) return false;
    value = static_cast<T>(v);
    return true;
  } else if constexpr (kept_duration<T>) {
    typename T::rep v{};
    if (!decode_number(in, v)) return false;
    value = T(v);
    return true;
  } else if constexpr (kept_time_point<T>) {
    typename T::rep v{};
    if (!decode_number(in, v)) return false;
    value = T(typename T::duration(v));
    return true;
  } else if constexpr (std::is_same_v<T, std::string>) {
    std::uint64_t n;
    if (!take_varint(in, n) || n > in.size()) return false;
    value.assign(in.substr(0, n));
    in.remove_prefix(n);
    return true;
  } else if constexpr (std::is_same_v<T, std::monostate>) {
    if (in.empty()) return false;
    in.remove_prefix(1);
    return true;
  } else if constexpr (kept_optional<T>) {
    bool there = false;
    if (!decode_number(in, there)) return false;
    if (!there) {
      value.reset();
      return true;
    }
    return decode_state(in, value.emplace());
  } else if constexpr (kept_variant<T>) {
    std::uint64_t index;
    return take_varint(in, index) && decode_alternative<0>(index, in, value);
  } else if constexpr (tuple_like<T>) {
    if constexpr (std::tuple_size_v<T> == 0) {
      if (in.empty()) return false;
      in.remove_prefix(1);
    }
    return std::apply([&](auto&... part) { return (decode_state(in, part) && ...); }, value);
  } else if constexpr (growing<T>) {
    return decode_elements(in, value);
  } else if constexpr (is_described<T> || plain_struct<T>) {
    bool good = true, any = false;
    for_each_field(value, [&](auto& field) {
      any = true;
      good = good && decode_state(in, field);
    });
    if (any) return good;
    if (in.empty()) return false;
    in.remove_prefix(1);
    return true;
  } else if constexpr (kept<T>()) {
    if (in.size() < sizeof(T)) return false;
    std::memcpy(static_cast<void*>(&value), in.data(), sizeof(T));
    in.remove_prefix(sizeof(T));
    return true;
  } else {
    return false;
  }
}

/// The whole of `in`, nothing more.
template <typename T>
bool decode_all(std::string_view in, T& value) {
  return decode_state(in, value) && in.empty();
}

}  // namespace detail
}  // namespace penstock
