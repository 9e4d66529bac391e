// SPDX-License-Identifier: Apache-2.0
// What the members of a classic group tell each other.
#include <algorithm>
#include <utility>

#include "client/assignors.h"
#include "wire/messages/consumer_protocol.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace penstock::client {
namespace {

using kafka::topic_partition;

// Fields were only ever appended, so that older readers take newer messages.
constexpr std::int16_t subscription_version = 3;
constexpr std::int16_t assignment_version = 3;

template <typename Group>
void group_by_topic(const std::vector<topic_partition>& partitions, std::vector<Group>& out) {
  std::map<std::string, std::vector<std::int32_t>> by_topic;
  for (const auto& tp : partitions) by_topic[tp.topic].push_back(tp.partition);
  for (auto& [topic, list] : by_topic) out.push_back({topic, std::move(list)});
}

// {[topic, [partition]], generation}: the generation came later and may be missing.
void read_sticky_memory(std::string_view bytes, group_subscription& s) {
  wire::reader in(bytes);
  std::vector<topic_partition> owned;
  const auto topics = in.nullable_count(false).value_or(0);
  for (std::uint32_t t = 0; t < topics && in.ok(); ++t) {
    const std::string topic(in.nullable_string(false).value_or(std::string_view()));
    const auto n = in.nullable_count(false).value_or(0);
    for (std::uint32_t i = 0; i < n && in.ok(); ++i) owned.push_back({topic, in.integer<std::int32_t>()});
  }
  if (!in.ok()) return;
  s.owned = std::move(owned);
  if (in.left() >= sizeof(std::int32_t)) s.generation = in.integer<std::int32_t>();
}

}  // namespace

std::string encode_sticky_memory(const std::vector<topic_partition>& owned, std::int32_t generation) {
  std::string bytes;
  wire::writer w(bytes);
  std::vector<wire::consumer_protocol_assignment::topic_partition> topics;
  group_by_topic(owned, topics);
  w.length(topics.size(), false);
  for (const auto& t : topics) {
    w.string(t.topic, false);
    w.length(t.partitions.size(), false);
    for (const auto p : t.partitions) w.integer(p);
  }
  w.integer(generation);
  return bytes;
}

std::string encode_subscription(const group_subscription& s) {
  wire::consumer_protocol_subscription message;
  message.topics = s.topics;
  std::sort(message.topics.begin(), message.topics.end());
  if (!s.user_data.empty()) message.user_data = s.user_data;
  group_by_topic(s.owned, message.owned_partitions);
  message.generation_id = s.generation;
  if (!s.rack.empty()) message.rack_id = s.rack;
  std::string bytes;
  wire::writer w(bytes);
  w.integer(subscription_version);
  // Nothing in it can fail to be encoded but long names, and those the brokers refuse.
  static_cast<void>(message.encode(w, subscription_version));
  return bytes;
}

group_subscription decode_subscription(std::string_view protocol, std::string member_id,
                                       std::string instance_id, std::string_view bytes) {
  group_subscription s;
  s.member_id = std::move(member_id);
  s.instance_id = std::move(instance_id);
  wire::reader in(bytes);
  const auto version = in.integer<std::int16_t>();
  wire::consumer_protocol_subscription message;
  if (!in.ok() || version < 0 || !message.decode(in, std::min(version, message.max_version))) return s;
  s.topics = std::move(message.topics);
  s.generation = message.generation_id;
  s.rack = message.rack_id.value_or(std::string());
  s.user_data = message.user_data.value_or(std::string());
  for (const auto& t : message.owned_partitions)
    for (const auto p : t.partitions) s.owned.push_back({t.topic, p});
  if (protocol == protocol_name(kafka::assignor::sticky)) {
    s.owned.clear();  // given up before joining: what was owned is in the user data
    s.generation = -1;
    read_sticky_memory(s.user_data, s);
  } else if (protocol == protocol_name(kafka::assignor::cooperative_sticky) && s.generation < 0) {
    wire::reader memory(s.user_data);
    const auto generation = memory.integer<std::int32_t>();
    if (memory.ok()) s.generation = generation;
  }
  return s;
}

std::string encode_assignment(const kafka::member_share& share) {
  wire::consumer_protocol_assignment message;
  group_by_topic(share.partitions, message.assigned_partitions);
  if (!share.user_data.empty()) message.user_data = share.user_data;
  std::string bytes;
  wire::writer w(bytes);
  w.integer(assignment_version);
  static_cast<void>(message.encode(w, assignment_version));
  return bytes;
}

kafka::member_share decode_assignment(std::string_view bytes) {
  kafka::member_share share;
  wire::reader in(bytes);
  const auto version = in.integer<std::int16_t>();
  wire::consumer_protocol_assignment message;
  if (!in.ok() || version < 0 || !message.decode(in, std::min(version, message.max_version))) return share;
  share.user_data = message.user_data.value_or(std::string());
  for (const auto& t : message.assigned_partitions)
    for (const auto p : t.partitions) share.partitions.push_back({t.topic, p});
  std::sort(share.partitions.begin(), share.partitions.end());
  return share;
}

}  // namespace penstock::client
