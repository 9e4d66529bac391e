// SPDX-License-Identifier: Apache-2.0
#include "client/fake_transactions.h"

#include "client/fake_cluster.h"
#include "wire/messages/add_offsets_to_txn.h"
#include "wire/messages/add_partitions_to_txn.h"
#include "wire/messages/describe_transactions.h"
#include "wire/messages/init_producer_id.h"
#include "wire/messages/txn_offset_commit.h"

namespace penstock::client::testing {

using wire::api_key;
using wire::error_code;

std::int64_t fake_transactions::committed_offset(const std::string& group, const std::string& topic,
                                                 std::int32_t partition) const {
  const auto g = committed_.find(group);
  if (g == committed_.end()) return -1;
  const auto o = g->second.find({topic, partition});
  return o == g->second.end() ? -1 : o->second;
}

bool fake_transactions::is_open(const std::string& id) const {
  const auto it = known_.find(id);
  return it != known_.end() && (it->second.state == state::ongoing || it->second.state == state::preparing);
}

kafka::producer_identity fake_transactions::identity_of(const std::string& id) const {
  const auto it = known_.find(id);
  return it == known_.end() ? kafka::producer_identity{}
                            : kafka::producer_identity{it->second.id, it->second.epoch};
}

void fake_transactions::set_identity(const std::string& id, kafka::producer_identity identity) {
  known_[id].id = identity.id;
  known_[id].epoch = identity.epoch;
}

void fake_transactions::time_out(const std::string& id) {
  auto& t = known_.at(id);
  if (t.state != state::ongoing) return;
  ++t.epoch;  // fences
  prepare(t, false, false);
  complete(t);
}

std::string fake_transactions::answer(const seen_request& r) {
  switch (r.header.key) {
    case api_key::init_producer_id: return init(r);
    case api_key::add_partitions_to_txn: return add_partitions(r);
    case api_key::add_offsets_to_txn: return add_offsets(r);
    case api_key::end_txn: return end(r);
    case api_key::describe_transactions: return describe(r);
    default: return commit_offsets(r);
  }
}

void fake_transactions::next_epoch(transaction& t) {
  t.last_id = t.id;
  t.last_epoch = t.epoch;
  if (t.id < 0 || t.epoch >= last_epoch) {
    t.id = cluster_.new_producer_id();
    t.epoch = 0;
  } else {
    ++t.epoch;
  }
}

std::string fake_transactions::init(const seen_request& r) {
  const auto ask = r.as<wire::init_producer_id_request>();
  wire::init_producer_id_response a;
  const auto refuse = [&](error_code why) {
    a.error_code = code(why);
    return encoded(a, r.header.version);
  };
  if (r.broker != cluster_.coordinator) return refuse(error_code::not_coordinator);
  auto& t = known_[*ask.transactional_id];
  const bool known = ask.producer_id >= 0;
  const bool repeated = known && ask.producer_id == t.last_id && ask.producer_epoch == t.last_epoch;
  if (known && t.id >= 0 && !repeated && (ask.producer_id != t.id || ask.producer_epoch != t.epoch))
    return refuse(r.header.version < 4 ? error_code::invalid_producer_epoch : error_code::producer_fenced);
  if (busy(t)) return refuse(error_code::concurrent_transactions);
  if (t.state == state::ongoing) {
    // Fences and aborts; the producer that waits for this asks again.
    ++t.epoch;
    prepare(t, false, false);
    t.last_epoch = -1;  // as in Kafka: who asked by the epoch before is fenced as well
    busy(t);
    return refuse(error_code::concurrent_transactions);
  }
  if (!repeated || t.id < 0) {
    next_epoch(t);
    if (!known) t.last_epoch = -1;
    t.state = state::empty;
  }
  a.producer_id = t.id;
  a.producer_epoch = t.epoch;
  return encoded(a, r.header.version);
}

error_code fake_transactions::may_add(const std::string& id, std::int64_t producer, std::int16_t epoch) {
  const auto it = known_.find(id);
  if (it == known_.end() || it->second.id != producer) return error_code::invalid_producer_id_mapping;
  auto& t = it->second;
  if (t.epoch != epoch) return error_code::producer_fenced;
  if (busy(t)) return error_code::concurrent_transactions;
  return error_code::none;
}

std::string fake_transactions::add_partitions(const seen_request& r) {
  const auto ask = r.as<wire::add_partitions_to_txn_request>();
  wire::add_partitions_to_txn_response a;
  auto verdict = r.broker != cluster_.coordinator
                     ? error_code::not_coordinator
                     : may_add(ask.v3_and_below_transactional_id, ask.v3_and_below_producer_id,
                               ask.v3_and_below_producer_epoch);
  for (const auto& topic : ask.v3_and_below_topics) {
    auto& out = a.results_by_topic_v3_and_below.emplace_back();
    out.name = topic.name;
    for (const auto p : topic.partitions) {
      out.results_by_partition.push_back({p, code(verdict)});
      if (verdict != error_code::none) continue;
      auto& t = known_[ask.v3_and_below_transactional_id];
      t.state = state::ongoing;
      t.partitions.emplace(topic.name, p);
    }
  }
  return encoded(a, r.header.version);
}

std::string fake_transactions::add_offsets(const seen_request& r) {
  const auto ask = r.as<wire::add_offsets_to_txn_request>();
  wire::add_offsets_to_txn_response a;
  const auto verdict = r.broker != cluster_.coordinator
                           ? error_code::not_coordinator
                           : may_add(ask.transactional_id, ask.producer_id, ask.producer_epoch);
  a.error_code = code(verdict);
  if (verdict == error_code::none) {
    known_[ask.transactional_id].state = state::ongoing;
    known_[ask.transactional_id].groups.insert(ask.group_id);
  }
  return encoded(a, r.header.version);
}

std::string fake_transactions::commit_offsets(const seen_request& r) {
  const auto ask = r.as<wire::txn_offset_commit_request>();
  wire::txn_offset_commit_response a;
  auto verdict = error_code::none;
  auto& t = known_[ask.transactional_id];
  if (r.broker != cluster_.coordinator) {
    verdict = error_code::not_coordinator;
  } else if (const auto m = members.find(ask.group_id);
             m != members.end() && ask.member_id != m->second.first) {
    verdict = error_code::unknown_member_id;
  } else if (m != members.end() && ask.generation_id_or_member_epoch != m->second.second) {
    verdict = error_code::illegal_generation;
  } else if (r.header.version >= 5) {
    verdict = may_add(ask.transactional_id, ask.producer_id, ask.producer_epoch);
    if (verdict == error_code::none) {
      t.state = state::ongoing;
      t.groups.insert(ask.group_id);
    }
  } else if (ask.producer_id != t.id || ask.producer_epoch != t.epoch) {
    verdict = error_code::invalid_producer_epoch;
  } else if (verify && (t.state != state::ongoing || !t.groups.contains(ask.group_id))) {
    verdict = error_code::invalid_txn_state;
  }
  for (const auto& topic : ask.topics) {
    auto& out = a.topics.emplace_back();
    out.name = topic.name;
    for (const auto& p : topic.partitions) {
      out.partitions.push_back({p.partition_index, code(verdict)});
      if (verdict == error_code::none)
        t.offsets[ask.group_id][{topic.name, p.partition_index}] = p.committed_offset;
    }
  }
  return encoded(a, r.header.version);
}

std::string fake_transactions::describe(const seen_request& r) {
  wire::describe_transactions_response a;
  for (const auto& id : r.as<wire::describe_transactions_request>().transactional_ids) {
    auto& out = a.transaction_states.emplace_back();
    out.transactional_id = id;
    const auto it = known_.find(id);
    if (it == known_.end()) {
      out.error_code = code(error_code::transactional_id_not_found);
    } else {
      out.transaction_state = busy(it->second)                     ? "PrepareCommit"
                              : it->second.state == state::ongoing ? "Ongoing"
                                                                   : "CompleteCommit";
    }
  }
  return encoded(a, r.header.version);
}

// The state is written; the marks in the partitions follow.
void fake_transactions::prepare(transaction& t, bool commit, bool bumps) {
  decisions_.push_back({t.id, t.epoch, commit});
  t.state = state::preparing;
  t.commit = commit;
  t.bumps = bumps;
  t.rounds = rounds_to_complete;
}

// Whether an end is not written yet; every question brings it nearer.
bool fake_transactions::busy(transaction& t) {
  if (t.state != state::preparing) return false;
  if (t.rounds-- > 0) return true;
  complete(t);
  return false;
}

void fake_transactions::complete(transaction& t) {
  const auto marker_epoch = static_cast<std::int16_t>(t.bumps ? t.epoch + 1 : t.epoch);
  for (const auto& [topic, p] : t.partitions) cluster_.append_marker(topic, p, t.id, marker_epoch, t.commit);
  if (t.commit)
    for (const auto& [group, offsets] : t.offsets)
      for (const auto& [partition, offset] : offsets) committed_[group][partition] = offset;
  t.partitions.clear();
  t.groups.clear();
  t.offsets.clear();
  t.state = t.commit ? state::complete_commit : state::complete_abort;
  if (t.bumps) next_epoch(t);
}

std::string fake_transactions::end(const seen_request& r) {
  const auto ask = r.as<wire::end_txn_request>();
  wire::end_txn_response a;
  auto& t = known_[ask.transactional_id];
  const bool bumps = r.header.version >= 5;
  auto verdict = error_code::none;
  if (r.broker != cluster_.coordinator)
    verdict = error_code::not_coordinator;
  else
    verdict = end_once(t, ask, bumps);
  a.error_code = code(verdict);
  if (bumps && verdict == error_code::none) {
    if (t.state == state::preparing) complete(t);
    a.producer_id = t.id;
    a.producer_epoch = t.epoch;
  }
  return encoded(a, r.header.version);
}

error_code fake_transactions::end_once(transaction& t, const wire::end_txn_request& ask, bool bumps) {
  const bool current = ask.producer_id == t.id && ask.producer_epoch == t.epoch;
  // With bumps, the request of the transaction that ended last is known by the epoch before.
  const bool repeated = bumps && ask.producer_id == t.last_id && ask.producer_epoch == t.last_epoch;
  if (ask.producer_id != t.id && !repeated) return error_code::invalid_producer_id_mapping;
  if (!current && !repeated) return error_code::producer_fenced;
  switch (t.state) {
    case state::preparing: {
      const bool was = t.commit;
      if (busy(t))
        return was == ask.committed ? error_code::concurrent_transactions : error_code::invalid_txn_state;
      return end_once(t, ask, bumps);
    }
    case state::ongoing:
      if (!current) return error_code::producer_fenced;
      prepare(t, ask.committed, bumps);
      if (bumps || t.rounds == 0) complete(t);
      return error_code::none;
    case state::empty:
      if (bumps && !ask.committed && current) return next_epoch(t), error_code::none;
      return bumps && repeated ? error_code::producer_fenced : error_code::invalid_txn_state;
    case state::complete_commit:
    case state::complete_abort: {
      const bool same = ask.committed == (t.state == state::complete_commit);
      if (!bumps || repeated) return same ? error_code::none : error_code::invalid_txn_state;
      if (ask.committed) return error_code::invalid_txn_state;
      next_epoch(t);
      t.state = state::complete_abort;
      return error_code::none;
    }
  }
  return error_code::invalid_txn_state;
}

error_code fake_transactions::check_batch(const wire::batch_header& header, const std::string& topic,
                                          std::int32_t partition, const std::string& id, bool implicit) {
  auto& t = known_[id];
  if (header.producer_id == t.id && header.producer_epoch < t.epoch)
    return error_code::invalid_producer_epoch;
  if (implicit) {
    const auto verdict = may_add(id, header.producer_id, header.producer_epoch);
    if (verdict == error_code::producer_fenced) return error_code::invalid_producer_epoch;
    if (verdict != error_code::none) return verdict;
    t.state = state::ongoing;
    t.partitions.emplace(topic, partition);
  } else if (verify && (t.state != state::ongoing || !t.partitions.contains({topic, partition}))) {
    return error_code::invalid_txn_state;
  }
  return error_code::none;
}

}  // namespace penstock::client::testing
