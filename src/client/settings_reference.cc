// SPDX-License-Identifier: Apache-2.0
// What there is to set, as a list and as the page docs/reference/client-settings.md.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <penstock/kafka/properties.h>

#include <algorithm>

#include "client/setting.h"
#include "client/settings_foreign.h"

namespace penstock::kafka {
namespace {

using client::client_kind;

std::string clients_of(std::uint8_t of) {
  std::string names;
  const auto add = [&](client_kind kind, std::string_view name) {
    if ((of & static_cast<std::uint8_t>(kind)) == 0) return;
    names += names.empty() ? "" : ", ";
    names += name;
  };
  add(client_kind::producer, "producer");
  add(client_kind::consumer, "consumer");
  add(client_kind::admin, "admin");
  return names;
}

std::string default_of(const client::setting& row) {
  if (!row.standard.empty()) return row.standard;
  producer_settings p;
  consumer_settings c;
  admin_settings a;
  if ((row.of & static_cast<std::uint8_t>(client_kind::producer)) != 0) return row.get(client::view_of(p));
  if ((row.of & static_cast<std::uint8_t>(client_kind::consumer)) != 0) return row.get(client::view_of(c));
  return row.get(client::view_of(a));
}

// A table's cells end at a bar.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

void append_table(std::string& page, std::string_view title, const std::vector<setting_info>& all,
                  bool (*belongs)(const setting_info&)) {
  page += fmt::format(
      "\n## {}\n\n| setting | type | values | default | what it does |\n|---|---|---|---|---|\n", title);
  for (const auto& s : all) {
    if (!belongs(s)) continue;
    const auto aliases = s.aliases.empty() ? "" : fmt::format(" Also: {}.", s.aliases);
    page +=
        fmt::format("| `{}` | {} | {} | {} | {}{} |\n", s.name, s.secret ? "secret" : s.type, cell(s.range),
                    s.standard.empty() ? "" : fmt::format("`{}`", s.standard), cell(s.text), aliases);
  }
}

}  // namespace

std::vector<setting_info> list_settings() {
  std::vector<setting_info> all;
  for (const auto& row : client::settings_table())
    all.push_back({.name = std::string(row.name),
                   .aliases = fmt::format("{}", fmt::join(row.aliases, ", ")),
                   .clients = clients_of(row.of),
                   .type = row.type,
                   .range = row.range,
                   .standard = default_of(row),
                   .text = std::string(row.text),
                   .secret = row.secret});
  return all;
}

std::string settings_reference() {
  std::string page =
      "# Settings of the Kafka client\n\n"
      "Written by `penstock settings --markdown`; a test compares.\n\n"
      "The names are Kafka's. They are taken from a properties file (`--config-file FILE`, "
      "`kafka::properties::read`), one by one (`-X name=value`, `kafka::properties::set`), or are fields of "
      "the "
      "typed settings in `penstock/kafka/settings.h`, where each field says its name. A file may serve "
      "several "
      "kinds of clients: what is a setting of another kind is passed over there. An unknown name is an "
      "error. "
      "Milliseconds and bytes are plain numbers. Secrets are never shown, in no message and no log.\n";
  const auto all = list_settings();
  append_table(page, "All clients", all,
               [](const auto& s) { return s.clients == "producer, consumer, admin"; });
  append_table(page, "Producers", all, [](const auto& s) { return s.clients == "producer"; });
  append_table(page, "Consumers", all, [](const auto& s) { return s.clients == "consumer"; });
  const auto other = [](const setting_info& s) {
    return s.clients != "producer, consumer, admin" && s.clients != "producer" && s.clients != "consumer";
  };
  if (std::any_of(all.begin(), all.end(), other)) append_table(page, "Others", all, other);
  page +=
      "\n## Of other clients\n\nSettings that Kafka's Java client or librdkafka have and this client has "
      "not. "
      "They are refused with this text.\n\n| setting | instead |\n|---|---|\n";
  for (const auto& f : client::foreign_settings())
    page += fmt::format("| `{}` | {} |\n", f.name, cell(f.instead));
  return page;
}

}  // namespace penstock::kafka
