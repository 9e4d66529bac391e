// SPDX-License-Identifier: Apache-2.0
// DescribeProducers (61), version 0: who writes to a partition with a producer id, and since when a
// transaction is open there.
#include "broker/handlers/common.h"

namespace penstock::broker {

void handle_describe_producers(broker_core& core, const request_info&, wire::describe_producers_request& q,
                               responder<wire::describe_producers_response> reply) {
  wire::describe_producers_response answer;
  for (const auto& t : q.topics) {
    auto& out_topic = answer.topics.emplace_back();
    out_topic.name = t.name;
    topic* found = core.topics.find(t.name);
    for (const auto index : t.partition_indexes) {
      auto& out = out_topic.partitions.emplace_back();
      out.partition_index = index;
      partition* p = found == nullptr ? nullptr : found->find(index);
      if (p == nullptr) {
        out.error_code = number(error_code::unknown_topic_or_partition);
        continue;
      }
      auto log = core.topics.open_log(*p);
      if (!log) {
        out.error_code = number(core.storage_error(log.error()));
        continue;
      }
      for (const auto& e : (*log)->producers())
        out.active_producers.push_back({e.producer_id, e.epoch, e.last_sequence(), e.last_timestamp_ms,
                                        e.coordinator_epoch, e.transaction_first_offset});
    }
  }
  reply.send(answer);
}

}  // namespace penstock::broker
