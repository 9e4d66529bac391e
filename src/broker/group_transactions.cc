// SPDX-License-Identifier: Apache-2.0
// Offsets that are committed in a transaction: kept aside until the transaction has ended.
#include "broker/group_coordinator.h"

namespace penstock::broker {

using wire::error_code;

namespace {

// Unlike a plain commit it may come from somebody who is no member, and in the middle of a rebalance.
error_code may_commit(const group* g, const member_identity& who) {
  if (who.generation < 0 && who.member_id.empty() && !who.instance_id) return error_code::none;
  if (g == nullptr) return error_code::illegal_generation;
  if (const auto e = g->check(who.member_id, who.instance_id); e != error_code::none) return e;
  return who.generation == g->generation ? error_code::none : error_code::illegal_generation;
}

}  // namespace

// A commit that stands earlier in the journal never overwrites a later one.
void group_coordinator::apply(group& g, const topic_partition& where, committed_offset value) {
  const auto [it, fresh] = g.offsets.try_emplace(where, value);
  if (!fresh && it->second.order <= value.order) it->second = std::move(value);
}

void group_coordinator::commit_in_transaction(
    const std::string& name, const member_identity& who, producer_identity producer,
    std::vector<std::pair<topic_partition, committed_offset>> offsets,
    unique_function<void(error_code)> done) {
  if (name.empty() || name.size() > 32'000) return done(error_code::invalid_group_id);
  group* g = find_mutable(name);
  if (const auto e = may_commit(g, who); e != error_code::none) return done(e);
  if (offsets.empty()) return done(error_code::none);
  if (g == nullptr) g = &find_or_make(name);
  if (auto* m = g->find(who.member_id); m != nullptr) touch(*m);
  std::vector<state_record> records;
  auto& pending = g->in_transactions[producer.id];
  const auto before = pending;
  ++order_;
  for (auto& [where, value] : offsets) {
    value.order = order_;
    records.push_back({encode(offset_key{name, where.first, where.second}), encode(value)});
    pending[where] = std::move(value);
  }
  transactions_[producer.id].insert(name);
  journal_.write_in_transaction(name, std::move(records), producer,
                                [this, name, producer, before, done = std::move(done)](error_code e) mutable {
                                  if (group* target = find_mutable(name);
                                      e != error_code::none && target != nullptr) {
                                    target->in_transactions[producer.id] = before;
                                    if (before.empty()) forget_transaction(producer.id, name);
                                  }
                                  done(e);
                                });
}

void group_coordinator::forget_transaction(std::int64_t producer_id, const std::string& name) {
  if (group* g = find_mutable(name); g != nullptr) g->in_transactions.erase(producer_id);
  if (const auto it = transactions_.find(producer_id); it != transactions_.end()) {
    it->second.erase(name);
    if (it->second.empty()) transactions_.erase(it);
  }
  drop_if_idle(name);
}

void group_coordinator::transaction_ended(std::int64_t producer_id, std::int32_t journal_partition,
                                          bool commit) {
  const auto it = transactions_.find(producer_id);
  if (it == transactions_.end()) return;
  const auto names = it->second;
  for (const auto& name : names) {
    if (journal_.partition_of(name) != journal_partition) continue;
    if (group* g = find_mutable(name); g != nullptr && commit)
      for (auto& [where, value] : g->in_transactions[producer_id]) apply(*g, where, std::move(value));
    forget_transaction(producer_id, name);
  }
}

result<> group_coordinator::restore_in_transaction(std::int64_t producer_id, std::string_view key_bytes,
                                                   std::optional<std::string_view> value) {
  auto key = decode_state_key(key_bytes);
  if (!key) return fail(key.error());
  const auto* k = std::get_if<offset_key>(&*key);
  if (k == nullptr || !value) return {};  // nobody writes such records in a transaction
  auto offset = decode_committed_offset(*value);
  if (!offset) return fail(offset.error());
  offset->order = ++order_;
  find_or_make(k->group).in_transactions[producer_id][{k->topic, k->partition}] = std::move(*offset);
  transactions_[producer_id].insert(k->group);
  return {};
}

}  // namespace penstock::broker
