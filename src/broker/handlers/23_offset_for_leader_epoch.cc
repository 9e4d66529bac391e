// SPDX-License-Identifier: Apache-2.0
// OffsetForLeaderEpoch (23), versions 2-4: v3 a replica id, v4 flexible.
//
// Where the records of a leader epoch end (KIP-320). The epoch grows by one at every start of the broker.
#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

using response_partition = wire::offset_for_leader_epoch_response::epoch_end_offset;

error_code find_end(broker_core& core, partition* p,
                    const wire::offset_for_leader_epoch_request::offset_for_leader_partition& want,
                    response_partition& out) {
  if (p == nullptr) return error_code::unknown_topic_or_partition;
  if (const auto e = core.check_leader_epoch(want.current_leader_epoch); e != error_code::none) return e;
  auto log = core.topics.open_log(*p);
  if (!log) return core.storage_error(log.error());
  if (want.leader_epoch == core.leader_epoch()) {
    out.leader_epoch = core.leader_epoch();
    out.end_offset = core.visible_end(**log);
  } else if (want.leader_epoch >= 0 && want.leader_epoch < core.leader_epoch()) {
    const auto end = (*log)->end_offset_for_epoch(want.leader_epoch);
    out.leader_epoch = end.epoch;
    out.end_offset = end.end_offset;
  }
  return error_code::none;
}

}  // namespace

void handle_offset_for_leader_epoch(broker_core& core, const request_info&,
                                    wire::offset_for_leader_epoch_request& q,
                                    responder<wire::offset_for_leader_epoch_response> reply) {
  wire::offset_for_leader_epoch_response answer;
  for (const auto& t : q.topics) {
    auto& out_topic = answer.topics.emplace_back();
    out_topic.topic = t.topic;
    topic* found = core.topics.find(t.topic);
    for (const auto& want : t.partitions) {
      auto& out = out_topic.partitions.emplace_back();
      out.partition = want.partition;
      out.error_code =
          number(find_end(core, found == nullptr ? nullptr : found->find(want.partition), want, out));
    }
  }
  reply.send(answer);
}

}  // namespace penstock::broker
