// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/producer.h>
#include <penstock/kafka/settings.h>
#include <penstock/result.h>

#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_function.h"
#include "client/accumulator.h"
#include "client/backoff.h"
#include "client/cluster.h"
#include "client/coordinator.h"
#include "wire/messages/add_offsets_to_txn.h"
#include "wire/messages/add_partitions_to_txn.h"
#include "wire/messages/end_txn.h"
#include "wire/messages/init_producer_id.h"
#include "wire/messages/txn_offset_commit.h"

namespace penstock::client {

class sender;

/// The transactions of one producer: who it is (producer id and epoch), which partitions take part, offsets,
/// and how each one ended. kafka::producer documents the calls.
///
/// Two protocols. Where transaction.version 2 is finalized (KIP-890), produce requests and offset commits
/// register by themselves and every EndTxn gives the next transaction an epoch of its own. Elsewhere
/// partitions and groups are registered first, and the epoch stays; a request that was left without an answer
/// could then come late and touch, or decide, the next transaction, so that the epoch is raised
/// (InitProducerId) before that one begins.
///
/// A commit whose answer is lost is asked for again until there is one: the coordinator answers a repetition
/// as it did the first. An error that is fatal never says what became of the transaction: `unknown`.
///
/// Threads: the cluster's loop; `guard`, if given, is held around every use of the accumulator.
class transactions {
 public:
  using done_function = unique_function<void(result<>)>;

  transactions(cluster& c, sender& s, accumulator& a, const kafka::producer_settings& settings,
               std::mutex* guard);

  /// `done` is called on the loop, once: with the outcome, or at the deadline with a retriable
  /// errc::timeout, while the operation goes on: the same call waits for it again. Mistakes are answered
  /// within the call.
  void init(io::instant deadline, done_function done);
  void resume(kafka::producer_identity identity, io::instant deadline, done_function done);
  result<> begin();
  void send_offsets(std::vector<kafka::partition_offset> offsets, kafka::group_metadata group,
                    io::instant deadline, done_function done);
  void commit(io::instant deadline, done_function done);
  void abort(io::instant deadline, done_function done);
  kafka::transaction_status status() const;

  // For the sender.

  /// Whether batches of the open transaction may go out now.
  bool may_send() const noexcept;
  /// Whether a batch is of that transaction; others wait for theirs.
  bool belongs(const producer_batch& b) const noexcept { return b.generation < send_below_; }
  /// Whether batches of a partition may be sent now. If not they may be later: after register_partitions(),
  /// or when its turn has come to join the transaction.
  bool takes_part(partition_queue& q);
  /// A request with the first batch of a partition was sent; it came back.
  void joining();
  void joined();
  void register_partitions();
  /// A batch failed for good; returns the error as its sender should see it.
  error batch_failed(const producer_batch& b, const error& why);
  /// A produce request ended without an answer.
  void left_unanswered() noexcept { raise_epoch_ = true; }
  /// Why nothing more is to be sent and everything waiting is to be given up; else nullptr.
  const error* doom() const noexcept;
  kafka::producer_identity identity() const noexcept { return identity_; }
  /// Whether brokers register partitions by themselves: transaction.version 2.
  bool implicit() const noexcept { return version_ >= 2; }
  const std::string& id() const noexcept { return settings_.transactional_id; }
  /// Looks whether what an end waits for is over.
  void advance();

 private:
  using state = kafka::transaction_state;
  /// Somebody who waits for an operation.
  struct caller {
    explicit caller(io::event_loop& loop) : timer(loop) {}
    done_function done;
    io::timer timer;
  };
  using callers = std::vector<std::shared_ptr<caller>>;
  /// A request that is repeated until it has an answer.
  struct persistent {
    persistent(io::event_loop& loop, const kafka::connection_settings& s)
        : timer(loop), wait(s.retry_backoff, s.retry_backoff_max) {}
    bool in_flight = false;
    io::timer timer;
    backoff wait;
    backoff short_wait{std::chrono::milliseconds(1), std::chrono::milliseconds(20)};
  };
  struct offsets_commit {
    std::uint64_t number = 0;
    std::vector<kafka::partition_offset> offsets;
    kafka::group_metadata group;
    bool group_added = false;
    callers waiting;
  };

  // transactions.cc: the state machine
  void wait_for(callers& list, io::instant deadline, const char* what, done_function done);
  void tell(callers& list, const result<>& outcome);
  result<> usable() const;
  error misuse(std::string message) const;
  void activate();
  void start_end(bool commit, std::uint64_t generation);
  void decide();
  void finish(kafka::transaction_outcome outcome);
  void doom_with(const error& why);
  void fatal(const error& why);
  void refuse(std::optional<error> why);
  bool is_running() const noexcept;
  bool settled() const;
  bool outstanding() const;  ///< batches of the transaction have not come back
  std::unique_lock<std::mutex> hold() const;
  std::string name() const { return "transactional id '" + settings_.transactional_id + "'"; }
  void kick();

  // transaction_requests.cc: what is sent to the coordinator
  template <typename F>
  void retry(persistent& p, wire::error_code code, F f);
  void again_soon(persistent& p) { p.wait.reset(), p.short_wait.reset(); }
  void raise_epoch();
  void send_init();
  void init_answered(result<wire::init_producer_id_response> response);
  void send_resume();
  void registered(std::vector<partition_queue*> asked, std::uint64_t number,
                  result<wire::add_partitions_to_txn_response> response, bool sent);
  wire::error_code take_registrations(const std::vector<partition_queue*>& asked,
                                      const wire::add_partitions_to_txn_response& response);
  void send_end();
  void end_answered(result<wire::end_txn_response> response, bool sent);
  void note_version();
  void await_markers();
  void ask_for_markers();
  void markers_written();

  // transaction_offsets.cc
  void pump_offsets();
  void add_group(const std::shared_ptr<offsets_commit>& op);
  void commit_offsets(const std::shared_ptr<offsets_commit>& op);
  void offsets_answered(const std::shared_ptr<offsets_commit>& op,
                        result<wire::txn_offset_commit_response> response);
  bool offsets_over(const std::shared_ptr<offsets_commit>& op);
  void offsets_done(const std::shared_ptr<offsets_commit>& op, const result<>& outcome);
  void offsets_failed(const std::shared_ptr<offsets_commit>& op, wire::error_code code,
                      std::string_view context);
  void drop_offsets(const error& why);

  cluster& cluster_;
  sender& sender_;
  accumulator& accumulator_;
  const kafka::producer_settings settings_;
  std::mutex* guard_;
  known_coordinator coordinator_;
  std::optional<known_coordinator> group_coordinator_;

  state state_ = state::uninitialized;
  kafka::transaction_outcome last_ = kafka::transaction_outcome::none;
  kafka::producer_identity identity_;
  int version_ = 0;
  std::optional<error> error_;
  std::uint64_t number_ = 0;          ///< of the transaction that is open, or was
  std::uint64_t send_below_ = 0;      ///< generations of batches that belong to it
  std::uint64_t end_generation_ = 0;  ///< while it ends: the first that does not
  bool touched_ = false;              ///< a broker may know of the transaction
  bool resumed_ = false;              ///< another process wrote it
  bool deciding_ = false;             ///< EndTxn is on its way: no way back
  bool commit_asked_ = false;         ///< EndTxn(commit) was sent in this transaction
  bool raise_epoch_ = false;          ///< something of this epoch may still reach a broker
  bool initializing_ = false;         ///< InitProducerId is on its way
  bool next_begun_ = false;           ///< begin() was called while this one commits
  bool marking_ = false;              ///< the end before may not be written to its partitions yet
  std::optional<error> next_failure_;
  bool unclaimed_ = false;  ///< the caller of commit or abort was told that time is up, and did not ask again

  callers initializers_, enders_;
  persistent control_, registration_, offsets_call_, markers_;
  io::instant marked_at_latest_{};
  std::vector<partition_queue*> wanted_;  ///< to be registered
  std::deque<std::shared_ptr<offsets_commit>> offsets_;
  int joining_ = 0;      ///< requests with first batches that are under way
  bool joined_ = false;  ///< one of this transaction has come back
};

}  // namespace penstock::client
