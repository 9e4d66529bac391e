// SPDX-License-Identifier: Apache-2.0
// IncrementalAlterConfigs (44), versions 0-1: v1 flexible. SET, DELETE, and for lists APPEND and SUBTRACT.
#include "broker/handlers/config_changes.h"

namespace penstock::broker {
namespace {

change_outcome change(broker_core& core,
                      const wire::incremental_alter_configs_request::alter_configs_resource& r,
                      bool validate_only) {
  std::vector<config_change> changes;
  for (const auto& c : r.configs) {
    if (c.config_operation < 0 || c.config_operation > 3)
      return {error_code::invalid_request, "Unknown operation type for config " + c.name};
    changes.push_back({c.name, static_cast<config_operation>(c.config_operation), c.value});
  }
  return change_configs(core, r.resource_type, r.resource_name, changes, false, validate_only);
}

}  // namespace

void handle_incremental_alter_configs(broker_core& core, const request_info&,
                                      wire::incremental_alter_configs_request& q,
                                      responder<wire::incremental_alter_configs_response> reply) {
  wire::incremental_alter_configs_response answer;
  for (auto& r : q.resources) {
    auto done = change(core, r, q.validate_only);
    answer.responses.push_back(
        {number(done.error), std::move(done.message), r.resource_type, r.resource_name});
  }
  reply.send(answer);
}

}  // namespace penstock::broker
