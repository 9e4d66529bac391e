// SPDX-License-Identifier: Apache-2.0
#include "broker/handlers/config_changes.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::broker {
namespace {

constexpr std::int8_t topic_kind = 2, broker_kind = 4;

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = text.find(',');
    if (comma != 0) out.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return out;
}

// A list after APPEND or SUBTRACT: each word once, in order.
std::string changed_list(std::string_view now, std::string_view change, bool add) {
  auto list = words(now);
  for (auto& w : words(change)) {
    const auto at = std::find(list.begin(), list.end(), w);
    if (add && at == list.end()) list.push_back(std::move(w));
    if (!add && at != list.end()) list.erase(at);
  }
  return fmt::format("{}", fmt::join(list, ","));
}

// Applies one change to `own`; `now` is the value that counts before it.
change_outcome change_one(config_map& own, const config_definition& d, std::string_view now,
                          const config_change& c) {
  if (c.operation == config_operation::remove) {
    own.erase(c.name);
    return {};
  }
  if (!c.value) return {error_code::invalid_config, fmt::format("Null value not supported for : {}", c.name)};
  std::string value = *c.value;
  if (c.operation != config_operation::set) {
    if (d.type != config_type::list)
      return {error_code::invalid_config,
              fmt::format("Can't append to or subtract from key {} because its type is not LIST.", c.name)};
    value = changed_list(now, value, c.operation == config_operation::append);
  }
  if (auto good = check_config(d, value); !good) return {error_code::invalid_config, good.error().message()};
  own[c.name] = std::move(value);
  return {};
}

change_outcome change_topic(broker_core& core, const std::string& name,
                            const std::vector<config_change>& changes, bool replace_all, bool validate_only) {
  topic* t = core.topics.find(name);
  if (t == nullptr)
    return {error_code::unknown_topic_or_partition, fmt::format("The topic '{}' does not exist.", name)};
  config_map own = replace_all ? config_map() : t->record.configs;
  for (const auto& c : changes) {
    const auto* d = find_topic_config(c.name);
    if (d == nullptr)
      return {error_code::invalid_config, fmt::format("Unknown topic config name: {}", c.name)};
    const std::string now = core.settings.topic_values(own, *d).front().value;
    if (auto done = change_one(own, *d, now, c); done.error != error_code::none) return done;
  }
  if (validate_only || own == t->record.configs) return {};
  if (auto set = core.topics.set_configs(*t, std::move(own)); !set)
    return {core.storage_error(set.error()), set.error().message()};
  return {};
}

change_outcome change_broker(broker_core& core, const std::string& name,
                             const std::vector<config_change>& changes, bool replace_all,
                             bool validate_only) {
  if (!name.empty() && name != core.settings.broker_resource())
    return {error_code::invalid_request, fmt::format("Unexpected broker id {}", name)};
  const config_map before = core.metadata.broker_configs[name];
  config_map own = replace_all ? config_map() : before;
  for (const auto& c : changes) {
    const auto* d = find_topic_config_by_broker_name(c.name);
    if (d == nullptr)
      return {error_code::invalid_request,
              fmt::format("Cannot update these configs dynamically: {}", c.name)};
    const auto set = own.find(c.name);
    const std::string_view now = set == own.end() ? d->standard : std::string_view(set->second);
    if (auto done = change_one(own, *d, std::string(now), c); done.error != error_code::none) return done;
  }
  if (validate_only || own == before) return {};
  core.metadata.broker_configs[name] = std::move(own);
  if (auto saved = core.topics.save(); !saved) {
    core.metadata.broker_configs[name] = before;
    return {core.storage_error(saved.error()), saved.error().message()};
  }
  core.topics.apply_settings();
  return {};
}

}  // namespace

change_outcome change_configs(broker_core& core, std::int8_t resource_type, const std::string& resource_name,
                              const std::vector<config_change>& changes, bool replace_all,
                              bool validate_only) {
  for (const auto& c : changes)
    if (std::count_if(changes.begin(), changes.end(), [&](const auto& o) { return o.name == c.name; }) > 1)
      return {error_code::invalid_request, fmt::format("Error due to duplicate config keys : {}", c.name)};
  if (resource_type == topic_kind)
    return change_topic(core, resource_name, changes, replace_all, validate_only);
  if (resource_type == broker_kind)
    return change_broker(core, resource_name, changes, replace_all, validate_only);
  return {error_code::invalid_request, "configs of this kind of resource are not kept"};
}

}  // namespace penstock::broker
