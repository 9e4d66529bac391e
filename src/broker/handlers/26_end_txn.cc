// SPDX-License-Identifier: Apache-2.0
// EndTxn (26), versions 0-5.
//
// v2    PRODUCER_FENCED
// v3    flexible
// v5    the answer has the epoch of the next transaction, or a new producer id when the epochs are used up
//       (KIP-890)
// It is answered when the markers are written and the offsets count (E16); Kafka answers a client of v0-4
// when the decision is durable.
#include "broker/handlers/transactional.h"

namespace penstock::broker {

void handle_end_txn(broker_core& core, const request_info& info, wire::end_txn_request& q,
                    responder<wire::end_txn_response> reply) {
  const auto version = info.version >= 5 ? transaction_version::raised : transaction_version::plain;
  core.transactions.end(
      q.transactional_id, {q.producer_id, q.producer_epoch}, q.committed, version,
      [reply = std::move(reply), version = info.version](transaction_coordinator::answer a) mutable {
        wire::end_txn_response answer;
        answer.error_code = number(for_version(a.error, version, 2));
        answer.producer_id = a.producer.id;
        answer.producer_epoch = a.producer.epoch;
        reply.send(answer);
      });
  core.arm_transaction_timer();
}

}  // namespace penstock::broker
