// SPDX-License-Identifier: Apache-2.0
#include "broker/group.h"

#include <algorithm>

namespace penstock::broker {

using wire::error_code;

std::string_view to_string(group_state s) noexcept {
  switch (s) {
    case group_state::empty: return "Empty";
    case group_state::preparing_rebalance: return "PreparingRebalance";
    case group_state::completing_rebalance: return "CompletingRebalance";
    case group_state::stable: return "Stable";
  }
  return "Dead";
}

bool group_member::supports(std::string_view protocol) const {
  return std::any_of(protocols.begin(), protocols.end(), [&](const auto& p) { return p.name == protocol; });
}

std::string_view group_member::metadata(std::string_view protocol) const {
  for (const auto& p : protocols)
    if (p.name == protocol) return p.metadata;
  return {};
}

group_member* group::find(std::string_view member_id) {
  const auto it = members.find(member_id);
  return it == members.end() ? nullptr : &it->second;
}

group_member* group::find_static(std::string_view instance_id) {
  const auto it = static_ids.find(instance_id);
  return it == static_ids.end() ? nullptr : find(it->second);
}

error_code group::check(std::string_view member_id, const std::optional<std::string>& instance_id) const {
  if (instance_id) {
    const auto it = static_ids.find(*instance_id);
    if (it == static_ids.end()) return error_code::unknown_member_id;
    if (it->second != member_id) return error_code::fenced_instance_id;
  }
  return members.find(member_id) == members.end() ? error_code::unknown_member_id : error_code::none;
}

group_member& group::add(group_member m) {
  if (leader.empty()) leader = m.id;
  if (m.instance_id) static_ids[*m.instance_id] = m.id;
  pending.erase(m.id);
  const std::string id = m.id;
  return members.insert_or_assign(id, std::move(m)).first->second;
}

group_member group::remove(const std::string& member_id) {
  auto node = members.extract(member_id);
  group_member m = std::move(node.mapped());
  if (m.instance_id) static_ids.erase(*m.instance_id);
  unsynced.erase(member_id);
  if (leader == member_id) leader = members.empty() ? std::string() : members.begin()->first;
  return m;
}

group_member& group::rename(const std::string& old_id, const std::string& new_id) {
  auto node = members.extract(old_id);
  node.key() = new_id;
  node.mapped().id = new_id;
  if (node.mapped().instance_id) static_ids[*node.mapped().instance_id] = new_id;
  if (unsynced.erase(old_id) > 0) unsynced.insert(new_id);
  if (leader == old_id) leader = new_id;
  return members.insert(std::move(node)).position->second;
}

bool group::accepts(std::string_view type, const std::vector<group_protocol>& offered) const {
  if (type.empty() || offered.empty()) return false;
  if (members.empty()) return true;
  if (type != protocol_type) return false;
  return std::any_of(offered.begin(), offered.end(), [&](const auto& p) {
    return std::all_of(members.begin(), members.end(),
                       [&](const auto& m) { return m.second.supports(p.name); });
  });
}

std::string group::choose_protocol() const {
  const auto known_to_all = [&](const std::string& name) {
    return std::all_of(members.begin(), members.end(),
                       [&](const auto& m) { return m.second.supports(name); });
  };
  std::vector<std::pair<std::string, int>> votes;  // in order of the first vote, so that ties are stable
  for (const auto& [id, m] : members) {
    const auto choice = std::find_if(m.protocols.begin(), m.protocols.end(),
                                     [&](const auto& p) { return known_to_all(p.name); });
    if (choice == m.protocols.end()) continue;
    const auto seen =
        std::find_if(votes.begin(), votes.end(), [&](const auto& v) { return v.first == choice->name; });
    if (seen == votes.end())
      votes.emplace_back(choice->name, 1);
    else
      ++seen->second;
  }
  const auto most = std::max_element(votes.begin(), votes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == votes.end() ? std::string() : most->first;
}

bool group::all_joined() const {
  return pending.empty() && std::all_of(members.begin(), members.end(),
                                        [](const auto& m) { return static_cast<bool>(m.second.on_joined); });
}

bool group::elect_leader() {
  if (const auto* current = find(leader); current != nullptr && current->on_joined) return true;
  const auto next = std::find_if(members.begin(), members.end(),
                                 [](const auto& m) { return static_cast<bool>(m.second.on_joined); });
  if (next == members.end()) return false;
  leader = next->first;
  return true;
}

std::chrono::milliseconds group::rebalance_timeout() const {
  std::chrono::milliseconds longest{0};
  for (const auto& [id, m] : members) longest = std::max(longest, m.rebalance_timeout);
  return longest;
}

std::vector<joined_member> group::described_members() const {
  std::vector<joined_member> all;
  all.reserve(members.size());
  for (const auto& [id, m] : members) all.push_back({id, m.instance_id, std::string(m.metadata(protocol))});
  return all;
}

stored_group group::stored(const std::map<std::string, std::string>& assignments) const {
  stored_group s;
  s.protocol_type = protocol_type;
  s.generation = generation;
  if (!members.empty()) {
    s.protocol = protocol;
    s.leader = leader;
  }
  s.state_ms = state_ms;
  for (const auto& [id, m] : members) {
    const auto a = assignments.find(id);
    s.members.push_back({id, m.instance_id, m.client_id, m.client_host,
                         static_cast<std::int32_t>(m.rebalance_timeout.count()),
                         static_cast<std::int32_t>(m.session_timeout.count()),
                         std::string(m.metadata(protocol)),
                         a == assignments.end() ? std::string() : a->second});
  }
  return s;
}

bool group::unstable(const topic_partition& where) const {
  return std::any_of(in_transactions.begin(), in_transactions.end(),
                     [&](const auto& t) { return t.second.contains(where); });
}

bool group::subscribes(const std::string& topic) const {
  if (protocol_type != "consumer") return false;
  return std::any_of(members.begin(), members.end(), [&](const auto& m) {
    return std::any_of(m.second.protocols.begin(), m.second.protocols.end(), [&](const auto& p) {
      const auto topics = subscribed_topics(p.metadata);
      return std::find(topics.begin(), topics.end(), topic) != topics.end();
    });
  });
}

}  // namespace penstock::broker
