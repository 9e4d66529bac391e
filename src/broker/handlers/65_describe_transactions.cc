// SPDX-License-Identifier: Apache-2.0
// DescribeTransactions (65), version 0.
#include "broker/handlers/common.h"

namespace penstock::broker {

void handle_describe_transactions(broker_core& core, const request_info&,
                                  wire::describe_transactions_request& q,
                                  responder<wire::describe_transactions_response> reply) {
  wire::describe_transactions_response answer;
  for (const auto& id : q.transactional_ids) {
    auto& out = answer.transaction_states.emplace_back();
    out.transactional_id = id;
    const transaction* t = core.transactions.find(id);
    if (t == nullptr) {
      out.error_code =
          number(id.empty() ? error_code::invalid_request : error_code::transactional_id_not_found);
      continue;
    }
    out.transaction_state = to_string(t->state);
    out.transaction_timeout_ms = static_cast<std::int32_t>(t->timeout.count());
    out.transaction_start_time_ms = t->start_ms;
    out.producer_id = t->producer.id;
    out.producer_epoch = t->producer.epoch;
    for (const auto& [topic, partitions] : t->partitions)
      out.topics.push_back({topic, {partitions.begin(), partitions.end()}});
  }
  reply.send(answer);
}

}  // namespace penstock::broker
