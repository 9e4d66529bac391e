// SPDX-License-Identifier: Apache-2.0
// ListGroups (16), versions 0-5: v3 flexible, v4 states and a filter by them, v5 types and a filter by them
// (all are "classic").
#include <algorithm>
#include <cctype>

#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool passes(const std::vector<std::string>& filter, std::string_view value) {
  return filter.empty() ||
         std::any_of(filter.begin(), filter.end(), [&](const auto& f) { return lower(f) == lower(value); });
}

}  // namespace

void handle_list_groups(broker_core& core, const request_info&, wire::list_groups_request& q,
                        responder<wire::list_groups_response> reply) {
  wire::list_groups_response answer;
  for (const auto& [name, g] : core.groups.groups()) {
    if (!passes(q.states_filter, to_string(g->state)) || !passes(q.types_filter, "classic")) continue;
    answer.groups.push_back({name, g->protocol_type, std::string(to_string(g->state)), "classic"});
  }
  reply.send(answer);
}

}  // namespace penstock::broker
