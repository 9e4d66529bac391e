// SPDX-License-Identifier: Apache-2.0
// OffsetDelete (47), version 0: forgets committed offsets of topics that the group does not read.
#include "broker/handlers/common.h"

namespace penstock::broker {

void handle_offset_delete(broker_core& core, const request_info&, wire::offset_delete_request& q,
                          responder<wire::offset_delete_response> reply) {
  wire::offset_delete_response answer;
  std::vector<topic_partition> partitions;
  for (const auto& t : q.topics) {
    auto& out_topic = answer.topics.emplace_back();
    out_topic.name = t.name;
    topic* found = core.topics.find(t.name);
    for (const auto& p : t.partitions) {
      const bool there = found != nullptr && found->find(p.partition_index) != nullptr;
      out_topic.partitions.push_back(
          {p.partition_index, number(there ? error_code::none : error_code::unknown_topic_or_partition)});
      if (there) partitions.emplace_back(t.name, p.partition_index);
    }
  }
  core.groups.remove_offsets(q.group_id, std::move(partitions),
                             [answer = std::move(answer), reply = std::move(reply)](
                                 error_code whole, std::vector<error_code> each) mutable {
                               answer.error_code = number(whole);
                               if (whole != error_code::none) answer.topics.clear();
                               auto next = each.begin();  // in order, for those that were there
                               for (auto& t : answer.topics)
                                 for (auto& p : t.partitions)
                                   if (p.error_code == 0 && next != each.end())
                                     p.error_code = number(*next++);
                               reply.send(answer);
                             });
}

}  // namespace penstock::broker
