// SPDX-License-Identifier: Apache-2.0
// FindCoordinator (10), versions 0-6. The coordinator is always this broker.
//
// v1    kinds of coordinators: 0 a group's; 1 a transactional id's; 2 a share group's: not there, and said so
// v3    flexible
// v4    several keys
// v5-6  as v4 (new errors, share groups)
#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

std::optional<std::string> missing(std::int8_t kind) {
  if (kind == 0 || kind == 1) return std::nullopt;
  if (kind == 2) return "share groups are not supported by this broker";
  return "unknown kind of coordinator";
}

}  // namespace

void handle_find_coordinator(broker_core& core, const request_info& info, wire::find_coordinator_request& q,
                             responder<wire::find_coordinator_response> reply) {
  wire::find_coordinator_response answer;
  const auto why = missing(q.key_type);
  const auto code = number(!why             ? error_code::none
                           : q.key_type > 2 ? error_code::invalid_request
                                            : error_code::unsupported_version);
  const std::int32_t node = why ? -1 : core.options.node_id;
  const std::string host = why ? "" : core.advertised.host;
  const std::int32_t port = why ? -1 : core.advertised.port;
  if (info.version < 4) {
    answer.error_code = code;
    answer.error_message = why;
    answer.node_id = node;
    answer.host = host;
    answer.port = port;
  } else {
    for (const auto& key : q.coordinator_keys)
      answer.coordinators.push_back({key, node, host, port, code, why});
  }
  reply.send(answer);
}

}  // namespace penstock::broker
