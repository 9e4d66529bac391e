// SPDX-License-Identifier: Apache-2.0
// WriteTxnMarkers (27), versions 1-2: ends a producer's transaction in partitions, without its coordinator.
// Brokers among themselves, and an administrator who is rid of one that nobody ends (kafka-transactions
// abort). v1 flexible; v2 the transaction version, by which a late marker is told
#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

error_code write(broker_core& core, const transaction_end& end, std::int32_t coordinator_epoch,
                 const std::string& name, std::int32_t index, std::vector<syncer::target>& to_sync) {
  if (end.producer.id < 0 || end.producer.epoch < 0) return error_code::invalid_request;
  topic* t = core.topics.find(name);
  partition* p = t == nullptr ? nullptr : t->find(index);
  if (p == nullptr) return error_code::unknown_topic_or_partition;
  auto written = core.transaction_log.write_marker(*p, end, coordinator_epoch);
  if (!written) return static_cast<error_code>(written.error().kafka_code());
  to_sync.push_back(std::move(**written));
  if (name == offsets_topic) core.groups.transaction_ended(end.producer.id, index, end.commit);
  return error_code::none;
}

}  // namespace

void handle_write_txn_markers(broker_core& core, const request_info&, wire::write_txn_markers_request& q,
                              responder<wire::write_txn_markers_response> reply) {
  wire::write_txn_markers_response answer;
  std::vector<syncer::target> to_sync;
  for (const auto& m : q.markers) {
    transaction_end end;
    end.producer = {m.producer_id, m.producer_epoch};
    end.commit = m.transaction_result;
    if (m.transaction_version >= 2) end.version = transaction_version::raised;
    auto& out = answer.markers.emplace_back();
    out.producer_id = m.producer_id;
    for (const auto& t : m.topics) {
      auto& out_topic = out.topics.emplace_back();
      out_topic.name = t.name;
      for (const auto index : t.partition_indexes)
        out_topic.partitions.push_back(
            {index, number(write(core, end, m.coordinator_epoch, t.name, index, to_sync))});
    }
  }
  answer_when_durable(core, std::move(to_sync), std::move(answer), std::move(reply));
}

}  // namespace penstock::broker
