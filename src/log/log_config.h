// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace penstock::log {

/// When appended bytes are synced to the disk. What was appended since the last sync is lost when the machine
/// (not merely the process) stops.
enum class flush_policy : std::uint8_t {
  none,      ///< when a segment is closed and at a clean stop; otherwise when the operating system pleases
  interval,  ///< at least every `flush_interval` or `flush_bytes`, by the caller's flush thread (group
             ///< commit)
  each,      ///< before append returns
};

/// A topic's settings as one partition's log needs them. Names follow Kafka's topic configs, named behind
/// each.
struct log_config {
  std::uint32_t segment_bytes = 1u << 30;                              ///< segment.bytes, at most 2^31 - 1
  std::chrono::milliseconds segment_age = std::chrono::hours(7 * 24);  ///< segment.ms
  std::uint32_t index_interval_bytes = 4096;                           ///< index.interval.bytes
  std::uint32_t index_bytes = 10u << 20;                               ///< segment.index.bytes
  std::int64_t retention_bytes = -1;  ///< retention.bytes; negative: no bound
  std::chrono::milliseconds retention_age = std::chrono::hours(7 * 24);  ///< retention.ms; negative: no bound
  bool cleanup_delete = true;                                            ///< cleanup.policy contains delete
  bool cleanup_compact = false;                                          ///< cleanup.policy contains compact
  std::chrono::milliseconds delete_retention = std::chrono::hours(24);   ///< delete.retention.ms
  double min_cleanable_dirty_ratio = 0.5;                                ///< min.cleanable.dirty.ratio
  std::chrono::milliseconds min_compaction_lag{0};                       ///< min.compaction.lag.ms
  std::chrono::milliseconds max_compaction_lag = std::chrono::milliseconds::max();  ///< max.compaction.lag.ms
  std::chrono::milliseconds file_delete_delay = std::chrono::seconds(60);           ///< file.delete.delay.ms
  bool log_append_time = false;  ///< message.timestamp.type is LogAppendTime

  flush_policy flush = flush_policy::interval;
  std::chrono::milliseconds flush_interval{100};
  std::uint64_t flush_bytes = 16u << 20;

  std::chrono::milliseconds producer_expiry = std::chrono::hours(24);  ///< producer.id.expiration.ms
  std::uint64_t compaction_memory = 64u << 20;  ///< bytes for the key map of one compaction round
};

}  // namespace penstock::log
