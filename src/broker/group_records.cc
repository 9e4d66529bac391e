// SPDX-License-Identifier: Apache-2.0
#include "broker/group_records.h"

#include "wire/messages/consumer_protocol.h"
#include "wire/messages/group_records.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace penstock::broker {
namespace {

constexpr std::int16_t offset_key_kind = 1;
constexpr std::int16_t group_key_kind = 2;
constexpr std::int16_t value_version = 3;

// `prefix` tells the kind of a key or the version of a value. Names have been checked when they came in, so
// that encoding cannot fail.
template <typename Message>
std::string with_prefix(std::int16_t prefix, const Message& m, std::int16_t version) {
  std::string out;
  wire::writer w(out);
  w.integer(prefix);
  (void)m.encode(w, version);
  return out;
}

template <typename Message>
result<Message> read_value(std::string_view bytes) {
  wire::reader in(bytes);
  const auto version = in.integer<std::int16_t>();
  Message m;
  if (auto decoded = m.decode(in, version); !decoded) return fail(errc::corrupt, decoded.error().message());
  return m;
}

}  // namespace

std::string encode(const offset_key& key) {
  return with_prefix(offset_key_kind, wire::offset_commit_key{key.group, key.topic, key.partition}, 0);
}

std::string encode(const group_key& key) {
  return with_prefix(group_key_kind, wire::group_metadata_key{key.group}, 0);
}

std::string encode(const committed_offset& v) {
  wire::offset_commit_value m;
  m.offset = v.offset;
  m.leader_epoch = v.leader_epoch;
  m.metadata = v.metadata;
  m.commit_timestamp = v.commit_ms;
  return with_prefix(value_version, m, value_version);
}

std::string encode(const stored_group& v) {
  wire::group_metadata_value m;
  m.protocol_type = v.protocol_type;
  m.generation = v.generation;
  m.protocol = v.protocol;
  m.leader = v.leader;
  m.current_state_timestamp = v.state_ms;
  for (const auto& x : v.members)
    m.members.push_back({x.id, x.instance_id, x.client_id, x.client_host, x.rebalance_timeout_ms,
                         x.session_timeout_ms, x.subscription, x.assignment});
  return with_prefix(value_version, m, value_version);
}

result<state_key> decode_state_key(std::string_view bytes) {
  wire::reader in(bytes);
  const auto kind = in.integer<std::int16_t>();
  if (!in.ok()) return fail(errc::corrupt, "a key in __consumer_offsets is cut off");
  if (kind == 0 || kind == offset_key_kind) {
    wire::offset_commit_key k;
    if (auto decoded = k.decode(in, 0); !decoded) return fail(errc::corrupt, decoded.error().message());
    return offset_key{k.group, k.topic, k.partition};
  }
  if (kind == group_key_kind) {
    wire::group_metadata_key k;
    if (auto decoded = k.decode(in, 0); !decoded) return fail(errc::corrupt, decoded.error().message());
    return group_key{k.group};
  }
  return state_key();
}

result<committed_offset> decode_committed_offset(std::string_view bytes) {
  auto m = read_value<wire::offset_commit_value>(bytes);
  if (!m) return fail(m.error());
  return committed_offset{m->offset, m->leader_epoch, m->metadata, m->commit_timestamp, 0};
}

result<stored_group> decode_stored_group(std::string_view bytes) {
  auto m = read_value<wire::group_metadata_value>(bytes);
  if (!m) return fail(m.error());
  stored_group g{m->protocol_type, m->generation, m->protocol, m->leader, m->current_state_timestamp, {}};
  for (auto& x : m->members)
    g.members.push_back({x.member_id, x.group_instance_id, x.client_id, x.client_host, x.rebalance_timeout,
                         x.session_timeout, x.subscription, x.assignment});
  return g;
}

std::vector<std::string> subscribed_topics(std::string_view subscription) {
  wire::reader in(subscription);
  in.integer<std::int16_t>();
  wire::consumer_protocol_subscription s;
  return s.decode(in, 0) ? s.topics : std::vector<std::string>();  // what later versions add stands behind
}

}  // namespace penstock::broker
