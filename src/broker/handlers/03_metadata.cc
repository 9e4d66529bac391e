// SPDX-License-Identifier: Apache-2.0
// Metadata (3), versions 0-13. The only request that makes topics by itself.
//
// v0    an empty list of topics asks for all; from v1 on null does, and an empty list for none
// v1    controller, internal topics
// v2    cluster id
// v4    a client says whether unknown topics may be made; before, they may
// v5    offline replicas: never any
// v7    leader epochs
// v8    authorized operations of cluster (to v10) and topics
// v9    flexible
// v10   topic ids in the answer; v12 in the request too
// v13   an error for the whole answer: none here
// A topic that is made is answered at once, not with LEADER_NOT_AVAILABLE.
#include <set>

#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

using response_topic = wire::metadata_response::metadata_response_topic;

response_topic describe(const broker_core& core, const topic& t, bool operations) {
  response_topic out;
  out.name = t.name();
  out.topic_id = t.record.id;
  out.is_internal = t.internal;
  if (operations) out.topic_authorized_operations = topic_operations;
  const std::int32_t node = core.options.node_id;
  for (const auto& p : t.partitions) {
    auto& partition = out.partitions.emplace_back();
    partition.partition_index = p->index;
    partition.leader_id = node;
    partition.leader_epoch = core.leader_epoch();
    partition.replica_nodes = {node};
    partition.isr_nodes = {node};
  }
  return out;
}

response_topic unknown(std::optional<std::string> name, const wire::uuid& id, std::int16_t code) {
  response_topic out;
  out.error_code = code;
  out.name = std::move(name);
  out.topic_id = id;
  return out;
}

// Makes what is asked for by name and not there, in one go.
error_code make_missing(broker_core& core, const wire::metadata_request& q) {
  if (!q.topics || !q.allow_auto_topic_creation || !core.settings.auto_create_topics())
    return error_code::none;
  std::vector<new_topic> missing;
  std::set<std::string_view> names;
  const auto partitions = static_cast<std::int32_t>(core.settings.broker_number("num.partitions"));
  for (const auto& want : *q.topics) {
    if (!want.name || core.topics.find(*want.name) != nullptr || core.topics.being_removed(*want.name))
      continue;
    if (!check_topic_name(*want.name) || !names.insert(*want.name).second) continue;
    if (!is_internal_topic(*want.name))
      missing.push_back({*want.name, partitions, {}});
    else if (auto made =
                 *want.name == offsets_topic ? core.journal.topic_made() : core.transaction_log.topic_made();
             !made)
      return core.storage_error(made.error());
  }
  return core.create_topics(missing);
}

response_topic describe_named(broker_core& core, const std::string& name, bool operations,
                              error_code not_made) {
  if (const topic* t = core.topics.find(name); t != nullptr) return describe(core, *t, operations);
  if (!check_topic_name(name)) return unknown(name, {}, number(error_code::invalid_topic_exception));
  return unknown(name, {},
                 number(not_made != error_code::none ? not_made : error_code::unknown_topic_or_partition));
}

}  // namespace

void handle_metadata(broker_core& core, const request_info& info, wire::metadata_request& q,
                     responder<wire::metadata_response> reply) {
  wire::metadata_response answer;
  answer.brokers.push_back({core.options.node_id, core.advertised.host, core.advertised.port, std::nullopt});
  answer.cluster_id = core.metadata.cluster_id;
  answer.controller_id = core.options.node_id;
  if (q.include_cluster_authorized_operations) answer.cluster_authorized_operations = cluster_operations;
  const bool operations = q.include_topic_authorized_operations;
  const bool all = !q.topics || (info.version == 0 && q.topics->empty());
  if (all) {
    for (const auto& [name, t] : core.topics.all()) answer.topics.push_back(describe(core, *t, operations));
    return reply.send(answer);
  }
  const auto not_made = make_missing(core, q);
  for (const auto& want : *q.topics) {
    if (want.name) {
      answer.topics.push_back(describe_named(core, *want.name, operations, not_made));
    } else if (topic* t = core.topics.find(want.topic_id); t != nullptr) {
      answer.topics.push_back(describe(core, *t, operations));
    } else {
      const bool nameable = info.version >= 12;
      answer.topics.push_back(unknown(nameable ? std::nullopt : std::optional<std::string>(""), want.topic_id,
                                      number(error_code::unknown_topic_id)));
    }
  }
  reply.send(answer);
}

}  // namespace penstock::broker
