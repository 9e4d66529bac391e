// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/op.h>
#include <penstock/watermarks.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "engine/driver.h"
#include "engine/watermark_merge.h"

namespace penstock::engine {

/// One split as a lane reads it.
struct split_progress {
  std::uint32_t number = 0;
  std::int64_t position = 0;
  std::int64_t watermark = min_watermark;  ///< its generator: max timestamp - bound - 1 (S6)
  bool idle = false;
  bool finished = false;
  bool paused = false;  ///< too far ahead of its group
  io::instant last_record{};
};

/// Sources whose event time keeps together (S8): each (source, lane) has a place and says there how far its
/// slowest split is; max_watermark while it holds nobody back.
class alignment_group {
 public:
  std::atomic<std::int64_t>* add() { return &places_.emplace_back(max_watermark); }
  std::int64_t slowest() const noexcept {
    std::int64_t least = max_watermark;
    for (const auto& p : places_) least = std::min(least, p.load(std::memory_order_relaxed));
    return least;
  }

 private:
  std::deque<std::atomic<std::int64_t>> places_;  // addresses stay; added to before the lanes run
};

/// What a source on one lane says of itself when a barrier passes it.
struct source_report {
  std::vector<split_progress> splits;
  input_time time;                      ///< what it has told its operators
  std::int64_t finite = min_watermark;  ///< the same, without the end of input
};

/// A source on one lane: polls its splits in turn, makes the watermark of all of them, lets barriers in
/// between two polls.
class source_task final : public driver {
 public:
  /// `restored` is the watermark that the operators had reached before a restart: records behind it were done
  /// with.
  source_task(detail::source_op& into, watermark_options options, std::int64_t restored, bool restored_idle);
  /// `watermark` is what the split's own generator had reached, where that is known.
  void add(std::uint32_t number, std::int64_t start, std::int64_t watermark, io::instant now);

  /// Before the first step.
  void align(const alignment_group& group, std::atomic<std::int64_t>* place) {
    group_ = &group;
    place_ = place;
  }

  bool step(io::instant now) override;
  detail::op& entry() noexcept override { return into_; }
  /// For tests: event time of every split is at least this.
  void advance_watermark(std::int64_t to);
  /// Polls no more.
  void stop() noexcept { stopped_ = true; }
  bool ended() const noexcept { return ended_; }
  /// Sends the barrier after what was read so far.
  source_report barrier(std::uint64_t epoch);
  /// Idleness is a matter of time passing: called when nothing else happens too. True when others may
  /// go on now.
  bool check_idle(io::instant now);
  std::uint64_t records_read() const noexcept { return records_.load(std::memory_order_relaxed); }
  detail::source_op& source() noexcept { return into_; }
  /// The error that ended it, once.
  std::optional<error> take_error() { return std::exchange(failure_, std::nullopt); }

 private:
  split_progress* find(std::uint32_t number) noexcept;
  void note(const detail::source_op::step& read, io::instant now);
  void announce();
  void ask_generators();
  bool publish();                       // says how far it is; true when that is news
  bool keep_together(io::instant now);  // pauses what is ahead; true when something changed

  detail::source_op& into_;
  watermark_options options_;
  std::vector<split_progress> splits_;
  monotonic_watermark time_;
  std::int64_t finite_;
  bool start_idle_;
  const alignment_group* group_ = nullptr;
  std::atomic<std::int64_t>* place_ = nullptr;
  bool can_pause_ = true;
  bool held_ = false;  // all that it reads is ahead, and the source cannot pause a split
  bool started_ = false;
  bool stopped_ = false;
  bool ended_ = false;
  std::atomic<std::uint64_t> records_{0};
  std::optional<error> failure_;
};

}  // namespace penstock::engine
