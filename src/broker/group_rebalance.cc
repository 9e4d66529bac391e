// SPDX-License-Identifier: Apache-2.0
// How a generation of a group comes about: everybody joins, one protocol is chosen, the leader assigns; and
// the timers that go on without those who do not answer.
#include <algorithm>

#include "broker/group_coordinator.h"

namespace penstock::broker {

using wire::error_code;

void group_coordinator::rebalance(group& g) {
  if (g.is(group_state::preparing_rebalance))
    complete_if_all_joined(g);
  else
    begin_rebalance(g);
}

void group_coordinator::begin_rebalance(group& g) {
  const bool first = g.is(group_state::empty);
  if (g.is(group_state::completing_rebalance)) refuse_syncs(g, error_code::rebalance_in_progress);
  g.sync_deadline.reset();
  g.unsynced.clear();
  g.enter(group_state::preparing_rebalance, time_.wall_ms());
  g.initial = first;
  if (!first) {
    g.join_deadline = time_.now() + g.rebalance_timeout();
    return complete_if_all_joined(g);
  }
  if (settings_.initial_delay.count() == 0) return complete_join(g);
  g.joined_since = false;
  g.initial_until = time_.now() + g.rebalance_timeout();
  g.join_deadline = std::min(time_.now() + settings_.initial_delay, *g.initial_until);
}

void group_coordinator::complete_if_all_joined(group& g) {
  if (g.is(group_state::preparing_rebalance) && !g.initial && g.all_joined()) complete_join(g);
}

void group_coordinator::join_wait_over(group& g) {
  const auto now = time_.now();
  if (g.initial && g.joined_since && g.initial_until && now < *g.initial_until) {
    g.joined_since = false;
    g.join_deadline = std::min(now + settings_.initial_delay, *g.initial_until);
    return;
  }
  complete_join(g);
}

void group_coordinator::complete_join(group& g) {
  g.initial = false;
  g.initial_until.reset();
  g.join_deadline.reset();
  std::vector<std::string> absent;  // static members keep their place until their session ends
  for (const auto& [id, m] : g.members)
    if (!m.on_joined && !m.instance_id) absent.push_back(id);
  for (const auto& id : absent) g.remove(id);
  if (!g.members.empty() && !g.elect_leader()) {
    g.join_deadline = time_.now() + g.rebalance_timeout();
    return;
  }
  ++g.generation;
  if (g.members.empty()) {
    g.protocol.clear();
    g.leader.clear();
    g.enter(group_state::empty, time_.wall_ms());
    return write_group(g, {});
  }
  g.protocol = g.choose_protocol();
  g.enter(group_state::completing_rebalance, time_.wall_ms());
  g.sync_deadline = time_.now() + g.rebalance_timeout();
  for (auto& [id, m] : g.members) {
    g.unsynced.insert(id);
    m.is_new = false;
    touch(m);
    if (!m.on_joined) continue;
    join_answer a;
    a.generation = g.generation;
    a.protocol_type = g.protocol_type;
    a.protocol = g.protocol;
    a.leader = g.leader;
    a.member_id = id;
    if (id == g.leader) a.members = g.described_members();
    std::exchange(m.on_joined, {})(std::move(a));
  }
}

void group_coordinator::take_assignment(group& g, std::map<std::string, std::string> assignments) {
  for (auto it = assignments.begin(); it != assignments.end();)
    it = g.find(it->first) == nullptr ? assignments.erase(it) : std::next(it);
  std::vector<state_record> records;
  stored_group snapshot = g.stored(assignments);
  snapshot.state_ms = time_.wall_ms();
  records.push_back({encode(group_key{g.name()}), encode(snapshot)});
  journal_.write(g.name(), std::move(records),
                 [this, name = g.name(), generation = g.generation, assignments = std::move(assignments)](
                     error_code e) { assignment_written(name, generation, assignments, e); });
}

void group_coordinator::assignment_written(const std::string& name, std::int32_t generation,
                                           const std::map<std::string, std::string>& assignments,
                                           error_code error) {
  group* g = find_mutable(name);
  if (g == nullptr || g->generation != generation || !g->is(group_state::completing_rebalance)) return;
  if (error != error_code::none) {
    refuse_syncs(*g, error);
    return begin_rebalance(*g);
  }
  g->enter(group_state::stable, time_.wall_ms());
  for (auto& [id, m] : g->members) {
    const auto a = assignments.find(id);
    m.assignment = a == assignments.end() ? std::string() : a->second;
    if (!m.on_synced) continue;
    touch(m);
    std::exchange(m.on_synced,
                  {})(sync_answer{error_code::none, g->protocol_type, g->protocol, m.assignment});
  }
}

void group_coordinator::refuse_syncs(group& g, error_code error) {
  for (auto& [id, m] : g.members) {
    m.assignment.clear();
    if (m.on_synced) std::exchange(m.on_synced, {})(sync_answer{error, {}, {}, {}});
  }
}

void group_coordinator::sync_wait_over(group& g) {
  g.sync_deadline.reset();
  if (g.unsynced.empty()) return;
  const auto late = std::exchange(g.unsynced, {});
  for (const auto& id : late)
    if (g.find(id) != nullptr) g.remove(id);
  begin_rebalance(g);
}

void group_coordinator::drop_member(group& g, const std::string& id, error_code parked_answer) {
  group_member m = g.remove(id);
  if (m.on_joined) {
    join_answer a;
    a.error = parked_answer;
    a.member_id = id;
    m.on_joined(std::move(a));
  }
  if (m.on_synced) m.on_synced(sync_answer{parked_answer, {}, {}, {}});
  rebalance(g);
}

void group_coordinator::write_group(const group& g, const std::map<std::string, std::string>& assignments) {
  std::vector<state_record> records;
  records.push_back({encode(group_key{g.name()}), encode(g.stored(assignments))});
  journal_.write(g.name(), std::move(records),
                 [](error_code) {});  // lost, it costs a rebalance after a restart
}

void group_coordinator::drop_if_idle(const std::string& name) {
  const group* g = find(name);
  if (g != nullptr && g->is(group_state::empty) && g->generation == 0 && g->members.empty() &&
      g->pending.empty() && g->offsets.empty() && g->in_transactions.empty())
    groups_.erase(name);
}

std::optional<io::instant> group_coordinator::next_deadline() const {
  std::optional<io::instant> first;
  const auto consider = [&](const std::optional<io::instant>& t) {
    if (t && (!first || *t < *first)) first = t;
  };
  for (const auto& [name, g] : groups_) {
    consider(g->join_deadline);
    consider(g->sync_deadline);
    for (const auto& [id, until] : g->pending) consider(until);
    for (const auto& [id, m] : g->members) consider(m.deadline);
  }
  return first;
}

void group_coordinator::tick() {
  const auto now = time_.now();
  std::vector<std::string> names;  // what happens below may add or drop groups
  names.reserve(groups_.size());
  for (const auto& [name, g] : groups_) names.push_back(name);
  for (const auto& name : names) {
    group& g = *find_mutable(name);
    if (std::erase_if(g.pending, [&](const auto& p) { return p.second <= now; }) > 0)
      complete_if_all_joined(g);
    std::vector<std::string> lost;
    for (auto& [id, m] : g.members) {
      if (m.deadline > now) continue;
      if (!m.is_new && (m.on_joined || m.on_synced))
        touch(m);  // it waits for us
      else
        lost.push_back(id);
    }
    for (const auto& id : lost)
      if (g.find(id) != nullptr) drop_member(g, id, error_code::unknown_member_id);
    if (g.join_deadline && *g.join_deadline <= now) join_wait_over(g);
    if (g.sync_deadline && *g.sync_deadline <= now) sync_wait_over(g);
    drop_if_idle(name);
  }
}

}  // namespace penstock::broker
