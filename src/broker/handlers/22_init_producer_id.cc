// SPDX-License-Identifier: Apache-2.0
// InitProducerId (22), versions 0-5: v2 flexible, v3 the producer id so far, v4-5 new errors.
//
// Gives out producer ids for idempotent producers; each is new and never given out again. Transactions are
// not there yet: a transactional id is answered UNSUPPORTED_VERSION.
#include "broker/handlers/common.h"

namespace penstock::broker {

void handle_init_producer_id(broker_core& core, const request_info&, wire::init_producer_id_request& q,
                             responder<wire::init_producer_id_response> reply) {
  wire::init_producer_id_response answer;
  answer.producer_epoch = -1;
  if (q.transactional_id) {
    answer.error_code =
        number(q.transactional_id->empty() ? error_code::invalid_request : error_code::unsupported_version);
    return reply.send(answer);
  }
  auto id = core.next_producer_id();
  if (!id) {
    answer.error_code = number(core.storage_error(id.error()));
    return reply.send(answer);
  }
  answer.producer_id = *id;
  answer.producer_epoch = 0;
  reply.send(answer);
}

}  // namespace penstock::broker
