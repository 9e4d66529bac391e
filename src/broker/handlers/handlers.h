// SPDX-License-Identifier: Apache-2.0
// One function an API, each in the file of its number. A handler gets the decoded request, which it may take
// apart, and the place of its answer; it may answer later. What borrows from the request's bytes (records) is
// valid during the call only.
#pragma once

#include "broker/reply.h"
#include "wire/messages/every_message.h"

namespace penstock::broker {

class broker_core;

#define PENSTOCK_HANDLER(name)                                                             \
  void handle_##name(broker_core& core, const request_info& info, wire::name##_request& q, \
                     responder<wire::name##_response> reply)

PENSTOCK_HANDLER(produce);
PENSTOCK_HANDLER(fetch);
PENSTOCK_HANDLER(list_offsets);
PENSTOCK_HANDLER(metadata);
PENSTOCK_HANDLER(offset_commit);
PENSTOCK_HANDLER(offset_fetch);
PENSTOCK_HANDLER(find_coordinator);
PENSTOCK_HANDLER(join_group);
PENSTOCK_HANDLER(heartbeat);
PENSTOCK_HANDLER(leave_group);
PENSTOCK_HANDLER(sync_group);
PENSTOCK_HANDLER(describe_groups);
PENSTOCK_HANDLER(list_groups);
PENSTOCK_HANDLER(api_versions);
PENSTOCK_HANDLER(create_topics);
PENSTOCK_HANDLER(delete_topics);
PENSTOCK_HANDLER(delete_records);
PENSTOCK_HANDLER(init_producer_id);
PENSTOCK_HANDLER(offset_for_leader_epoch);
PENSTOCK_HANDLER(add_partitions_to_txn);
PENSTOCK_HANDLER(add_offsets_to_txn);
PENSTOCK_HANDLER(end_txn);
PENSTOCK_HANDLER(write_txn_markers);
PENSTOCK_HANDLER(txn_offset_commit);
PENSTOCK_HANDLER(describe_configs);
PENSTOCK_HANDLER(alter_configs);
PENSTOCK_HANDLER(create_partitions);
PENSTOCK_HANDLER(delete_groups);
PENSTOCK_HANDLER(incremental_alter_configs);
PENSTOCK_HANDLER(list_partition_reassignments);
PENSTOCK_HANDLER(offset_delete);
PENSTOCK_HANDLER(describe_cluster);
PENSTOCK_HANDLER(describe_producers);
PENSTOCK_HANDLER(describe_transactions);
PENSTOCK_HANDLER(list_transactions);
PENSTOCK_HANDLER(describe_topic_partitions);

}  // namespace penstock::broker
