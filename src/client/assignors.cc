// SPDX-License-Identifier: Apache-2.0
#include "client/assignors.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"

namespace penstock::client {
namespace {

using kafka::member_share;
using kafka::topic_partition;

bool subscribes(const group_subscription& m, const std::string& topic) {
  return std::find(m.topics.begin(), m.topics.end(), topic) != m.topics.end();
}

// Topic by topic: consecutive partitions to each subscriber, the first ones get one more where it does not
// divide.
void range(const std::vector<group_subscription>& members, const partition_counts& partitions,
           group_assignment& out) {
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
void round_robin(const std::vector<group_subscription>& members, const partition_counts& partitions,
                 group_assignment& out) {
  std::size_t turn = 0;
  for (const auto& [topic, count] : partitions) {
    const bool wanted = std::any_of(members.begin(), members.end(),
                                    [&topic = topic](const auto& m) { return subscribes(m, topic); });
    if (!wanted) continue;
    for (std::int32_t p = 0; p < count; ++p) {
      while (!subscribes(members[turn % members.size()], topic)) ++turn;
      out[members[turn++ % members.size()].member_id].push_back({topic, p});
    }
  }
}

// Takes away again what another member still holds: it gets it when that one has let it go. What two claim
// with the same right is nobody's until both have.
void hold_back_what_is_owned(const std::vector<group_subscription>& members, group_assignment& shares) {
  std::map<topic_partition, std::vector<const group_subscription*>> owners;
  for (const auto& m : members)
    for (const auto& tp : m.owned) owners[tp].push_back(&m);
  const auto may_have = [&](const std::string& id, const topic_partition& tp) {
    const auto it = owners.find(tp);
    if (it == owners.end()) return true;
    const auto own =
        std::find_if(it->second.begin(), it->second.end(), [&](const auto* m) { return m->member_id == id; });
    return own != it->second.end() && std::none_of(it->second.begin(), it->second.end(), [&](const auto* m) {
             return m != *own && m->generation >= (*own)->generation;
           });
  };
  for (auto& [member, list] : shares)
    std::erase_if(list, [&, &id = member](const topic_partition& tp) { return !may_have(id, tp); });
}

class builtin_assignor : public kafka::partition_assignor {
 public:
  explicit builtin_assignor(kafka::assignor how) : how_(how) {}

  std::string_view name() const override { return protocol_name(how_); }
  bool cooperative() const override { return how_ == kafka::assignor::cooperative_sticky; }

  std::string user_data(const std::vector<std::string>& /*topics*/) override {
    if (how_ == kafka::assignor::sticky && generation_ >= 0) return encode_sticky_memory(mine_, generation_);
    if (how_ != kafka::assignor::cooperative_sticky) return {};
    std::string bytes(sizeof(std::int32_t), '\0');  // for leaders that do not read version 2
    base::store_be(bytes.data(), generation_);
    return bytes;
  }

  std::map<std::string, member_share> share_out(const std::vector<group_subscription>& members,
                                                const partition_counts& partitions) override {
    std::map<std::string, member_share> shares;
    for (auto& [member, list] : client::share_out(how_, members, partitions))
      shares[member].partitions = std::move(list);
    return shares;
  }

  void on_assignment(const member_share& mine, std::int32_t generation) override {
    mine_ = mine.partitions;
    generation_ = generation;
  }

 private:
  kafka::assignor how_;
  std::vector<topic_partition> mine_;
  std::int32_t generation_ = -1;
};

}  // namespace

bool comes_before(const group_subscription& a, const group_subscription& b) {
  if (a.instance_id.empty() != b.instance_id.empty()) return !a.instance_id.empty();
  if (!a.instance_id.empty()) return a.instance_id < b.instance_id;
  return a.member_id < b.member_id;
}

std::string_view protocol_name(kafka::assignor a) noexcept {
  switch (a) {
    case kafka::assignor::range: return "range";
    case kafka::assignor::round_robin: return "roundrobin";
    case kafka::assignor::sticky: return "sticky";
    case kafka::assignor::cooperative_sticky: return "cooperative-sticky";
  }
  return "range";
}

group_assignment share_out(kafka::assignor how, std::vector<group_subscription> members,
                           const partition_counts& partitions) {
  std::sort(members.begin(), members.end(), comes_before);
  group_assignment out;
  for (const auto& m : members) out[m.member_id];
  if (members.empty()) return out;
  switch (how) {
    case kafka::assignor::range: range(members, partitions, out); break;
    case kafka::assignor::round_robin: round_robin(members, partitions, out); break;
    case kafka::assignor::sticky: out = share_out_sticky(members, partitions); break;
    case kafka::assignor::cooperative_sticky:
      out = share_out_sticky(members, partitions);
      hold_back_what_is_owned(members, out);
      break;
  }
  return out;
}

std::shared_ptr<kafka::partition_assignor> make_assignor(kafka::assignor how) {
  return std::make_shared<builtin_assignor>(how);
}

std::vector<std::shared_ptr<kafka::partition_assignor>> assignors_of(const kafka::consumer_settings& s) {
  auto all = s.own_assignors;
  for (const auto how : s.assignors) all.push_back(make_assignor(how));
  return all;
}

bool all_cooperative(const std::vector<std::shared_ptr<kafka::partition_assignor>>& assignors) {
  return !assignors.empty() &&
         std::all_of(assignors.begin(), assignors.end(), [](const auto& a) { return a->cooperative(); });
}

}  // namespace penstock::client
