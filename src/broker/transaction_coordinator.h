// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_function.h"
#include "broker/group_records.h"
#include "broker/transaction.h"
#include "io/clock.h"
#include "wire/error_code.h"

namespace penstock::broker {

/// What the end of a transaction writes to its partitions.
struct transaction_end {
  producer_identity producer;  ///< with the marker's epoch
  bool commit = false;
  transaction_version version = transaction_version::plain;
  partition_sets partitions;
  bool again = false;  ///< after a restart: markers that are there already need not be written
};

/// What the coordinator needs of the broker.
class transaction_backing {
 public:
  virtual ~transaction_backing() = default;
  virtual result<std::int64_t> next_producer_id() = 0;

  enum class durability : std::uint8_t {
    written,       ///< `done` is called inside of the call
    acknowledged,  ///< `done` is called when the record is as durable as an acknowledged record is
    decision,      ///< the same, and the records of `partitions` are as durable before it
  };
  /// Writes what is known of one id. Calls are written in their order.
  virtual void write(const std::string& id, state_record record, durability wanted,
                     const partition_sets& partitions, unique_function<void(wire::error_code)> done) = 0;
  /// Writes the markers, and has the group coordinator apply what was committed with them; `done` when they
  /// are as durable as acknowledged records. Partitions that are gone are left out. May be repeated.
  virtual void write_markers(transaction_end end, unique_function<void(wire::error_code)> done) = 0;
};

struct transaction_settings {
  std::chrono::milliseconds max_timeout{900'000};
  std::chrono::milliseconds expiration{std::chrono::hours(24 * 7)};
  std::chrono::milliseconds retry_markers{500};
};

/// The coordinator of all transactions (KAFKA.md 3.6): a state machine without threads, sockets or timers of
/// its own. Time is what `time` says; `tick` must be called when `next_deadline` is reached.
///
/// Each change of a state is in the journal before it takes effect; a decision is there before the first
/// marker. Errors of requests are Kafka's for new clients: handlers translate them for old ones. Callbacks
/// may run inside of the call, and never run if the coordinator is destroyed first. One thread.
class transaction_coordinator {
 public:
  struct answer {
    wire::error_code error = wire::error_code::none;
    producer_identity producer;
  };
  struct entry {
    transaction now;
    bool writing = false;  ///< the next state is on its way to the journal
    io::instant deadline{};
    unique_function<void(answer)> on_ended;  ///< waits for markers that could not be written yet
  };
  using entries = std::map<std::string, entry, std::less<>>;

  transaction_coordinator(transaction_settings settings, transaction_backing& backing, const io::clock& time)
      : settings_(settings), backing_(backing), time_(time) {}

  /// InitProducerId. Ends a transaction that is open; `current` is set when the producer says who it is so
  /// far, and wants to go on.
  void init(const std::string& id, std::chrono::milliseconds timeout,
            std::optional<producer_identity> current, unique_function<void(answer)> done);
  /// AddPartitionsToTxn and what stands for it: all of them or none. Without `wanted` nothing is begun.
  wire::error_code add(const std::string& id, producer_identity producer, const partition_sets& wanted,
                       transaction_version version);
  /// Whether a producer may write to a partition now; transaction_abortable when the partition was not added.
  wire::error_code verify(std::string_view id, producer_identity producer, std::string_view topic,
                          std::int32_t partition) const;
  /// EndTxn. The answer names the producer of the next transaction.
  void end(const std::string& id, producer_identity producer, bool commit, transaction_version version,
           unique_function<void(answer)> done);

  const transaction* find(std::string_view id) const;
  const entries& all() const noexcept { return entries_; }

  /// Takes back one record of the journal, oldest first; errc::corrupt when it cannot be read.
  result<> restore(std::string_view key, std::optional<std::string_view> value);
  /// A partition that has records of an open transaction: once a partition, after everything was restored and
  /// before recover(). Nothing when the transaction is known and its end will be written there; otherwise the
  /// marker that is missing.
  std::optional<transaction_end> reconcile(producer_identity producer, const std::string& topic,
                                           std::int32_t partition);
  /// Once, then: writes the markers of what was decided. After a crash it aborts and fences what was not.
  void recover(bool crashed);

  /// Forgets ids that were not used for long. Call it every few minutes.
  void expire();
  /// When `tick` has something to do; nothing when no timer runs. It may be early, never late.
  std::optional<io::instant> next_deadline() const;
  void tick();

 private:
  /// Who gave a transaction its new epoch.
  enum class ending : std::uint8_t { plain, raised, fenced };

  entry* find_entry(std::string_view id);
  void raise_epoch(entry& e, std::chrono::milliseconds timeout, std::optional<std::int16_t> asked,
                   unique_function<void(answer)> done);
  void change(entry& e, transaction next, transaction_backing::durability d,
              unique_function<void(wire::error_code)> done);
  void decide(entry& e, bool commit, ending how, unique_function<void(answer)> done);
  void write_markers(entry& e, bool again, unique_function<void(answer)> done);
  void complete(entry& e, unique_function<void(answer)> done);
  wire::error_code check_plain_end(const entry& e, producer_identity producer, bool commit) const;
  wire::error_code check_raised_end(const entry& e, producer_identity producer, bool commit,
                                    bool& decided_before) const;

  transaction_settings settings_;
  transaction_backing& backing_;
  const io::clock& time_;
  entries entries_;
};

}  // namespace penstock::broker
