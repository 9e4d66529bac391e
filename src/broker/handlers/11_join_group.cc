// SPDX-License-Identifier: Apache-2.0
// JoinGroup (11), versions 0-9. Answered when the group's members are together.
//
// v1    a rebalance timeout of its own; before, the session timeout
// v4    a new member is given an id first and must come back with it (MEMBER_ID_REQUIRED)
// v5    static members
// v6    flexible
// v7    the protocol's type and name may be null
// v8    a reason: not kept
// v9    a static leader that comes back is told to skip the assignment
#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

wire::join_group_response to_response(join_answer a, std::int16_t version) {
  wire::join_group_response r;
  r.error_code = number(a.error);
  r.generation_id = a.generation;
  const bool good = a.error == error_code::none;
  if (good) r.protocol_type = std::move(a.protocol_type);
  if (good || version < 7) r.protocol_name = std::move(a.protocol);
  r.leader = std::move(a.leader);
  r.skip_assignment = a.skip_assignment;
  r.member_id = std::move(a.member_id);
  for (auto& m : a.members)
    r.members.push_back({std::move(m.id), std::move(m.instance_id), std::move(m.metadata)});
  return r;
}

}  // namespace

void handle_join_group(broker_core& core, const request_info& info, wire::join_group_request& q,
                       responder<wire::join_group_response> reply) {
  join_request r;
  r.group = std::move(q.group_id);
  r.member_id = std::move(q.member_id);
  r.instance_id = std::move(q.group_instance_id);
  r.client_id = info.client_id;
  r.client_host = info.client_host;
  r.session_timeout = std::chrono::milliseconds(q.session_timeout_ms);
  r.rebalance_timeout =
      std::chrono::milliseconds(q.rebalance_timeout_ms > 0 ? q.rebalance_timeout_ms : q.session_timeout_ms);
  r.protocol_type = std::move(q.protocol_type);
  for (auto& p : q.protocols) r.protocols.push_back({std::move(p.name), std::move(p.metadata)});
  r.needs_member_id = info.version >= 4;
  r.may_skip_assignment = info.version >= 9;
  core.groups.join(std::move(r), [reply = std::move(reply), version = info.version](join_answer a) mutable {
    reply.send(to_response(std::move(a), version));
  });
  core.arm_group_timer();
}

}  // namespace penstock::broker
