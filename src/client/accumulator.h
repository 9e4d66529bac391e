// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/producer.h>
#include <penstock/kafka/settings.h>
#include <penstock/result.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "client/metadata.h"
#include "io/clock.h"
#include "io/random.h"
#include "wire/batch_builder.h"

namespace penstock::client {

/// Whether a record was taken.
enum class append_status : std::uint8_t {
  accepted,
  no_memory,    ///< buffer_memory is used up
  no_metadata,  ///< the topic's partitions are not known yet; they have been asked for
};

struct partition_queue;

/// The records of one partition that travel together, from the first append to the outcome.
struct producer_batch {
  explicit producer_batch(std::size_t max_bytes) : builder(max_bytes) {}

  wire::batch_builder builder;
  partition_queue* queue = nullptr;
  io::instant created{};
  std::size_t reserved = 0;      ///< bytes counted against buffer_memory
  std::uint64_t generation = 0;  ///< how many flushes had begun before it
  struct record_callback {
    std::int32_t index;
    kafka::delivery_callback f;
  };
  std::vector<record_callback> callbacks;

  // The sender's:
  bytes_view sealed;
  bool as_messages = false;  ///< sealed for a broker that knows no record batches
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  std::int32_t base_sequence = -1;
  std::uint64_t order = 0;       ///< by first sending
  std::uint64_t order_room = 0;  ///< orders from its own on that are nobody else's
  int attempts = 0;
  bool maybe_persisted = false;  ///< an attempt ended without an answer
};
using batch_ptr = std::shared_ptr<producer_batch>;

struct topic_queues;

/// One partition's batches: the one that records are appended to and the full ones before it, both the
/// accumulator's; and what the sender keeps of it.
struct partition_queue {
  topic_queues* topic = nullptr;
  std::int32_t partition = 0;

  batch_ptr open;
  std::deque<batch_ptr> full;
  bool announced = false;  ///< stands in the accumulator's list of partitions with work

  // The sender's, touched on its loop only:
  struct sending {
    std::deque<batch_ptr> retry;  ///< sent before, by sequence
    int in_flight = 0;
    std::int64_t producer_id = -1;
    std::int16_t producer_epoch = -1;
    std::int32_t next_sequence = 0;
    bool unresolved = false;  ///< a batch with a sequence failed; the broker may expect that sequence still
    /// The broker has acknowledged a batch of this epoch. Before, it would take any sequence for the first
    /// one, so that a second batch under way could get in front of a first that failed: only one is sent.
    bool established = false;
    bool suspect = false;  ///< the broker may have batches that it does not know as this producer's any more
    bool restart = false;  ///< sequences begin again, under a new epoch, once nothing is in flight
    bool ready = false;    ///< stands in the sender's list
    std::uint64_t asked_for = 0;      ///< the transaction that it was asked to be registered for
    std::uint64_t registered_in = 0;  ///< the transaction that it is part of
    std::uint64_t known_in = 0;       ///< the transaction that its leader knows it to be part of
    std::int32_t leader = -1;
    std::uint64_t leader_as_of = 0;  ///< the metadata's version
    int lane = 0;                    ///< the connection that its batches take (produce_lanes.h)
    std::int32_t lane_broker = -1;   ///< whose
    int lane_place = 0;              ///< in the dealing out of the broker's partitions
    io::instant not_before{};
    int failures = 0;
    /// Its next batch is the first that its leader sees of the transaction. Never without transactions.
    bool joins() const noexcept { return known_in != registered_in; }
  } send;
};

struct topic_queues {
  std::string name;
  std::vector<std::unique_ptr<partition_queue>> partitions;
  std::int32_t known = 0;  ///< partitions that records may go to; 0: not known yet
  std::int32_t sticky =
      -1;                  ///< where records without a key go until its batch is full; -2 - p: anywhere but p
  std::uint32_t turn = 0;  ///< of the round-robin partitioner
  wire::error_code error = wire::error_code::none;  ///< why the topic cannot be written to
  std::optional<io::instant> missing_since{};       ///< the brokers say that it does not exist
  /// Instead of the producer's, where several writers share it.
  std::optional<penstock::compression> codec{};
  std::optional<int> level{};
};

/// "topic 'orders', partition 3", for messages.
std::string name_of(const partition_queue& q);

/// Collects records into batches, one open batch a partition. No locks and no clock of its own: one thread,
/// or whoever holds the lock that the sender was given too.
class accumulator {
 public:
  accumulator(const kafka::producer_settings& settings, io::random_source& random);

  struct appended {
    append_status status = append_status::accepted;
    bool work = false;  ///< the sender should look: a batch was begun or is full
  };
  /// Appends to the partition's batch. Errors: invalid_argument (a partition that is not there, a record
  /// larger than max_request_size), or the topic's error.
  result<appended> append(const kafka::record_to_send& r, std::int64_t timestamp_ms, const io::clock& time,
                          kafka::delivery_callback* callback) {
    return append(find(r.topic), r, timestamp_ms, time, callback);
  }
  /// The same for one of many to the same topic: `t` is what find(r.topic) gives.
  result<appended> append(topic_queues* t, const kafka::record_to_send& r, std::int64_t timestamp_ms,
                          const io::clock& time, kafka::delivery_callback* callback);

  /// Sets the number of a topic's partitions, or why it cannot be written to.
  void set_topic(const std::string& name, std::int32_t partitions, wire::error_code error);
  topic_queues* find(std::string_view name) noexcept;
  topic_queues& find_or_add(std::string_view name);

  // For the sender.

  /// Partitions whose batch became full since the last call are appended to `out`, and those whose open batch
  /// was begun before `begun_before`. Returns when the oldest remaining open batch was begun, if there is
  /// one.
  std::optional<io::instant> take_work(io::instant begun_before, std::vector<partition_queue*>& out);
  /// For a partition that take_work named and whose open batch stays for now: names it again when its time
  /// comes. Returns when its open batch was begun, if it has one.
  std::optional<io::instant> put_back(partition_queue& q);
  /// The next batch to send: a full one, or the open one if `even_open`.
  batch_ptr take_batch(partition_queue& q, bool even_open);
  /// An empty batch for some of the records of one that was taken: it counts as taken, of the same
  /// generation.
  batch_ptr split_off(producer_batch& from);
  /// Gives memory back; `reuse` keeps the batch's buffer for a later one.
  void release(const batch_ptr& b, bool reuse);
  /// Everything not taken yet (on close): all batches of all partitions.
  std::vector<batch_ptr> take_all();
  /// Takes no records from now on: append answers this error. Nothing: takes them (again).
  void refuse(std::optional<error> why) { refusal_ = std::move(why); }
  /// Closes the open batches, so that no later record gets into them, and begins a new generation.
  std::uint64_t seal_generation();
  /// Begins a new generation of batches and returns it: a flush waits for all batches of earlier ones.
  std::uint64_t begin_generation();
  /// Whether a batch of an earlier generation has no outcome yet.
  bool outstanding_before(std::uint64_t generation) const;
  /// A record was refused for want of memory since memory was last given back.
  bool starving() const noexcept { return starving_; }
  /// When to tell those that were refused for want of memory that there is some again; nothing if nobody was,
  /// or none has been given back since. At once when a quarter is free, or nothing under way could give more;
  /// else a while after the first was refused: woken for each batch, the program and the sender would take
  /// turns.
  std::optional<io::instant> tell_of_room_at(bool nothing_under_way) const;
  void told_of_room() { refused_at_.reset(); }
  /// Batches that were begun before `before` and not taken: their time to be delivered is over.
  std::vector<batch_ptr> take_expired(io::instant before);

  bool empty() const noexcept { return batches_ == 0; }
  std::size_t buffered_bytes() const noexcept { return buffered_; }
  std::uint64_t records() const noexcept { return records_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  const std::map<std::string, std::unique_ptr<topic_queues>, std::less<>>& topics() const noexcept {
    return topics_;
  }

 private:
  bool is_sticky(const kafka::record_to_send& r) const noexcept;
  std::int32_t choose_partition(topic_queues& t, const kafka::record_to_send& r);
  std::int32_t draw_partition(const topic_queues& t);
  batch_ptr new_batch(partition_queue& q, const io::clock& time);
  void announce(partition_queue& q);

  const kafka::producer_settings settings_;
  io::random_source& random_;
  std::map<std::string, std::unique_ptr<topic_queues>, std::less<>> topics_;
  topic_queues* last_topic_ = nullptr;  // most producers write to one topic for long
  std::deque<std::pair<io::instant, std::weak_ptr<producer_batch>>> begun_;
  std::vector<partition_queue*> with_full_;
  std::vector<batch_ptr> free_;
  std::size_t buffered_ = 0;  // bytes of records without an outcome
  std::size_t batches_ = 0;   // not taken by the sender yet
  bool starving_ = false;
  std::optional<io::instant> refused_at_;  // the first since those who wait were told of room
  bool room_since_ = false;
  std::optional<error> refusal_;
  std::uint64_t generation_ = 0;
  std::map<std::uint64_t, std::size_t> outstanding_;  // batches without an outcome, by generation
  std::uint64_t records_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace penstock::client
