// SPDX-License-Identifier: Apache-2.0
// ListPartitionReassignments (46), version 0: there is one broker, so nothing ever moves.
#include "broker/handlers/common.h"

namespace penstock::broker {

void handle_list_partition_reassignments(broker_core&, const request_info&,
                                         wire::list_partition_reassignments_request&,
                                         responder<wire::list_partition_reassignments_response> reply) {
  reply.send({});
}

}  // namespace penstock::broker
