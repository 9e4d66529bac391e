// SPDX-License-Identifier: Apache-2.0
// What the commands of `penstock` have in common.
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/result.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <string>

namespace penstock::tools {

/// What the command line asked for. main runs it, prints its error as one sentence and exits with 1.
using action = std::function<result<>()>;

/// Each adds its command to `app`; when it is the one asked for, parsing sets `chosen`.
void add_broker(CLI::App& app, action& chosen);
void add_topic(CLI::App& app, action& chosen);
void add_produce(CLI::App& app, action& chosen);
void add_consume(CLI::App& app, action& chosen);
void add_group(CLI::App& app, action& chosen);
void add_perf_produce(CLI::App& perf, action& chosen);
void add_perf_consume(CLI::App& perf, action& chosen);

/// `--brokers`, which every command that talks to a cluster has.
inline void add_brokers(CLI::App& command, std::string& brokers) {
  command.add_option("--brokers,-b", brokers, "host:port of one or more brokers, with commas between")
      ->required();
}

inline const CLI::IsMember& codec_names() {
  static const CLI::IsMember names({"none", "gzip", "snappy", "lz4", "zstd"});
  return names;
}

/// A person waits for the answer: shorter deadlines than a service wants.
inline kafka::connection_settings patience() {
  using namespace std::chrono_literals;
  return {
      .client_id = "penstock-cli", .request_timeout = 10s, .connect_timeout = 5s, .default_api_timeout = 15s};
}

}  // namespace penstock::tools
