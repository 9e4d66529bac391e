// SPDX-License-Identifier: Apache-2.0
// OffsetCommit (8), versions 2-10.
//
// v2-4  a retention time of its own: ignored, as brokers since 2.1 do for all but old clients
// v6    leader epochs
// v7    static members
// v8    flexible
// v9    member epochs of the new group protocol: such groups are not there, classic members go on as before
// v10   topics by id
#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

using response_partition = wire::offset_commit_response::offset_commit_response_partition;

// What is wrong with one partition's commit, before the group is asked.
error_code check(broker_core& core, const topic_lookup& t,
                 const wire::offset_commit_request::offset_commit_request_partition& p) {
  if (t.found == nullptr) return t.error;
  if (t.found->find(p.partition_index) == nullptr) return error_code::unknown_topic_or_partition;
  const auto most = core.settings.broker_number("offset.metadata.max.bytes");
  if (p.committed_metadata && static_cast<std::int64_t>(p.committed_metadata->size()) > most)
    return error_code::offset_metadata_too_large;
  return error_code::none;
}

}  // namespace

void handle_offset_commit(broker_core& core, const request_info& info, wire::offset_commit_request& q,
                          responder<wire::offset_commit_response> reply) {
  wire::offset_commit_response answer;
  std::vector<std::pair<topic_partition, committed_offset>> offsets;
  const std::int64_t now = core.env.time->wall_ms();
  for (auto& t : q.topics) {
    auto& out_topic = answer.topics.emplace_back();
    out_topic.name = t.name;
    out_topic.topic_id = t.topic_id;
    const auto found = find_topic(core, t.name, t.topic_id, info.version >= 10);
    for (auto& p : t.partitions) {
      const auto e = check(core, found, p);
      out_topic.partitions.push_back({p.partition_index, number(e)});
      if (e != error_code::none) continue;
      offsets.push_back(
          {{found.found->name(), p.partition_index},
           {p.committed_offset, p.committed_leader_epoch, p.committed_metadata.value_or(""), now}});
    }
  }
  const member_identity who{q.member_id, q.group_instance_id, q.generation_id_or_member_epoch};
  core.groups.commit(q.group_id, who, std::move(offsets),
                     [reply = std::move(reply), answer = std::move(answer)](error_code e) mutable {
                       for (auto& t : answer.topics)
                         for (auto& p : t.partitions)
                           if (p.error_code == 0) p.error_code = number(e);
                       reply.send(answer);
                     });
  core.arm_group_timer();
}

}  // namespace penstock::broker
