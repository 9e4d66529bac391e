// SPDX-License-Identifier: Apache-2.0
// DescribeGroups (15), versions 0-6.
//
// v3    authorized operations
// v4    static members
// v5    flexible
// v6    a group that is not there is GROUP_ID_NOT_FOUND; before, "Dead" and no error
#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

wire::describe_groups_response::described_group describe(const group& g) {
  wire::describe_groups_response::described_group out;
  out.group_id = g.name();
  out.group_state = to_string(g.state);
  out.protocol_type = g.protocol_type;
  const bool assigned = g.is(group_state::stable);
  if (assigned) out.protocol_data = g.protocol;
  for (const auto& [id, m] : g.members) {
    auto& member = out.members.emplace_back();
    member.member_id = id;
    member.group_instance_id = m.instance_id;
    member.client_id = m.client_id;
    member.client_host = m.client_host;
    if (!assigned) continue;
    member.member_metadata = m.metadata(g.protocol);
    member.member_assignment = m.assignment;
  }
  return out;
}

}  // namespace

void handle_describe_groups(broker_core& core, const request_info& info, wire::describe_groups_request& q,
                            responder<wire::describe_groups_response> reply) {
  wire::describe_groups_response answer;
  for (const auto& name : q.groups) {
    wire::describe_groups_response::described_group out;
    if (const group* g = core.groups.find(name); g != nullptr) {
      out = describe(*g);
    } else {
      out.group_id = name;
      out.group_state = "Dead";
      if (info.version >= 6) {
        out.error_code = number(error_code::group_id_not_found);
        out.error_message = "Group " + name + " not found.";
      }
    }
    if (q.include_authorized_operations) out.authorized_operations = group_operations;
    answer.groups.push_back(std::move(out));
  }
  reply.send(answer);
}

}  // namespace penstock::broker
