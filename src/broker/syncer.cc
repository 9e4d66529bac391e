// SPDX-License-Identifier: Apache-2.0
#include "broker/syncer.h"

#include <algorithm>

namespace penstock::broker {

syncer::syncer(io::event_loop& loop, flush_policy policy, std::chrono::milliseconds interval, events on)
    : loop_(loop), policy_(policy), interval_(interval), on_(std::move(on)), timer_(loop) {}

void syncer::appended(partition& p, bool soon) {
  if (!p.unsynced) {
    p.unsynced = true;
    dirty_.push_back({p.log, p.owner->record.id, p.index, &p.unsynced});
  }
  if (policy_ == flush_policy::each || soon) return begin_round();
  if (policy_ == flush_policy::interval && !timer_.armed() && !running_)
    timer_.arm(interval_, [this] { begin_round(); });
}

void syncer::when_synced(std::vector<target> targets, unique_function<void(bool)> done) {
  std::erase_if(targets, [](const target& t) { return t.log->recovery_point() >= t.offset; });
  if (failed_ || targets.empty()) return done(!failed_);
  waits_.push_back({std::move(targets), std::move(done)});
}

void syncer::begin_round() {
  if (running_ || failed_) return;
  timer_.cancel();
  if (dirty_.empty()) return;
  running_ = true;
  auto round = std::exchange(dirty_, {});
  for (auto& d : round) *d.unsynced = false;  // what is appended from now on needs the next round
  std::vector<std::shared_ptr<log::partition_log>> logs;
  for (const auto& d : round) logs.push_back(d.log);
  worker_.post([this, &loop = loop_, round = std::move(round), logs = std::move(logs)]() mutable {
    result<> outcome;
    for (const auto& log : logs)
      if (auto flushed = log->flush(); !flushed && outcome) outcome = fail(flushed.error());
    loop.post([this, round = std::move(round), outcome = std::move(outcome),
               alive = std::weak_ptr(alive_)]() mutable {
      if (!alive.expired()) end_round(std::move(round), outcome);
    });
  });
}

void syncer::end_round(std::vector<dirty> round, const result<>& outcome) {
  running_ = false;
  if (!outcome) {
    failed_ = true;
    for (auto& w : std::exchange(waits_, {})) w.done(false);
    for (auto& f : std::exchange(drained_, {})) f();
    return on_.failed(outcome.error());
  }
  answer_waits();
  for (const auto& d : round) on_.synced(d.topic, d.partition);
  if (!dirty_.empty() && (policy_ == flush_policy::each || !waits_.empty() || !drained_.empty()))
    begin_round();
  if (!dirty_.empty() && !running_ && policy_ == flush_policy::interval && !timer_.armed())
    timer_.arm(interval_, [this] { begin_round(); });
  if (!running_)
    for (auto& f : std::exchange(drained_, {})) f();
}

void syncer::answer_waits() {
  auto waits = std::exchange(waits_, {});
  for (auto& w : waits) {
    std::erase_if(w.targets, [](const target& t) { return t.log->recovery_point() >= t.offset; });
    if (w.targets.empty())
      w.done(true);
    else
      waits_.push_back(std::move(w));
  }
}

void syncer::forget(const topic& t, unique_function<void()> done) {
  std::erase_if(dirty_, [&](const dirty& d) { return d.topic == t.record.id; });
  const auto of_topic = [&](const target& x) {
    return std::any_of(t.partitions.begin(), t.partitions.end(),
                       [&](const auto& p) { return p->log == x.log; });
  };
  auto waits = std::exchange(waits_, {});
  for (auto& w : waits) {
    if (std::any_of(w.targets.begin(), w.targets.end(), of_topic))
      w.done(false);
    else
      waits_.push_back(std::move(w));
  }
  worker_.post([&loop = loop_, done = std::move(done)]() mutable { loop.post(std::move(done)); });
}

void syncer::drain(unique_function<void()> done) {
  begin_round();
  if (!running_) return done();
  drained_.push_back(std::move(done));
}

}  // namespace penstock::broker
