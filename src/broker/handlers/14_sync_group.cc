// SPDX-License-Identifier: Apache-2.0
// SyncGroup (14), versions 0-5. Answered when the leader's assignment is written down.
//
// v3    static members
// v4    flexible
// v5    the protocol's type and name, to be compared with the group's
#include "broker/handlers/common.h"

namespace penstock::broker {

void handle_sync_group(broker_core& core, const request_info&, wire::sync_group_request& q,
                       responder<wire::sync_group_response> reply) {
  sync_request r;
  r.group = std::move(q.group_id);
  r.member_id = std::move(q.member_id);
  r.instance_id = std::move(q.group_instance_id);
  r.generation = q.generation_id;
  r.protocol_type = std::move(q.protocol_type);
  r.protocol = std::move(q.protocol_name);
  for (auto& a : q.assignments) r.assignments[std::move(a.member_id)] = std::move(a.assignment);
  core.groups.sync(std::move(r), [reply = std::move(reply)](sync_answer a) mutable {
    wire::sync_group_response answer;
    answer.error_code = number(a.error);
    if (a.error == error_code::none) {
      answer.protocol_type = std::move(a.protocol_type);
      answer.protocol_name = std::move(a.protocol);
      answer.assignment = std::move(a.assignment);
    }
    reply.send(answer);
  });
  core.arm_group_timer();
}

}  // namespace penstock::broker
