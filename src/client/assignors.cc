// SPDX-License-Identifier: Apache-2.0
#include "client/assignors.h"

#include <algorithm>
#include <set>
#include <utility>

#include "wire/messages/consumer_protocol.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace penstock::client {
namespace {

using kafka::topic_partition;

// Static members come first, by their instance id, so that a restart under a new member id changes nothing.
bool comes_before(const group_subscription& a, const group_subscription& b) {
  if (a.instance_id.empty() != b.instance_id.empty()) return !a.instance_id.empty();
  if (!a.instance_id.empty()) return a.instance_id < b.instance_id;
  return a.member_id < b.member_id;
}

bool subscribes(const group_subscription& m, const std::string& topic) {
  return std::find(m.topics.begin(), m.topics.end(), topic) != m.topics.end();
}

// Topic by topic: consecutive partitions to each subscriber, the first ones get one more where it does not
// divide.
void range(const std::vector<group_subscription>& members,
           const std::map<std::string, std::int32_t>& partitions, group_assignment& out) {
  for (const auto& [topic, count] : partitions) {
    std::vector<const group_subscription*> subscribers;
    for (const auto& m : members)
      if (subscribes(m, topic)) subscribers.push_back(&m);
    if (subscribers.empty()) continue;
    const auto n = static_cast<std::int32_t>(subscribers.size());
    std::int32_t next = 0;
    for (std::int32_t i = 0; i < n; ++i) {
      const std::int32_t share = count / n + (i < count % n ? 1 : 0);
      for (std::int32_t k = 0; k < share; ++k)
        out[subscribers[static_cast<std::size_t>(i)]->member_id].push_back({topic, next++});
    }
  }
}

// All partitions in order, to the members in turn, passing over those who do not want the topic.
void round_robin(const std::vector<group_subscription>& members,
                 const std::map<std::string, std::int32_t>& partitions, group_assignment& out) {
  std::size_t turn = 0;
  for (const auto& [topic, count] : partitions) {
    const bool wanted =
        std::any_of(members.begin(), members.end(), [&](const auto& m) { return subscribes(m, topic); });
    if (!wanted) continue;
    for (std::int32_t p = 0; p < count; ++p) {
      while (!subscribes(members[turn % members.size()], topic)) ++turn;
      out[members[turn++ % members.size()].member_id].push_back({topic, p});
    }
  }
}

// Everyone keeps what he had, the rest goes to who has least, and then single partitions move from who has
// two more than another until nobody does.
void sticky(const std::vector<group_subscription>& members,
            const std::map<std::string, std::int32_t>& partitions, group_assignment& out) {
  std::map<topic_partition, const group_subscription*> owner;
  for (const auto& m : members) {
    for (const auto& tp : m.owned) {
      const auto known = partitions.find(tp.topic);
      if (known == partitions.end() || tp.partition < 0 || tp.partition >= known->second ||
          !subscribes(m, tp.topic))
        continue;
      auto& o = owner[tp];
      if (o == nullptr || o->generation < m.generation) o = &m;  // of two claims the later counts
    }
  }
  std::map<const group_subscription*, std::vector<topic_partition>> has;
  for (const auto& m : members) has[&m];
  for (const auto& [tp, m] : owner) has[m].push_back(tp);

  const auto least_of = [&](const std::string& topic) {
    const group_subscription* least = nullptr;
    for (const auto& m : members)
      if (subscribes(m, topic) && (least == nullptr || has[&m].size() < has[least].size())) least = &m;
    return least;
  };
  for (const auto& [topic, count] : partitions) {
    for (std::int32_t p = 0; p < count; ++p) {
      if (owner.contains({topic, p})) continue;
      if (const auto* m = least_of(topic)) has[m].push_back({topic, p});
    }
  }
  for (bool moved = true; moved;) {
    moved = false;
    for (const auto& m : members) {
      auto& mine = has[&m];
      for (std::size_t i = mine.size(); i-- > 0 && !moved;) {
        const auto* other = least_of(mine[i].topic);
        if (other == &m || has[other].size() + 1 >= mine.size()) continue;
        has[other].push_back(mine[i]);
        mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(i));
        moved = true;
      }
    }
  }
  for (auto& [m, list] : has) {
    std::sort(list.begin(), list.end());
    out[m->member_id] = std::move(list);
  }
}

template <typename Group>
void group_by_topic(const std::vector<topic_partition>& partitions, std::vector<Group>& out) {
  std::map<std::string, std::vector<std::int32_t>> by_topic;
  for (const auto& tp : partitions) by_topic[tp.topic].push_back(tp.partition);
  for (auto& [topic, list] : by_topic) out.push_back({topic, std::move(list)});
}

// The sticky assignor's memory: {[topic, [partition]], generation}.
std::string encode_owned(const group_subscription& s) {
  std::string bytes;
  wire::writer w(bytes);
  std::vector<wire::consumer_protocol_assignment::topic_partition> topics;
  group_by_topic(s.owned, topics);
  w.length(topics.size(), false);
  for (const auto& t : topics) {
    w.string(t.topic, false);
    w.length(t.partitions.size(), false);
    for (const auto p : t.partitions) w.integer(p);
  }
  w.integer(s.generation);
  return bytes;
}

void decode_owned(std::string_view bytes, group_subscription& s) {
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

// Oldest form with everything that is said; readers take newer and older ones, since fields were only ever
// appended.
constexpr std::int16_t subscription_version = 1;
constexpr std::int16_t assignment_version = 1;

}  // namespace

std::string_view protocol_name(kafka::assignor a) noexcept {
  switch (a) {
    case kafka::assignor::range: return "range";
    case kafka::assignor::round_robin: return "roundrobin";
    case kafka::assignor::sticky: return "sticky";
  }
  return "range";
}

group_assignment share_out(kafka::assignor how, std::vector<group_subscription> members,
                           const std::map<std::string, std::int32_t>& partitions) {
  std::sort(members.begin(), members.end(), comes_before);
  group_assignment out;
  for (const auto& m : members) out[m.member_id];
  if (members.empty()) return out;
  switch (how) {
    case kafka::assignor::range: range(members, partitions, out); break;
    case kafka::assignor::round_robin: round_robin(members, partitions, out); break;
    case kafka::assignor::sticky: sticky(members, partitions, out); break;
  }
  return out;
}

std::string encode_subscription(kafka::assignor how, const group_subscription& s) {
  wire::consumer_protocol_subscription message;
  message.topics = s.topics;
  std::sort(message.topics.begin(), message.topics.end());
  if (how == kafka::assignor::sticky) message.user_data = encode_owned(s);
  std::string bytes;
  wire::writer w(bytes);
  w.integer(subscription_version);
  static_cast<void>(
      message.encode(w, subscription_version));  // nothing in it can fail to be encoded but long names
  return bytes;
}

group_subscription decode_subscription(std::string member_id, std::string instance_id,
                                       std::string_view bytes) {
  group_subscription s{std::move(member_id), std::move(instance_id), {}};
  wire::reader in(bytes);
  const auto version = in.integer<std::int16_t>();
  wire::consumer_protocol_subscription message;
  if (!in.ok() || version < 0 || !message.decode(in, std::min(version, message.max_version))) return s;
  s.topics = std::move(message.topics);
  if (message.user_data) decode_owned(*message.user_data, s);
  return s;
}

std::string encode_assignment(const std::vector<topic_partition>& partitions) {
  wire::consumer_protocol_assignment message;
  group_by_topic(partitions, message.assigned_partitions);
  std::string bytes;
  wire::writer w(bytes);
  w.integer(assignment_version);
  static_cast<void>(message.encode(w, assignment_version));
  return bytes;
}

std::vector<topic_partition> decode_assignment(std::string_view bytes) {
  std::vector<topic_partition> all;
  wire::reader in(bytes);
  const auto version = in.integer<std::int16_t>();
  wire::consumer_protocol_assignment message;
  if (!in.ok() || version < 0 || !message.decode(in, std::min(version, message.max_version))) return all;
  for (const auto& t : message.assigned_partitions)
    for (const auto p : t.partitions) all.push_back({t.topic, p});
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace penstock::client
