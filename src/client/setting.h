// SPDX-License-Identifier: Apache-2.0
// One line of the table of settings, and what makes such lines. The table is what parses, checks, describes
// and documents settings: a field that is to have a name gets a line in settings_*.cc and nothing else.
//
//     rows.push_back(number("fetch.min.bytes", &kafka::consumer_settings::fetch_min_bytes,
//                           {.low = 1, .unit = "bytes"}, "What the broker waits for before it answers a
//                           fetch."));
#pragma once

#include <fmt/format.h>
#include <penstock/kafka/properties.h>
#include <penstock/kafka/settings.h>
#include <penstock/result.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::client {

inline constexpr std::int64_t day_ms = 86'400'000;

enum class client_kind : std::uint8_t { producer = 1, consumer = 2, admin = 4 };
inline constexpr std::uint8_t every_client = 7;

/// The settings that lines read and write: those of one client. `bootstrap` and `connection` are always
/// there, of the others one.
struct settings_view {
  client_kind kind;
  std::string* bootstrap;
  kafka::connection_settings* connection;
  kafka::producer_settings* producer = nullptr;
  kafka::consumer_settings* consumer = nullptr;
  kafka::admin_settings* admin = nullptr;
};
settings_view view_of(kafka::producer_settings& s);
settings_view view_of(kafka::consumer_settings& s);
settings_view view_of(kafka::admin_settings& s);

/// What is wrong with a value, as the rest of a sentence that begins with the setting's name; or nothing. Of
/// a secret it repeats nothing.
using complaint = std::optional<std::string>;

struct setting {
  std::string_view name;
  std::vector<std::string_view> aliases{};  ///< other names for it, of other clients
  std::uint8_t of = every_client;           ///< client_kinds
  std::string type{};
  std::string range{};
  std::string_view text{};
  /// Parses and stores.
  std::function<complaint(settings_view&, std::string_view)> set = nullptr;
  /// As text; what a default-constructed client has is the documented default.
  std::function<std::string(const settings_view&)> get = nullptr;
  /// Looks at the value that is there, however it got there.
  std::function<complaint(const settings_view&)> check = nullptr;
  bool secret = false;
  /// Set after the others, because it depends on them.
  bool late = false;
  /// The documented default where `get` does not tell it.
  std::string standard{};
};

/// The table, by name; a name may have one line for each kind of client.
const std::vector<setting>& settings_table();
const setting* find_setting(std::string_view name, client_kind kind);

/// Sets what is given and tells every problem at once.
result<> apply(const kafka::properties& given, settings_view s);
/// Everything that the table's checks have to say about the values that are there.
std::vector<std::string> check_values(const settings_view& s);
/// No error, or one sentence with all of them. `kind` if there is a problem.
result<> settings_result(const std::vector<std::string>& problems, errc kind = errc::invalid_argument);

// The lines, by what they belong to.
void add_connection_settings(std::vector<setting>& rows);
void add_security_settings(std::vector<setting>& rows);
void add_producer_settings(std::vector<setting>& rows);
void add_consumer_settings(std::vector<setting>& rows);

// What makes lines.

// Whose settings hold a field.
inline kafka::connection_settings& part(const settings_view& s, kafka::connection_settings*) {
  return *s.connection;
}
inline kafka::security_settings& part(const settings_view& s, kafka::security_settings*) {
  return s.connection->security;
}
inline kafka::oauth_settings& part(const settings_view& s, kafka::oauth_settings*) {
  return s.connection->security.oauth;
}
inline kafka::kerberos_settings& part(const settings_view& s, kafka::kerberos_settings*) {
  return s.connection->security.kerberos;
}
inline kafka::producer_settings& part(const settings_view& s, kafka::producer_settings*) {
  return *s.producer;
}
inline kafka::consumer_settings& part(const settings_view& s, kafka::consumer_settings*) {
  return *s.consumer;
}
inline kafka::admin_settings& part(const settings_view& s, kafka::admin_settings*) { return *s.admin; }
template <typename S>
S& part(const settings_view& s) {
  return part(s, static_cast<S*>(nullptr));
}

template <typename S>
constexpr std::uint8_t owners_of() {
  if constexpr (std::same_as<S, kafka::producer_settings>)
    return static_cast<std::uint8_t>(client_kind::producer);
  else if constexpr (std::same_as<S, kafka::consumer_settings>)
    return static_cast<std::uint8_t>(client_kind::consumer);
  else if constexpr (std::same_as<S, kafka::admin_settings>)
    return static_cast<std::uint8_t>(client_kind::admin);
  else
    return every_client;
}

/// The whole text as a number, or nothing.
std::optional<std::int64_t> parse_integer(std::string_view text);
/// "true" or "false", however capitalised.
std::optional<bool> parse_boolean(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b);
/// What stands between commas, without the spaces around it; no empty ones.
std::vector<std::string_view> split_list(std::string_view text);

struct limits {
  std::int64_t low = 0;
  std::int64_t high = std::numeric_limits<std::int32_t>::max();
  std::string_view unit{};
};
std::string to_text(const limits& l);
complaint check_limits(std::int64_t value, const limits& l);
complaint not_a_number(std::string_view text, const limits& l);

template <typename T>
std::int64_t to_number(const T& value) {
  if constexpr (std::integral<T>)
    return static_cast<std::int64_t>(value);
  else
    return value.count();
}

/// A number: an integer, or a duration in its own unit.
template <typename S, typename T>
setting number(std::string_view name, T S::*field, limits l, std::string_view text) {
  if constexpr (std::same_as<T, std::chrono::milliseconds>) l.unit = "ms";
  if constexpr (std::same_as<T, std::chrono::seconds>) l.unit = "s";
  setting row{.name = name, .of = owners_of<S>(), .text = text};
  row.type = l.unit == "ms"      ? "milliseconds"
             : l.unit == "s"     ? "seconds"
             : l.unit == "bytes" ? "bytes"
                                 : "integer";
  row.range = to_text(l);
  row.set = [field, l](settings_view& s, std::string_view given) -> complaint {
    const auto value = parse_integer(given);
    if (!value) return not_a_number(given, l);
    if (auto wrong = check_limits(*value, l)) return wrong;
    part<S>(s).*field = T(*value);
    return std::nullopt;
  };
  row.get = [field](const settings_view& s) { return std::to_string(to_number(part<S>(s).*field)); };
  row.check = [field, l](const settings_view& s) { return check_limits(to_number(part<S>(s).*field), l); };
  return row;
}

template <typename S>
setting boolean(std::string_view name, bool S::*field, std::string_view text) {
  setting row{.name = name, .of = owners_of<S>(), .type = "boolean", .range = "true, false", .text = text};
  row.set = [field](settings_view& s, std::string_view given) -> complaint {
    const auto value = parse_boolean(given);
    if (!value) return fmt::format("is \"{}\"; it must be true or false", given);
    part<S>(s).*field = *value;
    return std::nullopt;
  };
  row.get = [field](const settings_view& s) { return part<S>(s).*field ? "true" : "false"; };
  return row;
}

template <typename S>
setting text(std::string_view name, std::string S::*field, std::string_view what) {
  setting row{.name = name, .of = owners_of<S>(), .type = "text", .text = what};
  row.set = [field](settings_view& s, std::string_view given) -> complaint {
    part<S>(s).*field = given;
    return std::nullopt;
  };
  row.get = [field](const settings_view& s) { return part<S>(s).*field; };
  return row;
}

/// A text that is never shown.
template <typename S>
setting hidden(std::string_view name, kafka::secret S::*field, std::string_view what) {
  setting row{.name = name, .of = owners_of<S>(), .type = "text", .text = what};
  row.secret = true;
  row.set = [field](settings_view& s, std::string_view given) -> complaint {
    part<S>(s).*field = kafka::secret(given);
    return std::nullopt;
  };
  row.get = [field](const settings_view& s) { return std::string(to_string(part<S>(s).*field)); };
  return row;
}

/// The same line with more names.
inline setting also(setting row, std::vector<std::string_view> aliases) {
  row.aliases = std::move(aliases);
  return row;
}

/// The names of an enum's values. The first name of a value is the one shown; more of them are other
/// spellings.
template <typename E>
using choices = std::vector<std::pair<std::string_view, E>>;

template <typename E>
std::string names_of(const choices<E>& all) {
  std::string names;
  std::vector<E> seen;
  for (const auto& [name, value] : all) {
    bool known = false;
    for (const auto& e : seen) known = known || e == value;
    if (known) continue;
    seen.push_back(value);
    names += names.empty() ? "" : ", ";
    names += name.empty() ? "\"\"" : name;
  }
  return names;
}

template <typename E>
std::optional<E> choose(const choices<E>& all, std::string_view given) {
  for (const auto& [name, value] : all)
    if (equal_ignoring_case(name, given)) return value;
  return std::nullopt;
}

template <typename E>
std::string name_of(const choices<E>& all, const E& wanted) {
  for (const auto& [name, value] : all)
    if (value == wanted) return std::string(name);
  return "?";
}

template <typename S, typename E>
setting one_of(std::string_view name, E S::*field, choices<E> all, std::string_view text) {
  setting row{.name = name, .of = owners_of<S>(), .type = "one of", .range = names_of(all), .text = text};
  row.set = [field, all](settings_view& s, std::string_view given) -> complaint {
    const auto value = choose(all, given);
    if (!value) return fmt::format("is \"{}\"; it must be one of {}", given, names_of(all));
    part<S>(s).*field = *value;
    return std::nullopt;
  };
  row.get = [field, all](const settings_view& s) { return name_of(all, part<S>(s).*field); };
  return row;
}

/// Several of an enum's values, in order, with commas between.
template <typename S, typename E>
setting list_of(std::string_view name, std::vector<E> S::*field, choices<E> all, std::string_view text) {
  setting row{.name = name, .of = owners_of<S>(), .type = "list", .range = names_of(all), .text = text};
  row.set = [field, all](settings_view& s, std::string_view given) -> complaint {
    std::vector<E> values;
    for (const auto part_of_it : split_list(given)) {
      const auto value = choose(all, part_of_it);
      if (!value)
        return fmt::format("has \"{}\"; each of the list must be one of {}", part_of_it, names_of(all));
      values.push_back(*value);
    }
    if (values.empty()) return fmt::format("is empty; it must name at least one of {}", names_of(all));
    part<S>(s).*field = std::move(values);
    return std::nullopt;
  };
  row.get = [field, all](const settings_view& s) {
    std::string names;
    for (const auto& value : part<S>(s).*field) names += (names.empty() ? "" : ",") + name_of(all, value);
    return names;
  };
  row.check = [field, all](const settings_view& s) -> complaint {
    if (!(part<S>(s).*field).empty()) return std::nullopt;
    return fmt::format("is empty; it must name at least one of {}", names_of(all));
  };
  return row;
}

}  // namespace penstock::client
