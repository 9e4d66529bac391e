// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>
#include <penstock/source.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace penstock::kafka {

/// The first record with at least this timestamp; the end when there is none.
struct at_time {
  std::int64_t ms = 0;  ///< since 1970, UTC
};
/// One offset for each partition; a partition that is missing begins at its first record, or ends at its end.
using at_offsets = std::map<topic_partition, std::int64_t>;

/// Where a source begins in a partition of which its application has committed nothing yet; afterwards it
/// goes on where it was (S15). The place is turned into a number and committed at the first start, so that
/// `latest` means the same after a crash.
struct start_at {
  enum class place : std::uint8_t { earliest, latest };
  std::variant<place, at_time, at_offsets> where = place::earliest;

  static start_at earliest() { return {place::earliest}; }
  static start_at latest() { return {place::latest}; }
  static start_at time(std::int64_t ms) { return {at_time{ms}}; }
  static start_at offsets(at_offsets o) { return {std::move(o)}; }
};

/// Where a source ends (S16). `never` makes the job unbounded; every other place is turned into a number at
/// each start, and records below it are read.
struct stop_at {
  enum class place : std::uint8_t { never, latest };
  std::variant<place, at_time, at_offsets> where = place::never;

  static stop_at never() { return {place::never}; }
  static stop_at latest() { return {place::latest}; }
  static stop_at time(std::int64_t ms) { return {at_time{ms}}; }
  static stop_at offsets(at_offsets o) { return {std::move(o)}; }
};

/// Reads topics. Their progress is kept as the committed offsets of the consumer group that is named like the
/// application, in the next-to-read sense (S17).
///
///     topo.read("departures", kafka::source{.topics = {"departures"}, .watermarks = {.max_lag = 2h}},
///               json<departure>)
///
/// Errors when the job starts or runs (S18): a topic does not exist, or an offset is no longer there; they
/// name topic, partition and the range that is lost. One process of an application at a time: sharing its
/// partitions with a second one is not there yet.
struct source {
  std::vector<std::string> topics;
  std::string brokers{};  ///< bootstrap.servers; empty: what the application was started with
  watermark_options watermarks{};
  start_at start{};
  stop_at stop{};
  kafka::isolation_level isolation = kafka::isolation_level::read_committed;
  /// A topic that does not exist is waited for so long.
  std::chrono::milliseconds await_topics{5'000};
  std::int32_t max_partition_fetch_bytes = 2 << 20;  ///< max.partition.fetch.bytes
  std::int32_t fetch_max_bytes = 16 << 20;           ///< fetch.max.bytes, of one answer
  std::size_t max_buffered_bytes = 48u << 20;        ///< fetched ahead of the lane; bounds its memory
  connection_settings connection{};

  std::unique_ptr<source_connector> make_source() const;
};

}  // namespace penstock::kafka
