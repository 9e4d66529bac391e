// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/metrics.h>
#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>
#include <penstock/record_view.h>
#include <penstock/result.h>

#include <array>
#include <chrono>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::kafka {

/// The records of one batch of one partition, as they came from the broker: borrowed views into the fetch
/// buffer, parsed while one iterates. The handle keeps the bytes alive; copying it is cheap.
///
///     for (const record_view& r : batch.records()) use(r.offset, r.key, r.value);
class record_batch {
 public:
  /// Parses a batch in pieces, so that a record costs no call and no allocation.
  class reader {
   public:
    class iterator {
     public:
      using value_type = record_view;
      using difference_type = std::ptrdiff_t;
      const record_view& operator*() const noexcept { return reader_->chunk_[reader_->at_]; }
      const record_view* operator->() const noexcept { return &reader_->chunk_[reader_->at_]; }
      iterator& operator++() {
        if (++reader_->at_ == reader_->filled_) reader_->fill();
        return *this;
      }
      void operator++(int) { ++*this; }
      bool done() const noexcept { return reader_->filled_ == 0; }
      friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept { return i.done(); }

     private:
      friend class reader;
      explicit iterator(reader* r) noexcept : reader_(r) {}
      reader* reader_;
    };

    /// Single pass.
    iterator begin() noexcept { return iterator(this); }
    std::default_sentinel_t end() const noexcept { return {}; }
    /// Of the records read so far: errc::corrupt when the batch broke off. The consumer's next poll answers
    /// it too.
    result<> status() const;

   private:
    friend class record_batch;
    explicit reader(const record_batch& batch);
    void fill();

    static constexpr std::size_t chunk_records = 32;
    const record_batch* batch_;
    alignas(8) std::array<char, 64> cursor_;  // wire::record_cursor
    std::uint32_t at_ = 0;
    std::uint32_t filled_ = 0;
    std::array<record_view, chunk_records> chunk_;
  };

  const std::string& topic() const noexcept;
  std::int32_t partition() const noexcept;
  /// Records below this offset are in the batch but were not asked for; the reader leaves them out.
  std::int64_t first_offset() const noexcept;
  /// The position after this batch.
  std::int64_t next_offset() const noexcept;
  /// The end of the partition that consumers see, when this was fetched.
  std::int64_t high_watermark() const noexcept;
  /// The leader epoch under which it was written; -1 in formats older than 0.11. Goes into a commit, so that
  /// who starts from there notices a log that was cut back.
  std::int32_t leader_epoch() const noexcept;
  /// Records in the batch, those below first_offset counted too.
  std::int32_t count() const noexcept;
  /// Uncompressed bytes of the records.
  std::size_t bytes() const noexcept;
  reader records() const { return reader(*this); }

  struct data;
  explicit record_batch(std::shared_ptr<const data> d) noexcept : data_(std::move(d)) {}

 private:
  std::shared_ptr<const data> data_;
};

/// A record that owns its bytes.
struct record {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::int64_t timestamp_ms = -1;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;
};

/// Told of a group's decisions, from within poll (and, of `revoked`, subscribe, unsubscribe, assign and
/// close), on the thread that calls. They may commit, seek, pause, resume and ask for positions, offsets and
/// committed offsets; poll, subscribe, unsubscribe, assign and close answer errc::invalid_argument there.
///
/// With range, round-robin and sticky a member gives up everything before each rebalance. With
/// cooperative-sticky (KIP-429) and group.protocol=consumer (KIP-848) the lists have only what comes and
/// goes: `assigned` is called after each rebalance, perhaps with an empty list.
struct rebalance_listener {
  std::function<void(const std::vector<topic_partition>&)> assigned{};
  /// Before the partitions are given up: the last moment to commit. Not called for partitions that are
  /// already lost.
  std::function<void(const std::vector<topic_partition>&)> revoked{};
  /// The group went on without this member; others may have the partitions already.
  std::function<void(const std::vector<topic_partition>&)> lost{};
};

/// Reads records from Kafka.
///
/// A position that no longer exists (auto_offset_reset says where to go on, or `none`: errc::data_loss
/// tells): its records were removed; the log was cut back behind it when a leader changed (KIP-320: then it
/// goes on where the log was cut, whatever the policy, unless that is `none`); or the topic was deleted and
/// made anew (KIP-516: then at the beginning of the new one, unless `none`).
///
/// Threads: one thread at a time, except wake_up. Data is read from the sockets within poll by the calling
/// thread; group membership (heartbeats, max_poll_interval) has a thread of its own, so it does not depend on
/// how often the application polls. Lifetime: batches stay valid after the next poll and after the consumer,
/// at the price of their memory.
///
///     auto consumer = kafka::consumer::create({.bootstrap_servers = "localhost:9092", .group_id = "board"});
///     consumer->subscribe({"orders"});
///     while (running) {
///       auto batches = consumer->poll(100ms);
///       for (auto& batch : *batches)
///         for (const auto& r : batch.records()) use(r);
///     }
class consumer {
 public:
  /// Checks the settings; does not wait for a broker.
  static result<consumer> create(consumer_settings settings);
  consumer(consumer&&) noexcept;
  consumer& operator=(consumer&&) noexcept;
  /// close() with a short deadline, and without a word to the listener.
  ~consumer();

  /// Joins the group and lets it share out the topics' partitions. Replaces an earlier subscription.
  result<> subscribe(std::vector<std::string> topics, rebalance_listener listener = {});
  /// The same for all topics whose whole name a regular expression matches, also those that are made later
  /// (noticed within metadata_max_age); Kafka's internal topics excepted. Classic groups match here, by
  /// ECMAScript's rules; with group.protocol=consumer the broker does (RE2's rules; Kafka 4.0 and newer).
  result<> subscribe_matching(std::string pattern, rebalance_listener listener = {});
  /// Takes these partitions, without a group; replaces an earlier assignment. Offsets may be earliest_offset,
  /// latest_offset, or no_offset: the committed one, else auto_offset_reset. Or start_position::at_time.
  result<> assign(std::vector<start_position> partitions);
  result<> unsubscribe();
  std::vector<topic_partition> assignment() const;

  /// Batches as they come, waiting up to `timeout` for the first; empty when there were none. Errors of one
  /// partition name it and do not disturb the others: poll again goes on.
  result<std::vector<record_batch>> poll(std::chrono::milliseconds timeout);
  /// The same as owned records: convenient, at the price of a copy. At most `max_records`; the rest comes
  /// with the next call. (Do not mix with poll.)
  result<std::vector<record>> poll_records(std::chrono::milliseconds timeout, std::size_t max_records = 500);
  /// Makes a waiting poll return with nothing. From any thread.
  void wake_up();

  result<> seek(const topic_partition& tp, std::int64_t offset);
  result<> pause(const std::vector<topic_partition>& partitions);
  result<> resume(const std::vector<topic_partition>& partitions);
  /// The offset of the next record that poll will hand out; no_offset while it is not known yet.
  result<std::int64_t> position(const topic_partition& tp) const;

  /// Commits the positions of everything handed out by poll.
  result<> commit_sync();
  result<> commit_sync(const std::vector<partition_offset>& offsets);
  /// Starts a commit; its outcome is told to `done` within a later poll or commit.
  void commit_async(const std::vector<partition_offset>& offsets,
                    std::function<void(const result<>&)> done = {});
  /// What the group has committed, in the order asked; offset is no_offset where there is none.
  result<std::vector<partition_offset>> committed(const std::vector<topic_partition>& partitions);

  /// The first offset of each partition, its end, or its first record at or after a time (milliseconds since
  /// 1970; no_offset when there is none); in the order asked.
  result<std::vector<std::int64_t>> beginning_offsets(const std::vector<topic_partition>& partitions);
  result<std::vector<std::int64_t>> end_offsets(const std::vector<topic_partition>& partitions);
  result<std::vector<std::int64_t>> offsets_for_time(const std::vector<topic_partition>& partitions,
                                                     std::int64_t timestamp_ms);
  result<std::vector<topic_partition>> partitions_of(const std::string& topic);

  /// This member's name in its group and the group's generation, for send_offsets and for logs.
  using membership = group_metadata;
  membership group_membership() const;

  /// Everything that is counted and measured, at this moment.
  metric_list metrics() const;

  /// Commits (with enable_auto_commit), tells the listener what is given up, leaves the group and closes the
  /// connections.
  result<> close(std::chrono::milliseconds timeout);

  struct impl;

 private:
  explicit consumer(std::unique_ptr<impl> p);
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock::kafka
