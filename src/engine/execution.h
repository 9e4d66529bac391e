// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/job.h>
#include <penstock/topology.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/coordinator.h"
#include "engine/lane.h"
#include "engine/lane_signal.h"
#include "io/event_loop.h"

namespace penstock::engine {

/// A job made ready to run, without threads: those that run it (job, or the test driver) call open_lane once
/// a lane and then `step` again and again. The topology must outlive it.
class execution {
 public:
  /// Validates, finds the splits, prepares the sinks. Blocks for that long.
  static result<std::unique_ptr<execution>> create(const topology& what, const run_options& options,
                                                   const io::clock& clock);
  ~execution();

  unsigned lanes() const noexcept { return plan_.info.lanes; }
  io::event_loop& loop(unsigned lane) noexcept { return *loops_[lane]; }
  lane_signal& signal(unsigned lane) noexcept { return *signals_[lane]; }
  coordinator& epochs() noexcept { return *epochs_; }
  const coordinator& epochs() const noexcept { return *epochs_; }

  /// On the thread that will step it.
  result<> open_lane(unsigned lane);
  /// One round of a lane; lane 0 moves the epochs on as well. False when there was nothing to do.
  bool step(unsigned lane, io::instant now);

  void advance_watermark(std::int64_t to) {
    for (auto& l : lanes_) l->advance_watermark(to);
  }

  /// For tests, on the thread that steps the lanes: what the operator keeps under these names for a key, as
  /// bytes. An error when there is no such operator or state.
  result<std::string> inspect(std::string_view name, std::string_view state, std::string_view key) const;

  /// When the next timer of processing time of a lane is due, by the wall clock. On the lane's thread.
  std::int64_t next_timer_ms(unsigned lane) const noexcept { return lanes_[lane]->next_timer_ms(); }

  bool exactly_once() const noexcept { return plan_.transactions != nullptr; }
  /// Whether beginning anew may help after `why`. At least once, the caller decides: never here.
  bool may_pass(const error& why) const;
  /// The run is over and another one takes its place: lets go of connections, buffers and state. What is
  /// asked of it afterwards is answered as if nothing had run.
  void abandon();
  /// Where the sources begin, for messages: "in-0 at 17, in-1 at 23".
  std::string starting_places() const;

  // From any thread.
  job_progress progress() const;
  std::vector<operator_metrics> metrics() const;

 private:
  execution(const topology& what, const run_options& options, const io::clock& clock);
  void make_connectors();
  result<> choose_guarantee(const run_options& options);
  std::string why_not_exactly_once() const;
  result<> begin_transactions(const run_options& options);
  result<> discover();
  result<> prepare_sinks();
  void transact(std::uint64_t epoch);
  void make_channels();
  void make_epochs(const run_options& options);

  const detail::graph& graph_;
  const io::clock& clock_;
  // In the order of who needs whom: lanes go first, loops last.
  std::vector<std::unique_ptr<io::event_loop>> loops_;
  std::vector<std::unique_ptr<lane_signal>> signals_;
  job_plan plan_;
  std::unique_ptr<coordinator> epochs_;
  std::vector<std::vector<std::pair<std::int64_t, std::string>>>
      committed_;                   // by stream and split, where exactly once
  mutable std::mutex lanes_mutex_;  // against abandon()
  std::vector<std::unique_ptr<lane>> lanes_;
};

}  // namespace penstock::engine
