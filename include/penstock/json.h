// SPDX-License-Identifier: Apache-2.0
// JSON for structs that describe themselves:
//
//     struct departure { std::string origin; std::int64_t scheduled_ms; std::optional<int> delay_minutes; };
//     BOOST_DESCRIBE_STRUCT(departure, (), (origin, scheduled_ms, delay_minutes))
//
//     topo.read("departures", source, ps::json<departure>) ... .write("board", sink, ps::as_json);
//
// Reading: fields in any order, unknown ones passed over; a field that is missing or null is an error unless
// it is a std::optional; numbers out of range are errors. Writing: fields in the order of the description;
// empty optionals and what is no number (NaN) are null. Understood: bool, integers, float, double,
// std::string, std::optional, std::vector, described structs; for writing also pairs and tuples (as arrays)
// and window results ({"key","start_ms","end_ms","value"}). For other types there is json_traits.
#pragma once

#include <penstock/detail/described.h>
#include <penstock/detail/json_value.h>
#include <penstock/format.h>
#include <penstock/windows.h>

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

/// How a type of yours is read and written as a string or an integer. Specialise it; either half may be left
/// out, and so may one of the two ways to read:
///
///     template <> struct penstock::json_traits<date> {
///       static constexpr const char* expected = "a date as 2015-07-15";      // for the message of an error
///       static bool read(std::string_view text, date& into);                 // false: it is none
///       static bool read(std::int64_t number, date& into);
///       static void append(const date& d, std::string& out);                 // valid JSON: with its quotes
///     };
template <typename T>
struct json_traits;

namespace detail {

template <typename T>
concept reads_json_text = requires(std::string_view text, T& into) {
  { json_traits<T>::read(text, into) } -> std::same_as<bool>;
};
template <typename T>
concept reads_json_number = requires(std::int64_t number, T& into) {
  { json_traits<T>::read(number, into) } -> std::same_as<bool>;
};
template <typename T>
concept writes_json_itself = requires(const T& v, std::string& out) {
  json_traits<T>::append(v, out);
};

template <typename T>
bool read_json(const json_value& v, std::optional<T>& out, json_problem& problem);
template <typename T>
bool read_json(const json_value& v, std::vector<T>& out, json_problem& problem);
template <described T>
bool read_json(const json_value& v, T& out, json_problem& problem);

template <typename T>
requires reads_json_text<T> || reads_json_number<T>
bool read_json(const json_value& v, T& out, json_problem& problem) {
  if constexpr (reads_json_text<T>) {
    if (std::string_view text; v.get(text))
      return json_traits<T>::read(text, out) || problem.expected(json_traits<T>::expected, v);
  }
  if constexpr (reads_json_number<T>) {
    if (std::int64_t number; v.get(number))
      return json_traits<T>::read(number, out) || problem.expected(json_traits<T>::expected, v);
  }
  return problem.expected(json_traits<T>::expected, v);
}

inline bool read_json(const json_value& v, bool& out, json_problem& problem) {
  return v.get(out) || problem.expected("a boolean", v);
}

template <std::integral T>
bool read_json(const json_value& v, T& out, json_problem& problem) {
  using wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
  wide n;
  if (!v.get(n)) {
    std::int64_t negative;
    if (v.get(negative)) return problem.fail("the integer " + std::to_string(negative) + " is out of range");
    return problem.expected("an integer", v);
  }
  if (n < std::numeric_limits<T>::min() || n > std::numeric_limits<T>::max())
    return problem.fail("the integer " + std::to_string(n) + " is out of range");
  out = static_cast<T>(n);
  return true;
}

template <std::floating_point T>
bool read_json(const json_value& v, T& out, json_problem& problem) {
  double n;
  if (!v.get(n)) return problem.expected("a number", v);
  out = static_cast<T>(n);
  return true;
}

inline bool read_json(const json_value& v, std::string& out, json_problem& problem) {
  std::string_view s;
  if (!v.get(s)) return problem.expected("a string", v);
  out.assign(s);
  return true;
}

template <typename T>
bool read_json(const json_value& v, std::optional<T>& out, json_problem& problem) {
  if (v.is_null()) {
    out.reset();
    return true;
  }
  if (!out) out.emplace();
  return read_json(v, *out, problem);
}

template <typename T>
bool read_json(const json_value& v, std::vector<T>& out, json_problem& problem) {
  if (!v.is_array()) return problem.expected("an array", v);
  out.clear();
  json_elements elements(v);
  for (json_value e; elements.next(e);) {
    T one{};
    if (!read_json(e, one, problem)) return false;
    out.push_back(std::move(one));
  }
  return true;
}

/// The fields of a described struct: name, how to read it, and what happens when it is missing.
template <typename T>
struct json_field {
  std::string_view name;
  bool (*read)(const json_value&, T&, json_problem&);
  bool (*missing)(T&);  ///< false: it must not be
};

template <typename T, typename Member>
constexpr json_field<T> json_field_of(Member) {
  using field = std::remove_cvref_t<decltype(std::declval<T&>().*Member::pointer)>;
  return {Member::name,
          [](const json_value& v, T& into, json_problem& problem) {
            return read_json(v, into.*Member::pointer, problem);
          },
          [](T& into) {
            if constexpr (is_optional<field>) (into.*Member::pointer).reset();
            return is_optional<field>;
          }};
}

template <typename T, template <typename...> typename List, typename... Members>
constexpr auto json_fields_in(List<Members...>) {
  return std::array<json_field<T>, sizeof...(Members)>{json_field_of<T>(Members{})...};
}

template <typename T>
inline constexpr auto json_fields_of =
    json_fields_in<T>(boost::describe::describe_members<T, boost::describe::mod_public>{});

template <described T>
bool read_json(const json_value& v, T& out, json_problem& problem) {
  static constexpr const auto& fields = json_fields_of<T>;
  static_assert(fields.size() <= 64, "a struct read from JSON has at most 64 fields");
  if (!v.is_object()) return problem.expected("an object", v);
  std::uint64_t seen = 0;
  std::size_t guess = 0;  // records of one writer have their fields in one order
  json_fields in(v);
  std::string_view key;
  for (json_value value; in.next(key, value);) {
    std::size_t i = guess;
    if (i >= fields.size() || fields[i].name != key) {
      for (i = 0; i < fields.size() && fields[i].name != key;) ++i;
      if (i == fields.size()) continue;
    }
    if (!fields[i].read(value, out, problem)) return problem.within(fields[i].name);
    seen |= std::uint64_t{1} << i;
    guess = i + 1;
  }
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if ((seen >> i & 1) == 0 && !fields[i].missing(out))
      return problem.fail("field '" + std::string(fields[i].name) + "' is missing");
  }
  return true;
}

inline void write_json(bool v, std::string& out) { out.append(v ? "true" : "false"); }
template <std::integral T>
void write_json(T v, std::string& out) {
  char digits[24];
  const auto r = std::to_chars(digits, digits + sizeof digits, v);
  out.append(digits, r.ptr);
}
inline void write_json(double v, std::string& out) { append_json_number(v, out); }
inline void write_json(float v, std::string& out) { append_json_number(v, out); }
inline void write_json(std::string_view v, std::string& out) { append_json_string(v, out); }
template <writes_json_itself T>
void write_json(const T& v, std::string& out) {
  json_traits<T>::append(v, out);
}
template <typename T>
void write_json(const std::optional<T>& v, std::string& out);
template <typename T>
void write_json(const std::vector<T>& v, std::string& out);
template <typename... Ts>
void write_json(const std::tuple<Ts...>& v, std::string& out);
template <typename A, typename B>
void write_json(const std::pair<A, B>& v, std::string& out);
template <typename K, typename R>
void write_json(const window_result<K, R>& v, std::string& out);
template <described T>
void write_json(const T& v, std::string& out);

template <typename T>
void write_json(const std::optional<T>& v, std::string& out) {
  if (v) {
    write_json(*v, out);
  } else {
    out.append("null");
  }
}
template <typename T>
void write_json(const std::vector<T>& v, std::string& out) {
  out.push_back('[');
  for (std::size_t i = 0; i < v.size(); ++i) {
    if (i != 0) out.push_back(',');
    write_json(static_cast<const T&>(v[i]), out);
  }
  out.push_back(']');
}
template <typename... Ts>
void write_json(const std::tuple<Ts...>& v, std::string& out) {
  char before = '[';
  std::apply(
      [&](const Ts&... part) { ((out.push_back(std::exchange(before, ',')), write_json(part, out)), ...); },
      v);
  out.append(sizeof...(Ts) == 0 ? "[]" : "]");
}
template <typename A, typename B>
void write_json(const std::pair<A, B>& v, std::string& out) {
  write_json(std::tuple<const A&, const B&>(v.first, v.second), out);
}
template <typename K, typename R>
void write_json(const window_result<K, R>& v, std::string& out) {
  out.append("{\"key\":");
  write_json(v.key, out);
  out.append(",\"start_ms\":");
  write_json(v.start_ms, out);
  out.append(",\"end_ms\":");
  write_json(v.end_ms, out);
  out.append(",\"value\":");
  write_json(v.value, out);
  out.push_back('}');
}

template <typename T, template <typename...> typename List, typename... Members>
void write_json_members(const T& v, std::string& out, List<Members...>) {
  char before = '{';
  ((out.push_back(std::exchange(before, ',')), out.push_back('"'), out.append(Members::name),
    out.append("\":"), write_json(v.*Members::pointer, out)),
   ...);
  out.append(sizeof...(Members) == 0 ? "{}" : "}");
}
template <described T>
void write_json(const T& v, std::string& out) {
  write_json_members(v, out, boost::describe::describe_members<T, boost::describe::mod_public>{});
}

template <typename T>
concept json_readable = requires(const json_value& v, T& out, json_problem& p) {
  read_json(v, out, p);
};
template <typename T>
concept json_writable = requires(const T& v, std::string& out) {
  write_json(v, out);
};

}  // namespace detail

/// Reads and writes T as JSON. See above for what T may be.
template <typename T>
class json_format {
  static constexpr bool can_be_read = detail::json_readable<T>;
  static_assert(can_be_read,
                "json<T>: T must be a described struct (BOOST_DESCRIBE_STRUCT) or a type that "
                "<penstock/json.h> knows");

 public:
  using value_type = T;
  result<> decode(const raw& record, T& into) const {
    if (record.is_tombstone()) return fail(errc::user, "the record has no value");
    detail::json_problem problem;
    detail::json_value root;
    if (document_.parse(record.value, root, problem) && detail::read_json(root, into, problem)) return {};
    return fail(errc::user, problem.text());
  }
  void encode(const T& value, std::string& out) const { detail::write_json(value, out); }

 private:
  mutable detail::json_document document_;  // of one lane: formats are copied to each
};
template <typename T>
inline const json_format<T> json{};

/// Writes any type that <penstock/json.h> knows.
struct as_json_format {
  template <detail::json_writable T>
  void encode(const T& value, std::string& out) const {
    detail::write_json(value, out);
  }
};
inline constexpr as_json_format as_json{};

}  // namespace penstock
