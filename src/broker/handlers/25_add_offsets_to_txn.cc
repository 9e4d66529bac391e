// SPDX-License-Identifier: Apache-2.0
// AddOffsetsToTxn (25), versions 0-4: the partition of __consumer_offsets that has a group's offsets joins
// the transaction. v2: PRODUCER_FENCED; v3 flexible; v4 as v3 (new errors)
#include "broker/handlers/transactional.h"

namespace penstock::broker {

void handle_add_offsets_to_txn(broker_core& core, const request_info& info,
                               wire::add_offsets_to_txn_request& q,
                               responder<wire::add_offsets_to_txn_response> reply) {
  wire::add_offsets_to_txn_response answer;
  if (q.group_id.empty() || q.transactional_id.empty()) {
    answer.error_code = number(error_code::invalid_request);
    return reply.send(answer);
  }
  const auto made = core.journal.topic_made();
  if (!made) {
    answer.error_code = number(error_code::coordinator_not_available);
    return reply.send(answer);
  }
  const partition_sets wanted{{std::string(offsets_topic), {core.journal.partition_of(q.group_id)}}};
  const auto e = core.transactions.add(q.transactional_id, {q.producer_id, q.producer_epoch}, wanted,
                                       transaction_version::plain);
  core.arm_transaction_timer();
  answer.error_code = number(for_version(e, info.version, 2));
  reply.send(answer);
}

}  // namespace penstock::broker
