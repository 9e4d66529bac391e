// SPDX-License-Identifier: Apache-2.0
// The command line of Penstock. Exit status: 0 done, 1 it failed (one sentence on standard error says why), 2
// the command line is wrong.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "command.h"

namespace {

constexpr int failed = 1;
constexpr int wrong_usage = 2;

int run(int argc, char** argv) {
  using namespace penstock::tools;
  CLI::App app{"Stream processing on Kafka: an embedded broker and what one needs around it.", "penstock"};
  app.set_version_flag("--version", "penstock " PENSTOCK_VERSION);
  app.require_subcommand(1);
  action chosen;
  add_broker(app, chosen);
  add_topic(app, chosen);
  add_produce(app, chosen);
  add_consume(app, chosen);
  add_group(app, chosen);
  auto* perf = app.add_subcommand("perf", "Measure a cluster and this client: one line of JSON");
  perf->require_subcommand(1);
  add_perf_produce(*perf, chosen);
  add_perf_consume(*perf, chosen);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : wrong_usage;
  }
  if (const auto done = chosen(); !done) {
    fmt::print(stderr, "penstock: {}\n", done.error().message());
    return failed;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "penstock: %s\n", e.what());
    return failed;
  }
}
