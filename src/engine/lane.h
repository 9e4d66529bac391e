// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/graph.h>
#include <penstock/detail/op.h>
#include <penstock/lane.h>
#include <penstock/sink.h>
#include <penstock/transactions.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/coordinator.h"
#include "engine/exchange.h"
#include "engine/restoration.h"
#include "engine/source_task.h"
#include "engine/table_task.h"
#include "io/clock.h"

namespace penstock::engine {

/// A source of the job with its splits, as all lanes share it.
struct job_source {
  std::unique_ptr<source_connector> connector;
  std::vector<split> splits;
  watermark_options watermarks;
  restored_time restored;
  bool is_table = false;
  std::size_t stream_number = 0;  ///< among the sources of streams, as the coordinator counts them
  /// By lane: where it says how far it is, if it is aligned with others (S8).
  std::vector<std::atomic<std::int64_t>*> places{};
};

/// What every lane is made from. Constant while the job runs, but for the channels, which have their own
/// rules.
struct job_plan {
  const detail::graph* graph = nullptr;
  job_info info;
  std::vector<job_source> sources;                     ///< as graph->sources
  std::vector<std::unique_ptr<sink_connector>> sinks;  ///< by node; null where there is none
  std::unique_ptr<sink_connector> dead_letters;        ///< null where there is none
  std::map<std::string, alignment_group> alignment;    ///< complete before the lanes run
  /// In a job that is exactly once: its epochs, and the nodes whose state they keep.
  std::unique_ptr<epoch_transactions> transactions;
  std::vector<std::uint32_t> kept_nodes;
  std::unique_ptr<restoration> restored;  ///< with transactions
  /// By node, where its outlet is partitioned and there are several lanes: channel from * lanes + to.
  std::vector<std::vector<std::unique_ptr<exchange_channel>>> channels;
};

/// One lane: its own instance of every operator, run by one thread, step by step.
class lane final : private detail::services {
 public:
  lane(job_plan& plan, coordinator& epochs, lane_context context);
  ~lane();

  /// Makes and connects the operators, opens readers and writers, restores state. On the lane's thread,
  /// before the first step.
  result<> open();
  /// One round over everything that may have work. False when there was none. Errors go to the coordinator.
  bool step(io::instant now);

  /// For tests: event time of all sources is at least this.
  void advance_watermark(std::int64_t to) {
    for (auto& s : sources_) s->advance_watermark(to);
  }

  /// For tests: what the user's function of a node keeps; null where there is none.
  detail::state_rows* inspect(std::uint32_t node) {
    return operators_[node] == nullptr ? nullptr : operators_[node]->inspect();
  }

  /// When the next timer of processing time is due, by the wall clock; max_watermark: none is set.
  std::int64_t next_timer_ms() const noexcept { return next_wake_; }

  /// From any thread, once open() has returned (0 and null before).
  std::uint64_t records_read(std::size_t stream_number) const;
  const detail::op_counters* counters(std::uint32_t node) const;

 private:
  const lane_context& context() const noexcept override { return context_; }
  void fail(error e) override { epochs_.fail(std::move(e)); }
  bool failed() const noexcept override { return epochs_.failed(); }
  void acknowledge(std::uint64_t epoch, std::uint64_t oldest_live) override;
  result<std::unique_ptr<source_reader>> open_reader(std::uint32_t node) override;
  result<std::unique_ptr<sink_writer>> open_writer(std::uint32_t node) override;
  void* table(std::uint32_t node) override;
  void save(detail::durable_state& state) override;
  std::int64_t processing_time() const noexcept override { return wall_ms_; }
  void wake_at(detail::op& who, std::int64_t ms) override;
  void dead_letter(const detail::record_origin& origin, const std::string& name, const char* step,
                   const std::string& cause, std::uint64_t epoch) override;

  bool owns(std::size_t split) const noexcept { return split % plan_.info.lanes == context_.lane; }
  bool passes(const char* step);  // a failpoint; false when it failed the job
  result<> restore_state();
  result<> restore_operator(std::size_t index);
  void all_acknowledged(std::uint64_t epoch);
  void seal_state(std::uint64_t epoch);
  void write_letter(std::span<const record_header> headers, const outgoing& about);
  void make_operators();
  void connect_operators();
  void leave_out_what_nobody_reads();
  void connect_exchange(std::uint32_t node);
  result<> make_drivers();
  result<> make_source(std::uint32_t node);
  result<> make_table(std::uint32_t node);
  void let_barrier_in(std::uint64_t epoch);
  void begin_commit(std::uint64_t epoch);
  void commit_part_done(result<> r);
  bool step_tables(io::instant now);
  bool step_drivers(io::instant now);
  bool step_timers();

  job_plan& plan_;
  coordinator& epochs_;
  lane_context context_;
  std::vector<std::unique_ptr<detail::op>> operators_;     // by node; null for a table
  std::vector<std::unique_ptr<detail::table_op>> tables_;  // by node; null for the others
  std::vector<std::unique_ptr<detail::relay_op>> relays_;  // by node; null without an exchange
  std::vector<std::unique_ptr<receiver>> receivers_;
  std::vector<std::unique_ptr<source_task>> sources_;  // by stream number
  std::vector<std::unique_ptr<table_task>> table_tasks_;
  std::vector<exchange_channel*> outgoing_;
  struct wake {
    detail::op* who;
    std::int64_t at_ms;
  };
  /// A dead letter of an epoch that begins when the open one has ended.
  struct early_letter {
    std::optional<std::string> key, value;
    std::int64_t timestamp_ms;
    std::vector<std::pair<std::string, std::optional<std::string>>> headers;
  };
  std::unique_ptr<lane_transactions> kept_;     // null unless exactly once
  std::vector<detail::durable_state*> states_;  // as plan_.kept_nodes
  std::unique_ptr<sink_writer> dead_letters_;
  std::vector<early_letter> early_letters_;
  std::uint64_t letters_epoch_ = 1;  // the one that dead_letters_ is given
  std::vector<wake> wakes_;          // few: an operator each
  std::int64_t next_wake_ = max_watermark;
  std::int64_t wall_ms_ = 0;
  std::vector<coordinator::source_plan> last_commit_;  // by stream number
  std::atomic<bool> opened_{false};
  bool tables_loaded_ = false;
  bool end_told_ = false;
  std::uint64_t barrier_sent_ = 0;
  std::uint64_t commit_begun_ = 0;
  std::size_t acknowledgements_due_ = 0;  // of the open epoch
  std::size_t commits_due_ = 0;
  lane_report report_;
};

}  // namespace penstock::engine
