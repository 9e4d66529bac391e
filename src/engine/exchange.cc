// SPDX-License-Identifier: Apache-2.0
#include "engine/exchange.h"

#include <algorithm>
#include <utility>

namespace penstock::engine {

std::unique_ptr<detail::any_batch> exchange_channel::recycled() {
  std::unique_ptr<detail::any_batch> b;
  empties_.pop(b);
  return b;
}

void exchange_channel::send(std::unique_ptr<detail::any_batch> records) {
  parcel p;
  p.records = std::move(records);
  post(std::move(p));
}

bool exchange_channel::deliver(detail::any_batch& records) {
  return end_ != nullptr && kept_.empty() && ring_.empty() && end_->take_now(records);
}

void exchange_channel::send(watermark w) {
  parcel p;
  p.what = parcel::kind::time;
  p.time = w;
  post(std::move(p));
}

void exchange_channel::send_barrier(std::uint64_t epoch) {
  parcel p;
  p.what = parcel::kind::barrier;
  p.epoch = epoch;
  post(std::move(p));
}

void exchange_channel::post(parcel p) {
  if (!kept_.empty() || !ring_.push(p)) {
    kept_.push_back(std::move(p));
    return;
  }
  wake(to_, from_);
}

bool exchange_channel::flush() {
  bool moved = false;
  while (!kept_.empty() && ring_.push(kept_.front())) {
    kept_.pop_front();
    moved = true;
  }
  if (moved) wake(to_, from_);
  return moved;
}

bool exchange_channel::pop(parcel& into) {
  const bool popped = ring_.pop(into);
  if (popped) ++popped_;
  if (popped_ == capacity / 2 || (!popped && popped_ != 0)) {
    wake(from_, to_);
    popped_ = 0;
  }
  return popped;
}

void exchange_channel::give_back(std::unique_ptr<detail::any_batch> emptied) {
  empties_.push(emptied);  // full: it is freed here
}

receiver::receiver(detail::relay_op& into, std::vector<exchange_channel*> from) : into_(into) {
  for (exchange_channel* c : from) {
    if (c->comes_back()) {
      mine_ = inputs_.size();
      c->ends_at(*this);
    }
    inputs_.push_back({c, {}, false, false, 0});
  }
  silent_ = inputs_.size();
}

bool receiver::take_now(detail::any_batch& records) {
  if (!may_take(inputs_[mine_])) return false;
  into_.deliver(records);
  return true;
}

bool receiver::step(io::instant) {
  bool worked = false;
  parcel p;
  for (channel_state& in : inputs_) {
    const bool mine = &in == &inputs_[mine_];
    in.credit = std::min<std::int64_t>(in.credit, 0) + records_per_step / std::ssize(inputs_) + 1;
    while ((mine || in.credit > 0) && may_take(in) && in.channel->pop(p)) {
      if (p.records != nullptr) in.credit -= static_cast<std::int64_t>(p.records->size());
      take(in, p);
      worked = true;
    }
  }
  return worked;
}

bool receiver::may_take(const channel_state& from) const {
  return !from.at_barrier && (silent_ == 0 || !from.has_spoken) && !held_back();
}

void receiver::take(channel_state& from, parcel& p) {
  switch (p.what) {
    case parcel::kind::records:
      into_.deliver(*p.records);
      p.records->clear();
      from.channel->give_back(std::move(p.records));
      break;
    case parcel::kind::time: {
      from.time = {p.time.timestamp, p.time.idle};
      if (!std::exchange(from.has_spoken, true)) --silent_;
      if (silent_ != 0) break;
      const watermark merged = merge_times(inputs_, [](const channel_state& c) { return c.time; });
      if (time_.advance(merged)) into_.on_watermark(time_.current());
      break;
    }
    case parcel::kind::barrier:
      from.at_barrier = true;
      align(p.epoch);
      break;
  }
}

void receiver::align(std::uint64_t epoch) {
  if (!std::all_of(inputs_.begin(), inputs_.end(), [](const channel_state& c) { return c.at_barrier; }))
    return;
  into_.on_barrier(epoch);
  for (channel_state& c : inputs_) c.at_barrier = false;
}

}  // namespace penstock::engine
