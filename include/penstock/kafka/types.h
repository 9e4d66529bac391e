// SPDX-License-Identifier: Apache-2.0
// The nouns that producer, consumer and admin share.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::kafka {

/// One partition of a topic.
struct topic_partition {
  std::string topic{};
  std::int32_t partition = 0;
  friend auto operator<=>(const topic_partition&, const topic_partition&) = default;
};
/// "topic-3", as Kafka's tools print it.
std::string to_string(const topic_partition& tp);

/// Offsets that stand for a place, where a function says that it takes them.
inline constexpr std::int64_t latest_offset = -1;    ///< the end: the offset the next record will get
inline constexpr std::int64_t earliest_offset = -2;  ///< the first record that still exists
inline constexpr std::int64_t no_offset = -1001;     ///< none known or none committed

/// Where a consumer starts when its group has committed nothing, or its position no longer exists.
/// Kafka: auto.offset.reset.
enum class offset_reset : std::uint8_t {
  earliest,  ///< at the first record that exists
  latest,    ///< at the end: new records only
  none,      ///< answer an error (errc::data_loss when records were removed below the position)
};

/// Kafka: isolation.level.
enum class isolation_level : std::int8_t {
  read_uncommitted = 0,  ///< every record up to the high watermark
  read_committed = 1,    ///< of transactions only the committed ones, up to the last stable offset
};

/// Who must have a batch before the broker says so. Kafka: acks.
enum class acks : std::int16_t {
  none = 0,    ///< no answer at all: a lost batch stays unnoticed
  leader = 1,  ///< the partition's leader
  all = -1,    ///< every replica in sync
};

/// A committed position: the next record to read, with what the committer wanted to remember.
struct offset_and_metadata {
  std::int64_t offset = no_offset;
  std::int32_t leader_epoch = -1;
  std::string metadata{};
  friend bool operator==(const offset_and_metadata&, const offset_and_metadata&) = default;
};

struct partition_offset {
  topic_partition partition{};
  offset_and_metadata position{};
  friend bool operator==(const partition_offset&, const partition_offset&) = default;
};

/// Who commits offsets for a group (KIP-447): the member as its consumer knows itself, so that a member that
/// lost its partitions cannot commit any more. The group's name alone commits for a group without members.
struct group_metadata {
  std::string group_id{};
  std::string member_id{};
  std::int32_t generation = -1;  ///< or the member's epoch, in a group of the newer protocol (KIP-848)
  std::string instance_id{};     ///< group.instance.id
  friend bool operator==(const group_metadata&, const group_metadata&) = default;
};

/// What a broker knows a transaction by, beside the transactional id: with these a transaction can be ended
/// by another process than the one that wrote it (producer::resume_transaction).
struct producer_identity {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
  friend bool operator==(const producer_identity&, const producer_identity&) = default;
};

/// A position in a partition to start at: an offset, or earliest_offset, or latest_offset; or a time.
struct start_position {
  topic_partition partition{};
  std::int64_t offset = earliest_offset;
  /// Milliseconds since 1970: at the first record of that time or later, at the end when there is none. Then
  /// `offset` does not count.
  std::optional<std::int64_t> at_time{};
};

}  // namespace penstock::kafka

template <>
struct std::hash<penstock::kafka::topic_partition> {
  std::size_t operator()(const penstock::kafka::topic_partition& tp) const noexcept {
    return std::hash<std::string>{}(tp.topic) ^
           (static_cast<std::size_t>(tp.partition) * std::size_t{0x9e3779b97f4a7c15});
  }
};
