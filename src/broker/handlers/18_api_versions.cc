// SPDX-License-Identifier: Apache-2.0
// ApiVersions (18), versions 0-4: the APIs that are served, and nothing else.
//
// v0-2  the list
// v3    a client says who it is; the answer may tell features
// v4    as v3
// A version beyond 4 is answered in version 0 with UNSUPPORTED_VERSION (KIP-511): see api_dispatch.cc.
// The one feature is transaction.version, supported from 0 to 2 and finalised at what the broker was started
// with. Clients of v3 stumble over a supported feature that begins with 0 (KAFKA-17011), so they are not told
// of it.
#include <algorithm>

#include "broker/api_dispatch.h"
#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

// [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
bool valid_software_name(const std::string& s) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !s.empty() && alphanumeric(s.front()) && alphanumeric(s.back()) &&
         std::all_of(s.begin(), s.end(), [&](char c) { return alphanumeric(c) || c == '-' || c == '.'; });
}

}  // namespace

void handle_api_versions(broker_core& core, const request_info& info, wire::api_versions_request& q,
                         responder<wire::api_versions_response> reply) {
  wire::api_versions_response answer;
  if (info.version >= 3 &&
      (!valid_software_name(q.client_software_name) || !valid_software_name(q.client_software_version))) {
    answer.error_code = number(error_code::invalid_request);
    return reply.send(answer);
  }
  for (const auto& api : served_apis())
    answer.api_keys.push_back({static_cast<std::int16_t>(api.key), api.min_version, api.max_version});
  constexpr auto feature = "transaction.version";
  if (info.version >= 4) answer.supported_features.push_back({feature, 0, 2});
  if (info.version >= 3) {
    answer.finalized_features_epoch = core.leader_epoch();
    if (const auto level = core.options.transaction_version; level > 0)
      answer.finalized_features.push_back({feature, level, level});
  }
  reply.send(answer);
}

}  // namespace penstock::broker
