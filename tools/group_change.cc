// SPDX-License-Identifier: Apache-2.0
// penstock group delete | reset-offsets | remove-members
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "admin_tool.h"
#include "output.h"

namespace penstock::tools {
namespace {

struct options {
  cluster_options cluster;
  std::string name;
  std::vector<std::string> names;
  std::vector<std::string> topics;
  std::string to;
  std::string reason;
  std::vector<std::string> members;
  bool all = false;
  bool dry_run = false;
};

result<> remove(kafka::admin& admin, const options& o) { return admin.delete_groups(o.names); }

/// Where reset-offsets goes: earliest, latest, an offset, or a time as "@" and milliseconds since 1970.
result<std::int64_t> number_of(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (wrong != std::errc() || end != text.data() + text.size() || n < 0)
    return fail(
        errc::invalid_argument,
        fmt::format("'{}' is not earliest, latest, an offset, or @ and milliseconds since 1970", text));
  return n;
}

/// The partitions of the topics given, or of all the group has offsets in.
result<std::vector<kafka::topic_partition>> partitions_of(kafka::admin& admin, const options& o) {
  std::vector<kafka::topic_partition> all;
  if (o.topics.empty()) {
    const auto committed = admin.group_offsets(o.name);
    if (!committed) return fail(committed.error());
    for (const auto& c : *committed) all.push_back(c.partition);
    if (all.empty())
      return fail(errc::not_found,
                  "group '" + o.name + "' has committed nothing: say which topics with --topic");
  } else {
    const auto topics = admin.describe_topics(o.topics);
    if (!topics) return fail(topics.error());
    for (const auto& t : *topics)
      for (const auto& p : t.partitions) all.push_back({t.name, p.partition});
  }
  std::sort(all.begin(), all.end());
  return all;
}

result<> reset_offsets(kafka::admin& admin, const options& o) {
  const bool by_time = o.to.starts_with('@');
  const bool by_name = o.to == "earliest" || o.to == "latest";
  std::int64_t at = o.to == "earliest" ? kafka::earliest_offset : kafka::latest_offset;
  if (!by_name) {
    const auto n = number_of(std::string_view(o.to).substr(by_time ? 1 : 0));
    if (!n) return fail(n.error());
    at = *n;
  }
  const auto partitions = partitions_of(admin, o);
  if (!partitions) return fail(partitions.error());
  const auto first = admin.list_offsets(*partitions, kafka::earliest_offset);
  if (!first) return fail(first.error());
  const auto end = admin.list_offsets(*partitions, kafka::latest_offset);
  if (!end) return fail(end.error());
  result<std::vector<std::int64_t>> found(std::vector(partitions->size(), at));
  if (by_time || by_name) found = admin.list_offsets(*partitions, at);
  if (!found) return fail(found.error());
  std::vector<kafka::partition_offset> offsets;
  std::string out;
  for (std::size_t i = 0; i < partitions->size(); ++i) {
    // Behind the last record of that time is the end; an offset that is not there becomes the nearest.
    const auto wanted = (*found)[i] == kafka::no_offset ? (*end)[i] : (*found)[i];
    const auto to = std::clamp(wanted, (*first)[i], (*end)[i]);
    offsets.push_back({(*partitions)[i], {.offset = to}});
    out += fmt::format("{:<32} {:>9} {:>14}\n", (*partitions)[i].topic, (*partitions)[i].partition, to);
  }
  if (!o.dry_run)
    if (auto done = admin.alter_group_offsets(o.name, offsets); !done) return done;
  return print(fmt::format("{:<32} {:>9} {:>14}\n", "topic", "partition", "offset") + out);
}

result<> remove_members(kafka::admin& admin, const options& o) {
  if (o.all == !o.members.empty()) return fail(errc::invalid_argument, "say which members, or --all");
  const auto group = admin.describe_group(o.name);
  if (!group) return fail(group.error());
  std::vector<kafka::member_name> out;
  for (const auto& m : group->members) {
    const auto named = [&](const std::string& name) {
      return !name.empty() && std::find(o.members.begin(), o.members.end(), name) != o.members.end();
    };
    if (!o.all && !named(m.member_id) && !named(m.instance_id)) continue;
    if (m.instance_id.empty())
      out.push_back({.member_id = m.member_id});
    else
      out.push_back({.instance_id = m.instance_id});
  }
  if (out.size() < o.members.size())
    return fail(errc::not_found, fmt::format("group '{}' has only {} of these members", o.name, out.size()));
  if (out.empty()) return {};
  return admin.remove_members(o.name, out, o.reason);
}

}  // namespace

void add_group_changes(command group) {
  auto o = std::make_shared<options>();
  auto c =
      add_admin_command(group, "delete", "Delete groups that have no members, with their offsets", o, remove);
  c.values("NAME", o->names, "").required();

  c = add_admin_command(group, "reset-offsets", "Set what a group without members has committed", o,
                        reset_offsets);
  c.value("NAME", o->name, "").required();
  c.values("--topic,-t", o->topics,
           "only this topic; may be given several times (default: all it has offsets in)");
  c.value("--to", o->to, "earliest, latest, an offset, or @ and milliseconds since 1970").required();
  c.flag("--dry-run", o->dry_run, "only say what would be set");

  c = add_admin_command(group, "remove-members", "Throw members out; those that live join again", o,
                        remove_members);
  c.value("NAME", o->name, "").required();
  c.values("--member,-m", o->members, "a member id or instance id; may be given several times");
  c.flag("--all", o->all, "every member");
  c.value("--reason", o->reason, "for the brokers' log");
}

}  // namespace penstock::tools
