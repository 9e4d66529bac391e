// SPDX-License-Identifier: Apache-2.0
// The golden pipelines (tests/golden/pipelines.h) over Kafka: reads a topic to what is its end at each start,
// keeps by event time, writes results, and what it cannot read as dead letters.
//
//     pipelines --brokers B --pipeline session --in events --out results --dead dead --application A
#include <fmt/format.h>
#include <penstock/penstock.h>

#include <CLI/CLI.hpp>
#include <string>

#include "pipelines.h"

int main(int argc, char** argv) {
  using namespace penstock;
  std::string brokers, name, in, out, dead;
  std::int64_t interval_ms = 20;
  application_options options{.progress = false};
  CLI::App app("Runs a golden pipeline over Kafka, exactly once, to the end of its input.");
  app.add_option("--brokers", brokers)->required();
  app.add_option("--pipeline", name)->required();
  app.add_option("--in", in)->required();
  app.add_option("--out", out)->required();
  app.add_option("--dead", dead)->required();
  app.add_option("--application", options.run.application)->required();
  app.add_option("--commit-interval", interval_ms, "milliseconds");
  app.add_option("--lanes", options.run.lanes);
  CLI11_PARSE(app, argc, argv);
  const auto& all = golden::jobs<kafka::sink>();
  if (name == "list") {
    for (const auto& [each, job] : all) fmt::print("{}\n", each);
    return 0;
  }
  topology topo("pipelines");
  topo.on_error(error_policy::dead_letter).dead_letters("dead", kafka::sink{.topic = dead});
  const kafka::source source{.topics = {in},
                             .watermarks = {.max_lag = std::chrono::milliseconds(50)},
                             .stop = kafka::stop_at::latest(),
                             .max_partition_fetch_bytes = 2048};
  all.at(name)(topo.read("in", source, golden::event_format{})
                   .assign_timestamps([](const golden::event& e) { return e.ts; })
                   .key_by(&golden::event::key),
               kafka::sink{.topic = out});
  options.run.settings["bootstrap.servers"] = brokers;
  options.run.commit_interval = std::chrono::milliseconds(interval_ms);
  options.run.delivery = guarantee::exactly_once;
  if (const auto done = run(topo, options); !done) {
    fmt::print(stderr, "pipelines: {}\n", done.error().message());
    return 1;
  }
  return 0;
}
