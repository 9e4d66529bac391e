// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/compression.h>
#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>
#include <penstock/sink.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace penstock::kafka {

/// Makes a topic that does not exist yet.
struct create_topic {
  std::int32_t partitions = 1;
  std::int16_t replication_factor = -1;  ///< -1: the broker's default
  std::map<std::string, std::string> configs{};
};

/// Writes a topic: records with a key go to the partition that Kafka's Java client would choose, those
/// without stick to one partition a batch. Retries neither reorder nor duplicate. Exactly once
/// (docs/exactly-once.md), records are part of their epoch's transaction, and all sinks share one producer:
/// linger, batch_size, buffer_memory and delivery_timeout are not used. At least once, a restart may repeat
/// what was not committed.
///
///     .write("board", kafka::sink{.topic = "board"}, as_json)
///
/// Errors end the job (S22): nothing is dropped.
struct sink {
  std::string topic;
  std::string brokers{};  ///< bootstrap.servers; empty: what the application was started with
  std::optional<create_topic> create{};
  kafka::acks acks = kafka::acks::all;
  penstock::compression compression = penstock::compression::none;
  std::optional<int> compression_level{};
  std::chrono::milliseconds linger{5};
  std::size_t batch_size = 256u << 10;
  std::size_t buffer_memory = 32u << 20;  ///< of a lane; above it the stream waits
  std::chrono::milliseconds delivery_timeout{120'000};
  connection_settings connection{};

  std::unique_ptr<sink_connector> make_sink() const;
};

}  // namespace penstock::kafka
