// SPDX-License-Identifier: Apache-2.0
// DescribeConfigs (32), versions 1-4: v1 sources and synonyms, v3 types and texts, v4 flexible.
//
// Topics (2) and the broker (4) with all their settings; of loggers (8) and groups (32) there are none.
#include <algorithm>

#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

using wire_config = wire::describe_configs_response::describe_configs_resource_result;
using result_t = wire::describe_configs_response::describe_configs_result;
using resource_t = wire::describe_configs_request::describe_configs_resource;
constexpr std::int8_t topic_kind = 2, broker_kind = 4, logger_kind = 8, group_kind = 32;

struct writer_of_configs {
  const wire::describe_configs_request& q;
  const resource_t& want;
  result_t& out;

  bool wanted(std::string_view name) const {
    const auto& keys = want.configuration_keys;
    return !keys || std::find(keys->begin(), keys->end(), name) != keys->end();
  }
  void add(std::string_view name, const config_definition& d, const std::vector<config_value>& values,
           bool read_only) {
    wire_config c;
    c.name = name;
    c.value = values.front().value;
    c.config_source = static_cast<std::int8_t>(values.front().source);
    c.read_only = read_only;
    c.config_type = static_cast<std::int8_t>(d.type);
    if (q.include_documentation) c.documentation = std::string(d.text);
    if (q.include_synonyms)
      for (const auto& v : values)
        c.synonyms.push_back({v.name, v.value, static_cast<std::int8_t>(v.source)});
    out.configs.push_back(std::move(c));
  }
};

void refuse(result_t& out, error_code e, std::string why) {
  out.error_code = number(e);
  out.error_message = std::move(why);
}

void describe_topic(broker_core& core, writer_of_configs to) {
  const topic* t = core.topics.find(to.want.resource_name);
  if (t == nullptr)
    return check_topic_name(to.want.resource_name)
               ? refuse(to.out, error_code::unknown_topic_or_partition,
                        "This server does not host this topic-partition.")
               : refuse(to.out, error_code::invalid_topic_exception, "invalid topic name");
  for (const auto& d : topic_configs())
    if (to.wanted(d.name)) to.add(d.name, d, core.settings.topic_values(t->record.configs, d), false);
}

void describe_broker(broker_core& core, writer_of_configs to) {
  const bool default_resource = to.want.resource_name.empty();
  if (!default_resource && to.want.resource_name != core.settings.broker_resource())
    return refuse(to.out, error_code::invalid_request,
                  "Unexpected broker id, expected " + core.settings.broker_resource() + " or empty string");
  const auto add = [&](std::string_view name, const config_definition& d) {
    if (name.empty() || !to.wanted(name)) return;
    auto values = core.settings.broker_values(name, d);
    if (default_resource)  // only what was set for all brokers
      std::erase_if(values,
                    [](const config_value& v) { return v.source != config_source::dynamic_default_broker; });
    if (!values.empty()) to.add(name, d, values, !configs::dynamic(name));
  };
  for (const auto& d : broker_configs()) add(d.name, d);
  for (const auto& d : topic_configs()) add(d.broker_name, d);
}

}  // namespace

void handle_describe_configs(broker_core& core, const request_info&, wire::describe_configs_request& q,
                             responder<wire::describe_configs_response> reply) {
  wire::describe_configs_response answer;
  for (const auto& want : q.resources) {
    auto& out = answer.results.emplace_back();
    out.resource_type = want.resource_type;
    out.resource_name = want.resource_name;
    switch (want.resource_type) {
      case topic_kind: describe_topic(core, {q, want, out}); break;
      case broker_kind: describe_broker(core, {q, want, out}); break;
      case logger_kind:
      case group_kind: break;
      default: refuse(out, error_code::invalid_request, "configs of this kind of resource are not kept");
    }
  }
  reply.send(answer);
}

}  // namespace penstock::broker
