// SPDX-License-Identifier: Apache-2.0
// What the commands of `penstock` have in common.
#pragma once

#include <penstock/kafka/settings.h>

#include <chrono>
#include <string>
#include <vector>

#include "arguments.h"
#include "cluster_options.h"

namespace penstock::tools {

/// Each adds its command.
void add_broker(command root);
void add_topic(command root);
void add_produce(command root);
void add_consume(command root);
void add_topic_changes(command topic);
void add_group(command root);
void add_group_changes(command group);
void add_acl(command root);
void add_cluster(command root);
void add_txn(command root);
void add_dlq(command root);
void add_settings(command root);
void add_metrics(command root);
void add_perf_produce(command perf);
void add_perf_consume(command perf);

inline std::vector<std::string> codec_names() { return {"none", "gzip", "snappy", "lz4", "zstd"}; }

/// A person waits for the answer: shorter deadlines than a service wants.
inline kafka::connection_settings patience() {
  using namespace std::chrono_literals;
  return {
      .client_id = "penstock-cli", .request_timeout = 10s, .connect_timeout = 5s, .default_api_timeout = 15s};
}

}  // namespace penstock::tools
