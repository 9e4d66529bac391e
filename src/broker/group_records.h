// SPDX-License-Identifier: Apache-2.0
// What the group coordinator keeps in __consumer_offsets: one record a group and one a committed offset, in
// Kafka's own format, so that tools which read that topic understand it. All integers are big-endian; string
// = int16 length and bytes (-1: null); bytes = int32 length and bytes.
//
//   key of an offset    int16 1, string group, string topic, int32 partition
//   value               int16 3, int64 offset, int32 leader epoch, string metadata, int64 commit time (ms)
//   key of a group      int16 2, string group
//   value               int16 3, string protocol type, int32 generation, string? protocol, string? leader,
//                       int64 time of the state (ms), int32 count and as many members:
//                         string id, string? instance id, string client id, string client host,
//                         int32 rebalance timeout (ms), int32 session timeout (ms), bytes subscription, bytes
//                         assignment
//
// A record without a value (a tombstone) forgets the key.
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace penstock::broker {

/// A record of the coordinator's journal; no value means "forget the key".
struct state_record {
  std::string key;
  std::optional<std::string> value;
};

struct committed_offset {
  std::int64_t offset = -1;
  std::int32_t leader_epoch = -1;
  std::string metadata;
  std::int64_t commit_ms = 0;
  std::uint64_t order = 0;  ///< among all commits, as this process found or wrote them; not stored
  friend bool operator==(const committed_offset& a, const committed_offset& b) noexcept {
    return a.offset == b.offset && a.leader_epoch == b.leader_epoch && a.metadata == b.metadata &&
           a.commit_ms == b.commit_ms;
  }
};

struct stored_member {
  std::string id;
  std::optional<std::string> instance_id;
  std::string client_id;
  std::string client_host;
  std::int32_t rebalance_timeout_ms = 0;
  std::int32_t session_timeout_ms = 0;
  std::string subscription;
  std::string assignment;
  friend bool operator==(const stored_member&, const stored_member&) = default;
};

struct stored_group {
  std::string protocol_type;
  std::int32_t generation = 0;
  std::optional<std::string> protocol;
  std::optional<std::string> leader;
  std::int64_t state_ms = -1;  ///< when the group got into its state; -1: unknown
  std::vector<stored_member> members;
  friend bool operator==(const stored_group&, const stored_group&) = default;
};

struct offset_key {
  std::string group;
  std::string topic;
  std::int32_t partition = 0;
};
struct group_key {
  std::string group;
};
using state_key = std::variant<std::monostate, offset_key, group_key>;  ///< monostate: a kind we do not know

std::string encode(const offset_key& key);
std::string encode(const group_key& key);
std::string encode(const committed_offset& value);
std::string encode(const stored_group& value);

/// errc::corrupt when the bytes are cut short or a length is impossible.
result<state_key> decode_state_key(std::string_view bytes);
result<committed_offset> decode_committed_offset(std::string_view bytes);
result<stored_group> decode_stored_group(std::string_view bytes);

/// The topics in a "consumer" protocol subscription (int16 version, int32 count, strings); empty when the
/// bytes are something else.
std::vector<std::string> subscribed_topics(std::string_view subscription);

}  // namespace penstock::broker
