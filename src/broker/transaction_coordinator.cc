// SPDX-License-Identifier: Apache-2.0
// Who the producer of a transactional id is, and what belongs to its transaction. Its end is in
// transaction_end.cc.
#include "broker/transaction_coordinator.h"

#include "broker/transaction_records.h"

namespace penstock::broker {

using wire::error_code;
using enum transaction_state;
using durability = transaction_backing::durability;

namespace {

constexpr std::size_t longest_id = 32'000;  // int16 lengths in the journal

// A disk that is full now may have room later: the client tries again.
error_code for_client(error_code written) {
  return written == error_code::none ? written : error_code::coordinator_not_available;
}

}  // namespace

transaction_coordinator::entry* transaction_coordinator::find_entry(std::string_view id) {
  const auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : &it->second;
}

const transaction* transaction_coordinator::find(std::string_view id) const {
  const auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : &it->second.now;
}

// The state `next` holds from when the journal has it.
void transaction_coordinator::change(entry& e, transaction next, durability d,
                                     unique_function<void(error_code)> done) {
  e.writing = true;
  const std::string id = next.id;
  state_record record{encode_transaction_key(id), encode(next)};
  const partition_sets decided = d == durability::decision ? next.partitions : partition_sets();
  backing_.write(id, std::move(record), d, decided,
                 [this, id, next = std::move(next), done = std::move(done)](error_code error) mutable {
                   entry& target = *find_entry(id);
                   target.writing = false;
                   if (error == error_code::none) target.now = std::move(next);
                   const bool never_there = target.now.producer.id < 0;
                   done(for_client(error));
                   if (never_there) entries_.erase(id);
                 });
}

void transaction_coordinator::init(const std::string& id, std::chrono::milliseconds timeout,
                                   std::optional<producer_identity> current,
                                   unique_function<void(answer)> done) {
  const auto refuse = [&](error_code e) { done({e, {}}); };
  if (id.empty() || id.size() > longest_id) return refuse(error_code::invalid_request);
  if (timeout.count() <= 0 || timeout > settings_.max_timeout)
    return refuse(error_code::invalid_transaction_timeout);
  entry& e = entries_[id];
  transaction& t = e.now;
  t.id = id;
  if (e.writing || t.deciding()) return refuse(error_code::concurrent_transactions);
  if (current && t.producer.epoch >= 0) {
    const bool rotated = current->id == t.previous_producer_id && exhausted(current->epoch);
    if (current->id != t.producer.id && !rotated) return refuse(error_code::producer_fenced);
  }
  if (!t.is(ongoing)) {
    if (current && t.producer.epoch >= 0 && current->epoch != t.producer.epoch) {
      // A call whose answer was lost is repeated; nobody has had the id since, or last_epoch would be -1.
      if (current->epoch == t.last_epoch) return done({error_code::none, t.producer});
      return refuse(error_code::producer_fenced);
    }
    const auto asked = current ? std::optional(t.producer.epoch) : std::nullopt;
    return raise_epoch(e, timeout, asked, std::move(done));
  }
  // Only whoever holds the transaction, or a producer that starts anew, may end it here.
  if (current && *current != t.producer) return refuse(error_code::producer_fenced);
  const auto asked = current ? std::optional(current->epoch) : std::nullopt;
  decide(e, false, ending::fenced, [this, id, timeout, asked, done = std::move(done)](answer a) mutable {
    if (a.error != error_code::none) return done({a.error, {}});
    raise_epoch(*find_entry(id), timeout, asked, std::move(done));
  });
}

// Gives the id's producer the next epoch, or a new id with epoch 0. `asked` is the epoch with which the
// producer came that wants to go on.
void transaction_coordinator::raise_epoch(entry& e, std::chrono::milliseconds timeout,
                                          std::optional<std::int16_t> asked,
                                          unique_function<void(answer)> done) {
  transaction next = e.now;
  const std::int16_t epoch = next.producer.epoch;
  if (epoch < 0 || exhausted(epoch)) {
    auto fresh = backing_.next_producer_id();
    if (!fresh) {
      if (epoch < 0) entries_.erase(std::string(next.id));
      return done({error_code::coordinator_not_available, {}});
    }
    next.previous_producer_id = next.producer.id;
    next.producer = {*fresh, 0};
  } else {
    ++next.producer.epoch;
  }
  next.last_epoch = asked.value_or(-1);
  next.timeout = timeout;
  next.state = empty;
  next.partitions.clear();
  next.start_ms = -1;
  next.updated_ms = time_.wall_ms();
  next.version = transaction_version::plain;
  const producer_identity given = next.producer;
  change(e, std::move(next), durability::acknowledged,
         [given, done = std::move(done)](error_code error) mutable {
           done({error, error == error_code::none ? given : producer_identity{}});
         });
}

error_code transaction_coordinator::verify(std::string_view id, producer_identity producer,
                                           std::string_view topic, std::int32_t partition) const {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return error_code::invalid_producer_id_mapping;
  const transaction& t = it->second.now;
  if (it->second.writing) return error_code::concurrent_transactions;
  if (producer.id != t.producer.id) return error_code::invalid_producer_id_mapping;
  if (producer.epoch != t.producer.epoch) return error_code::producer_fenced;
  if (t.deciding()) return error_code::concurrent_transactions;
  return t.is(ongoing) && contains(t.partitions, topic, partition) ? error_code::none
                                                                   : error_code::transaction_abortable;
}

error_code transaction_coordinator::add(const std::string& id, producer_identity producer,
                                        const partition_sets& wanted, transaction_version version) {
  if (id.empty()) return error_code::invalid_request;
  entry* e = find_entry(id);
  if (e == nullptr) return error_code::invalid_producer_id_mapping;
  const transaction& t = e->now;
  if (e->writing) return error_code::concurrent_transactions;
  if (producer.id != t.producer.id) return error_code::invalid_producer_id_mapping;
  if (producer.epoch != t.producer.epoch) return error_code::producer_fenced;
  if (t.deciding()) return error_code::concurrent_transactions;
  if (wanted.empty() || (t.is(ongoing) && contains_all(t.partitions, wanted))) return error_code::none;
  transaction next = t;
  next.updated_ms = time_.wall_ms();
  next.version = version;
  if (!t.is(ongoing)) {
    next.state = ongoing;
    next.partitions.clear();
    next.start_ms = next.updated_ms;
    e->deadline = time_.now() + next.timeout;
  }
  for (const auto& [topic, partitions] : wanted)
    next.partitions[topic].insert(partitions.begin(), partitions.end());
  // Not waited for: should the power take this record and leave the partition's, the next start aborts there.
  error_code outcome = error_code::none;
  change(*e, std::move(next), durability::written, [&outcome](error_code error) { outcome = error; });
  return outcome;
}

result<> transaction_coordinator::restore(std::string_view key, std::optional<std::string_view> value) {
  auto id = decode_transaction_key(key);
  if (!id) return fail(id.error());
  if (!*id) return {};
  if (!value) {
    entries_.erase(**id);
    return {};
  }
  auto t = decode_transaction(**id, *value);
  if (!t) return fail(t.error());
  entries_[**id].now = std::move(*t);
  return {};
}

void transaction_coordinator::expire() {
  const std::int64_t before = time_.wall_ms() - settings_.expiration.count();
  for (auto it = entries_.begin(); it != entries_.end();) {
    const transaction& t = it->second.now;
    const bool idle = !it->second.writing && !t.is(ongoing) && !t.deciding();
    if (!idle || t.updated_ms > before) {
      ++it;
      continue;
    }
    bool forgotten = false;
    backing_.write(t.id, {encode_transaction_key(t.id), std::nullopt}, durability::written, {},
                   [&forgotten](error_code error) { forgotten = error == error_code::none; });
    it = forgotten ? entries_.erase(it) : std::next(it);
  }
}

}  // namespace penstock::broker
