// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "client/admin_calls.h"
#include "client/offsets.h"
#include "wire/messages/alter_configs.h"
#include "wire/messages/consumer_protocol.h"
#include "wire/messages/delete_groups.h"
#include "wire/messages/describe_configs.h"
#include "wire/messages/describe_groups.h"
#include "wire/messages/incremental_alter_configs.h"
#include "wire/messages/list_groups.h"

// Configurations and groups.
namespace penstock::kafka {

using client::answer_error;
using wire::error_code;

result<> admin::impl::await_leader(const topic_partition& tp, io::instant until) {
  cluster->watch_topic(tp.topic);
  for (;;) {
    if (cluster->metadata().leader_of(tp.topic, tp.partition) != nullptr) return {};
    const auto* t = cluster->metadata().find(tp.topic);
    if (t != nullptr && t->error != error_code::none && !wire::retriable(t->error))
      return fail(
          answer_error(static_cast<std::int16_t>(t->error), "topic '" + tp.topic + "'", std::nullopt));
    if (t != nullptr && t->error == error_code::unknown_topic_or_partition)
      return fail(errc::not_found, "topic '" + tp.topic + "' does not exist");
    if (t != nullptr && t->error == error_code::none &&
        static_cast<std::size_t>(tp.partition) >= t->partitions.size())
      return fail(errc::not_found, fmt::format("topic '{}' has no partition {}, it has {}", tp.topic,
                                               tp.partition, t->partitions.size()));
    if (cluster->now() >= until)
      return fail(errc::timeout, to_string(tp) + ": its leader is not known in time", recovery::retriable);
    cluster->request_metadata();
    loop.run_some_until(until);
  }
}

namespace {

std::string name_of(config_resource kind, const std::string& name) {
  return (kind == config_resource::topic ? "topic '" : "broker '") + name + "'";
}

// A broker's configuration is asked of that broker itself.
std::int32_t target_of(config_resource kind, const std::string& name) {
  if (kind != config_resource::broker || name.empty() ||
      name.find_first_not_of("0123456789") != std::string::npos || name.size() > 9)
    return client::any_broker;
  return static_cast<std::int32_t>(std::stol(name));
}

error_code no_code(const wire::describe_configs_response&) { return error_code::none; }

std::vector<topic_partition> parse_assignment(const std::string& bytes) {
  std::vector<topic_partition> all;
  wire::reader in(bytes);
  const auto version = in.integer<std::int16_t>();
  wire::consumer_protocol_assignment a;
  if (!in.ok() || version < 0 || !a.decode(in, std::min<std::int16_t>(version, a.max_version))) return all;
  for (const auto& t : a.assigned_partitions)
    for (const auto p : t.partitions) all.push_back({t.topic, p});
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

result<std::vector<config_entry>> admin::describe_configs(config_resource kind, const std::string& name) {
  wire::describe_configs_request request;
  request.resources.push_back({static_cast<std::int8_t>(kind), name, std::nullopt});
  const auto target = target_of(kind, name);
  if (target != client::any_broker) impl_->know_controller(impl_->deadline());
  auto answer = impl_->call<wire::describe_configs_response>(target, request, &no_code, "configuration");
  if (!answer) return fail(answer.error());
  std::vector<config_entry> entries;
  for (auto& r : answer->results) {
    if (r.error_code != 0) return fail(answer_error(r.error_code, name_of(kind, name), r.error_message));
    constexpr std::int8_t default_config = 5;
    for (auto& c : r.configs)
      entries.push_back({std::move(c.name), std::move(c.value), c.read_only, c.is_sensitive,
                         c.is_default || c.config_source == default_config, c.config_source});
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

result<> admin::alter_configs(config_resource kind, const std::string& name,
                              const std::map<std::string, std::optional<std::string>>& changes) {
  wire::incremental_alter_configs_request request;
  auto& r = request.resources.emplace_back();
  r.resource_type = static_cast<std::int8_t>(kind);
  r.resource_name = name;
  constexpr std::int8_t set = 0, reset = 1;
  for (const auto& [key, value] : changes) r.configs.push_back({key, value ? set : reset, value});
  const auto target = target_of(kind, name);
  auto answer = impl_->call<wire::incremental_alter_configs_response>(
      target == client::any_broker ? client::controller : target, request,
      [](const wire::incremental_alter_configs_response& a) {
        return a.responses.empty() ? error_code::none
                                   : static_cast<error_code>(a.responses.front().error_code);
      },
      "alter configuration");
  if (!answer) return fail(answer.error());
  for (const auto& a : answer->responses)
    if (a.error_code != 0) return fail(answer_error(a.error_code, name_of(kind, name), a.error_message));
  return {};
}

result<std::vector<group_listing>> admin::list_groups() {
  // Every broker knows the groups that it coordinates.
  auto cluster = describe_cluster();
  if (!cluster) return fail(cluster.error());
  for (const auto& b : cluster->brokers)
    impl_->cluster->learn_broker(b.id, {b.host, static_cast<std::uint16_t>(b.port)});
  std::map<std::string, group_listing> groups;
  for (const auto& b : cluster->brokers) {
    auto answer = impl_->call<wire::list_groups_response>(
        b.id, wire::list_groups_request{},
        [](const wire::list_groups_response& r) { return static_cast<error_code>(r.error_code); }, "groups");
    if (!answer) return fail(answer.error());
    if (answer->error_code != 0) return fail(wire::make_error(answer->error_code, "groups"));
    for (auto& g : answer->groups)
      groups[g.group_id] = {g.group_id, std::move(g.protocol_type), std::move(g.group_state),
                            std::move(g.group_type)};
  }
  std::vector<group_listing> all;
  for (auto& [id, g] : groups) all.push_back(std::move(g));
  return all;
}

result<group_info> admin::describe_group(const std::string& group_id) {
  wire::describe_groups_request request;
  request.groups.push_back(group_id);
  auto answer = impl_->call_coordinator<wire::describe_groups_response>(
      group_id, request, [](const wire::describe_groups_response& r) {
        return r.groups.empty() ? error_code::none : static_cast<error_code>(r.groups.front().error_code);
      });
  if (!answer) return fail(answer.error());
  if (answer->groups.empty()) return fail(errc::not_found, "group '" + group_id + "' does not exist");
  auto& g = answer->groups.front();
  if (g.error_code != 0) return fail(answer_error(g.error_code, "group '" + group_id + "'", g.error_message));
  // Before version 6 a group that nobody knows is a dead one.
  if (g.group_state == "Dead") return fail(errc::not_found, "group '" + group_id + "' does not exist");
  group_info info{
      g.group_id, std::move(g.group_state), std::move(g.protocol_type), std::move(g.protocol_data), -1, {}};
  for (auto& m : g.members) {
    auto assigned = info.protocol_type == "consumer" ? parse_assignment(m.member_assignment)
                                                     : std::vector<topic_partition>();
    info.members.push_back({std::move(m.member_id), m.group_instance_id.value_or(std::string()),
                            std::move(m.client_id), std::move(m.client_host), std::move(assigned)});
  }
  auto broker = client::wait_for<std::int32_t>(impl_->loop, impl_->deadline(), "coordinator", [&](auto done) {
    client::find_coordinator(*impl_->cluster, group_id, std::move(done));
  });
  if (broker) info.coordinator = *broker;
  return info;
}

result<> admin::delete_group(const std::string& group_id) {
  wire::delete_groups_request request;
  request.groups_names.push_back(group_id);
  auto answer = impl_->call_coordinator<wire::delete_groups_response>(
      group_id, request, [](const wire::delete_groups_response& r) {
        return r.results.empty() ? error_code::none : static_cast<error_code>(r.results.front().error_code);
      });
  if (!answer) return fail(answer.error());
  for (const auto& r : answer->results)
    if (r.error_code != 0)
      return fail(answer_error(r.error_code, "group '" + r.group_id + "'", r.error_message));
  return {};
}

result<std::vector<partition_offset>> admin::group_offsets(const std::string& group_id) {
  const auto until = impl_->deadline();
  return client::wait_for<std::vector<partition_offset>>(
      impl_->loop, until + std::chrono::seconds(1), "offsets of the group",
      [&](auto done) { client::fetch_all_committed(*impl_->cluster, group_id, until, std::move(done)); });
}

result<> admin::alter_group_offsets(const std::string& group_id,
                                    const std::vector<partition_offset>& offsets) {
  const auto until = impl_->deadline();
  return client::wait_for<void>(
      impl_->loop, until + std::chrono::seconds(1), "offsets of the group", [&](auto done) {
        client::commit_offsets(*impl_->cluster, {.group_id = group_id}, offsets, until, std::move(done));
      });
}

}  // namespace penstock::kafka
