// SPDX-License-Identifier: Apache-2.0
// AddPartitionsToTxn (24), versions 0-5.
//
// v0-3  a client adds partitions to its transaction: all of them or none. v2: PRODUCER_FENCED; v3 flexible
// v4-5  several transactions, adding or only asking: brokers among themselves
#include "broker/handlers/transactional.h"

namespace penstock::broker {
namespace {

using topic_result = wire::add_partitions_to_txn_response::add_partitions_to_txn_topic_result;
using asked_topic = wire::add_partitions_to_txn_request::add_partitions_to_txn_topic;

bool known(broker_core& core, const std::string& topic_name, std::int32_t partition) {
  topic* t = core.topics.find(topic_name);
  return t != nullptr && t->find(partition) != nullptr && topic_name != transactions_topic;
}

// An answer for each partition; `of(topic, partition)` says which.
template <typename Of>
std::vector<topic_result> each(const std::vector<asked_topic>& asked, Of of) {
  std::vector<topic_result> results;
  for (const auto& t : asked) {
    auto& out = results.emplace_back();
    out.name = t.name;
    for (const auto p : t.partitions) out.results_by_partition.push_back({p, number(of(t.name, p))});
  }
  return results;
}

std::vector<topic_result> add(broker_core& core, const std::string& id, producer_identity producer,
                              const std::vector<asked_topic>& asked, std::int16_t version,
                              transaction_version protocol) {
  partition_sets wanted;
  bool all_known = true;
  for (const auto& t : asked) {
    for (const auto p : t.partitions) all_known &= known(core, t.name, p);
    wanted[t.name].insert(t.partitions.begin(), t.partitions.end());
  }
  if (!all_known)
    return each(asked, [&](const std::string& name, std::int32_t p) {
      return known(core, name, p) ? error_code::operation_not_attempted
                                  : error_code::unknown_topic_or_partition;
    });
  const auto e = for_version(core.transactions.add(id, producer, wanted, protocol), version, 2);
  core.arm_transaction_timer();
  return each(asked, [&](const std::string&, std::int32_t) { return e; });
}

}  // namespace

void handle_add_partitions_to_txn(broker_core& core, const request_info& info,
                                  wire::add_partitions_to_txn_request& q,
                                  responder<wire::add_partitions_to_txn_response> reply) {
  wire::add_partitions_to_txn_response answer;
  if (info.version < 4) {
    answer.results_by_topic_v3_and_below = add(
        core, q.v3_and_below_transactional_id, {q.v3_and_below_producer_id, q.v3_and_below_producer_epoch},
        q.v3_and_below_topics, info.version, transaction_version::plain);
    return reply.send(answer);
  }
  for (const auto& t : q.transactions) {
    const producer_identity producer{t.producer_id, t.producer_epoch};
    auto& out = answer.results_by_transaction.emplace_back();
    out.transactional_id = t.transactional_id;
    if (t.verify_only)
      out.topic_results = each(t.topics, [&](const std::string& name, std::int32_t p) {
        return core.transactions.verify(t.transactional_id, producer, name, p);
      });
    else
      out.topic_results = add(core, t.transactional_id, producer, t.topics, info.version,
                              info.version >= 5 ? transaction_version::raised : transaction_version::plain);
  }
  reply.send(answer);
}

}  // namespace penstock::broker
