// SPDX-License-Identifier: Apache-2.0
// penstock topic alter | configs | delete-records
#include <fmt/format.h>

#include <memory>

#include "admin_tool.h"
#include "output.h"

namespace penstock::tools {
namespace {

struct options {
  cluster_options cluster;
  std::string name;
  std::int32_t partitions = -1;
  std::int32_t partition = 0;
  std::int64_t before = 0;
  std::vector<std::string> configs;
  std::vector<std::string> resets;
  bool all = false;
};

result<> alter(kafka::admin& admin, const options& o) {
  if (o.partitions < 0 && o.configs.empty() && o.resets.empty())
    return fail(errc::invalid_argument, "nothing to change: give --partitions, --config or --reset");
  if (!o.configs.empty() || !o.resets.empty()) {
    std::map<std::string, std::optional<std::string>> changes;
    for (const auto& pair : o.configs) {
      const auto equals = pair.find('=');
      changes[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    for (const auto& name : o.resets) changes[name] = std::nullopt;
    if (auto done = admin.alter_configs(kafka::config_resource::topic, o.name, changes); !done) return done;
  }
  if (o.partitions < 0) return {};
  return admin.create_partitions(o.name, o.partitions);
}

result<> delete_records(kafka::admin& admin, const options& o) {
  const auto first = admin.delete_records({{{o.name, o.partition}, o.before}});
  if (!first) return fail(first.error());
  return print(fmt::format("{}-{} begins at offset {}\n", o.name, o.partition, first->front()));
}

std::string_view origin(kafka::config_source source) {
  switch (source) {
    case kafka::config_source::topic: return "topic";
    case kafka::config_source::dynamic_broker: return "broker, dynamic";
    case kafka::config_source::dynamic_default_broker: return "all brokers, dynamic";
    case kafka::config_source::static_broker: return "broker";
    case kafka::config_source::standard: return "default";
    default: return "?";
  }
}

result<> configs(kafka::admin& admin, const options& o) {
  const auto entries = admin.describe_configs(kafka::config_resource::topic, o.name);
  if (!entries) return fail(entries.error());
  std::string out;
  for (const auto& e : *entries) {
    if (!o.all && e.is_default) continue;
    out += fmt::format("{}={}  ({})\n", e.name, e.value.value_or("<secret>"), origin(e.source));
  }
  return print(out);
}

}  // namespace

void add_topic_changes(command topic) {
  auto o = std::make_shared<options>();
  auto c = add_admin_command(topic, "alter", "Change settings, or add partitions", o, alter);
  c.value("NAME", o->name, "").required();
  c.value("--partitions,-p", o->partitions, "how many it is to have; there are never fewer")
      .between(1, 1'000'000);
  c.values("--config,-c", o->configs, "a setting, NAME=VALUE; may be given several times")
      .check(complain_unless_pair);
  c.values("--reset", o->resets, "a setting that goes back to its default; may be given several times");

  c = add_admin_command(topic, "delete-records", "Delete the first records of a partition", o,
                        delete_records);
  c.value("NAME", o->name, "").required();
  c.value("--partition,-p", o->partition, "").between(0, 1'000'000).required();
  c.value("--before", o->before, "the offset of the first record that stays")
      .between(0, any_amount)
      .required();

  c = add_admin_command(topic, "configs",
                        "The settings of a topic that are not defaults, and where they come from", o,
                        configs);
  c.value("NAME", o->name, "").required();
  c.flag("--all", o->all, "the defaults too");
}

}  // namespace penstock::tools
