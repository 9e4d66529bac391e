// SPDX-License-Identifier: Apache-2.0
// Counts the records of each key, exactly once: one record out for each record in, with the same key, the
// count so far in decimal, and a header `src` that says which record it was ("partition:offset"). Kill it
// wherever you like and start it again: a read_committed consumer sees 1, 2, 3 ... of every key, nothing
// twice, nothing missing.
//
//     eos_count --brokers localhost:9092 --in words --out counts --app word-count --commit-interval 50ms
#include <penstock/penstock.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "job.h"

namespace ps = penstock;

namespace {

ps::kafka::sink counts(const std::string& topic) {
  return {.topic = topic, .create = ps::kafka::create_topic{.partitions = 4}};
}

}  // namespace

int main(int argc, char** argv) {
  std::string brokers, in, out, state_dir;
  std::string also;
  std::vector<std::string> settings;
  std::int64_t interval_ms = 100, standby_ms = 0;
  ps::application_options options;
  CLI::App app("Counts the records of each key of a topic, exactly once, until SIGTERM.");
  app.add_option("--brokers", brokers, "Kafka brokers to start from: host:port,host:port")->required();
  app.add_option("--in", in, "Topic to read")->required();
  app.add_option("--out", out, "Topic to write; made with 4 partitions if it is missing")->required();
  app.add_option("--app", options.run.application, "Application: names its offsets, transactions and state")
      ->required();
  app.add_option("--commit-interval", interval_ms, "Length of an epoch: 50ms, 1s, 2min")
      ->transform(
          CLI::AsNumberWithUnit(std::map<std::string, std::int64_t>{{"ms", 1}, {"s", 1000}, {"min", 60'000}}))
      ->check(CLI::Range(5, 200'000));
  app.add_option("--lanes", options.run.lanes, "Threads (default: one a core)")->check(CLI::Range(1, 1024));
  app.add_option("-X", settings, "A setting of the Kafka source by its Kafka name: metadata.max.age.ms=1000");
  app.add_option("--also", also, "A second topic that gets the same records, in the same transactions");
  app.add_flag("--standby{6000}", standby_ms,
               "Be one of several processes, of which one works: take over when it has left, or was silent "
               "for so many milliseconds")
      ->check(CLI::Range(100, 1'800'000));
  app.add_option(
      "--state-dir", state_dir,
      "Directory for local state. State is kept in memory and in a topic: nothing is written here yet");
  CLI11_PARSE(app, argc, argv);
  for (const std::string& s : settings)
    options.run.settings[s.substr(0, s.find('='))] = s.substr(std::min(s.size(), s.find('=') + 1));
  options.run.settings["bootstrap.servers"] = brokers;
  options.run.commit_interval = std::chrono::milliseconds(interval_ms);
  options.run.standby = std::chrono::milliseconds(standby_ms);
  options.run.delivery = ps::guarantee::exactly_once;
  const auto topo = eos_count::count_job(ps::kafka::source{.topics = {in}}, counts(out),
                                         also.empty() ? std::nullopt : std::optional(counts(also)));
  if (auto done = ps::run(topo, options); !done) {
    std::fprintf(stderr, "eos_count: %s\n", done.error().message().c_str());
    return 1;
  }
  return 0;
}
