// SPDX-License-Identifier: Apache-2.0
// AlterConfigs (33), versions 0-2: v2 flexible. Replaces all settings of a resource.
#include "broker/handlers/config_changes.h"

namespace penstock::broker {

void handle_alter_configs(broker_core& core, const request_info&, wire::alter_configs_request& q,
                          responder<wire::alter_configs_response> reply) {
  wire::alter_configs_response answer;
  for (auto& r : q.resources) {
    std::vector<config_change> changes;
    for (auto& c : r.configs) changes.push_back({c.name, config_operation::set, c.value});
    auto done = change_configs(core, r.resource_type, r.resource_name, changes, true, q.validate_only);
    answer.responses.push_back(
        {number(done.error), std::move(done.message), r.resource_type, r.resource_name});
  }
  reply.send(answer);
}

}  // namespace penstock::broker
