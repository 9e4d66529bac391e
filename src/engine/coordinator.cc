// SPDX-License-Identifier: Apache-2.0
#include "engine/coordinator.h"

#include <algorithm>
#include <utility>

#include "io/failpoint.h"

namespace penstock::engine {

coordinator::coordinator(options o, std::vector<std::vector<std::int64_t>> starts, io::instant now)
    : options_(std::move(o)),
      next_(options_.commit_first ? now : now + options_.interval),
      lane_ended_(options_.lanes, false) {
  reports_.resize(options_.lanes);
  plans_.resize(starts.size());
  for (std::size_t i = 0; i < starts.size(); ++i) {
    plans_[i].positions = starts[i];
    ledgers_.emplace_back(epoch_, std::move(starts[i]));
  }
}

void coordinator::request_stop() noexcept {
  stop_.store(true, std::memory_order_release);
  options_.wake_all();
}

void coordinator::input_ended(unsigned lane) {
  {
    const std::lock_guard lock(mutex_);
    if (lane_ended_[lane]) return;
    lane_ended_[lane] = true;
    if (++ended_ != options_.lanes) return;
  }
  exhausted_.store(true, std::memory_order_release);  // the last barrier follows the last record
  options_.wake_all();
}

void coordinator::fail(error e) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(e);
  }
  failed_.store(true, std::memory_order_release);
  over_.store(true, std::memory_order_release);
  options_.wake_all();
}

std::optional<error> coordinator::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

coordinator::source_plan coordinator::plan(std::size_t source) const {
  const std::lock_guard lock(mutex_);
  return plans_[source];
}

void coordinator::report(unsigned lane, lane_report r) {
  {
    const std::lock_guard lock(mutex_);
    reports_[lane] = std::move(r);
    if (++reported_ != options_.lanes) return;
  }
  options_.wake_all();
}

void coordinator::committed(unsigned) {
  {
    const std::lock_guard lock(mutex_);
    if (++committed_ != options_.lanes) return;
  }
  options_.wake_all();
}

void coordinator::transacted(result<> outcome) {
  if (outcome) outcome = io::failpoint("epoch.over");
  if (!outcome) return fail(std::move(outcome.error()));
  {
    const std::lock_guard lock(mutex_);
    committed_ = options_.lanes;
  }
  options_.wake_all();
}

void coordinator::check_stop_deadline(io::instant now) {
  if (!stop_.load(std::memory_order_relaxed)) return;
  if (!stop_deadline_) stop_deadline_ = now + options_.stop_timeout;
  if (now >= *stop_deadline_)
    fail(error(errc::timeout, "the job was asked to stop, but its sinks and commits were not done within " +
                                  std::to_string(options_.stop_timeout.count()) + " ms"));
}

bool coordinator::advance(io::instant now) {
  if (over()) return false;
  check_stop_deadline(now);
  const bool ending = stop_.load(std::memory_order_acquire) || exhausted_.load(std::memory_order_acquire);
  switch (phase_) {
    case phase::running:
      if (!ending && !asked_.load(std::memory_order_relaxed) && now < next_) return false;
      asked_.store(false, std::memory_order_relaxed);
      next_ = now + options_.interval;
      begin_epoch(ending);
      return true;
    case phase::barrier: {
      const std::lock_guard lock(mutex_);
      if (reported_ != options_.lanes) return false;
      make_plan();
      committed_ = 0;
    }
      phase_ = phase::commit;
      if (options_.transact) {
        options_.transact(epoch_);
        return true;
      }
      commit_.store(epoch_, std::memory_order_release);
      options_.wake_all();
      return true;
    case phase::commit: {
      const std::lock_guard lock(mutex_);
      if (committed_ != options_.lanes) return false;
    }
      phase_ = phase::running;
      ++epoch_;
      epochs_.fetch_add(1, std::memory_order_relaxed);
      if (last_.load(std::memory_order_relaxed)) {
        over_.store(true, std::memory_order_release);
        options_.wake_all();
      }
  }
  return true;
}

void coordinator::begin_epoch(bool last) {
  if (result<> r = io::failpoint(last ? "epoch.last" : "epoch.begin"); !r) return fail(std::move(r.error()));
  {
    const std::lock_guard lock(mutex_);
    reported_ = 0;
  }
  phase_ = phase::barrier;
  if (last) last_.store(true, std::memory_order_release);
  wanted_.store(epoch_, std::memory_order_release);
  options_.wake_all();
}

restored_time coordinator::time_of(std::size_t source) const {
  const auto source_of = [source](const std::optional<lane_report>& r) -> const source_report& {
    return r->sources[source];
  };
  const watermark merged = merge_times(reports_, [&](const auto& r) { return source_of(r).time; });
  if (merged.timestamp != max_watermark) return {merged.timestamp, merged.idle};
  // At the end of the input every window has fired, but more may be appended to it before the next run: what
  // is kept is how far time had come by itself.
  std::int64_t finite = min_watermark;
  for (const auto& r : reports_) finite = std::max(finite, source_of(r).finite);
  return {finite, false};
}

void coordinator::make_plan() {
  std::uint64_t oldest = epoch_ + 1;
  for (const auto& r : reports_) oldest = std::min(oldest, r->oldest_live);
  if (options_.transact) return plan_transaction();
  const bool hold = options_.cascaded_state && oldest <= epoch_;
  for (std::size_t s = 0; s < plans_.size(); ++s) {
    std::vector<std::int64_t> now(plans_[s].positions.size());
    for (const auto& r : reports_) {
      for (const split_progress& p : r->sources[s].splits) now[p.number] = p.position;
    }
    ledgers_[s].seal(epoch_, std::move(now));
    if (hold) continue;
    plans_[s].positions = ledgers_[s].begin_of(oldest);
    plans_[s].metadata = encode_time(time_of(s));
    ledgers_[s].forget_before(oldest);
  }
}

void coordinator::plan_transaction() {
  for (std::size_t s = 0; s < plans_.size(); ++s) {
    plans_[s].split_metadata.resize(plans_[s].positions.size());
    restored_time time = time_of(s);
    for (const auto& r : reports_) {
      for (const split_progress& p : r->sources[s].splits) {
        plans_[s].positions[p.number] = p.position;
        time.split = p.watermark;
        plans_[s].split_metadata[p.number] = encode_time(time);
      }
    }
  }
}

}  // namespace penstock::engine
