// SPDX-License-Identifier: Apache-2.0
// penstock settings: what -X and --config-file take. penstock metrics: what a client counts.
#include <penstock/kafka/metrics.h>
#include <penstock/kafka/properties.h>

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "command.h"
#include "output.h"

namespace penstock::tools {
namespace {

struct options {
  std::vector<std::string> names;
  std::string client;
  bool markdown = false;
};

/// `text` in lines of about 90 characters, each behind eight spaces.
std::string folded(std::string_view text) {
  constexpr std::size_t width = 90;
  std::string out;
  while (!text.empty()) {
    auto end = text.size();
    if (end > width) {
      end = text.rfind(' ', width);
      if (end == text.npos) end = std::min(text.find(' '), text.size());
    }
    out += fmt::format("        {}\n", text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string describe(const kafka::setting_info& s) {
  std::string line = fmt::format("{}  ({})\n", s.name, s.clients);
  line += folded(s.text);
  std::string values = s.secret ? "secret" : s.type;
  if (!s.aliases.empty()) line += fmt::format("        also: {}\n", s.aliases);
  if (!s.range.empty()) values += fmt::format(": {}", s.range);
  line += fmt::format("        {}; default: {}\n", values, s.standard.empty() ? "none" : s.standard);
  return line;
}

result<> run(const options& o) {
  if (o.markdown) return print(kafka::settings_reference());
  std::string out;
  std::vector<std::string> missing = o.names;
  for (const auto& s : kafka::list_settings()) {
    if (!o.client.empty() && s.clients.find(o.client) == s.clients.npos) continue;
    const auto wanted = std::find(o.names.begin(), o.names.end(), s.name);
    if (!o.names.empty() && wanted == o.names.end()) continue;
    std::erase(missing, s.name);
    out += describe(s);
  }
  if (const auto shown = print(out); !shown) return shown;
  if (missing.empty()) return {};
  // The client's own words, nearest name included.
  kafka::properties unknown;
  for (const auto& name : missing) unknown.set(name, "");
  if (const auto refused = kafka::producer_settings{}.apply(unknown); !refused) return refused;
  return fail(errc::not_found, fmt::format("{} is no setting of that client", missing.front()));
}

result<> list_metrics(bool markdown) {
  if (markdown) return print(kafka::metrics_reference());
  std::string out;
  for (const auto& m : kafka::list_metrics())
    out += fmt::format("{}{}  ({})\n{}", m.name, m.tags.empty() ? "" : fmt::format("{{{}}}", m.tags), m.group,
                       folded(m.description));
  return print(out);
}

}  // namespace

void add_metrics(command root) {
  auto markdown = std::make_shared<bool>(false);
  auto c = root.add("metrics", "What producers, consumers and admin clients count and measure");
  c.flag("--markdown", *markdown, "docs/reference/client-metrics.md");
  c.run([markdown] { return list_metrics(*markdown); });
}

void add_settings(command root) {
  auto o = std::make_shared<options>();
  auto c = root.add("settings", "What can be set with -X and --config-file");
  c.values("NAME", o->names, "of these only");
  c.value("--client", o->client, "of one kind of client only").one_of({"producer", "consumer", "admin"});
  c.flag("--markdown", o->markdown, "docs/reference/client-settings.md");
  c.run([o] { return run(*o); });
}

}  // namespace penstock::tools
