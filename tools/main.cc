// SPDX-License-Identifier: Apache-2.0
// The command line of Penstock. Exit status: 0 done, 1 it failed (one sentence on standard error says why), 2
// the command line is wrong.
#include <cstdio>
#include <exception>

#include "command.h"

namespace {

constexpr int failed = 1;

int run(int argc, char** argv) {
  using namespace penstock::tools;
  command_line line("penstock",
                    "Stream processing on Kafka: an embedded broker and what one needs around it.",
                    "penstock " PENSTOCK_VERSION);
  add_broker(line.root());
  add_topic(line.root());
  add_produce(line.root());
  add_consume(line.root());
  add_group(line.root());
  add_acl(line.root());
  add_cluster(line.root());
  add_txn(line.root());
  add_dlq(line.root());
  add_settings(line.root());
  add_metrics(line.root());
  auto perf = line.root().add("perf", "Measure a cluster and this client: one line of JSON");
  add_perf_produce(perf);
  add_perf_consume(perf);

  if (const auto status = line.parse(argc, argv)) return *status;
  if (const auto done = line.run(); !done) {
    std::fprintf(stderr, "penstock: %s\n", done.error().message().c_str());
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
