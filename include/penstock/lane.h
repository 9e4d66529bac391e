// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <stop_token>
#include <string>

namespace penstock::io {
class clock;
class event_loop;
}  // namespace penstock::io

namespace penstock {

class epoch_transactions;

/// What a connector learns about the job that it serves.
struct job_info {
  std::string application;  ///< the application's id: the consumer group of a Kafka source
  std::string name;         ///< the name that the source or sink has in the topology
  unsigned lanes = 1;
  /// What the application was started with, under Kafka's names ("bootstrap.servers"): a connector takes from
  /// here what its own options leave open.
  std::map<std::string, std::string> settings{};
  /// Progress is committed in transactions and nowhere else (E6): discovery must not commit anything, and
  /// must wait for what is not decided yet.
  bool exactly_once = false;
  /// Asked for while the job is being started, and later: what blocks then ends with errc::cancelled.
  std::stop_token stop{};
  /// Not zero: one of several processes of the application, of which one works while the others follow its
  /// state; one that is silent for so long is replaced.
  std::chrono::milliseconds standby{0};
  /// Takes one sentence that a person should know. Not set in tests.
  std::function<void(const std::string&)> tell{};
};

/// One lane (a thread of the job) as a connector sees it. Outlives every reader and writer of the lane. The
/// loop is run by the lane between its steps: handlers run on the lane's thread, and after any handler ran
/// the lane polls its readers again. A connector needs no other wake-up.
struct lane_context {
  job_info job;
  unsigned lane = 0;  ///< 0 .. job.lanes - 1
  io::event_loop& loop;
  const io::clock& clock;
  /// In a job that is exactly once, its epochs; else null.
  epoch_transactions* transactions = nullptr;
};

}  // namespace penstock
