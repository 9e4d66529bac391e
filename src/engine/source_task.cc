// SPDX-License-Identifier: Apache-2.0
#include "engine/source_task.h"

#include <penstock/windows.h>

#include <algorithm>
#include <utility>

#include "io/failpoint.h"

namespace penstock::engine {

source_task::source_task(detail::source_op& into, watermark_options options, std::int64_t restored,
                         bool restored_idle)
    : into_(into), options_(options), time_(restored), finite_(restored), start_idle_(restored_idle) {}

void source_task::add(std::uint32_t number, std::int64_t start, std::int64_t watermark, io::instant now) {
  split_progress s;
  s.number = number;
  s.position = start;
  s.watermark = watermark;
  s.idle = start_idle_;
  s.last_record = now;
  splits_.push_back(s);
}

split_progress* source_task::find(std::uint32_t number) noexcept {
  for (split_progress& s : splits_) {
    if (s.number == number) return &s;
  }
  return nullptr;
}

bool source_task::step(io::instant now) {
  if (!std::exchange(started_, true)) announce();
  if (stopped_ || ended_ || failure_ || held_back()) return false;
  const bool moved = group_ != nullptr && keep_together(now);
  if (held_) return moved;
  if (result<> r = io::failpoint("source.poll"); !r) {
    failure_ = std::move(r.error());
    return false;
  }
  auto read = into_.poll();
  if (!read) {
    failure_ = std::move(read.error());
    return false;
  }
  const bool something = read->next >= 0 || read->finished;
  if (something) note(*read, now);
  bool news = false;  // for others of the group
  if (options_.idle_after) {
    news = check_idle(now);
  } else if (something) {
    announce();
  }
  if (group_ != nullptr) news |= publish();
  return something || moved || news;
}

void source_task::note(const detail::source_op::step& read, io::instant now) {
  split_progress* s = find(read.split);
  if (s == nullptr) {
    failure_ =
        error(errc::internal, into_.name() + ": the source answered for a split that it was not given");
    return;
  }
  s->position = std::max(s->position, read.next);
  if (read.records != 0) {
    records_.store(records_.load(std::memory_order_relaxed) + read.records, std::memory_order_relaxed);
    s->idle = false;
    s->last_record = now;
    if (into_.makes_watermarks()) {
      s->watermark = std::max(s->watermark, into_.watermark_of(s->number));
    } else if (read.max_timestamp != detail::no_timestamp) {
      const std::int64_t behind = options_.max_lag.count() + 1;
      const std::int64_t mark =
          read.max_timestamp < min_watermark + behind ? min_watermark : read.max_timestamp - behind;
      s->watermark = std::max(s->watermark, mark);
    }
  }
  if (read.finished) s->finished = true;
}

bool source_task::check_idle(io::instant now) {
  if (ended_ || (!options_.idle_after && !into_.makes_watermarks())) return false;
  if (into_.makes_watermarks()) ask_generators();
  for (split_progress& s : splits_) {
    // One that is paused for the others' sake is not idle.
    if (!s.finished && !s.paused && options_.idle_after && now - s.last_record >= *options_.idle_after)
      s.idle = true;
  }
  announce();
  return group_ != nullptr && publish();
}

void source_task::advance_watermark(std::int64_t to) {
  started_ = true;
  for (split_progress& s : splits_) {
    s.watermark = std::max(s.watermark, to);
    s.idle = false;
  }
  announce();
}

void source_task::ask_generators() {
  for (split_progress& s : splits_) {
    if (!s.finished) s.watermark = std::max(s.watermark, into_.watermark_of(s.number));
  }
}

bool source_task::publish() {
  std::int64_t mine = max_watermark;
  for (const split_progress& s : splits_) {
    // One without a watermark yet says nothing.
    if (!s.finished && !s.idle && s.watermark != min_watermark) mine = std::min(mine, s.watermark);
  }
  return place_->exchange(mine, std::memory_order_relaxed) != mine;
}

bool source_task::keep_together(io::instant now) {
  publish();
  const std::int64_t slowest = group_->slowest();
  const std::int64_t limit = slowest == max_watermark
                                 ? max_watermark
                                 : penstock::detail::saturating_add(slowest, options_.max_drift.count());
  bool all_ahead = true;
  bool changed = false;
  for (split_progress& s : splits_) {
    if (s.finished) continue;
    const bool ahead = s.watermark > limit;
    all_ahead &= ahead;
    if (ahead == s.paused) continue;
    changed = true;
    can_pause_ &= into_.set_paused(s.number, ahead);
    s.paused = ahead;
    s.last_record = now;  // it was not asked
  }
  held_ = all_ahead && !can_pause_;
  return changed;
}

void source_task::announce() {
  const watermark merged = merge_times(splits_, [](const split_progress& s) {
    return s.finished ? input_time{max_watermark, false} : input_time{s.watermark, s.idle};
  });
  if (time_.advance(merged)) {
    if (time_.current().timestamp != max_watermark) finite_ = time_.current().timestamp;
    into_.on_watermark(time_.current());
  }
  ended_ = std::all_of(splits_.begin(), splits_.end(), [](const split_progress& s) { return s.finished; });
  if (ended_ && place_ != nullptr) place_->store(max_watermark, std::memory_order_relaxed);
}

source_report source_task::barrier(std::uint64_t epoch) {
  if (!std::exchange(started_, true)) announce();
  const watermark w = time_.current();
  source_report report{splits_, {w.timestamp, w.idle}, finite_};
  into_.on_barrier(epoch);
  return report;
}

}  // namespace penstock::engine
