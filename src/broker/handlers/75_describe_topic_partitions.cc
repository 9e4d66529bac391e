// SPDX-License-Identifier: Apache-2.0
// DescribeTopicPartitions (75), version 0: what Metadata tells of topics, page by page.
#include <algorithm>

#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

using response = wire::describe_topic_partitions_response;
constexpr std::int32_t most_at_once = 2000;

response::describe_topic_partitions_response_partition describe(const broker_core& core, std::int32_t index) {
  response::describe_topic_partitions_response_partition out;
  out.partition_index = index;
  out.leader_id = core.options.node_id;
  out.leader_epoch = core.leader_epoch();
  out.replica_nodes = {core.options.node_id};
  out.isr_nodes = {core.options.node_id};
  out.eligible_leader_replicas.emplace();
  out.last_known_elr.emplace();
  return out;
}

// The names asked for in order, from the cursor on.
std::vector<std::string> names(broker_core& core, const wire::describe_topic_partitions_request& q) {
  std::vector<std::string> all;
  for (const auto& t : q.topics) all.push_back(t.name);
  if (q.topics.empty())
    for (const auto& [name, t] : core.topics.all()) all.push_back(name);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  if (q.cursor) all.erase(all.begin(), std::lower_bound(all.begin(), all.end(), q.cursor->topic_name));
  return all;
}

}  // namespace

void handle_describe_topic_partitions(broker_core& core, const request_info&,
                                      wire::describe_topic_partitions_request& q, responder<response> reply) {
  response answer;
  std::int32_t left = std::clamp(q.response_partition_limit, 1, most_at_once);
  for (const auto& name : names(core, q)) {
    std::int32_t index =
        q.cursor && q.cursor->topic_name == name ? std::max(0, q.cursor->partition_index) : 0;
    if (left == 0) {
      answer.next_cursor.emplace();
      answer.next_cursor->topic_name = name;
      break;
    }
    auto& out = answer.topics.emplace_back();
    out.name = name;
    const topic* t = core.topics.find(name);
    if (t == nullptr) {
      out.error_code = number(check_topic_name(name) ? error_code::unknown_topic_or_partition
                                                     : error_code::invalid_topic_exception);
      continue;
    }
    out.topic_id = t->record.id;
    out.is_internal = t->internal;
    out.topic_authorized_operations = topic_operations;
    for (; index < t->record.partitions && left > 0; ++index, --left)
      out.partitions.push_back(describe(core, index));
    if (index < t->record.partitions) {
      answer.next_cursor.emplace();
      answer.next_cursor->topic_name = name;
      answer.next_cursor->partition_index = index;
      break;
    }
  }
  reply.send(answer);
}

}  // namespace penstock::broker
