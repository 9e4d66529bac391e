// SPDX-License-Identifier: Apache-2.0
#include "client/produce_lanes.h"

#include <algorithm>
#include <utility>

namespace penstock::client {
namespace {

// After a further connection could not be made, or was lost and not made again.
constexpr std::chrono::seconds pause_after_failure{60};

}  // namespace

produce_lanes::produce_lanes(cluster& c, int most, int max_in_flight, unique_function<void()> changed,
                             times t)
    : cluster_(c), most_(most), max_in_flight_(max_in_flight), times_(t), changed_(std::move(changed)) {}

std::optional<lane_id> produce_lanes::lane_of(partition_queue& q, std::int32_t leader) {
  auto& b = brokers_[leader];
  auto& s = q.send;
  const bool new_here = s.lane_broker != leader;
  if (new_here) {
    s.lane_broker = leader;
    s.lane_place = b.places++;
    s.known_in = 0;
  }
  const int home = b.home_of(q);
  const int wanted = s.joins() ? 0 : home;
  if (!new_here && s.in_flight > 0 && (s.lane != wanted || wanted != home)) {
    b.moving = true;
    return std::nullopt;
  }
  s.lane = wanted;
  return lane_id{leader, wanted};
}

bool produce_lanes::is_guest(const partition_queue& q) const {
  const auto b = brokers_.find(q.send.lane_broker);
  return b != brokers_.end() && q.send.lane != b->second.home_of(q);
}

produce_lanes::lane& produce_lanes::at(lane_id l) {
  auto& lanes = brokers_[l.broker].lanes;
  const auto n = static_cast<std::size_t>(l.lane);
  if (lanes.size() <= n) lanes.resize(n + 1);
  return lanes[n];
}

bool produce_lanes::is_ready(lane_id l) {
  const auto channel = produce_channel(l.lane);
  if (cluster_.is_ready(l.broker, channel)) return true;
  if (std::exchange(at(l).connecting, true)) return false;
  cluster_.connect(l.broker, channel,
                   [this, l, alive = std::weak_ptr<void>(alive_)](const result<>& outcome) {
                     if (alive.expired()) return;
                     at(l).connecting = false;
                     if (auto& b = brokers_[l.broker]; !outcome && l.lane > 0) {
                       b.count = std::min(b.count, l.lane);  // the others go on, with these partitions too
                       b.not_before = cluster_.now() + pause_after_failure;
                     }
                     changed_();
                   });
  return false;
}

bool produce_lanes::has_room(lane_id l) { return at(l).in_flight < max_in_flight_; }

int produce_lanes::under_way(const broker_lanes& b) {
  int sum = 0;
  for (const auto& l : b.lanes) sum += l.in_flight;
  return sum;
}

void produce_lanes::sent(lane_id l) {
  ++at(l).in_flight;
  if (auto& b = brokers_[l.broker]; b.count > 1 && under_way(b) > max_in_flight_) b.needed = cluster_.now();
}

void produce_lanes::answered(lane_id l) { --at(l).in_flight; }

std::optional<io::instant> produce_lanes::looked(std::int32_t broker, bool batches_wait) {
  auto& b = brokers_[broker];
  const bool moving = std::exchange(b.moving, false);  // then nobody knows yet what the lanes there are bring
  if (!batches_wait || moving || b.opening || b.count >= std::min(most_, b.places)) {
    b.saturated_since.reset();
    return std::nullopt;
  }
  const auto now = cluster_.now();
  if (!b.saturated_since) b.saturated_since = now;
  const auto due = std::max(*b.saturated_since + times_.patience, b.not_before);
  if (now < due) return due;
  open_another(broker, b);
  return std::nullopt;
}

// Partitions take the new lane once its connection is there.
void produce_lanes::open_another(std::int32_t broker, broker_lanes& b) {
  b.opening = true;
  static_cast<void>(at({broker, b.count}));
  cluster_.connect(broker, produce_channel(b.count),
                   [this, broker, alive = std::weak_ptr<void>(alive_)](const result<>& outcome) {
                     if (!alive.expired()) opened(broker, outcome);
                   });
}

void produce_lanes::opened(std::int32_t broker, const result<>& outcome) {
  auto& b = brokers_[broker];
  b.opening = false;
  if (!outcome) {
    b.not_before = cluster_.now() + pause_after_failure;
    return;
  }
  ++b.count;
  b.needed = cluster_.now();
  changed_();
}

std::optional<io::instant> produce_lanes::tidy() {
  const auto now = cluster_.now();
  std::optional<io::instant> again;
  for (auto& [broker, b] : brokers_) {
    if (b.count > 1 && now - b.needed >= times_.keep) b.count = 1;
    while (!b.opening && b.lanes.size() > static_cast<std::size_t>(b.count)) {
      if (b.lanes.back().in_flight > 0 || b.lanes.back().connecting) break;
      b.lanes.pop_back();
      cluster_.close_idle(broker, produce_channel(static_cast<int>(b.lanes.size())));
    }
    if (b.count > 1) again = std::min(again.value_or(io::instant::max()), b.needed + times_.keep);
  }
  return again;
}

int produce_lanes::open() const {
  int n = 0;
  for (const auto& [broker, b] : brokers_) n += b.count;
  return n;
}

}  // namespace penstock::client
