// SPDX-License-Identifier: Apache-2.0
// Heartbeat (12), versions 0-4: v3 static members, v4 flexible.
#include "broker/handlers/common.h"

namespace penstock::broker {

void handle_heartbeat(broker_core& core, const request_info&, wire::heartbeat_request& q,
                      responder<wire::heartbeat_response> reply) {
  wire::heartbeat_response answer;
  answer.error_code =
      number(core.groups.heartbeat(q.group_id, {q.member_id, q.group_instance_id, q.generation_id}));
  reply.send(answer);  // the group timer may stay: a heartbeat only puts deadlines off
}

}  // namespace penstock::broker
