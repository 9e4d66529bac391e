// SPDX-License-Identifier: Apache-2.0
#include "client/metadata.h"

#include <algorithm>

namespace penstock::client {
namespace {

// More partitions than any cluster has; a number beyond is not believed.
constexpr std::int32_t max_partitions = 1'000'000;

void apply_partition(topic_metadata& topic, const wire::metadata_response::metadata_response_partition& p) {
  auto& known = topic.partitions[static_cast<std::size_t>(p.partition_index)];
  if (p.leader_epoch >= 0 && p.leader_epoch < known.leader_epoch) return;  // from a broker that lags behind
  known.leader = p.leader_id;
  known.leader_epoch = p.leader_epoch;
  known.error = static_cast<wire::error_code>(p.error_code);
}

}  // namespace

void metadata_cache::apply(const wire::metadata_response& response) {
  ++version_;
  if (!response.brokers.empty()) brokers_.clear();
  for (const auto& b : response.brokers)
    brokers_[b.node_id] = {b.host, static_cast<std::uint16_t>(std::clamp(b.port, 0, 65535))};
  controller_ = response.controller_id;
  if (response.cluster_id) cluster_id_ = *response.cluster_id;

  for (const auto& t : response.topics) {
    if (!t.name) continue;
    auto& topic = topics_[*t.name];
    if (topic.id != t.topic_id) topic = {};  // deleted and made anew: its epochs start again
    topic.name = *t.name;
    topic.id = t.topic_id;
    topic.internal = t.is_internal;
    topic.error = static_cast<wire::error_code>(t.error_code);
    if (topic.error != wire::error_code::none) {
      // A topic that is gone must not be taken for one that is there; one whose leader is being elected may.
      if (topic.error == wire::error_code::unknown_topic_or_partition) topic.partitions.clear();
      continue;
    }
    // Only a gapless list is believed, so that a hostile index cannot make the cache grow.
    std::size_t count = 0;
    for (const auto& p : t.partitions)
      if (p.partition_index >= 0 && p.partition_index < max_partitions) ++count;
    topic.partitions.resize(count);
    for (const auto& p : t.partitions)
      if (p.partition_index >= 0 && static_cast<std::size_t>(p.partition_index) < count)
        apply_partition(topic, p);
  }
}

const partition_metadata* metadata_cache::leader_of(std::string_view topic,
                                                    std::int32_t partition) const noexcept {
  const auto* t = find(topic);
  if (t == nullptr || partition < 0 || static_cast<std::size_t>(partition) >= t->partitions.size())
    return nullptr;
  const auto& p = t->partitions[static_cast<std::size_t>(partition)];
  return p.leader >= 0 && brokers_.contains(p.leader) ? &p : nullptr;
}

}  // namespace penstock::client
