// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>
#include <penstock/record_view.h>
#include <penstock/result.h>

#include <chrono>
#include <functional>
#include <memory>
#include <span>

namespace penstock::kafka {

/// Lets the partitioner choose: by the key's hash as Kafka's Java client does, or, without a key, one
/// partition for a batch and another for the next (sticky).
inline constexpr std::int32_t any_partition = -1;
/// The time of the call.
inline constexpr std::int64_t now_ms = -1;

/// A record to send. Everything is borrowed for the call only. A key or value whose data() is nullptr (the
/// default) is null; a null value is a tombstone.
struct record_to_send {
  std::string_view topic;
  std::string_view key{};
  std::string_view value{};
  std::int32_t partition = any_partition;
  std::int64_t timestamp_ms = now_ms;
  std::span<const record_header> headers{};
};

/// What became of records.
enum class persistence : std::uint8_t {
  persisted,  ///< acknowledged: they are in the log
  not_sent,   ///< certainly not in the log
  possibly,   ///< the connection or the time ran out after they were sent
};

/// The outcome of one batch (or, for a record's own callback, of that record: then `records` is 1).
struct delivery {
  std::string_view topic;
  std::int32_t partition = 0;
  std::int64_t first_offset = no_offset;  ///< no_offset when it failed, or with acks none
  std::int32_t records = 0;               ///< they have consecutive offsets
  std::int64_t timestamp_ms = -1;         ///< the broker's, for topics with log append time; else -1
  persistence outcome = persistence::persisted;
  const penstock::error* failure = nullptr;  ///< set unless persisted
};
using delivery_callback = std::function<void(const delivery&)>;

/// Sends records to Kafka: batched by partition, compressed, retried without reordering or duplicates.
///
/// Ownership: the handle owns a background thread with the connections; moving it is cheap. The destructor
/// sends what is buffered for at most `delivery_timeout`, as close() does. Threads: send, flush and close may
/// be called from any thread. Callbacks run on the background thread, must not block and must not call flush
/// or close. Back-pressure: no record is ever dropped silently. send waits (max_block) while buffer_memory is
/// used up, then answers errc::exhausted; try_send answers at once.
///
///     auto producer = kafka::producer::create({.bootstrap_servers = "localhost:9092"});
///     producer->send({.topic = "orders", .key = id, .value = json});
///     producer->flush(10s);
class producer {
 public:
  /// Checks the settings and starts; does not wait for a broker.
  static result<producer> create(producer_settings settings);
  producer(producer&&) noexcept;
  producer& operator=(producer&&) noexcept;
  ~producer();

  /// Called with the outcome of every batch. Set it before the first send.
  void on_delivery(delivery_callback f);

  /// Puts one record into its partition's batch. An error means that it was not taken.
  result<> send(const record_to_send& r);
  /// The same, and calls `f` with the outcome of this record.
  result<> send(const record_to_send& r, delivery_callback f);
  /// Many records in one go, which is cheaper a record; returns how many were taken (all, unless there was an
  /// error behind the first of them).
  result<std::size_t> send(std::span<const record_to_send> records);
  /// Like send, but false instead of waiting for memory or metadata.
  result<bool> try_send(const record_to_send& r);

  /// Sends what is buffered now and waits for its outcome. errc::timeout, or the first failure of a batch
  /// since the last flush.
  result<> flush(std::chrono::milliseconds timeout);
  /// flush, then ends. Records whose outcome is not known by then fail with errc::cancelled.
  result<> close(std::chrono::milliseconds timeout);

  /// Records and bytes taken, acknowledged and failed so far.
  struct counters {
    std::uint64_t records = 0, acknowledged = 0, failed = 0, bytes = 0, batches = 0, requests = 0,
                  retries = 0;
  };
  counters statistics() const;
  /// Partitions of a topic; waits for metadata up to max_block.
  result<std::int32_t> partitions_of(std::string_view topic);

  struct impl;

 private:
  explicit producer(std::unique_ptr<impl> p);
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock::kafka
