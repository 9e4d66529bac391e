// SPDX-License-Identifier: Apache-2.0
// penstock topic create | list | describe | delete; alter and configs are in topic_change.cc
#include <penstock/kafka/admin.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "command.h"
#include "output.h"

namespace penstock::tools {
namespace {

struct options {
  cluster_options cluster;
  std::string name;
  std::vector<std::string> names;
  std::int32_t partitions = -1;
  std::int16_t replication_factor = -1;
  std::vector<std::string> configs;
  bool if_not_exists = false;
  bool internal = false;
};

result<kafka::admin> connect(const options& o) {
  kafka::admin_settings settings{.bootstrap_servers = {}, .connection = patience()};
  if (const auto applied = o.cluster.apply(settings); !applied) return fail(applied.error());
  return kafka::admin::create(std::move(settings));
}

result<> create(const options& o) {
  kafka::new_topic topic{
      .name = o.name, .partitions = o.partitions, .replication_factor = o.replication_factor};
  for (const auto& pair : o.configs) {
    const auto equals = pair.find('=');
    topic.configs[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  auto admin = connect(o);
  if (!admin) return fail(admin.error());
  const auto made = admin->create_topics({topic});
  if (!made && !(o.if_not_exists && made.error().kind() == errc::already_exists)) return made;
  return admin->await_topics({o.name}, std::chrono::seconds(15));
}

result<> list(const options& o) {
  auto admin = connect(o);
  if (!admin) return fail(admin.error());
  const auto names = admin->list_topics(o.internal);
  if (!names) return fail(names.error());
  return print(names->empty() ? "" : fmt::format("{}\n", fmt::join(*names, "\n")));
}

/// Appends a table of the partitions, with the first offset and the end of each.
result<> describe_partitions(kafka::admin& admin, const kafka::topic_info& topic, std::string& out) {
  std::vector<kafka::topic_partition> all;
  for (const auto& p : topic.partitions) all.push_back({topic.name, p.partition});
  const auto first = admin.list_offsets(all, kafka::earliest_offset);
  if (!first) return fail(first.error());
  const auto end = admin.list_offsets(all, kafka::latest_offset);
  if (!end) return fail(end.error());
  out += fmt::format("{:>9} {:>6} {:>14} {:>14}  {:<12} {}\n", "partition", "leader", "first offset", "end",
                     "replicas", "in sync");
  for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
    const auto& p = topic.partitions[i];
    out += fmt::format("{:>9} {:>6} {:>14} {:>14}  {:<12} {}\n", p.partition, p.leader, (*first)[i],
                       (*end)[i], fmt::format("{}", fmt::join(p.replicas, ",")), fmt::join(p.in_sync, ","));
  }
  return {};
}

result<> describe(const options& o) {
  auto admin = connect(o);
  if (!admin) return fail(admin.error());
  const auto topics = admin->describe_topics(o.names);
  if (!topics) return fail(topics.error());
  std::string out;
  for (const auto& topic : *topics) {
    if (!out.empty()) out += '\n';
    out += fmt::format("topic {}", topic.name);
    if (!topic.id.empty()) out += fmt::format("  id {}", topic.id);
    if (topic.internal) out += "  internal";
    out += '\n';
    const auto configs = admin->describe_configs(kafka::config_resource::topic, topic.name);
    const bool too_old = !configs && configs.error().kind() == errc::unsupported;  // Kafka 0.10 tells none
    if (!configs && !too_old) return fail(configs.error());
    for (const auto& entry : too_old ? std::vector<kafka::config_entry>() : *configs) {
      if (!entry.is_default && entry.value) out += fmt::format("  {}={}\n", entry.name, *entry.value);
    }
    if (const auto done = describe_partitions(*admin, topic, out); !done) return done;
  }
  return print(out);
}

result<> remove(const options& o) {
  auto admin = connect(o);
  if (!admin) return fail(admin.error());
  return admin->delete_topics(o.names);
}

}  // namespace

void add_topic(command root) {
  auto o = std::make_shared<options>();
  auto topic = root.add("topic", "Create, list, describe, change and delete topics");
  const auto add = [&](const char* name, const char* text, result<> (*run)(const options&)) {
    auto c = topic.add(name, text);
    add_cluster_options(c, o->cluster);
    c.run([o, run] { return run(*o); });
    return c;
  };

  auto c = add("create", "Create a topic and wait until it can be used", create);
  c.value("NAME", o->name, "").required();
  c.value("--partitions,-p", o->partitions, "default: the broker's").between(1, 1'000'000);
  c.value("--replication-factor", o->replication_factor, "default: the broker's").between(1, 1'000);
  c.values("--config,-c", o->configs, "a setting, NAME=VALUE; may be given several times")
      .check(complain_unless_pair);
  c.flag("--if-not-exists", o->if_not_exists, "be content when it is there");

  c = add("list", "The names of the topics, one a line", list);
  c.flag("--internal", o->internal, "the cluster's own topics too");

  c = add("describe", "Partitions, offsets and settings of topics", describe);
  c.values("NAME", o->names, "").required();

  c = add("delete", "Delete topics with all their records", remove);
  c.values("NAME", o->names, "").required();

  add_topic_changes(topic);
}

}  // namespace penstock::tools
