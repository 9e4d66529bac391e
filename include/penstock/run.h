// SPDX-License-Identifier: Apache-2.0
// An application: a topology that runs until its input ends or somebody stops it.
#pragma once

#include <penstock/job.h>
#include <penstock/result.h>

#include <optional>

namespace penstock {

struct application_options {
  run_options run{};
  /// Shows how far the job is on standard error. Not set: when that is a terminal.
  std::optional<bool> progress{};
};

/// Runs a topology and returns when it is over: its bounded input is used up and safe in the sinks; or SIGINT
/// or SIGTERM asked for a stop, which is clean (sinks flush, positions are committed) and no error; or it
/// failed. A second signal ends the process at once. Call it from one thread of the process at a time.
///
///     auto done = penstock::run(board(), {.run = {.settings = {{"bootstrap.servers", "localhost:9092"}}}});
///     if (!done) complain(done.error());
result<> run(const topology& what, application_options options = {});

/// Returns when SIGINT or SIGTERM arrives, with its number: for programs that keep something up, such as an
/// embedded broker.
int wait_for_stop_signal();

/// run() as a program: takes --brokers, --application, --lanes, --commit-interval, --exactly-once,
/// --at-least-once, --standby, --describe and --help from
/// the command line, prints errors as one sentence. Returns the exit status: 0, 1 for an error, 2 for a wrong
/// command line.
///
///     int main(int argc, char** argv) { return penstock::main(board(), argc, argv); }
int main(const topology& what, int argc, char** argv);

}  // namespace penstock
