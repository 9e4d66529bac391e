// SPDX-License-Identifier: Apache-2.0
// LeaveGroup (13), versions 0-5.
//
// v0-2  one member leaves
// v3    several at once, each with an error of its own; static members by their instance id (an
// administrator's way) v4    flexible v5    a reason: not kept
#include "broker/handlers/common.h"

namespace penstock::broker {

void handle_leave_group(broker_core& core, const request_info& info, wire::leave_group_request& q,
                        responder<wire::leave_group_response> reply) {
  wire::leave_group_response answer;
  if (info.version < 3) {
    answer.error_code = number(core.groups.leave(q.group_id, q.member_id, std::nullopt));
  } else if (q.group_id.empty()) {
    answer.error_code = number(error_code::invalid_group_id);
  } else {
    for (const auto& m : q.members)
      answer.members.push_back({m.member_id, m.group_instance_id,
                                number(core.groups.leave(q.group_id, m.member_id, m.group_instance_id))});
  }
  reply.send(answer);
  core.arm_group_timer();
}

}  // namespace penstock::broker
