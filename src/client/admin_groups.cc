// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "client/admin_client.h"
#include "client/offsets.h"
#include "wire/messages/consumer_group_describe.h"
#include "wire/messages/consumer_protocol.h"
#include "wire/messages/delete_groups.h"
#include "wire/messages/describe_groups.h"
#include "wire/messages/leave_group.h"
#include "wire/messages/list_groups.h"
#include "wire/messages/offset_commit.h"
#include "wire/messages/offset_delete.h"

namespace penstock::client {

using kafka::group_info;
using kafka::topic_partition;
using wire::error_code;

namespace {

std::string group_title(const std::string& id) { return "group '" + id + "'"; }

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

template <typename Assignment>
std::vector<topic_partition> partitions_of(const Assignment& a) {
  std::vector<topic_partition> all;
  for (const auto& t : a.topic_partitions)
    for (const auto p : t.partitions) all.push_back({t.topic_name, p});
  std::sort(all.begin(), all.end());
  return all;
}

error_code first_group(const wire::describe_groups_response& r) {
  return r.groups.empty() ? error_code::none : static_cast<error_code>(r.groups.front().error_code);
}
error_code first_consumer_group(const wire::consumer_group_describe_response& r) {
  return r.groups.empty() ? error_code::none : static_cast<error_code>(r.groups.front().error_code);
}
error_code first_deleted(const wire::delete_groups_response& r) {
  return r.results.empty() ? error_code::none : static_cast<error_code>(r.results.front().error_code);
}

group_info info_of(wire::describe_groups_response::described_group& g) {
  group_info info{
      g.group_id, std::move(g.group_state), std::move(g.protocol_type), std::move(g.protocol_data), -1, {}};
  for (auto& m : g.members) {
    auto& out = info.members.emplace_back();
    out.member_id = std::move(m.member_id);
    out.instance_id = m.group_instance_id.value_or(std::string());
    out.client_id = std::move(m.client_id);
    out.client_host = std::move(m.client_host);
    if (info.protocol_type == "consumer") out.assignment = parse_assignment(m.member_assignment);
  }
  return info;
}

group_info info_of(wire::consumer_group_describe_response::described_group& g) {
  group_info info{g.group_id, std::move(g.group_state), "consumer", std::move(g.assignor_name), -1, {}};
  info.type = "consumer";
  info.epoch = g.group_epoch;
  info.assignment_epoch = g.assignment_epoch;
  for (auto& m : g.members) {
    auto& out = info.members.emplace_back();
    out.member_id = std::move(m.member_id);
    out.instance_id = m.instance_id.value_or(std::string());
    out.client_id = std::move(m.client_id);
    out.client_host = std::move(m.client_host);
    out.assignment = partitions_of(m.assignment);
    out.target = partitions_of(m.target_assignment);
    out.epoch = m.member_epoch;
    out.rack = m.rack_id.value_or(std::string());
  }
  return info;
}

struct commit_answer {
  std::map<topic_partition, result<>> found;
  template <typename Response>
  static commit_answer of(const Response& r, const std::string& group) {
    commit_answer a;
    for (const auto& t : r.topics)
      for (const auto& p : t.partitions) {
        const topic_partition tp{t.name, p.partition_index};
        a.found.insert_or_assign(
            tp, p.error_code == 0 ? result<>()
                                  : fail(answer_error(p.error_code, fmt::format("offset of group '{}' in {}",
                                                                                group, to_string(tp)))));
      }
    return a;
  }
};

// Only a coordinator that is not one answers all partitions alike.
error_code code_of_commit(const wire::offset_commit_response& r) {
  for (const auto& t : r.topics)
    for (const auto& p : t.partitions)
      if (coordinator_may_have_moved(static_cast<error_code>(p.error_code)))
        return static_cast<error_code>(p.error_code);
  return error_code::none;
}

}  // namespace

void admin_client::list_groups(kafka::group_filter filter,
                               done_with<std::vector<kafka::group_listing>> done) {
  // Every broker knows the groups that it coordinates.
  using listings = std::vector<kafka::group_listing>;
  const std::int16_t min_version = !filter.types.empty() ? 5 : !filter.states.empty() ? 4 : 0;
  ask_every_broker<listings>(
      [this, filter = std::move(filter), min_version](std::int32_t broker, done_with<listings> done) {
        admin_call<wire::list_groups_response>(
            cluster_, plan(route::broker(broker), "groups", min_version),
            wire::list_groups_request{filter.states, filter.types}, &top_code<wire::list_groups_response>,
            [done = std::move(done)](result<wire::list_groups_response> r) mutable {
              if (!r) return done(fail(r.error()));
              if (r->error_code != 0) return done(fail(wire::make_error(r->error_code, "groups")));
              listings all;
              for (auto& g : r->groups)
                all.push_back({std::move(g.group_id), std::move(g.protocol_type), std::move(g.group_state),
                               std::move(g.group_type)});
              done(std::move(all));
            });
      },
      [done = std::move(done)](result<each<listings>> r) mutable {
        if (!r) return done(fail(r.error()));
        std::map<std::string, kafka::group_listing> by_id;
        for (auto& broker : *r) {
          if (!broker) return done(fail(broker.error()));
          for (auto& g : *broker) by_id.insert_or_assign(g.group_id, g);
        }
        listings all;
        for (auto& [id, g] : by_id) all.push_back(std::move(g));
        done(std::move(all));
      });
}

// First as a group of the newer protocol (KIP-848); a coordinator that knows none of that name is asked for a
// classic one.
void admin_client::describe_groups(std::vector<std::string> ids, done_with<each<group_info>> done) {
  auto all = gathering<group_info>::of(ids.size(), std::move(done));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    wire::consumer_group_describe_request request;
    request.group_ids.push_back(ids[i]);
    admin_call<wire::consumer_group_describe_response>(
        cluster_, plan(route::group(ids[i]), group_title(ids[i])), std::move(request), &first_consumer_group,
        [this, id = ids[i], slot = all->slot(i)](result<wire::consumer_group_describe_response> r) mutable {
          if (!r && r.error().kind() != errc::unsupported) return slot(fail(r.error()));
          if (!r || r->groups.empty()) return describe_classic_group(id, std::move(slot));
          auto& g = r->groups.front();
          const auto code = static_cast<error_code>(g.error_code);
          if (code == error_code::none) return name_coordinator(info_of(g), std::move(slot));
          if (code == error_code::group_id_not_found || code == error_code::unsupported_version)
            return describe_classic_group(id, std::move(slot));
          slot(fail(answer_error(g.error_code, group_title(id), g.error_message)));
        });
  }
}

void admin_client::describe_classic_group(const std::string& id, done_with<group_info> done) {
  wire::describe_groups_request request;
  request.groups.push_back(id);
  admin_call<wire::describe_groups_response>(
      cluster_, plan(route::group(id), group_title(id)), std::move(request), &first_group,
      [this, id, done = std::move(done)](result<wire::describe_groups_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->groups.empty()) return done(fail(errc::not_found, group_title(id) + " does not exist"));
        auto& g = r->groups.front();
        if (g.error_code != 0)
          return done(fail(answer_error(g.error_code, group_title(id), g.error_message)));
        // Before version 6 a group that nobody knows is a dead one.
        if (g.group_state == "Dead") return done(fail(errc::not_found, group_title(id) + " does not exist"));
        name_coordinator(info_of(g), std::move(done));
      });
}

void admin_client::name_coordinator(group_info info, done_with<group_info> done) {
  const auto id = info.group_id;
  find_coordinator(cluster_, id,
                   [info = std::move(info), done = std::move(done)](result<std::int32_t> broker) mutable {
                     if (broker) info.coordinator = *broker;
                     done(std::move(info));
                   });
}

void admin_client::delete_groups(std::vector<std::string> ids, done_with<each<>> done) {
  auto all = gathering<void>::of(ids.size(), std::move(done));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    wire::delete_groups_request request;
    request.groups_names.push_back(ids[i]);
    admin_call<wire::delete_groups_response>(
        cluster_, plan(route::group(ids[i]), group_title(ids[i])), std::move(request), &first_deleted,
        [id = ids[i], slot = all->slot(i)](result<wire::delete_groups_response> r) mutable {
          if (!r) return slot(fail(r.error()));
          if (r->results.empty())
            return slot(fail(errc::corrupt, group_title(id) + ": the broker left out a result"));
          const auto& g = r->results.front();
          if (g.error_code != 0)
            return slot(fail(answer_error(g.error_code, group_title(id), g.error_message)));
          slot({});
        });
  }
}

void admin_client::remove_members(std::string group_id, std::vector<kafka::member_name> members,
                                  std::string reason, done_with<each<>> done) {
  wire::leave_group_request request;
  request.group_id = group_id;
  for (const auto& m : members) {
    auto& out = request.members.emplace_back();
    out.member_id = m.member_id;
    if (!m.instance_id.empty()) out.group_instance_id = m.instance_id;
    if (!reason.empty()) out.reason = reason;
  }
  admin_call<wire::leave_group_response>(
      cluster_, plan(route::group(group_id), group_title(group_id), 3), std::move(request),
      &top_code<wire::leave_group_response>,
      [group_id, members = std::move(members),
       done = std::move(done)](result<wire::leave_group_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0) return done(fail(answer_error(r->error_code, group_title(group_id))));
        each<> all;
        for (const auto& m : members) {
          const auto found = std::find_if(r->members.begin(), r->members.end(), [&](const auto& a) {
            return m.instance_id.empty() ? a.member_id == m.member_id
                                         : a.group_instance_id.value_or(std::string()) == m.instance_id;
          });
          const auto what = fmt::format("member '{}' of group '{}'",
                                        m.instance_id.empty() ? m.member_id : m.instance_id, group_id);
          if (found == r->members.end())
            all.push_back(fail(errc::corrupt, what + ": the broker left out a result"));
          else if (found->error_code != 0)
            all.push_back(fail(answer_error(found->error_code, what)));
          else
            all.push_back({});
        }
        done(std::move(all));
      });
}

void admin_client::alter_group_offsets(std::string group_id, std::vector<kafka::partition_offset> offsets,
                                       done_with<each<>> done) {
  std::vector<topic_partition> partitions;
  for (const auto& o : offsets) partitions.push_back(o.partition);
  auto request = commit_request({.group_id = group_id}, std::move(offsets));
  // Version 2 keeps offsets in Kafka; 9 is the last with topic names.
  auto how = plan(route::group(group_id), group_title(group_id), 2);
  how.options.max_version = 9;
  admin_call<wire::offset_commit_response>(
      cluster_, std::move(how), std::move(request), &code_of_commit,
      [group_id, partitions = std::move(partitions),
       done = std::move(done)](result<wire::offset_commit_response> r) mutable {
        if (!r) return done(fail(r.error()));
        done(in_order(partitions, commit_answer::of(*r, group_id).found, group_title(group_id)));
      });
}

void admin_client::delete_group_offsets(std::string group_id, std::vector<topic_partition> partitions,
                                        done_with<each<>> done) {
  wire::offset_delete_request request;
  request.group_id = group_id;
  std::map<std::string, std::vector<wire::offset_delete_request::offset_delete_request_partition>> topics;
  for (const auto& tp : partitions) topics[tp.topic].push_back({tp.partition});
  for (auto& [topic, list] : topics) request.topics.push_back({topic, std::move(list)});
  admin_call<wire::offset_delete_response>(
      cluster_, plan(route::group(group_id), group_title(group_id)), std::move(request),
      &top_code<wire::offset_delete_response>,
      [group_id, partitions = std::move(partitions),
       done = std::move(done)](result<wire::offset_delete_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0) return done(fail(answer_error(r->error_code, group_title(group_id))));
        done(in_order(partitions, commit_answer::of(*r, group_id).found, group_title(group_id)));
      });
}

}  // namespace penstock::client
