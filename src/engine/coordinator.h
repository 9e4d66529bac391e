// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/error.h>
#include <penstock/job.h>
#include <penstock/source.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/restored_time.h"
#include "engine/source_task.h"
#include "io/clock.h"
#include "state/epoch_ledger.h"

namespace penstock::engine {

/// One lane's answer to an epoch: its operators have all let the barrier pass, with everything before it safe
/// in the sinks.
struct lane_report {
  std::uint64_t oldest_live = 0;       ///< the first epoch whose records are still needed
  std::vector<source_report> sources;  ///< by source, those of streams only
};

/// Runs the epochs of a job (DESIGN: barrier, alignment, flush, commit), one at a time:
/// request a barrier from every lane; when every lane has answered, work out the positions to commit; when
/// every lane has committed its splits, the epoch is over.
///
/// State is in memory only, so a commit must not pass a record that live state was made of: what is committed
/// is the beginning of the oldest epoch still live, with the event time reached *now*. After a restart,
/// records of windows that have fired since are late and drop out, while live windows are rebuilt whole.
///
/// `advance` is called by one lane (or the test driver); the rest from any thread.
class coordinator {
 public:
  struct options {
    unsigned lanes = 1;
    std::chrono::milliseconds interval{1000};
    std::chrono::milliseconds stop_timeout{30'000};  ///< from request_stop to the end of the last epoch
    /// A stateful operator is fed by another: then its state cannot be rebuilt from a position in the middle,
    /// and nothing is committed while any state is live.
    bool cascaded_state = false;
    std::function<void()> wake_all;  ///< lanes have something to look at
    /// Set in a job that is exactly once: commits an epoch as one transaction, instead of the lanes; its end
    /// is told to `transacted`. State is kept, so positions are those of the barrier.
    std::function<void(std::uint64_t epoch)> transact{};
    bool commit_first = false;  ///< an epoch at once: positions are to be committed that never were
  };
  struct source_plan {
    std::vector<std::int64_t> positions;  ///< by split
    std::string metadata;
    std::vector<std::string> split_metadata{};  ///< instead, by split, where epochs are transactions
  };

  /// `starts[source][split]`: where every split begins.
  coordinator(options o, std::vector<std::vector<std::int64_t>> starts, io::instant now);

  /// Moves the epochs on; true when there was something to move. Called often.
  bool advance(io::instant now);
  /// Begin an epoch now, whatever the interval.
  void request_epoch() noexcept { asked_.store(true, std::memory_order_relaxed); }
  void request_stop() noexcept;
  /// All sources of a lane are read to their end. When every lane has said so the last epoch begins.
  void input_ended(unsigned lane);
  void fail(error e);

  // What lanes look at.
  std::uint64_t barrier_wanted() const noexcept { return wanted_.load(std::memory_order_acquire); }
  /// Before its barrier, the last one: sources must stop polling.
  bool stopping() const noexcept { return last_.load(std::memory_order_acquire); }
  std::uint64_t commit_wanted() const noexcept { return commit_.load(std::memory_order_acquire); }
  bool over() const noexcept { return over_.load(std::memory_order_acquire); }
  bool stop_requested() const noexcept { return stop_.load(std::memory_order_acquire); }
  bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
  source_plan plan(std::size_t source) const;

  void report(unsigned lane, lane_report r);
  void committed(unsigned lane);
  /// Of options::transact, from any thread.
  void transacted(result<> outcome);

  std::uint64_t epochs_committed() const noexcept { return epochs_.load(std::memory_order_relaxed); }
  std::optional<error> failure() const;
  /// When the next epoch is due. For the lane that calls advance.
  io::instant next_deadline() const noexcept { return next_; }

 private:
  enum class phase : std::uint8_t { running, barrier, commit };
  void begin_epoch(bool last);
  void make_plan();
  void plan_transaction();
  void check_stop_deadline(io::instant now);
  restored_time time_of(std::size_t source) const;

  const options options_;
  phase phase_ = phase::running;              // advance() only
  io::instant next_;                          // advance() only
  std::uint64_t epoch_ = 1;                   // advance() only: the one that is open
  std::optional<io::instant> stop_deadline_;  // advance() only
  std::vector<state::epoch_ledger> ledgers_;
  std::vector<source_plan> plans_;  // guarded by mutex_
  mutable std::mutex mutex_;
  std::vector<std::optional<lane_report>> reports_;  // guarded by mutex_
  unsigned reported_ = 0;                            // guarded by mutex_
  unsigned committed_ = 0;                           // guarded by mutex_
  unsigned ended_ = 0;                               // guarded by mutex_
  std::vector<bool> lane_ended_;                     // guarded by mutex_
  std::optional<error> failure_;                     // guarded by mutex_
  std::atomic<std::uint64_t> wanted_{0};
  std::atomic<std::uint64_t> commit_{0};
  std::atomic<std::uint64_t> epochs_{0};
  std::atomic<bool> asked_{false};
  std::atomic<bool> stop_{false};       // asked for from outside
  std::atomic<bool> exhausted_{false};  // nothing more to read
  std::atomic<bool> last_{false};
  std::atomic<bool> over_{false};
  std::atomic<bool> failed_{false};
};

}  // namespace penstock::engine
