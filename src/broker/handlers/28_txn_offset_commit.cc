// SPDX-License-Identifier: Apache-2.0
// TxnOffsetCommit (28), versions 0-5: offsets that count when the producer's transaction commits.
//
// v2    leader epochs
// v3    flexible; the group's member and generation, which are checked (KIP-447)
// v4    TRANSACTION_ABORTABLE; up to here the group must have been added to the transaction
// v5    the group joins the transaction by this request (KIP-890)
#include "broker/handlers/transactional.h"

namespace penstock::broker {
namespace {

error_code check(broker_core& core, const topic* t,
                 const wire::txn_offset_commit_request::txn_offset_commit_request_partition& p) {
  if (t == nullptr || p.partition_index < 0 || p.partition_index >= t->record.partitions)
    return error_code::unknown_topic_or_partition;
  const auto most = core.settings.broker_number("offset.metadata.max.bytes");
  if (p.committed_metadata && static_cast<std::int64_t>(p.committed_metadata->size()) > most)
    return error_code::offset_metadata_too_large;
  return error_code::none;
}

// Whether the group's offsets belong to the producer's transaction; adds them in the versions that do.
error_code join_transaction(broker_core& core, const request_info& info,
                            const wire::txn_offset_commit_request& q) {
  if (q.group_id.empty()) return error_code::invalid_group_id;
  if (!core.journal.topic_made()) return error_code::coordinator_not_available;
  const producer_identity producer{q.producer_id, q.producer_epoch};
  const std::int32_t where = core.journal.partition_of(q.group_id);
  auto e = error_code::none;
  if (info.version >= 5) {
    e = core.transactions.add(q.transactional_id, producer, {{std::string(offsets_topic), {where}}},
                              transaction_version::raised);
    core.arm_transaction_timer();
  } else {
    e = core.transactions.verify(q.transactional_id, producer, offsets_topic, where);
  }
  return for_writer(e, info.version, 4, error_code::coordinator_load_in_progress);
}

template <typename Answer>
void set_all(Answer& answer, error_code e) {
  for (auto& t : answer.topics)
    for (auto& p : t.partitions)
      if (p.error_code == 0) p.error_code = number(e);
}

}  // namespace

void handle_txn_offset_commit(broker_core& core, const request_info& info, wire::txn_offset_commit_request& q,
                              responder<wire::txn_offset_commit_response> reply) {
  wire::txn_offset_commit_response answer;
  std::vector<std::pair<topic_partition, committed_offset>> offsets;
  const std::int64_t now = core.env.time->wall_ms();
  for (auto& t : q.topics) {
    auto& out_topic = answer.topics.emplace_back();
    out_topic.name = t.name;
    const topic* found = core.topics.find(t.name);
    for (auto& p : t.partitions) {
      const auto e = check(core, found, p);
      out_topic.partitions.push_back({p.partition_index, number(e)});
      if (e != error_code::none) continue;
      committed_offset value;
      value.offset = p.committed_offset;
      value.leader_epoch = p.committed_leader_epoch;
      value.metadata = p.committed_metadata.value_or("");
      value.commit_ms = now;
      offsets.emplace_back(topic_partition{t.name, p.partition_index}, std::move(value));
    }
  }
  if (const auto e = join_transaction(core, info, q); e != error_code::none) {
    set_all(answer, e);
    return reply.send(answer);
  }
  const member_identity who{q.member_id, q.group_instance_id, q.generation_id_or_member_epoch};
  core.groups.commit_in_transaction(
      q.group_id, who, {q.producer_id, q.producer_epoch}, std::move(offsets),
      [reply = std::move(reply), answer = std::move(answer)](error_code e) mutable {
        set_all(answer, e);
        reply.send(answer);
      });
  core.arm_group_timer();
}

}  // namespace penstock::broker
