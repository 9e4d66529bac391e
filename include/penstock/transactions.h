// SPDX-License-Identifier: Apache-2.0
// What a connector offers so that a job on it can be exactly once.
#pragma once

#include <penstock/detail/state_log.h>
#include <penstock/lane.h>
#include <penstock/result.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

/// Up to where an epoch read a split: the position of the next record.
struct epoch_position {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t position = 0;
  std::string metadata{};
  std::string identity{};  ///< split::identity
};

/// How far a lane is with restoring its state.
struct restore_progress {
  std::uint64_t rows = 0;        ///< read so far
  std::uint64_t bytes = 0;       ///< of those
  std::uint64_t rows_total = 0;  ///< an estimate: what there is to read
};

/// One lane's part of the epochs of a job. Called on the lane's thread.
class lane_transactions {
 public:
  using take_row = std::function<bool(std::uint32_t partition, std::string_view row, std::string_view value)>;
  using tell_progress = std::function<bool(const restore_progress&)>;
  virtual ~lane_transactions() = default;
  /// Gives each row of operator number `op` that this lane needs to `take`, the shared ones first, as the
  /// last committed epoch left it; blocks, and runs the lane's loop meanwhile. Ends early, with
  /// errc::cancelled, when `tell` answers false. An answer of false from `take` means damage.
  virtual result<> restore(std::size_t op, const take_row& take, const tell_progress& tell) = 0;
  /// Where the operator's changes go: into the open epoch.
  virtual detail::state_log& log(std::size_t op) = 0;
  /// False while too much waits to be sent: nothing more should be read then.
  virtual bool ready() const = 0;
  /// Calls `done` when everything logged so far is part of the epoch's transaction.
  virtual void flush(std::function<void(result<>)> done) = 0;
};

/// The epochs of a job whose sources and sinks are one system that has transactions: what sinks wrote, how
/// far sources were read and how state changed becomes visible together, or never (E6).
///
/// Order of calls: take_over; prepare; open_lane for each lane; commit for one epoch after the other. Sinks
/// get at it through lane_context::transactions: their `flush` means that everything written so far is in the
/// epoch's transaction; what they are given afterwards is of the next one and waits for it to begin.
class epoch_transactions {
 public:
  virtual ~epoch_transactions() = default;
  /// Shuts out whoever else writes under the application's name, and has what that one left open decided,
  /// before anybody asks where to begin (E3, E4); `operators` are those that `prepare` will be given. Blocks.
  virtual result<> take_over(const std::vector<std::string>& operators) = 0;
  /// Makes what keeps the state of these operators, by name, where it is missing. Blocks.
  virtual result<> prepare(const std::vector<std::string>& operators) = 0;
  virtual result<std::unique_ptr<lane_transactions>> open_lane(const lane_context& lane) = 0;
  /// Lets go of connections and threads; no `done` is called afterwards. What is open is aborted if that
  /// takes no waiting. Lanes are gone by then.
  virtual void close() = 0;
  /// Also after close. Whether beginning anew may help, with this error of the job: a broker that is gone for
  /// a while, a transaction that timed out. Not: rights, data that is lost, another process that took over.
  virtual bool may_pass(const error& why) const = 0;
  /// Commits: all lanes have flushed. Only positions that changed are given. `done` is called from any
  /// thread; with an error the epoch's outcome may be unknown, and the job must begin anew (E3). The next
  /// epoch begins when this is called, not when it is done.
  virtual void commit(std::uint64_t epoch, std::vector<epoch_position> positions,
                      std::function<void(result<>)> done) = 0;
};

}  // namespace penstock
