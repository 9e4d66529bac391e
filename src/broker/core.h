// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "broker/configs.h"
#include "broker/connection.h"
#include "broker/fetch_wait.h"
#include "broker/group_coordinator.h"
#include "broker/hooks.h"
#include "broker/input_buffer.h"
#include "broker/metadata_file.h"
#include "broker/offsets_journal.h"
#include "broker/server.h"
#include "broker/syncer.h"
#include "broker/topics.h"
#include "broker/transaction_coordinator.h"
#include "broker/transaction_store.h"
#include "broker/worker.h"
#include "io/event_loop.h"
#include "wire/error_code.h"
#include "wire/scratch_buffer.h"

namespace penstock::broker {

/// Everything that the handlers work on. It belongs to the server's thread.
class broker_core {
 public:
  broker_core(server_options o, environment e);
  ~broker_core();

  server_options options;
  environment env;
  block_pool blocks;  // before the loop, whose handlers may hold connections until it goes
  io::event_loop loop;
  broker_metadata metadata;
  configs settings;
  topic_catalog topics;
  syncer syncs;
  offsets_journal journal;
  group_coordinator groups;
  transaction_store transaction_log;
  transaction_coordinator transactions;
  request_hooks hooks;
  io::endpoint listening;
  io::endpoint advertised;
  wire::scratch_buffer scratch;  ///< for one handler at a time
  wire::scratch_buffer rewritten;

  // Start and stop; called by server.cc.
  result<> open();
  result<> listen();
  /// Ends all that waits, syncs, closes the logs; `done` gets the outcome. Once.
  void shut_down(unique_function<void(result<>)> done);

  // Records

  /// What a reader may see of a partition: with flush_policy::each only what is on the disk.
  std::int64_t visible_end(const log::partition_log& log) const;
  std::int64_t stable_end(const log::partition_log& log) const;
  /// After an append of `bytes`: wakes fetches, or has the flush thread do so.
  void appended(partition& p, std::uint64_t bytes, bool flush_soon);
  /// Whether an answer must wait for a sync.
  bool answers_after_sync() const noexcept { return options.flush == flush_policy::each; }
  /// Whether the end of a transaction, and all that it wrote, is synced before its first marker is written,
  /// and the markers before it counts as complete (docs/decisions/0008).
  bool decides_after_sync() const noexcept { return options.flush != flush_policy::none; }
  std::int32_t leader_epoch() const noexcept { return metadata.leader_epoch; }
  /// none, fenced_leader_epoch or unknown_leader_epoch; -1 is not checked.
  wire::error_code check_leader_epoch(std::int32_t epoch) const noexcept;
  /// What a failure of the log means for a client; an I/O error stops the broker (E19).
  wire::error_code storage_error(const error& e);

  // Topics

  /// Makes topics that are not there yet, all or none. The names have been checked.
  wire::error_code create_topics(const std::vector<new_topic>& wanted);
  /// `done` when the name is free again.
  void remove_topic(topic& t, unique_function<void(wire::error_code)> done);
  /// A new producer id, never given out before; durable.
  result<std::int64_t> next_producer_id();

  // Groups

  /// To be called after anything that may have changed the coordinator's timers.
  void arm_group_timer();
  /// To be called after anything that may have begun or ended a transaction.
  void arm_transaction_timer();

  // Connections

  void connection_closed(connection& c);
  /// A failure after which nothing may be acknowledged: the broker stops.
  void fail_stop(const error& why);
  const std::optional<error>& failure() const noexcept { return failure_; }
  unique_function<void()> on_stopped_by_failure;

 private:
  void accept(std::unique_ptr<io::stream> s);
  void upkeep();
  void arm_upkeep();
  void close_connections();
  void drain_connections(io::instant deadline, unique_function<void()> done);
  result<> close_logs();

  std::unique_ptr<io::file_lock> lock_;
  std::unique_ptr<io::listener> listener_;
  std::set<std::shared_ptr<connection>> connections_;
  io::timer group_timer_;
  io::timer transaction_timer_;
  io::timer upkeep_timer_;
  io::timer drain_timer_;
  io::instant next_offset_expiry_{};
  io::instant next_storage_warning_{};
  std::int64_t producer_ids_left_ = 0;
  std::int64_t next_producer_ = 0;
  bool upkeep_running_ = false;
  bool stopping_ = false;
  std::optional<error> failure_;
  worker upkeep_worker_;  // last: its thread ends before the rest goes
};

}  // namespace penstock::broker
