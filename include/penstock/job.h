// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace penstock {

class topology;

/// What a restart after a failure may do to the output.
enum class guarantee : std::uint8_t {
  /// exactly_once where all sources and sinks are one Kafka and all state can be kept, at_least_once
  /// elsewhere.
  automatic,
  /// Results may be written again after a crash; nothing is lost.
  at_least_once,
  /// What read_committed consumers see, and the state, is what one uninterrupted run would have made. An
  /// error
  /// where that cannot be had.
  exactly_once,
};

/// What to do when a job that is exactly once fails on something that may pass: a broker that went away, a
/// transaction that timed out.
struct restart_policy {
  unsigned limit = 10;                        ///< restarts without an epoch committed in between; 0: none
  std::chrono::milliseconds first_wait{100};  ///< doubled each time, with jitter
  std::chrono::milliseconds longest_wait{10'000};
};

struct run_options {
  /// Identifies the application where its progress is kept (the consumer group of a Kafka source); the
  /// topology's name if empty.
  std::string application{};
  /// Threads of the job; 0 is one a core.
  unsigned lanes = 0;
  guarantee delivery = guarantee::automatic;
  /// How long an epoch is: how often sinks are flushed and positions committed. Exactly once, results become
  /// visible when their epoch ends; at least once, it is what a crash repeats at most, beside the open
  /// windows.
  std::chrono::milliseconds commit_interval{100};
  restart_policy restarts{};
  /// Not zero: start the application in two or more processes; one works, the others are hot standbys, which
  /// follow its state and take over when it has left, or has been silent for so long. Brokers allow no less
  /// than their group.min.session.timeout.ms (6 s unless set). Exactly once only. Zero: whoever starts last
  /// takes over at once.
  std::chrono::milliseconds standby{0};
  /// Told, in one sentence each, what a person should know: restarts, and what is restored. Default: to
  /// standard error. Called from the job's threads.
  std::function<void(const std::string&)> tell{};
  /// How long a stop may wait for sinks and commits before the job gives up with an error.
  std::chrono::milliseconds stop_timeout{30'000};
  /// Asks for a stop as job::stop does, but also while job::start still blocks, which then returns with
  /// errc::cancelled.
  std::stop_token stop{};
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

/// A topology that runs, on threads of its own: exactly once where that is possible (see guarantee). Every
/// method is safe from any thread.
///
///     auto running = job::start(topo, {.lanes = 2});
///     if (!running) return fail(running.error());
///     result<> end = (*running)->wait();
class job {
 public:
  /// Validates the topology, finds the splits, prepares the sinks, starts the lanes. Blocks for that long;
  /// run_options::stop ends it.
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
  /// What it was started with, or found possible: never automatic.
  guarantee delivery() const;
  /// Epochs committed, and restarts, since the start.
  std::uint64_t epochs() const;
  unsigned restarts() const;

 private:
  struct impl;
  explicit job(std::unique_ptr<impl> state);
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock
