// SPDX-License-Identifier: Apache-2.0
// CreateTopics (19), versions 2-7.
//
// v4    -1 partitions or copies: the broker's default
// v5    flexible; the answer tells partitions, copies and configs
// v6    as v5 (quotas)
// v7    topic ids
// There is one copy of everything: a replication factor above 1 is refused, unless the broker was told to
// take it for 1.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

using request_topic = wire::create_topics_request::creatable_topic;
using response_topic = wire::create_topics_response::creatable_topic_result;

constexpr std::int32_t most_partitions = 10'000;

// What is to be made of a request, or why nothing is.
struct plan {
  error_code error = error_code::none;
  std::string message;
  std::int32_t partitions = 1;
  config_map topic_configs;

  bool refuse(error_code e, std::string why) {
    error = e;
    message = std::move(why);
    return false;
  }
};

bool plan_assignments(const broker_core& core, const request_topic& t, plan& p) {
  if (t.num_partitions != -1 || t.replication_factor != -1)
    return p.refuse(error_code::invalid_request,
                    "numbers of partitions and copies must be -1 when the assignment is given");
  std::vector<std::int32_t> indexes;
  for (const auto& a : t.assignments) {
    indexes.push_back(a.partition_index);
    if (a.broker_ids != std::vector<std::int32_t>{core.options.node_id})
      return p.refuse(error_code::invalid_replica_assignment,
                      fmt::format("partition {} must be assigned to broker {} alone", a.partition_index,
                                  core.options.node_id));
  }
  std::sort(indexes.begin(), indexes.end());
  for (std::size_t i = 0; i < indexes.size(); ++i)
    if (indexes[i] != static_cast<std::int32_t>(i))
      return p.refuse(error_code::invalid_replica_assignment,
                      "partitions must be numbered from 0 on, without a gap");
  p.partitions = static_cast<std::int32_t>(indexes.size());
  return true;
}

bool plan_numbers(broker_core& core, const request_topic& t, plan& p) {
  if (!t.assignments.empty()) return plan_assignments(core, t, p);
  p.partitions = t.num_partitions == -1
                     ? static_cast<std::int32_t>(core.settings.broker_number("num.partitions"))
                     : t.num_partitions;
  if (p.partitions < 1)
    return p.refuse(error_code::invalid_partitions, "Number of partitions must be larger than 0.");
  const bool copies_fit = t.replication_factor == -1 || t.replication_factor == 1 ||
                          (core.options.clamp_replication && t.replication_factor > 1);
  if (!copies_fit)
    return p.refuse(error_code::invalid_replication_factor,
                    t.replication_factor < 1
                        ? std::string("Replication factor must be larger than 0.")
                        : fmt::format("Unable to replicate the partition {} time(s): there is 1 broker.",
                                      t.replication_factor));
  return true;
}

bool plan_name(broker_core& core, const request_topic& t, plan& p) {
  if (auto good = check_topic_name(t.name); !good)
    return p.refuse(error_code::invalid_topic_exception, good.error().message());
  if (core.topics.find(t.name) != nullptr || core.topics.being_removed(t.name))
    return p.refuse(error_code::topic_already_exists, fmt::format("Topic '{}' already exists.", t.name));
  // Metrics of other tools write '.' as '_', so that two such names would be one.
  const auto same = [](char a, char b) { return (a == '.' ? '_' : a) == (b == '.' ? '_' : b); };
  if (t.name.find_first_of("._") != std::string::npos)
    for (const auto& [name, other] : core.topics.all())
      if (std::equal(name.begin(), name.end(), t.name.begin(), t.name.end(), same))
        return p.refuse(error_code::invalid_topic_exception,
                        fmt::format("Topic '{}' collides with existing topic: {}", t.name, name));
  return true;
}

bool plan_configs(const request_topic& t, plan& p) {
  for (const auto& c : t.configs) {
    const auto* d = find_topic_config(c.name);
    if (d == nullptr) return p.refuse(error_code::invalid_config, "Unknown topic config name: " + c.name);
    if (!c.value)
      return p.refuse(error_code::invalid_config, "Null value not supported for topic configs: " + c.name);
    if (auto good = check_config(*d, *c.value); !good)
      return p.refuse(error_code::invalid_config, good.error().message());
    p.topic_configs[c.name] = *c.value;
  }
  return true;
}

void describe(const broker_core& core, const plan& p, std::int16_t version, response_topic& out) {
  if (version < 5) return;
  out.num_partitions = p.partitions;
  out.replication_factor = 1;
  auto& all = out.configs.emplace();
  for (const auto& d : topic_configs()) {
    const auto value = core.settings.topic_values(p.topic_configs, d).front();
    all.push_back({std::string(d.name), value.value, false, static_cast<std::int8_t>(value.source), false});
  }
}

}  // namespace

void handle_create_topics(broker_core& core, const request_info& info, wire::create_topics_request& q,
                          responder<wire::create_topics_response> reply) {
  wire::create_topics_response answer;
  std::vector<plan> plans;
  std::vector<new_topic> wanted;
  std::map<std::string_view, int> times;
  for (const auto& t : q.topics) ++times[t.name];
  std::int64_t total = 0;
  for (const auto& t : q.topics) {
    plan& p = plans.emplace_back();
    if (times[t.name] > 1)
      p.refuse(error_code::invalid_request, "Duplicate topic name.");
    else if (plan_name(core, t, p) && plan_numbers(core, t, p) && plan_configs(t, p) &&
             (total += p.partitions) > most_partitions)
      p.refuse(
          error_code::policy_violation,
          fmt::format("Excessively large number of partitions per request: at most {}", most_partitions));
    if (p.error == error_code::none) wanted.push_back({t.name, p.partitions, p.topic_configs});
  }
  const auto made = q.validate_only ? error_code::none : core.create_topics(wanted);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    plan& p = plans[i];
    auto& out = answer.topics.emplace_back();
    out.name = q.topics[i].name;
    if (p.error == error_code::none && made != error_code::none)
      p.refuse(made, "the topic cannot be written down");
    out.error_code = number(p.error);
    if (p.error != error_code::none) {
      out.error_message = p.message;
      continue;
    }
    if (const topic* t = core.topics.find(out.name); t != nullptr && !q.validate_only)
      out.topic_id = t->record.id;
    describe(core, p, info.version, out);
  }
  reply.send(answer);
}

}  // namespace penstock::broker
