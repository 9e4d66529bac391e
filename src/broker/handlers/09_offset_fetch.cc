// SPDX-License-Identifier: Apache-2.0
// OffsetFetch (9), versions 1-10.
//
// v2    all topics of the group (null), an error for the whole group
// v5    leader epochs
// v6    flexible
// v7    require_stable: what an open transaction may change is answered UNSTABLE_OFFSET_COMMIT
// v8    several groups
// v9    member epochs of the new group protocol: not looked at for classic groups
// v10   topics by id
// What was never committed is answered with offset -1 and no error.
#include <set>

#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

struct looked_up {
  committed_offset offset;
  error_code error = error_code::none;
};

looked_up look_up(const group* g, const topic_partition& where, bool require_stable) {
  if (g == nullptr) return {};
  if (require_stable && g->unstable(where)) return {{}, error_code::unstable_offset_commit};
  const auto it = g->offsets.find(where);
  return {it == g->offsets.end() ? committed_offset{} : it->second};
}

template <typename Partition>
Partition describe(std::int32_t index, const looked_up& found) {
  Partition p;
  p.partition_index = index;
  p.committed_offset = found.offset.offset;
  p.committed_leader_epoch = found.offset.leader_epoch;
  p.metadata = found.offset.metadata;
  p.error_code = number(found.error);
  return p;
}

// Everything a group has committed, topic by topic.
template <typename Topic, typename Partition>
std::vector<Topic> all_offsets(broker_core& core, const group* g, bool by_id, bool require_stable) {
  std::vector<Topic> topics;
  if (g == nullptr) return topics;
  std::set<topic_partition> all;
  for (const auto& [where, value] : g->offsets) all.insert(where);
  if (require_stable)
    for (const auto& [producer, offsets] : g->in_transactions)
      for (const auto& [where, value] : offsets) all.insert(where);
  for (const auto& where : all) {
    if (topics.empty() || topics.back().name != where.first) {
      if constexpr (requires(Topic t) { t.topic_id; }) {
        const topic* t = core.topics.find(where.first);
        if (by_id && t == nullptr) continue;
        topics.emplace_back().topic_id = t == nullptr ? wire::uuid{} : t->record.id;
      } else {
        topics.emplace_back();
      }
      topics.back().name = where.first;
    }
    topics.back().partitions.push_back(describe<Partition>(where.second, look_up(g, where, require_stable)));
  }
  return topics;
}

using group_request = wire::offset_fetch_request::offset_fetch_request_group;
using group_response = wire::offset_fetch_response::offset_fetch_response_group;
using group_topics = wire::offset_fetch_response::offset_fetch_response_topics;
using group_partition_offset = wire::offset_fetch_response::offset_fetch_response_partitions;

group_response fetch_group(broker_core& core, const group_request& want, bool by_id, bool stable) {
  group_response out;
  out.group_id = want.group_id;
  const group* g = core.groups.find(want.group_id);
  if (!want.topics) {
    out.topics = all_offsets<group_topics, group_partition_offset>(core, g, by_id, stable);
    return out;
  }
  for (const auto& t : *want.topics) {
    auto& out_topic = out.topics.emplace_back();
    out_topic.name = t.name;
    out_topic.topic_id = t.topic_id;
    const topic* named = by_id ? core.topics.find(t.topic_id) : nullptr;
    const bool unknown = by_id && named == nullptr;
    for (const auto index : t.partition_indexes)
      out_topic.partitions.push_back(describe<group_partition_offset>(
          index, unknown ? looked_up{{}, error_code::unknown_topic_id}
                         : look_up(g, {by_id ? named->name() : t.name, index}, stable)));
  }
  return out;
}

void fetch_one(broker_core& core, const wire::offset_fetch_request& q, wire::offset_fetch_response& answer) {
  const group* g = core.groups.find(q.group_id);
  if (!q.topics) {
    answer.topics = all_offsets<wire::offset_fetch_response::offset_fetch_response_topic,
                                wire::offset_fetch_response::offset_fetch_response_partition>(
        core, g, false, q.require_stable);
    return;
  }
  for (const auto& t : *q.topics) {
    auto& out_topic = answer.topics.emplace_back();
    out_topic.name = t.name;
    for (const auto index : t.partition_indexes)
      out_topic.partitions.push_back(describe<wire::offset_fetch_response::offset_fetch_response_partition>(
          index, look_up(g, {t.name, index}, q.require_stable)));
  }
}

}  // namespace

void handle_offset_fetch(broker_core& core, const request_info& info, wire::offset_fetch_request& q,
                         responder<wire::offset_fetch_response> reply) {
  wire::offset_fetch_response answer;
  if (info.version < 8) {
    fetch_one(core, q, answer);
  } else {
    for (const auto& want : q.groups)
      answer.groups.push_back(fetch_group(core, want, info.version >= 10, q.require_stable));
  }
  reply.send(answer);
}

}  // namespace penstock::broker
