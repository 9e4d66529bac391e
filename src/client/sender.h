// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/producer.h>
#include <penstock/kafka/settings.h>
#include <penstock/result.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_function.h"
#include "client/accumulator.h"
#include "client/cluster.h"
#include "client/metrics.h"
#include "client/produce_lanes.h"
#include "wire/messages/init_producer_id.h"
#include "wire/messages/produce.h"

namespace penstock::client {

class transactions;

/// Takes batches from an accumulator and sees them through: sequences, requests, answers, retries in order,
/// deadlines.
///
/// Order: a partition's batches are sent in the order they were filled, up to max_in_flight requests a
/// connection, of which a busy broker may have several (produce_lanes.h). After a failure that passes nothing
/// of that partition is sent until all its batches under way have come back; then they go out again in order.
/// With idempotence the broker's sequence check makes that exact, duplicates included (KIP-98); a batch that
/// failed for good leaves a gap in the sequences, which the partition leaves behind by raising its producer
/// epoch.
///
/// Threads: the cluster's loop. If `guard` is given, it is held around every use of the accumulator.
class sender {
 public:
  sender(cluster& c, accumulator& a, const kafka::producer_settings& settings, std::mutex* guard);
  ~sender();
  sender(const sender&) = delete;
  sender& operator=(const sender&) = delete;

  /// Looks for work soon. The accumulator's `appended::work` asks for it.
  void kick();
  /// The producer's transactions: batches go out within them only. Set before the first record.
  void take_part_in(transactions* t) { transactions_ = t; }
  /// Batches of generations before this one are due now, as for a flush.
  void hurry(std::uint64_t generation);
  /// Asks for a topic's partitions; on_writable tells when they are there.
  void want_topic(const std::string& name);
  void flush(unique_function<void(result<>)> done);
  /// Fails everything that has no outcome with `why`.
  void abandon(const error& why);
  void on_writable(unique_function<void()> f) { on_writable_ = std::move(f); }
  void on_delivery(kafka::delivery_callback f) { on_delivery_ = std::move(f); }
  kafka::producer::counters statistics() const;
  bool idle() const;
  const producer_metrics& measured() const noexcept { return metrics_; }
  /// Connections that batches may take, of all brokers.
  int connections() const { return lanes_.open(); }

 private:
  struct request {
    lane_id lane;
    std::vector<batch_ptr> batches;  // in the order of the wire
    std::vector<partition_queue*> queues;
    bool joins = false;  // holds a partition's first batch of a transaction
  };
  struct flush_request {
    std::uint64_t generation = 0;
    unique_function<void(result<>)> done;
  };

  void run();
  void collect();
  void send_ready();
  void send_to(lane_id lane, std::vector<partition_queue*>& queues);
  bool wants_to_send(partition_queue& q);
  bool is_due(const producer_batch& b) const;
  std::int32_t leader_of(partition_queue& q);
  batch_ptr next_batch(partition_queue& q, std::size_t room, bool first, std::int16_t version);
  bool prepare_sequences(partition_queue& q);
  void join_epoch(partition_queue& q);
  result<> seal(producer_batch& b, std::int16_t version);
  void measure_sending(const producer_batch& b, std::size_t uncompressed);
  producer_metrics::counted& measured_topic(const producer_batch& b);
  result<> seal_again(producer_batch& b, std::int16_t version);
  result<> seal_with_its_sequence(producer_batch& b, std::int16_t version);
  result<> seal_as_before(producer_batch& b);
  result<> seal_for(producer_batch& b, std::int16_t version, wire::batch_builder::seal_options options);
  void send(lane_id lane, std::vector<batch_ptr> batches);
  void answered(const std::shared_ptr<request>& r, result<incoming> in);
  void read_answer(const request& r, const wire::produce_response& response);
  void outcome(const batch_ptr& b, const wire::produce_response::partition_produce_response& answer);
  void retry(const batch_ptr& b, const error& why);
  void put_in_order(const batch_ptr& b);
  bool split(const batch_ptr& b);
  void sequence_gap(const batch_ptr& b, const error& why);
  void restart_sequences(partition_queue& q);
  void succeed(const batch_ptr& b, std::int64_t offset, std::int64_t timestamp);
  void give_up(const batch_ptr& b, const error& why);
  void report(const batch_ptr& b, kafka::delivery d);
  void settle(const batch_ptr& b, bool reuse);
  void make_ready(partition_queue& q);
  void expire();
  void schedule(io::instant at);
  void request_producer_id();
  void producer_id_arrived(result<wire::init_producer_id_response> response);
  void metadata_changed();
  void check_flushes();
  std::unique_lock<std::mutex> hold() const;

  cluster& cluster_;
  accumulator& accumulator_;
  const kafka::producer_settings settings_;
  std::mutex* guard_;
  bool idempotent_;
  transactions* transactions_ = nullptr;
  std::shared_ptr<void> alive_ = std::make_shared<char>();

  std::vector<partition_queue*> ready_;  // may have a batch to send
  std::vector<partition_queue*> work_;   // scratch of collect()
  produce_lanes lanes_;
  std::size_t taken_ = 0;  // batches taken and without an outcome
  std::uint64_t next_order_ = 1;

  enum class id_state : std::uint8_t { none, asked, known };
  id_state producer_id_state_ = id_state::none;
  std::int64_t producer_id_ = -1;
  std::int16_t producer_epoch_ = -1;
  backoff id_backoff_;
  io::timer id_timer_;

  bool kicked_ = false;
  io::timer timer_;
  io::instant timer_due_{};
  io::instant next_expiry_{};
  std::uint64_t flushing_ = 0;  // batches of earlier generations do not linger
  std::vector<std::shared_ptr<flush_request>> flushes_;
  std::optional<error> failure_since_flush_;
  std::optional<error> fatal_;
  unique_function<void()> on_writable_;
  bool writable_ = false;  // tell on_writable at the end of this turn
  kafka::delivery_callback on_delivery_;
  kafka::producer::counters counters_{};
  producer_metrics metrics_{};
};

}  // namespace penstock::client
