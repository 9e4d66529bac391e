// SPDX-License-Identifier: Apache-2.0
// DeleteGroups (42), versions 0-2: v2 flexible. Only groups without members.
#include "broker/handlers/common.h"

namespace penstock::broker {

void handle_delete_groups(broker_core& core, const request_info&, wire::delete_groups_request& q,
                          responder<wire::delete_groups_response> reply) {
  wire::delete_groups_response answer;
  for (const auto& name : q.groups_names) answer.results.push_back({name, 0, std::nullopt});
  const auto all = answer_together(std::move(answer), std::move(reply));
  for (std::size_t i = 0; i < q.groups_names.size(); ++i)
    core.groups.remove_group(q.groups_names[i],
                             [all, i](error_code e) { all->response.results[i].error_code = number(e); });
}

}  // namespace penstock::broker
