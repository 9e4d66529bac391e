// SPDX-License-Identifier: Apache-2.0
// Comma-separated values for structs that describe themselves, a line a record (RFC 4180, quotes included):
//
//     struct trade { std::string symbol; double price; std::optional<int> lot; };
//     BOOST_DESCRIBE_STRUCT(trade, (), (symbol, price, lot))
//
//     topo.read("trades", source, ps::csv<trade>)                         // symbol,price,lot
//     topo.read("trades", source, ps::csv_format<trade>{{.delimiter = ';', .columns = {"lot", "x", "price",
//     "symbol"}}})
//
// Members: bool (true, false, 1, 0), integers, float, double, std::string, and std::optional of them, for
// which an empty field is nothing. Each line has as many fields as there are columns.
#pragma once

#include <penstock/detail/described.h>
#include <penstock/format.h>

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

struct csv_options {
  char delimiter = ',';
  /// The columns of the text, by name; those that are no member are passed over in reading and left empty in
  /// writing. None: the members, in the order of the description.
  std::vector<std::string> columns{};
};

namespace detail {

/// One field after the other of a line.
class csv_line {
 public:
  csv_line(std::string_view text, char delimiter, std::string& scratch) noexcept;
  /// False at the end of the line, or with a problem. The field is valid until the next call.
  bool next(std::string_view& field);
  const char* problem() const noexcept { return problem_; }

 private:
  bool quoted(std::string_view& field);
  std::string_view rest_;
  char delimiter_;
  bool more_ = true;
  std::string& scratch_;
  const char* problem_ = nullptr;
};
void append_csv(std::string_view field, char delimiter, std::string& out);
/// A number with its text in decimal; false if it is none, or out of range.
bool parse_csv_number(std::string_view text, double& out);
void append_csv_number(double v, std::string& out);
void append_csv_number(float v, std::string& out);

/// Null, or what was expected.
inline const char* read_csv(std::string_view text, std::string& out) {
  out.assign(text);
  return nullptr;
}
inline const char* read_csv(std::string_view text, bool& out) {
  if (text != "true" && text != "false" && text != "1" && text != "0") return "true or false";
  out = text == "true" || text == "1";
  return nullptr;
}
template <std::integral T>
const char* read_csv(std::string_view text, T& out) {
  const auto r = std::from_chars(text.data(), text.data() + text.size(), out);
  if (r.ec == std::errc::result_out_of_range) return "an integer that is in range";
  return r.ec == std::errc{} && r.ptr == text.data() + text.size() ? nullptr : "an integer";
}
template <std::floating_point T>
const char* read_csv(std::string_view text, T& out) {
  double wide = 0;
  if (!parse_csv_number(text, wide)) return "a number";
  out = static_cast<T>(wide);
  return nullptr;
}
template <typename T>
const char* read_csv(std::string_view text, std::optional<T>& out) {
  if (text.empty()) {
    out.reset();
    return nullptr;
  }
  if (!out) out.emplace();
  return read_csv(text, *out);
}

inline void write_csv(std::string_view v, char delimiter, std::string& out) { append_csv(v, delimiter, out); }
inline void write_csv(bool v, char, std::string& out) { out.append(v ? "true" : "false"); }
template <std::integral T>
void write_csv(T v, char, std::string& out) {
  decimal<T>.encode(v, out);
}
inline void write_csv(float v, char, std::string& out) { append_csv_number(v, out); }
inline void write_csv(double v, char, std::string& out) { append_csv_number(v, out); }
template <typename T>
void write_csv(const std::optional<T>& v, char delimiter, std::string& out) {
  if (v) write_csv(*v, delimiter, out);
}

struct make_csv_reader {
  template <typename T, typename Member>
  static constexpr auto make() {
    return +[](std::string_view text, T& into) { return read_csv(text, into.*Member::pointer); };
  }
};
struct make_csv_writer {
  template <typename T, typename Member>
  static constexpr auto make() {
    return +[](const T& from, char delimiter, std::string& out) {
      write_csv(from.*Member::pointer, delimiter, out);
    };
  }
};
/// Which member each column is; no_member: none. Says which member has no column.
inline constexpr std::size_t no_member = static_cast<std::size_t>(-1);
std::vector<std::size_t> csv_places(const std::vector<std::string>& columns, const std::string_view* names,
                                    std::size_t members, std::string& problem);
std::string csv_problem(std::string_view column, const char* expected, std::string_view found);
std::string csv_count_problem(std::size_t wanted, bool more);

}  // namespace detail

template <typename T>
class csv_format {
  static constexpr bool is_described = detail::described<T>;
  static_assert(is_described, "csv<T>: T must be a struct that describes itself (BOOST_DESCRIBE_STRUCT)");

 public:
  using value_type = T;
  explicit csv_format(csv_options options = {})
      : delimiter_(options.delimiter),
        names_(options.columns),
        places_(detail::csv_places(options.columns, detail::member_names<T>.data(), detail::member_count<T>,
                                   problem_)) {
    if (names_.empty()) names_.assign(detail::member_names<T>.begin(), detail::member_names<T>.end());
  }

  result<> decode(const raw& record, T& into) const {
    if (record.is_tombstone()) return fail(errc::user, "the record has no value");
    if (!problem_.empty()) return fail(errc::invalid_argument, problem_);
    detail::csv_line line(record.value, delimiter_, scratch_);
    std::string_view field;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      if (!line.next(field))
        return fail(errc::user, line.problem() != nullptr ? line.problem()
                                                          : detail::csv_count_problem(places_.size(), false));
      if (places_[i] == detail::no_member) continue;
      const auto& read = detail::member_functions<detail::make_csv_reader, T>[places_[i]];
      if (const char* expected = read(field, into); expected != nullptr)
        return fail(errc::user, detail::csv_problem(names_[i], expected, field));
    }
    if (line.next(field)) return fail(errc::user, detail::csv_count_problem(places_.size(), true));
    return {};
  }
  void encode(const T& value, std::string& out) const {
    for (std::size_t i = 0; i < places_.size(); ++i) {
      if (i != 0) out.push_back(delimiter_);
      if (places_[i] != detail::no_member)
        detail::member_functions<detail::make_csv_writer, T>[places_[i]](value, delimiter_, out);
    }
  }

 private:
  char delimiter_;
  std::string problem_{};
  std::vector<std::string> names_;
  std::vector<std::size_t> places_;
  mutable std::string scratch_{};  // of one lane: formats are copied to each
};
template <typename T>
inline const csv_format<T> csv{};

}  // namespace penstock
