// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/metrics.h>
#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>
#include <penstock/record_view.h>
#include <penstock/result.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

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

/// What became of records. Of a transaction's records it says whether they are in the log; whether they are
/// visible to read_committed consumers is decided by its end.
enum class persistence : std::uint8_t {
  persisted,  ///< acknowledged: they are in the log
  not_sent,   ///< certainly not in the log
  possibly,   ///< the connection or the time ran out after they were sent
};

/// Where a transactional producer is.
enum class transaction_state : std::uint8_t {
  not_transactional,  ///< no transactional.id is set
  uninitialized,      ///< init_transactions (or resume_transaction) comes first
  ready,              ///< no transaction is open
  open,               ///< between begin_transaction and its end
  committing,         ///< commit_transaction was called; its outcome is not known yet
  aborting,           ///< abort_transaction was called
  must_abort,         ///< something of the transaction failed; abort_transaction is what remains
  failed,             ///< fatal: this producer is good for nothing any more
};
/// The stable lower-case name, for example "must_abort".
std::string_view to_string(transaction_state s) noexcept;

/// What became of the transaction that was open last.
enum class transaction_outcome : std::uint8_t {
  none,       ///< none has ended yet, or one is open
  committed,  ///< the broker has decided so: all of it is, or is about to be, visible to read_committed
  aborted,    ///< the broker has decided so, or nothing of it ever reached a broker
  /// It cannot be told (yet). While `committing`, another commit_transaction may tell. After a fatal error a
  /// new producer with the same transactional id settles it, either way: after its init_transactions the
  /// group's committed offset says whether the transaction counts.
  unknown,
};

std::string_view to_string(transaction_outcome o) noexcept;

/// A transactional producer's state, for decisions and for logs.
struct transaction_status {
  transaction_state state = transaction_state::not_transactional;
  transaction_outcome last = transaction_outcome::none;
  /// Of the open transaction, or of the next one. Valid from init_transactions on.
  producer_identity identity{};
  /// 2 where the brokers have transaction.version 2 finalized (KIP-890: every transaction has an epoch of its
  /// own), 1 where not, 0 while it is not known.
  int version = 0;
  std::optional<penstock::error> failure{};  ///< why it must be aborted, or what was fatal
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
  /// flush, then ends. Records whose outcome is not known by then fail with errc::cancelled. An open
  /// transaction is aborted.
  result<> close(std::chrono::milliseconds timeout);

  // Transactions, with producer_settings::transactional_id set. What was sent and acknowledged within one is
  // visible to read_committed consumers all together, or never. One thread at a time calls these functions.
  // Their errors say what to do (error::what_to_do):
  //   retriable          the deadline passed; the same call goes on where this one stopped waiting
  //   abort_transaction  the transaction is not committed: abort_transaction, then begin another
  //   fatal              this producer is at its end: close it and make another; if a commit was under way,
  //                      its outcome is unknown until that one has initialized (transaction_outcome)
  //
  //     producer->init_transactions(30s);
  //     producer->begin_transaction();
  //     producer->send({.topic = "orders", .value = v});
  //     producer->send_offsets(positions, consumer.group_membership(), 30s);
  //     if (auto done = producer->commit_transaction(30s); !done) ...

  /// Takes over the transactional id: producers that had it are fenced, a transaction that one of them left
  /// open is aborted and one it was committing is committed, before this returns. Once a producer.
  result<> init_transactions(std::chrono::milliseconds timeout);
  /// Instead of init_transactions: takes up a transaction that another process wrote (all of it acknowledged)
  /// and did not end, known by the identity that process had in transaction(). It can be committed or
  /// aborted, not added to; afterwards this producer begins its own ones. Committing again what is committed
  /// already succeeds, as long as no later transaction was begun with the transactional id.
  result<> resume_transaction(producer_identity identity, std::chrono::milliseconds timeout);
  /// From here records belong to a new transaction. May be called while commit_transaction still waits for
  /// the broker (it timed out, or another thread is in it): the records are kept until that is known, and
  /// dropped if that transaction is not committed.
  result<> begin_transaction();
  /// Makes offsets part of the transaction: they are committed for the group if, and only if, it is.
  /// Brokers before 2.5 cannot check the member: give them the group's name alone (errc::unsupported
  /// otherwise).
  result<> send_offsets(std::vector<partition_offset> offsets, group_metadata group,
                        std::chrono::milliseconds timeout);
  /// Waits for everything sent, then commits. Success: committed, once and for all.
  result<> commit_transaction(std::chrono::milliseconds timeout);
  /// Drops what is not sent yet and has the broker abort. Success: nothing of the transaction will ever be
  /// seen by read_committed consumers.
  result<> abort_transaction(std::chrono::milliseconds timeout);
  transaction_status transaction() const;

  /// Records and bytes taken, acknowledged and failed so far.
  struct counters {
    std::uint64_t records = 0, acknowledged = 0, failed = 0, bytes = 0, batches = 0, requests = 0,
                  retries = 0;
  };
  counters statistics() const;
  /// Everything that is counted and measured, at this moment. From any thread; not to be called in a loop,
  /// for it waits for the background thread.
  metric_list metrics() const;
  /// Partitions of a topic; waits for metadata up to max_block.
  result<std::int32_t> partitions_of(std::string_view topic);

  struct impl;

 private:
  explicit producer(std::unique_ptr<impl> p);
  void leave_transaction(std::chrono::milliseconds timeout);
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock::kafka
