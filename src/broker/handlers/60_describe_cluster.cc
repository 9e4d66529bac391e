// SPDX-License-Identifier: Apache-2.0
// DescribeCluster (60), versions 0-2: v1 kinds of endpoints (brokers only), v2 fenced brokers (none).
#include "broker/handlers/common.h"

namespace penstock::broker {

void handle_describe_cluster(broker_core& core, const request_info&, wire::describe_cluster_request& q,
                             responder<wire::describe_cluster_response> reply) {
  constexpr std::int8_t brokers = 1, controllers = 2;
  wire::describe_cluster_response answer;
  answer.endpoint_type = q.endpoint_type;
  if (q.endpoint_type != brokers) {
    const bool known = q.endpoint_type == controllers;
    answer.error_code =
        number(known ? error_code::mismatched_endpoint_type : error_code::unsupported_endpoint_type);
    answer.error_message = "this endpoint is a broker's";
    return reply.send(answer);
  }
  answer.cluster_id = core.metadata.cluster_id;
  answer.controller_id = core.options.node_id;
  answer.brokers.push_back(
      {core.options.node_id, core.advertised.host, core.advertised.port, std::nullopt, false});
  if (q.include_cluster_authorized_operations) answer.cluster_authorized_operations = cluster_operations;
  reply.send(answer);
}

}  // namespace penstock::broker
