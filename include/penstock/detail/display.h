// SPDX-License-Identifier: Apache-2.0
// How `print` shows a record.
#pragma once

#include <penstock/windows.h>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace penstock::detail {

void display_time(std::int64_t ms,
                  std::string& out);  // 2013-01-01T10:00:00Z, with milliseconds where there are any

inline void display(std::string_view v, std::string& out) { out.append(v); }
inline void display(bool v, std::string& out) { out.append(v ? "true" : "false"); }
template <typename N>
requires(std::is_arithmetic_v<N> && !std::is_same_v<N, bool>) void display(N v, std::string& out) {
  char digits[64];
  const auto r = std::to_chars(digits, digits + sizeof digits, v);
  out.append(digits, r.ptr);
}

template <typename T>
void display(const std::optional<T>& v, std::string& out);
template <typename A, typename B>
void display(const std::pair<A, B>& v, std::string& out);
template <typename... Ts>
void display(const std::tuple<Ts...>& v, std::string& out);
template <typename K, typename R>
void display(const window_result<K, R>& v, std::string& out);

template <typename T>
concept displayable = requires(const T& v, std::string& out) {
  display(v, out);
};

template <typename T>
void display(const std::optional<T>& v, std::string& out) {
  if (v) {
    display(*v, out);
  } else {
    out.append("null");
  }
}
template <typename A, typename B>
void display(const std::pair<A, B>& v, std::string& out) {
  out.push_back('(');
  display(v.first, out);
  out.append(", ");
  display(v.second, out);
  out.push_back(')');
}
template <typename... Ts>
void display(const std::tuple<Ts...>& v, std::string& out) {
  out.push_back('(');
  bool first = true;
  std::apply(
      [&](const Ts&... part) {
        ((out.append(std::exchange(first, false) ? "" : ", "), display(part, out)), ...);
      },
      v);
  out.push_back(')');
}
template <typename K, typename R>
void display(const window_result<K, R>& v, std::string& out) {
  display(v.key, out);
  out.append(" [");
  display_time(v.start_ms, out);
  out.append(", ");
  display_time(v.end_ms, out);
  out.append("): ");
  display(v.value, out);
}

struct display_format {
  template <typename T>
  void encode(const T& v, std::string& out) const {
    display(v, out);
  }
};

}  // namespace penstock::detail
