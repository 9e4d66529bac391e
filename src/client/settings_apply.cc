// SPDX-License-Identifier: Apache-2.0
// From names and values to settings, and every complaint on the way.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <penstock/kafka/properties.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "client/bootstrap.h"
#include "client/setting.h"
#include "client/settings_foreign.h"

namespace penstock::client {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// How many characters have to be changed, put in or left out to make one of the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()];
}

/// The setting of that kind of client whose name is the most like it, or nothing when none is.
std::string_view nearest(std::string_view name, client_kind kind) {
  constexpr std::size_t longest = 100;  // what is longer is no misspelling
  if (name.size() > longest) return {};
  std::string_view best;
  std::size_t distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const auto& row : settings_table()) {
    if ((row.of & static_cast<std::uint8_t>(kind)) == 0) continue;
    const auto d = edit_distance(name, row.name);
    if (d >= distance) continue;
    distance = d;
    best = row.name;
  }
  return best;
}

std::string_view plural(client_kind kind) {
  switch (kind) {
    case client_kind::producer: return "producers";
    case client_kind::consumer: return "consumers";
    case client_kind::admin: return "admin clients";
  }
  return "clients";
}

/// Of which other kind of client it is a setting.
std::optional<client_kind> owner_elsewhere(std::string_view name) {
  for (const auto kind : {client_kind::producer, client_kind::consumer, client_kind::admin})
    if (find_setting(name, kind) != nullptr) return kind;
  return std::nullopt;
}

// Names come from outside too: a message shows the beginning and nothing that is not printable.
std::string shown(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, 80)) out += c >= ' ' && c < 0x7f ? c : '?';
  return name.size() > 80 ? out + "..." : out;
}

struct findings {
  std::vector<std::string> problems;
  bool only_unsupported = true;

  void add(const kafka::properties::entry& e, std::string what, bool unsupported = false) {
    problems.push_back(e.origin.empty() ? std::move(what) : e.origin + ": " + what);
    only_unsupported = only_unsupported && unsupported;
  }
};

void reject_unknown(const kafka::properties::entry& e, client_kind kind, findings& found) {
  const auto name = shown(e.name);
  if (const auto* foreign = find_foreign_setting(e.name))
    return found.add(e, fmt::format("{} is not supported: {}", name, foreign->instead), true);
  if (const auto owner = owner_elsewhere(e.name)) {
    if (!e.shared)
      found.add(e, fmt::format("{} is a setting of {}, not of {}", name, plural(*owner), plural(kind)));
    return;  // a file may serve several kinds of clients
  }
  const auto like = nearest(e.name, kind);
  found.add(e, like.empty() ? fmt::format("there is no setting {}", name)
                            : fmt::format("there is no setting {}; did you mean {}?", name, like));
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> parse_boolean(std::string_view text) {
  if (equal_ignoring_case(text, "true")) return true;
  if (equal_ignoring_case(text, "false")) return false;
  return std::nullopt;
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    auto part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::string to_text(const limits& l) { return fmt::format("{} to {}", l.low, l.high); }

complaint check_limits(std::int64_t value, const limits& l) {
  if (value >= l.low && value <= l.high) return std::nullopt;
  const auto unit = l.unit.empty() ? std::string() : fmt::format(" {}", l.unit);
  return fmt::format("is {}{}; it must be {} to {}{}", value, unit, l.low, l.high, unit);
}

complaint not_a_number(std::string_view text, const limits& l) {
  return fmt::format("is \"{}\"; it must be a number, {} to {}{}{}", shown(text), l.low, l.high,
                     l.unit.empty() ? "" : " ", l.unit);
}

settings_view view_of(kafka::producer_settings& s) {
  return {.kind = client_kind::producer,
          .bootstrap = &s.bootstrap_servers,
          .connection = &s.connection,
          .producer = &s};
}
settings_view view_of(kafka::consumer_settings& s) {
  return {.kind = client_kind::consumer,
          .bootstrap = &s.bootstrap_servers,
          .connection = &s.connection,
          .consumer = &s};
}
settings_view view_of(kafka::admin_settings& s) {
  return {.kind = client_kind::admin,
          .bootstrap = &s.bootstrap_servers,
          .connection = &s.connection,
          .admin = &s};
}

static bool is_called(const setting& row, std::string_view name) {
  return row.name == name || std::find(row.aliases.begin(), row.aliases.end(), name) != row.aliases.end();
}

const setting* find_setting(std::string_view name, client_kind kind) {
  for (const auto& row : settings_table())
    if (is_called(row, name) && (row.of & static_cast<std::uint8_t>(kind)) != 0) return &row;
  return nullptr;
}

result<> settings_result(const std::vector<std::string>& problems, errc kind) {
  if (problems.empty()) return {};
  if (problems.size() == 1) return fail(kind, problems.front());
  return fail(kind, fmt::format("{} settings are wrong: {}", problems.size(), fmt::join(problems, "; ")));
}

std::vector<std::string> check_values(const settings_view& s) {
  std::vector<std::string> problems;
  for (const auto& row : settings_table()) {
    if ((row.of & static_cast<std::uint8_t>(s.kind)) == 0 || !row.check) continue;
    if (const auto wrong = row.check(s)) problems.push_back(fmt::format("{} {}", row.name, *wrong));
  }
  return problems;
}

result<> apply(const kafka::properties& given, settings_view s) {
  findings found;
  const auto& entries = given.entries();
  // Of two for one name the later one holds, so each name is looked at once, from the end.
  std::set<std::string_view> seen;
  std::vector<const kafka::properties::entry*> wanted;
  for (auto it = entries.rbegin(); it != entries.rend(); ++it)
    if (seen.insert(it->name).second) wanted.push_back(&*it);
  std::reverse(wanted.begin(), wanted.end());

  for (const bool late : {false, true}) {
    for (const auto* e : wanted) {
      const auto* row = find_setting(e->name, s.kind);
      if (row == nullptr) {
        if (!late) reject_unknown(*e, s.kind, found);
      } else if (row->late == late) {
        const auto wrong = row->set(s, e->value);
        if (wrong) found.add(*e, fmt::format("{} {}", e->name, *wrong));
      }
    }
  }
  return settings_result(found.problems, found.only_unsupported ? errc::unsupported : errc::invalid_argument);
}

}  // namespace penstock::client

namespace penstock::kafka {
namespace {

// Both what cannot be read and what does not fit together, in one answer.
template <typename Settings>
result<> take(Settings& s, const properties& given) {
  Settings changed = s;
  if (auto applied = client::apply(given, client::view_of(changed)); !applied) return applied;
  s = std::move(changed);
  return {};
}

template <typename Settings>
result<Settings> make(const properties& given) {
  Settings s;
  if (auto applied = s.apply(given); !applied) return fail(applied.error());
  if (auto valid = client::validate(s); !valid) return fail(valid.error());
  return s;
}

}  // namespace

result<> producer_settings::apply(const properties& given) { return take(*this, given); }
result<> consumer_settings::apply(const properties& given) { return take(*this, given); }
result<> admin_settings::apply(const properties& given) { return take(*this, given); }

result<producer_settings> producer_settings::from_properties(const properties& given) {
  return make<producer_settings>(given);
}
result<consumer_settings> consumer_settings::from_properties(const properties& given) {
  return make<consumer_settings>(given);
}
result<admin_settings> admin_settings::from_properties(const properties& given) {
  return make<admin_settings>(given);
}

}  // namespace penstock::kafka
