// SPDX-License-Identifier: Apache-2.0
// Membership: join, sync, heartbeat, leave. Rebalancing itself is in group_rebalance.cc.
#include "broker/group_coordinator.h"

#include <fmt/format.h>

namespace penstock::broker {

using wire::error_code;

namespace {

constexpr std::chrono::minutes first_join_timeout{5};
constexpr std::size_t longest_name = 32'000;  // int16 lengths in the journal

join_answer refused(error_code error, std::string member_id = {}) {
  join_answer a;
  a.error = error;
  a.member_id = std::move(member_id);
  return a;
}

join_answer current_generation(const group& g, const group_member& m) {
  join_answer a;
  a.generation = g.generation;
  a.protocol_type = g.protocol_type;
  a.protocol = g.protocol;
  a.leader = g.leader;
  a.member_id = m.id;
  if (g.leader == m.id) a.members = g.described_members();
  return a;
}

}  // namespace

group_coordinator::group_coordinator(group_settings settings, group_journal& journal, const io::clock& time,
                                     io::random_source& random)
    : settings_(settings), journal_(journal), time_(time), random_(random) {}

const group* group_coordinator::find(std::string_view name) const {
  const auto it = groups_.find(name);
  return it == groups_.end() ? nullptr : it->second.get();
}

group* group_coordinator::find_mutable(std::string_view name) {
  const auto it = groups_.find(name);
  return it == groups_.end() ? nullptr : it->second.get();
}

group& group_coordinator::find_or_make(const std::string& name) {
  auto& slot = groups_[name];
  if (slot == nullptr) {
    slot = std::make_unique<group>(name);
    slot->state_ms = time_.wall_ms();
  }
  return *slot;
}

std::string group_coordinator::new_member_id(const std::string& prefix) {
  const auto a = random_.next(), b = random_.next();
  return fmt::format("{}-{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", std::string_view(prefix).substr(0, 1000),
                     a >> 32, (a >> 16) & 0xffff, a & 0xfff, 0x8000 | ((b >> 48) & 0x3fff),
                     b & 0xffff'ffff'ffff);
}

void group_coordinator::touch(group_member& m) { m.deadline = time_.now() + m.session_timeout; }

void group_coordinator::join(join_request r, unique_function<void(join_answer)> done) {
  if (r.group.empty() || r.group.size() > longest_name)
    return done(refused(error_code::invalid_group_id, r.member_id));
  if (r.session_timeout < settings_.min_session || r.session_timeout > settings_.max_session)
    return done(refused(error_code::invalid_session_timeout, r.member_id));
  group* g = find_mutable(r.group);
  if (g == nullptr) {
    if (!r.member_id.empty()) return done(refused(error_code::unknown_member_id, r.member_id));
    g = &find_or_make(r.group);
  }
  if (!g->accepts(r.protocol_type, r.protocols)) {
    done(refused(error_code::inconsistent_group_protocol, r.member_id));
    return drop_if_idle(r.group);
  }
  if (r.member_id.empty())
    join_new(*g, r, done);
  else
    join_known(*g, r, done);
}

void group_coordinator::join_new(group& g, join_request& r, unique_function<void(join_answer)>& done) {
  if (r.instance_id && g.find_static(*r.instance_id) != nullptr) return replace_static(g, r, done);
  if (g.members.size() + g.pending.size() >= settings_.max_members)
    return done(refused(error_code::group_max_size_reached));
  std::string id = new_member_id(r.instance_id ? *r.instance_id : r.client_id);
  if (!r.instance_id && r.needs_member_id) {
    g.pending[id] = time_.now() + r.session_timeout;
    return done(refused(error_code::member_id_required, id));
  }
  add_and_rebalance(g, std::move(id), r, done);
}

void group_coordinator::join_known(group& g, join_request& r, unique_function<void(join_answer)>& done) {
  if (g.pending.contains(r.member_id)) return add_and_rebalance(g, r.member_id, r, done);
  if (const auto error = g.check(r.member_id, r.instance_id); error != error_code::none)
    return done(refused(error, r.member_id));
  group_member& m = *g.find(r.member_id);
  const bool unchanged = m.protocols == r.protocols;
  const bool follower = g.leader != m.id;
  if ((g.is(group_state::completing_rebalance) && unchanged) ||
      (g.is(group_state::stable) && unchanged && follower)) {
    touch(m);
    return done(current_generation(g, m));
  }
  if (g.is(group_state::empty)) return done(refused(error_code::unknown_member_id, r.member_id));
  update(m, r, std::move(done));
  rebalance(g);
}

void group_coordinator::update(group_member& m, join_request& r, unique_function<void(join_answer)> done) {
  m.client_id = r.client_id;
  m.client_host = r.client_host;
  m.session_timeout = r.session_timeout;
  m.rebalance_timeout = r.rebalance_timeout;
  m.protocols = std::move(r.protocols);
  if (m.on_joined) std::exchange(m.on_joined, {})(refused(error_code::rebalance_in_progress, m.id));
  m.on_joined = std::move(done);
  touch(m);
}

void group_coordinator::add_and_rebalance(group& g, std::string id, join_request& r,
                                          unique_function<void(join_answer)>& done) {
  if (g.members.empty()) g.protocol_type = r.protocol_type;
  group_member fresh;
  fresh.id = std::move(id);
  fresh.instance_id = r.instance_id;
  fresh.is_new = true;
  group_member& m = g.add(std::move(fresh));
  update(m, r, std::move(done));
  m.deadline = time_.now() + first_join_timeout;  // its answer may take as long as the others need to come
  g.joined_since = true;
  rebalance(g);
}

// A static member that started again: it has no id, but its place is there.
void group_coordinator::replace_static(group& g, join_request& r, unique_function<void(join_answer)>& done) {
  const std::string old_id = g.static_ids.find(*r.instance_id)->second;
  const std::string old_leader = g.leader;
  group_member& m = g.rename(old_id, new_member_id(*r.instance_id));
  if (m.on_joined) std::exchange(m.on_joined, {})(refused(error_code::fenced_instance_id, old_id));
  if (m.on_synced) std::exchange(m.on_synced, {})(sync_answer{error_code::fenced_instance_id, {}, {}, {}});
  update(m, r, std::move(done));
  if (g.is(group_state::stable) && g.choose_protocol() == g.protocol)
    return rejoin_without_rebalance(g, m, old_leader, r.may_skip_assignment);
  rebalance(g);
}

void group_coordinator::rejoin_without_rebalance(group& g, group_member& m, const std::string& old_leader,
                                                 bool may_skip) {
  std::map<std::string, std::string> assignments;
  for (const auto& [id, other] : g.members) assignments[id] = other.assignment;
  write_group(g, assignments);
  join_answer a = current_generation(g, m);
  if (may_skip) {
    a.skip_assignment = g.leader == m.id;
  } else {  // told of another leader, it will not assign
    a.leader = old_leader;
    a.members.clear();
  }
  std::exchange(m.on_joined, {})(std::move(a));
}

void group_coordinator::sync(sync_request r, unique_function<void(sync_answer)> done) {
  const auto refuse = [&](error_code e) { done(sync_answer{e, {}, {}, {}}); };
  group* g = find_mutable(r.group);
  if (r.group.empty()) return refuse(error_code::invalid_group_id);
  if (g == nullptr) return refuse(error_code::unknown_member_id);
  if (const auto e = g->check(r.member_id, r.instance_id); e != error_code::none) return refuse(e);
  if (r.generation != g->generation) return refuse(error_code::illegal_generation);
  if ((r.protocol_type && *r.protocol_type != g->protocol_type) || (r.protocol && *r.protocol != g->protocol))
    return refuse(error_code::inconsistent_group_protocol);
  group_member& m = *g->find(r.member_id);
  switch (g->state) {
    case group_state::empty: return refuse(error_code::unknown_member_id);
    case group_state::preparing_rebalance: return refuse(error_code::rebalance_in_progress);
    case group_state::stable:
      g->unsynced.erase(m.id);
      touch(m);
      return done(sync_answer{error_code::none, g->protocol_type, g->protocol, m.assignment});
    case group_state::completing_rebalance: break;
  }
  g->unsynced.erase(m.id);
  if (m.on_synced) std::exchange(m.on_synced, {})(sync_answer{error_code::rebalance_in_progress, {}, {}, {}});
  m.on_synced = std::move(done);
  touch(m);
  if (g->leader == r.member_id) take_assignment(*g, std::move(r.assignments));
}

error_code group_coordinator::heartbeat(const std::string& name, const member_identity& who) {
  if (name.empty()) return error_code::invalid_group_id;
  group* g = find_mutable(name);
  if (g == nullptr) return error_code::unknown_member_id;
  if (const auto e = g->check(who.member_id, who.instance_id); e != error_code::none) return e;
  if (who.generation != g->generation) return error_code::illegal_generation;
  touch(*g->find(who.member_id));
  return g->is(group_state::preparing_rebalance) ? error_code::rebalance_in_progress : error_code::none;
}

error_code group_coordinator::leave(const std::string& name, const std::string& member_id,
                                    const std::optional<std::string>& instance_id) {
  if (name.empty()) return error_code::invalid_group_id;
  group* g = find_mutable(name);
  if (g == nullptr) return error_code::unknown_member_id;
  if (member_id.empty() && instance_id) {
    const auto* m = g->find_static(*instance_id);
    if (m == nullptr) return error_code::unknown_member_id;
    drop_member(*g, std::string(m->id), error_code::unknown_member_id);
    return error_code::none;
  }
  if (g->pending.erase(member_id) > 0) {
    complete_if_all_joined(*g);
    drop_if_idle(name);
    return error_code::none;
  }
  if (const auto e = g->check(member_id, instance_id); e != error_code::none) return e;
  drop_member(*g, member_id, error_code::unknown_member_id);
  return error_code::none;
}

}  // namespace penstock::broker
