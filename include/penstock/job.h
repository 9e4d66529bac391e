// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock {

class topology;

struct run_options {
  /// Identifies the application where its progress is kept (the consumer group of a Kafka source); the
  /// topology's name if empty.
  std::string application{};
  /// Threads of the job; 0 is one a core.
  unsigned lanes = 0;
  /// How often sinks are flushed and positions committed. What a crash repeats at most, beside the open
  /// windows.
  std::chrono::milliseconds commit_interval{1000};
  /// How long a stop may wait for sinks and commits before the job gives up with an error.
  std::chrono::milliseconds stop_timeout{30'000};
  /// Defaults for connectors, under Kafka's names: {"bootstrap.servers", "localhost:9092"}
  /// (job_info::settings).
  std::map<std::string, std::string> settings{};
};

/// How far the sources are.
struct job_progress {
  std::uint64_t records_read = 0;
  std::optional<std::uint64_t> records_total{};  ///< nothing when a source has no end
};

/// What went through one operator of the topology, over all lanes.
struct operator_metrics {
  std::string name;
  std::uint64_t records_in = 0;
  std::uint64_t records_out = 0;
  std::uint64_t late = 0;     ///< no window took them (S4)
  std::uint64_t skipped = 0;  ///< could not be decoded or processed, under skip_and_count (S20)
};

/// A topology that runs, on threads of its own. Guarantee: at least once. Every method is safe from any
/// thread.
///
///     auto running = job::start(topo, {.lanes = 2});
///     if (!running) return fail(running.error());
///     result<> end = (*running)->wait();
class job {
 public:
  /// Validates the topology, finds the splits, prepares the sinks, starts the lanes. Blocks for that long.
  static result<std::unique_ptr<job>> start(const topology& what, run_options options = {});
  /// Stops and waits.
  ~job();
  job(const job&) = delete;
  job& operator=(const job&) = delete;

  /// Asks for a clean stop: sources stop, sinks flush, positions are committed. Returns at once.
  void stop();
  /// Returns when the job is over: its bounded input is used up and safe in the sinks, or it was stopped, or
  /// it failed.
  result<> wait();
  /// As wait, at most for `time`: false when the job still runs then.
  bool wait_for(std::chrono::milliseconds time);

  job_progress progress() const;
  /// In the order of the topology.
  std::vector<operator_metrics> metrics() const;

 private:
  struct impl;
  explicit job(std::unique_ptr<impl> state);
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock
