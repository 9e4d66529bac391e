// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/run.h>
#include <penstock/topology.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <string>

namespace penstock {

int main(const topology& what, int argc, char** argv) {
  application_options options;
  std::string brokers;
  std::int64_t commit_interval_ms = options.run.commit_interval.count();
  std::int64_t standby_ms = 0;
  std::string describe;
  bool exactly_once = false, at_least_once = false;

  CLI::App app("Runs the topology '" + std::string(what.name()) +
               "' until its input ends or SIGINT or SIGTERM.");
  app.add_option("--brokers", brokers, "Kafka brokers to start from: host:port,host:port");
  app.add_option("--application", options.run.application,
                 "Name under which progress is kept: the consumer group (default: the topology's name)");
  app.add_option("--lanes", options.run.lanes, "Threads (default: one a core)")->check(CLI::Range(1, 1024));
  app.add_option("--commit-interval", commit_interval_ms, "Milliseconds of an epoch")
      ->check(CLI::Range(1, 3'600'000))
      ->capture_default_str();
  auto* once = app.add_flag("--exactly-once", exactly_once,
                            "Fail where exactly once cannot be had (it is the default where it can)");
  app.add_flag("--at-least-once", at_least_once, "Do without transactions")->excludes(once);
  app.add_flag(
         "--standby{6000}", standby_ms,
         "Be one of several processes: one works, the others follow its state and take over when it has "
         "left or was silent for so many milliseconds: --standby=10000")
      ->check(CLI::Range(100, 1'800'000));
  app.add_flag("--describe{text}", describe,
               "Print the topology and exit; as JSON or for Graphviz: --describe=json, --describe=dot")
      ->check(CLI::IsMember({"text", "json", "dot"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (!describe.empty()) {
    const auto form = describe == "dot"    ? describe_as::dot
                      : describe == "json" ? describe_as::json
                                           : describe_as::text;
    fmt::print("{}", what.describe(form));
    return 0;
  }
  if (!brokers.empty()) options.run.settings["bootstrap.servers"] = brokers;
  if (exactly_once) options.run.delivery = guarantee::exactly_once;
  if (at_least_once) options.run.delivery = guarantee::at_least_once;
  options.run.standby = std::chrono::milliseconds(standby_ms);
  options.run.commit_interval = std::chrono::milliseconds(commit_interval_ms);
  if (auto done = run(what, options); !done) {
    fmt::print(stderr, "{}: {}\n", what.name(), done.error().message());
    return 1;
  }
  return 0;
}

}  // namespace penstock
