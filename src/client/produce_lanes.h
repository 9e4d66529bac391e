// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/unique_function.h"
#include "client/accumulator.h"
#include "client/cluster.h"

namespace penstock::client {

/// One connection to one broker, as far as batches travel on it.
struct lane_id {
  std::int32_t broker = -1;
  int lane = 0;
  friend auto operator<=>(const lane_id&, const lane_id&) = default;
};

/// On how many connections the batches for a broker travel, and which partition takes which.
///
/// A broker works on one request of a connection at a time: it reads the next when it has answered the last.
/// So one connection keeps at most one of its threads busy. A broker's first lane has as many requests under
/// way as it may for `patience` and still batches wait: then it gets another one, and so on up to `most`.
/// When for `keep` one lane would have sufficed, the others are closed again.
///
/// A partition stays on its lane while requests with its batches are under way, because two connections have
/// no order between them; where it ought to take another lane, it waits until they have come back. So order,
/// and at most max_in_flight batches of a partition at once, are what they are with one connection.
///
/// A transaction's first batch of each partition takes the broker's first lane, and one that belongs on
/// another goes there once that has been answered: a broker asks the transaction's coordinator whether the
/// partition belongs to it, and refuses what comes for the same transaction on another connection while it
/// asks (KIP-890; the refusal is NOT_ENOUGH_REPLICAS, and the next attempt retry.backoff.ms away).
///
/// Threads: the cluster's loop.
class produce_lanes {
 public:
  struct times {
    std::chrono::milliseconds patience{20};
    std::chrono::milliseconds keep{30'000};
  };

  /// `changed` is called on the loop when partitions may take other lanes than before.
  produce_lanes(cluster& c, int most, int max_in_flight, unique_function<void()> changed)
      : produce_lanes(c, most, max_in_flight, std::move(changed), times{}) {}
  produce_lanes(cluster& c, int most, int max_in_flight, unique_function<void()> changed, times t);

  /// The lane that the partition's next batch takes to its leader; nothing while it waits for those under
  /// way on another one.
  std::optional<lane_id> lane_of(partition_queue& q, std::int32_t leader);
  /// Whether it took another lane than its own the last time, to join a transaction.
  bool is_guest(const partition_queue& q) const;
  /// Whether the lane's connection takes requests now; connects it if not, and calls `changed` then.
  bool is_ready(lane_id l);
  bool has_room(lane_id l);
  void sent(lane_id l);
  void answered(lane_id l);
  /// After a look at all that can be sent to this broker: whether batches of several partitions wait for room
  /// on one lane. Returns when to look again at the latest, if they do.
  std::optional<io::instant> looked(std::int32_t broker, bool batches_wait);
  /// Closes what is not needed any more. Returns when to look again, if there is anything to look for.
  std::optional<io::instant> tidy();
  /// Lanes of all brokers.
  int open() const;

 private:
  struct lane {
    int in_flight = 0;
    bool connecting = false;
  };
  struct broker_lanes {
    std::vector<lane> lanes{1};
    int count = 1;         // partitions are dealt out over these; the lanes above are closed when empty
    int places = 0;        // partitions that have come to this broker
    bool opening = false;  // the lane number `count`
    bool moving = false;   // partitions wait for their turn to change over
    std::optional<io::instant> saturated_since;
    io::instant not_before{};  // no further lane
    io::instant needed{};      // when more was under way last than one lane may have

    int home_of(const partition_queue& q) const noexcept { return q.send.lane_place % count; }
  };

  lane& at(lane_id l);
  void open_another(std::int32_t broker, broker_lanes& b);
  void opened(std::int32_t broker, const result<>& outcome);
  static int under_way(const broker_lanes& b);

  cluster& cluster_;
  int most_;
  int max_in_flight_;
  times times_;
  unique_function<void()> changed_;
  std::map<std::int32_t, broker_lanes> brokers_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
};

}  // namespace penstock::client
