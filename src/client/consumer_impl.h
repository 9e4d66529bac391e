// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/consumer.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/assignors.h"
#include "client/blocking.h"
#include "client/bootstrap.h"
#include "client/cluster.h"
#include "client/fetcher.h"
#include "client/group_session.h"
#include "client/metrics.h"
#include "client/offsets.h"

namespace penstock::kafka {

/// A fetcher on a loop that the calling thread runs within poll, and perhaps a membership that has its own
/// thread.
struct consumer::impl {
  explicit impl(consumer_settings s) : settings(std::move(s)) {}
  result<> start();

  struct partition {
    std::optional<std::int64_t> position;   ///< behind what was handed out
    std::int32_t leader_epoch = -1;         ///< of the last record before it
    std::optional<std::int64_t> committed;  ///< the last position that is known to be committed
    std::optional<std::int64_t> wanted;     ///< where to start, while that has to be looked up in the group
    bool paused = false;
  };

  // Partitions.
  void take_partitions(const std::vector<start_position>& partitions);
  void drop_partitions();
  void drop_partitions(const std::vector<topic_partition>& partitions);
  void look_up_committed();
  void no_position(const std::vector<topic_partition>& of, const error& why);
  std::chrono::milliseconds patience_for_topics() const;
  void start_at(const topic_partition& tp, const offset_and_metadata& committed);
  result<std::vector<std::int64_t>> list_offsets(const std::vector<topic_partition>& partitions,
                                                 std::int64_t at);
  result<std::vector<topic_partition>> partitions_of(const std::string& topic);

  // The group.
  result<> subscribe(client::topic_selection topics, rebalance_listener listener);
  void leave_group();
  result<> handle(client::group_event event);
  void take_generation(const client::group_generation& g);
  void tell(const std::function<void(const std::vector<topic_partition>&)>& f,
            const std::vector<topic_partition>& partitions);
  client::committer committer() const;
  result<> commit(const std::vector<partition_offset>& offsets, io::instant until);
  void commit_before_revocation(const std::vector<partition_offset>& offsets);
  void finish_commits();
  std::vector<topic_partition> all_assigned() const;
  bool commits_by_itself() const { return settings.enable_auto_commit && !settings.group_id.empty(); }
  void auto_commit();
  void commit_async(const std::vector<partition_offset>& offsets, std::function<void(const result<>&)> done);
  void begin_commit();
  void committed(const std::vector<partition_offset>& offsets);
  std::vector<partition_offset> positions() const;
  std::vector<partition_offset> uncommitted() const;

  // Records: `fetched` is what the last poll brought.
  result<> poll(std::chrono::milliseconds timeout);
  result<std::vector<record>> own_records(std::size_t max_records);
  void handed_out(const topic_partition& tp, std::int64_t next_offset, std::int32_t leader_epoch);

  void close_fetch_sessions(io::instant until);

  result<> check_open() const;
  /// For calls that must not come from a rebalance callback.
  result<> check_outside(const char* call) const;
  result<> check_group() const;
  result<> not_assigned(const topic_partition& tp) const;
  io::instant deadline() const { return loop.time().now() + settings.connection.default_api_timeout; }

  const consumer_settings settings;
  io::event_loop loop;
  std::unique_ptr<client::cluster> cluster;
  std::unique_ptr<client::fetcher> fetcher;
  std::shared_ptr<void> alive = std::make_shared<char>();

  std::map<topic_partition, partition> assigned;
  std::vector<client::fetched> fetched;
  std::deque<client::fetched> leftover;  // of poll_records
  std::deque<penstock::error> errors;
  std::shared_ptr<std::optional<penstock::error>> damage = std::make_shared<std::optional<penstock::error>>();
  bool looking_up = false;

  std::unique_ptr<client::group_session> group;
  rebalance_listener listener;
  std::optional<penstock::error> group_failure;
  const bool cooperative = client::all_cooperative(client::assignors_of(settings));
  bool in_callback = false;
  /// Those of commit_async, the first of which is under way.
  struct asked_commit {
    std::vector<partition_offset> offsets;
    std::function<void(const result<>&)> done;
  };
  std::deque<asked_commit> commits;
  /// Outcomes of commit_async, told by the next poll or commit: never from within the loop, where the
  /// application could not call the consumer.
  std::deque<std::pair<std::function<void(const result<>&)>, result<>>> finished_commits;
  io::instant next_auto_commit{};

  client::consumer_metrics measured;
  std::optional<io::instant> rebalance_begun;
  client::regular_metrics regularly;
  metric_list metrics() const;
  void measure_poll();
  void measure_batches(std::size_t from);
  void measure_group(client::group_event::kind what);

  std::atomic<bool> woken = false;
  bool closed = false;
};

}  // namespace penstock::kafka
