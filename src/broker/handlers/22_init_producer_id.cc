// SPDX-License-Identifier: Apache-2.0
// InitProducerId (22), versions 0-5: v2 flexible, v3 the producer id so far, v4-5 new errors.
//
// Without a transactional id it gives out a producer id for an idempotent producer; each is new and never
// given out again. With one it fences whoever had the id, and ends the transaction that was open: unlike
// Kafka, which answers CONCURRENT_TRANSACTIONS once, it answers when that is done.
#include "broker/handlers/common.h"
#include "broker/handlers/transactional.h"

namespace penstock::broker {

void handle_init_producer_id(broker_core& core, const request_info& info, wire::init_producer_id_request& q,
                             responder<wire::init_producer_id_response> reply) {
  wire::init_producer_id_response answer;
  answer.producer_epoch = -1;
  if (!q.transactional_id) {
    auto id = core.next_producer_id();
    if (id) {
      answer.producer_id = *id;
      answer.producer_epoch = 0;
    } else {
      answer.error_code = number(core.storage_error(id.error()));
    }
    return reply.send(answer);
  }
  std::optional<producer_identity> current;
  if (q.producer_id >= 0 || q.producer_epoch >= 0) current = {q.producer_id, q.producer_epoch};
  if (current && (q.producer_id < 0 || q.producer_epoch < 0)) {
    answer.error_code = number(error_code::invalid_request);
    return reply.send(answer);
  }
  core.transactions.init(
      *q.transactional_id, std::chrono::milliseconds(q.transaction_timeout_ms), current,
      [reply = std::move(reply), answer, version = info.version](transaction_coordinator::answer a) mutable {
        answer.error_code = number(for_version(a.error, version, 4));
        answer.producer_id = a.producer.id;
        answer.producer_epoch = a.producer.epoch;
        reply.send(answer);
      });
  core.arm_transaction_timer();
}

}  // namespace penstock::broker
