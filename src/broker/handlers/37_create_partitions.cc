// SPDX-License-Identifier: Apache-2.0
// CreatePartitions (37), versions 0-3: v2 flexible, v3 as v2 (quotas). A topic only grows.
#include <fmt/format.h>

#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

constexpr std::int32_t most_partitions = 10'000;
using request_topic = wire::create_partitions_request::create_partitions_topic;

std::pair<error_code, std::string> grow(broker_core& core, const request_topic& want, bool validate_only) {
  topic* t = core.topics.find(want.name);
  if (t == nullptr)
    return {error_code::unknown_topic_or_partition, "This server does not host this topic-partition."};
  const std::int32_t now = t->record.partitions;
  if (want.count == now)
    return {error_code::invalid_partitions, fmt::format("Topic already has {} partition(s).", now)};
  if (want.count < now)
    return {error_code::invalid_partitions,
            fmt::format("The topic {} currently has {} partition(s); {} would not be an increase.", want.name,
                        now, want.count)};
  if (want.count > most_partitions || t->internal)
    return {error_code::invalid_partitions, fmt::format("{} partitions are not possible", want.count)};
  if (want.assignments) {
    if (want.assignments->size() != static_cast<std::size_t>(want.count - now))
      return {error_code::invalid_replica_assignment, "one assignment for each new partition is expected"};
    for (const auto& a : *want.assignments)
      if (a.broker_ids != std::vector<std::int32_t>{core.options.node_id})
        return {error_code::invalid_replica_assignment,
                fmt::format("new partitions must be assigned to broker {} alone", core.options.node_id)};
  }
  if (validate_only) return {};
  if (auto grown = core.topics.add_partitions(*t, want.count); !grown)
    return {core.storage_error(grown.error()), grown.error().message()};
  return {};
}

}  // namespace

void handle_create_partitions(broker_core& core, const request_info&, wire::create_partitions_request& q,
                              responder<wire::create_partitions_response> reply) {
  wire::create_partitions_response answer;
  for (const auto& want : q.topics) {
    auto [e, why] = grow(core, want, q.validate_only);
    auto& out = answer.results.emplace_back();
    out.name = want.name;
    out.error_code = number(e);
    if (e != error_code::none) out.error_message = std::move(why);
  }
  reply.send(answer);
}

}  // namespace penstock::broker
