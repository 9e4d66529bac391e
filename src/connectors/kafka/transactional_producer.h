// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/result.h>
#include <penstock/sink.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>
#include <thread>
#include <vector>

#include "client/accumulator.h"
#include "client/cluster.h"
#include "client/sender.h"
#include "client/transactions.h"
#include "connectors/kafka/epoch_channel.h"
#include "io/event_loop.h"

namespace penstock::connectors {

/// The one producer that all lanes of a job share, so that an epoch is one transaction. Lanes append to its
/// batches under a lock, many records at a time; a thread of its own sends them and runs the transactions.
class transactional_producer final : public record_taker {
 public:
  static result<std::unique_ptr<transactional_producer>> create(kafka::producer_settings settings);
  /// What is open is aborted; if the broker does not answer soon, by whoever comes next, or by itself.
  ~transactional_producer() override;

  /// Shuts out earlier producers of the id, has their transactions decided, begins the first one. Blocks,
  /// until `stop` at most.
  result<> init(const std::stop_token& stop);
  /// How records of a topic are compressed, instead of the settings. From any lane.
  void set_compression(std::string_view topic, compression codec, std::optional<int> level);
  /// A channel of a lane. From the lane's thread.
  std::shared_ptr<epoch_channel> open_channel(io::event_loop& lane);
  result<std::size_t> append(std::string_view topic, std::int32_t partition,
                             std::span<const outgoing> records) override;
  /// From a lane: all channels have flushed. `done` is called on the producer's thread.
  void commit(std::vector<kafka::partition_offset> offsets, const std::string& group,
              std::function<void(result<>)> done);
  const kafka::producer_settings& settings() const noexcept { return settings_; }

 private:
  explicit transactional_producer(kafka::producer_settings settings);
  void tell_channels(void (epoch_channel::*what)());
  void kick();
  void leave();
  void begin_commit(std::vector<kafka::partition_offset> offsets, const std::string& group,
                    std::function<void(result<>)> done);

  const kafka::producer_settings settings_;
  const io::clock& clock_ = io::clock::system();
  std::mutex mutex_;
  client::accumulator accumulator_;  // guarded by mutex_
  std::optional<error> failure_;     // guarded by mutex_: nothing of the epoch can be saved
  std::vector<std::weak_ptr<epoch_channel>> channels_;  // guarded by mutex_
  std::atomic<bool> kicked_{false};
  std::atomic<bool> waited_for_{false};  // a channel was refused for want of memory or metadata
  io::event_loop loop_;
  std::unique_ptr<client::cluster> cluster_;
  std::unique_ptr<client::sender> sender_;
  std::unique_ptr<client::transactions> transactions_;
  std::thread thread_;
};

}  // namespace penstock::connectors
