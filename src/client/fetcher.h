// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/shared_buffer.h"
#include "base/unique_function.h"
#include "client/cluster.h"
#include "client/fetch_session.h"
#include "wire/messages/fetch.h"
#include "wire/messages/offset_for_leader_epoch.h"
#include "wire/record_cursor.h"
#include "wire/records_reader.h"
#include "wire/scratch_buffer.h"

namespace penstock::client {

struct fetcher_settings {
  kafka::isolation_level isolation = kafka::isolation_level::read_uncommitted;
  std::int32_t min_bytes = 1;
  std::int32_t max_bytes = 50 << 20;
  std::int32_t partition_max_bytes = 1 << 20;
  std::chrono::milliseconds max_wait{500};
  std::size_t max_buffered_bytes = 64u << 20;  ///< fetched and not yet polled; no fetch is sent above it
  bool check_crcs = true;
  /// For a position that does not exist any more. `none` makes it an error of poll (what an engine wants).
  kafka::offset_reset reset = kafka::offset_reset::none;
  std::string rack{};  ///< where this client is; brokers may then send it to a replica nearby (KIP-392)
  std::size_t max_decompressed = wire::default_max_decompressed;  ///< of one batch
  /// A topic that the brokers do not know is an error after this long; before, it may still be on its way.
  std::chrono::milliseconds unknown_topic_after{5'000};
};

/// What keeps the bytes of a batch alive: the fetch's buffer, or what the batch was decompressed into.
struct batch_memory {
  base::shared_buffer frame;
  std::shared_ptr<const wire::scratch_buffer> plain;
};

/// One record batch of one partition, ready to be walked. Records below the position asked for are skipped
/// already.
struct fetched {
  std::shared_ptr<const kafka::topic_partition> partition;
  std::int64_t tag = 0;  ///< what assign() was given
  wire::batch_header header;
  wire::record_cursor
      records;  ///< empty for control batches and aborted transactions: only the position moves
  std::int64_t first_offset = 0;
  std::int64_t next_offset = 0;  ///< the position after it
  std::int64_t high_watermark = 0;
  std::size_t bytes = 0;  ///< of the batch as it came
  batch_memory memory;
};

/// Reads partitions: one outstanding long-poll fetch a broker, sent as soon as the last answer is in; answers
/// are read straight into reference-counted buffers and their batches are handed out as borrowed views.
///
/// Lane-driven: everything happens on the cluster's loop; `poll` never waits.
///
///     fetcher f(cluster, settings);
///     f.assign({"orders", 0}, offset, tag);
///     f.on_ready([&] { lane.schedule(task); });
///     std::vector<fetched> out;
///     auto taken = f.poll(out, 4 << 20);   // result<std::size_t>: an error names its partition, the others
///     go on
class fetcher {
 public:
  fetcher(cluster& c, fetcher_settings settings);
  ~fetcher();
  fetcher(const fetcher&) = delete;
  fetcher& operator=(const fetcher&) = delete;

  /// Begins reading at `offset` (or kafka::earliest_offset, kafka::latest_offset: looked up first). Assigning
  /// again moves the position. `leader_epoch`: of the record before the offset, if it is known; the leader is
  /// then asked whether that record is still there (KIP-320).
  void assign(const kafka::topic_partition& tp, std::int64_t offset, std::int64_t tag = 0,
              std::int32_t leader_epoch = -1);
  /// Begins at the first record of this time (milliseconds since 1970) or later, or at the end.
  void assign_at_time(const kafka::topic_partition& tp, std::int64_t timestamp_ms, std::int64_t tag = 0);
  void remove(const kafka::topic_partition& tp);
  /// Forgets what was fetched and goes on at `offset`; clears an error of the partition.
  void seek(const kafka::topic_partition& tp, std::int64_t offset);
  void pause(const kafka::topic_partition& tp);
  void resume(const kafka::topic_partition& tp);

  /// Hands out batches of about `max_bytes` in total (at least one if there is one): appends them to `out`
  /// and returns how many. Errors, once each: errc::data_loss (with reset none: offset out of range, log cut
  /// back behind the position, topic made anew),
  /// errc::corrupt (checksum), errc::not_found, errc::kafka; the partition then stands still until it is
  /// sought or assigned anew.
  result<std::size_t> poll(std::vector<fetched>& out, std::size_t max_bytes);
  /// Whether poll has something (a batch or an error).
  bool ready() const noexcept;
  /// Called on the loop when poll has something after it had nothing.
  void on_ready(unique_function<void()> f) { on_ready_ = std::move(f); }

  /// The offset of the next record that poll will hand out; nothing while it is being looked up.
  std::optional<std::int64_t> position(const kafka::topic_partition& tp) const;
  /// The partition's end as of its last answer; nothing before the first.
  std::optional<std::int64_t> high_watermark(const kafka::topic_partition& tp) const;
  std::size_t buffered_bytes() const noexcept { return buffered_; }
  std::vector<kafka::topic_partition> assignment() const;

  /// Before the end: lets the brokers forget what they keep for this reader. `done` when they have answered.
  void close_sessions(unique_function<void()> done);

 private:
  struct partition;
  struct place;
  struct section;
  struct request;
  using partition_ptr = std::shared_ptr<partition>;

  void kick();
  void run();
  partition_ptr find_or_add(const kafka::topic_partition& tp, std::int64_t tag);
  void look_up_offsets();
  void offsets_arrived(const request& asked, std::vector<result<std::int64_t>> offsets);
  void send_fetches();
  bool may_fetch(partition& p);
  std::int32_t source_of(partition& p, const partition_metadata& leader);
  bool is_same_topic(partition& p);
  void validate(std::int32_t broker, std::vector<partition_ptr> partitions);
  void validated(const request& asked, result<wire::offset_for_leader_epoch_response> response);
  void truncated(partition& p, std::int64_t end_offset, std::int32_t epoch);
  void park(section s);
  void leaderless(partition& p);
  void tell_loss(partition& p);
  std::size_t budget() const noexcept;
  void send_fetch(std::int32_t broker, std::vector<partition_ptr> partitions);
  void arrived(const request& asked, result<incoming> in);
  void take_answer(const request& asked, const wire::fetch_response& response,
                   const base::shared_buffer& frame);
  void take_records(const partition_ptr& p, const wire::fetch_response::partition_data& data,
                    const base::shared_buffer& frame);
  void failed(partition& p, std::int32_t broker, const wire::fetch_response::partition_data& data);
  void prefer(partition& p, std::int32_t replica);
  void wait(partition& p);
  void stop(partition& p, error why);
  void restart(partition& p, const place& at);
  void announce();
  bool take_batch(section& s, std::vector<fetched>& out, std::size_t& bytes);
  bool is_aborted(section& s, const wire::fetched_batch& batch);
  const std::shared_ptr<wire::scratch_buffer>& spare_scratch();
  partition_ptr find(const kafka::topic_partition& tp) const;

  cluster& cluster_;
  fetcher_settings settings_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
  std::map<kafka::topic_partition, partition_ptr> partitions_;
  std::map<std::int32_t, std::size_t> outstanding_;  // broker -> bytes its answer may bring
  std::map<std::int32_t, fetch_session> sessions_;   // by broker
  int session_failures_ = 0;                         // in a row
  std::deque<section> sections_;
  std::deque<error> errors_;
  std::size_t buffered_ = 0;  // what is parked counted too
  std::size_t parked_ = 0;
  std::size_t turn_ = 0;  // who is first in the next request
  bool kicked_ = false;
  bool looking_up_ = false;
  io::timer retry_timer_;
  unique_function<void()> on_ready_;
  std::vector<std::shared_ptr<wire::scratch_buffer>> scratch_;
};

}  // namespace penstock::client
