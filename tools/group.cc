// SPDX-License-Identifier: Apache-2.0
// penstock group list | describe; what changes groups is in group_change.cc
#include <penstock/kafka/admin.h>

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "command.h"
#include "output.h"

namespace penstock::tools {
namespace {

struct options {
  cluster_options cluster;
  std::string name;
};

result<kafka::admin> connect(const options& o) {
  kafka::admin_settings settings{.bootstrap_servers = {}, .connection = patience()};
  if (const auto applied = o.cluster.apply(settings); !applied) return fail(applied.error());
  return kafka::admin::create(std::move(settings));
}

result<> list(const options& o) {
  auto admin = connect(o);
  if (!admin) return fail(admin.error());
  auto groups = admin->list_groups();
  if (!groups) return fail(groups.error());
  std::sort(groups->begin(), groups->end(),
            [](const auto& a, const auto& b) { return a.group_id < b.group_id; });
  std::string out;
  for (const auto& g : *groups) out += g.group_id + '\n';
  return print(out);
}

/// The member that a partition is assigned to, or nothing.
std::string owner(const kafka::group_info& group, const kafka::topic_partition& tp) {
  for (const auto& m : group.members) {
    if (std::find(m.assignment.begin(), m.assignment.end(), tp) != m.assignment.end()) return m.member_id;
  }
  return "-";
}

/// Appends what the group has committed: how far it is behind each partition's end, and who reads it.
result<> describe_offsets(kafka::admin& admin, const kafka::group_info& group, std::string& out) {
  auto committed = admin.group_offsets(group.group_id);
  if (!committed) return fail(committed.error());
  std::sort(committed->begin(), committed->end(),
            [](const auto& a, const auto& b) { return a.partition < b.partition; });
  std::vector<kafka::topic_partition> partitions;
  for (const auto& c : *committed) partitions.push_back(c.partition);
  if (partitions.empty()) return {};
  const auto ends = admin.list_offsets(partitions, kafka::latest_offset);
  if (!ends) return fail(ends.error());
  out += fmt::format("{:<32} {:>9} {:>14} {:>14} {:>12}  {}\n", "topic", "partition", "committed", "end",
                     "behind", "member");
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    const auto at = (*committed)[i].position.offset;
    out += fmt::format("{:<32} {:>9} {:>14} {:>14} {:>12}  {}\n", partitions[i].topic,
                       partitions[i].partition, at, (*ends)[i], (*ends)[i] - at, owner(group, partitions[i]));
  }
  return {};
}

result<> describe(const options& o) {
  auto admin = connect(o);
  if (!admin) return fail(admin.error());
  const auto group = admin->describe_group(o.name);
  if (!group) return fail(group.error());
  std::string out =
      fmt::format("group {}  state {}  assignor {}  coordinator {}\n", group->group_id, group->state,
                  group->protocol.empty() ? "-" : group->protocol, group->coordinator);
  for (const auto& m : group->members) {
    out += fmt::format("member {}  client {}  host {}  partitions {}\n", m.member_id, m.client_id,
                       m.client_host, m.assignment.size());
  }
  if (const auto done = describe_offsets(*admin, *group, out); !done) return done;
  return print(out);
}

}  // namespace

void add_group(command root) {
  auto o = std::make_shared<options>();
  auto group = root.add("group", "List, describe and change consumer groups");
  auto c = group.add("list", "The names of the groups, one a line");
  add_cluster_options(c, o->cluster);
  c.run([o] { return list(*o); });
  c = group.add("describe", "Members, committed offsets and how far they are behind");
  c.value("NAME", o->name, "").required();
  add_cluster_options(c, o->cluster);
  c.run([o] { return describe(*o); });
  add_group_changes(group);
}

}  // namespace penstock::tools
