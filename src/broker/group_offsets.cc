// SPDX-License-Identifier: Apache-2.0
// Committed offsets: commit, expiry, removal, and taking the coordinator's state back from its journal.
#include <algorithm>

#include "broker/group_coordinator.h"

namespace penstock::broker {

using wire::error_code;

namespace {

// Who may commit: see group_coordinator::commit.
error_code may_commit(const group& g, const member_identity& who) {
  if (who.generation < 0 && g.is(group_state::empty)) return error_code::none;
  if (who.generation < 0 && who.member_id.empty() && !who.instance_id) return error_code::unknown_member_id;
  if (const auto e = g.check(who.member_id, who.instance_id); e != error_code::none) return e;
  if (who.generation != g.generation) return error_code::illegal_generation;
  return g.is(group_state::completing_rebalance) ? error_code::rebalance_in_progress : error_code::none;
}

}  // namespace

void group_coordinator::commit(const std::string& name, const member_identity& who,
                               std::vector<std::pair<topic_partition, committed_offset>> offsets,
                               unique_function<void(error_code)> done) {
  if (name.empty() || name.size() > 32'000) return done(error_code::invalid_group_id);
  group* g = find_mutable(name);
  if (g == nullptr) {
    if (who.generation >= 0) return done(error_code::illegal_generation);
    g = &find_or_make(name);
  }
  if (const auto e = may_commit(*g, who); e != error_code::none) return done(e);
  if (auto* m = g->find(who.member_id); m != nullptr) touch(*m);
  if (offsets.empty()) {
    done(error_code::none);
    return drop_if_idle(name);
  }
  std::vector<state_record> records;
  records.reserve(offsets.size());
  ++order_;
  for (auto& [where, value] : offsets) {
    value.order = order_;
    records.push_back({encode(offset_key{name, where.first, where.second}), encode(value)});
  }
  journal_.write(name, std::move(records),
                 [this, name, offsets = std::move(offsets), done = std::move(done)](error_code e) mutable {
                   if (e == error_code::none) {
                     group& target = find_or_make(name);
                     for (auto& [where, value] : offsets) apply(target, where, std::move(value));
                   }
                   done(e);
                 });
}

void group_coordinator::remove_offsets(const std::string& name, std::vector<topic_partition> partitions,
                                       unique_function<void(error_code, std::vector<error_code>)> done) {
  group* g = find_mutable(name);
  if (g == nullptr) return done(error_code::group_id_not_found, {});
  if (!g->members.empty() && g->protocol_type != "consumer") return done(error_code::non_empty_group, {});
  std::vector<error_code> answers;
  std::vector<state_record> records;
  for (const auto& where : partitions) {
    const bool in_use = g->subscribes(where.first);
    answers.push_back(in_use ? error_code::group_subscribed_to_topic : error_code::none);
    if (!in_use && g->offsets.contains(where))
      records.push_back({encode(offset_key{name, where.first, where.second}), std::nullopt});
  }
  if (records.empty()) return done(error_code::none, std::move(answers));
  journal_.write(name, std::move(records),
                 [this, name, partitions = std::move(partitions), answers = std::move(answers),
                  done = std::move(done)](error_code e) mutable {
                   if (group* target = find_mutable(name); target != nullptr && e == error_code::none)
                     for (std::size_t i = 0; i < partitions.size(); ++i)
                       if (answers[i] == error_code::none) target->offsets.erase(partitions[i]);
                   done(e, std::move(answers));
                 });
}

void group_coordinator::remove_group(const std::string& name, unique_function<void(error_code)> done) {
  group* g = find_mutable(name);
  if (g == nullptr) return done(name.empty() ? error_code::invalid_group_id : error_code::group_id_not_found);
  if (!g->is(group_state::empty) || !g->members.empty()) return done(error_code::non_empty_group);
  std::vector<state_record> records;
  for (const auto& [where, value] : g->offsets)
    records.push_back({encode(offset_key{name, where.first, where.second}), std::nullopt});
  records.push_back({encode(group_key{name}), std::nullopt});
  journal_.write(name, std::move(records), [this, name, done = std::move(done)](error_code e) mutable {
    const group* target = find(name);
    if (e == error_code::none && target != nullptr && target->members.empty()) groups_.erase(name);
    done(e);
  });
}

void group_coordinator::forget_topic(const std::string& topic) {
  for (auto& [name, g] : groups_) {
    std::vector<state_record> records;
    for (auto& [producer, pending] : g->in_transactions)
      std::erase_if(pending, [&](const auto& o) { return o.first.first == topic; });
    for (auto it = g->offsets.begin(); it != g->offsets.end();) {
      if (it->first.first != topic) {
        ++it;
        continue;
      }
      records.push_back({encode(offset_key{name, topic, it->first.second}), std::nullopt});
      it = g->offsets.erase(it);
    }
    if (!records.empty()) journal_.write(name, std::move(records), [](error_code) {});
  }
}

bool group_coordinator::expired(const group& g, const topic_partition& p, const committed_offset& o,
                                std::int64_t wall_ms) const {
  if (!g.members.empty()) {
    // A living group keeps what it reads; of a kind that does not say what it reads, it keeps everything.
    if (g.protocol_type != "consumer" || g.subscribes(p.first)) return false;
    return o.commit_ms + settings_.offsets_retention.count() <= wall_ms;
  }
  const std::int64_t since = g.protocol_type.empty() ? o.commit_ms : std::max(o.commit_ms, g.state_ms);
  return since + settings_.offsets_retention.count() <= wall_ms;
}

void group_coordinator::expire_offsets() {
  const std::int64_t wall_ms = time_.wall_ms();
  for (auto it = groups_.begin(); it != groups_.end();) {
    group& g = *it->second;
    std::vector<state_record> records;
    for (auto o = g.offsets.begin(); o != g.offsets.end();) {
      if (g.unstable(o->first) || !expired(g, o->first, o->second, wall_ms)) {
        ++o;
        continue;
      }
      records.push_back({encode(offset_key{g.name(), o->first.first, o->first.second}), std::nullopt});
      o = g.offsets.erase(o);
    }
    const bool over = g.is(group_state::empty) && g.members.empty() && g.pending.empty() &&
                      g.offsets.empty() && g.in_transactions.empty() &&
                      g.state_ms + settings_.offsets_retention.count() <= wall_ms;
    if (over) records.push_back({encode(group_key{g.name()}), std::nullopt});
    const std::string name = g.name();
    it = over ? groups_.erase(it) : std::next(it);
    if (!records.empty()) journal_.write(name, std::move(records), [](error_code) {});
  }
}

result<> group_coordinator::restore(std::string_view key_bytes, std::optional<std::string_view> value) {
  auto key = decode_state_key(key_bytes);
  if (!key) return fail(key.error());
  if (const auto* k = std::get_if<offset_key>(&*key)) {
    if (!value) {
      if (group* g = find_mutable(k->group); g != nullptr) {
        g->offsets.erase({k->topic, k->partition});
        drop_if_idle(k->group);
      }
      return {};
    }
    auto offset = decode_committed_offset(*value);
    if (!offset) return fail(offset.error());
    offset->order = ++order_;
    find_or_make(k->group).offsets[{k->topic, k->partition}] = std::move(*offset);
  } else if (const auto* k2 = std::get_if<group_key>(&*key)) {
    if (!value) {
      groups_.erase(k2->group);
      return {};
    }
    auto stored = decode_stored_group(*value);
    if (!stored) return fail(stored.error());
    restore_group(k2->group, *stored);
  }
  return {};
}

void group_coordinator::restore_group(const std::string& name, const stored_group& s) {
  group& g = find_or_make(name);
  g.members.clear();
  g.static_ids.clear();
  g.leader.clear();
  g.protocol_type = s.protocol_type;
  g.generation = s.generation;
  g.protocol = s.protocol.value_or("");
  for (const auto& m : s.members) {
    group_member back;
    back.id = m.id;
    back.instance_id = m.instance_id;
    back.client_id = m.client_id;
    back.client_host = m.client_host;
    back.session_timeout = std::chrono::milliseconds(m.session_timeout_ms);
    back.rebalance_timeout = std::chrono::milliseconds(m.rebalance_timeout_ms);
    back.protocols.push_back({g.protocol, m.subscription});
    back.assignment = m.assignment;
    touch(g.add(std::move(back)));
  }
  if (s.leader && g.find(*s.leader) != nullptr) g.leader = *s.leader;
  g.enter(g.members.empty() ? group_state::empty : group_state::stable,
          s.state_ms >= 0 ? s.state_ms : time_.wall_ms());
}

}  // namespace penstock::broker
