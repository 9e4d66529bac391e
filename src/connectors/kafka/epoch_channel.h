// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>
#include <penstock/sink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/event_loop.h"

namespace penstock::connectors {

/// Records with their bytes, in order, until they can be sent.
class record_queue {
 public:
  void add(std::string_view topic, std::int32_t partition, const outgoing& r);
  /// Calls f(topic, partition, record) for one after the other as long as it answers true; forgets those.
  template <typename F>
  void take_while(F f);
  bool empty() const noexcept { return next_ == entries_.size(); }
  std::size_t bytes() const noexcept { return bytes_.size(); }

 private:
  struct entry {
    std::string_view topic;  // the channel's, or a changelog's: outlives the queue
    std::int32_t partition;
    std::int64_t timestamp_ms;
    std::size_t at;
    std::int32_t key, value;  // sizes; -1: null
    std::uint32_t headers;
  };
  std::string_view part(std::size_t& at, std::int32_t size) const {
    if (size < 0) return {};
    const std::string_view found(bytes_.data() + at, static_cast<std::size_t>(size));
    at += static_cast<std::size_t>(size);
    return found;
  }
  std::string bytes_;
  std::vector<entry> entries_;
  std::size_t next_ = 0;
  std::vector<record_header> headers_;  // scratch
};

/// Who has the open transaction.
class record_taker {
 public:
  virtual ~record_taker() = default;
  /// How many of the records were taken. Fewer: the channel is told to drain when more can be. From any lane.
  virtual result<std::size_t> append(std::string_view topic, std::int32_t partition,
                                     std::span<const outgoing> records) = 0;
};

/// One writer's records on their way into the transactions of a job: belongs to a lane, and to its thread.
/// The transaction of an epoch is shared by all lanes, which reach its end at different times: what a channel
/// is given after its own end of the epoch waits here until the next transaction has begun.
class epoch_channel : public std::enable_shared_from_this<epoch_channel> {
 public:
  epoch_channel(record_taker& producer, io::event_loop& lane) : producer_(producer), lane_(lane) {}

  result<> write(std::string_view topic, std::int32_t partition, std::span<const outgoing> records);
  bool ready() const noexcept { return now_.empty() && next_.bytes() < most_waiting; }
  /// The end of the epoch here: `done` when all of it is in the producer.
  void flush(std::function<void(result<>)> done);

  // On the lane's thread, posted by the producer.
  void next_epoch();
  void drain();
  io::event_loop& lane() noexcept { return lane_; }

 private:
  static constexpr std::size_t most_waiting = 4u << 20;
  record_taker& producer_;
  io::event_loop& lane_;
  record_queue now_;     // of the open epoch: no memory for them yet, or no metadata
  record_queue next_;    // of the next one
  record_queue later_;   // of the one behind, while the end of the next one is asked for already
  bool sealed_ = false;  // the open epoch has ended here; until the lane hears that the next one has begun
  std::optional<error> failure_;
  std::function<void(result<>)> flushing_;
};

template <typename F>
void record_queue::take_while(F f) {
  while (next_ < entries_.size()) {
    const entry& e = entries_[next_];
    std::size_t at = e.at;
    outgoing r;
    r.key = part(at, e.key);
    r.value = part(at, e.value);
    r.timestamp_ms = e.timestamp_ms;
    headers_.clear();
    for (std::uint32_t i = 0; i < e.headers; ++i) {
      std::int32_t sizes[2];
      std::memcpy(sizes, bytes_.data() + at, sizeof sizes);
      at += sizeof sizes;
      const std::string_view key = part(at, sizes[0]);
      headers_.push_back({key, part(at, sizes[1])});
    }
    r.headers = headers_;
    if (!f(e.topic, e.partition, static_cast<const outgoing&>(r))) return;
    ++next_;
  }
  entries_.clear();
  bytes_.clear();
  next_ = 0;
}

}  // namespace penstock::connectors
