// SPDX-License-Identifier: Apache-2.0
// How transactions end: by EndTxn, by time, by another producer of the id, or at the start after a crash.

#include <algorithm>
#include <vector>

#include "broker/broker_log.h"
#include "broker/transaction_coordinator.h"
#include "broker/transaction_records.h"

namespace penstock::broker {

using wire::error_code;
using enum transaction_state;
using durability = transaction_backing::durability;

error_code transaction_coordinator::check_plain_end(const entry& e, producer_identity producer,
                                                    bool commit) const {
  const transaction& t = e.now;
  if (producer.id != t.producer.id) return error_code::invalid_producer_id_mapping;
  if (producer.epoch != t.producer.epoch) return error_code::producer_fenced;
  if (e.writing) return error_code::concurrent_transactions;
  switch (t.state) {
    case prepare_commit: return commit ? error_code::concurrent_transactions : error_code::invalid_txn_state;
    case prepare_abort: return commit ? error_code::invalid_txn_state : error_code::concurrent_transactions;
    case ongoing: return error_code::none;
    case complete_commit: return commit ? error_code::none : error_code::invalid_txn_state;
    case complete_abort: return commit ? error_code::invalid_txn_state : error_code::none;
    default: return error_code::invalid_txn_state;
  }
}

// A raised epoch tells a repeated request, which has the epoch before, from the end of the next transaction.
error_code transaction_coordinator::check_raised_end(const entry& e, producer_identity producer, bool commit,
                                                     bool& decided_before) const {
  const transaction& t = e.now;
  const bool raised = t.version == transaction_version::raised;
  const bool repeated_over_rotation = raised && producer.id == t.previous_producer_id &&
                                      producer.epoch == last_epoch_given && t.producer.epoch == 0;
  const bool repeated = repeated_over_rotation ||
                        (raised && producer.id == t.producer.id && t.producer.epoch == producer.epoch + 1);
  const bool current = producer == t.producer;
  if (e.writing) return error_code::concurrent_transactions;
  if (producer.id != t.producer.id && !repeated_over_rotation) return error_code::invalid_producer_id_mapping;
  const bool done = t.is(complete_commit) || t.is(complete_abort);
  const bool in_time = t.deciding() ? repeated : done ? repeated || current : current;
  // Nobody was ever given an epoch beyond the last; it is that of a marker.
  if (!in_time || producer.epoch > last_epoch_given) return error_code::producer_fenced;
  const bool committed = t.is(prepare_commit) || t.is(complete_commit);
  if (t.deciding())
    return commit == committed ? error_code::concurrent_transactions : error_code::invalid_txn_state;
  if (t.is(ongoing)) return error_code::none;
  if (repeated) {
    decided_before = true;
    return commit == committed ? error_code::none : error_code::invalid_txn_state;
  }
  return commit ? error_code::invalid_txn_state : error_code::none;  // an abort of nothing raises the epoch
}

void transaction_coordinator::end(const std::string& id, producer_identity producer, bool commit,
                                  transaction_version version, unique_function<void(answer)> done) {
  if (id.empty()) return done({error_code::invalid_request, {}});
  entry* e = find_entry(id);
  if (e == nullptr) return done({error_code::invalid_producer_id_mapping, {}});
  const bool raised = version == transaction_version::raised;
  bool decided_before = !raised && !e->now.is(ongoing);
  const auto error =
      raised ? check_raised_end(*e, producer, commit, decided_before) : check_plain_end(*e, producer, commit);
  if (error != error_code::none) return done({error, {}});
  if (decided_before) return done({error_code::none, e->now.producer});
  decide(*e, commit, raised ? ending::raised : ending::plain, std::move(done));
}

void transaction_coordinator::decide(entry& e, bool commit, ending how, unique_function<void(answer)> done) {
  transaction next = e.now;
  next.state = commit ? prepare_commit : prepare_abort;
  next.updated_ms = time_.wall_ms();
  next.version = how == ending::raised ? transaction_version::raised : transaction_version::plain;
  if (!e.now.is(ongoing)) {  // an abort of nothing
    next.partitions.clear();
    next.start_ms = next.updated_ms;
  }
  if (how == ending::raised) {
    if (exhausted(next.producer.epoch)) {
      auto fresh = backing_.next_producer_id();
      if (!fresh) return done({error_code::coordinator_not_available, {}});
      next.next_producer_id = *fresh;
    }
    next.last_epoch = next.producer.epoch++;
  } else if (how == ending::fenced) {
    next.last_epoch = -1;
    if (next.producer.epoch <= last_epoch_given) ++next.producer.epoch;
  }
  change(e, std::move(next), durability::decision,
         [this, id = e.now.id, done = std::move(done)](error_code error) mutable {
           if (error != error_code::none) return done({error, {}});
           write_markers(*find_entry(id), false, std::move(done));
         });
}

void transaction_coordinator::write_markers(entry& e, bool again, unique_function<void(answer)> done) {
  transaction_end end{e.now.producer, e.now.is(prepare_commit), e.now.version, e.now.partitions, again};
  e.deadline = io::instant::max();
  backing_.write_markers(std::move(end),
                         [this, id = e.now.id, done = std::move(done)](error_code error) mutable {
                           entry& target = *find_entry(id);
                           if (error == error_code::none) return complete(target, std::move(done));
                           target.on_ended = std::move(done);
                           target.deadline = time_.now() + settings_.retry_markers;
                         });
}

void transaction_coordinator::complete(entry& e, unique_function<void(answer)> done) {
  transaction next = e.now;
  next.state = e.now.is(prepare_commit) ? complete_commit : complete_abort;
  next.partitions.clear();
  next.updated_ms = time_.wall_ms();
  if (next.next_producer_id >= 0) {
    next.previous_producer_id = next.producer.id;
    next.producer = {std::exchange(next.next_producer_id, -1), 0};
  }
  // Should this record be lost, the markers are written once more at the next start.
  backing_.write(next.id, {encode_transaction_key(next.id), encode(next)}, durability::written, {},
                 [](error_code) {});
  e.now = std::move(next);
  done({error_code::none, e.now.producer});
}

std::optional<transaction_end> transaction_coordinator::reconcile(producer_identity producer,
                                                                  const std::string& topic,
                                                                  std::int32_t partition) {
  transaction_end missing{producer, false, transaction_version::plain, {{topic, {partition}}}, false};
  const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) {
    return e.second.now.producer.id == producer.id || e.second.now.previous_producer_id == producer.id;
  });
  if (it == entries_.end()) return missing;
  transaction& t = it->second.now;
  if (t.is(ongoing) && t.producer == producer) {
    t.partitions[topic].insert(partition);
    return std::nullopt;
  }
  if (t.deciding() && contains(t.partitions, topic, partition)) return std::nullopt;
  // With an epoch of its own the transaction can be told from those before and behind it, and so can its end.
  const bool rotated = t.previous_producer_id == producer.id && t.producer.epoch == 0;
  const std::int16_t behind = rotated ? last_epoch_given : static_cast<std::int16_t>(t.producer.epoch - 1);
  missing.commit = t.is(complete_commit) && t.version == transaction_version::raised &&
                   (rotated || t.producer.id == producer.id) && producer.epoch == behind;
  if (missing.commit) ++missing.producer.epoch;
  return missing;
}

void transaction_coordinator::recover(bool crashed) {
  const std::int64_t wall_ms = time_.wall_ms();
  for (auto& [id, e] : entries_) {
    transaction& t = e.now;
    if (t.deciding()) {
      write_markers(e, true, [](answer) {});
    } else if (t.is(ongoing) && crashed) {
      broker_log().info("transactional id {}: its transaction was open when the broker died and is aborted",
                        id);
      decide(e, false, ending::fenced, [](answer) {});
    } else if (t.is(ongoing)) {
      const auto gone = std::chrono::milliseconds(std::max<std::int64_t>(0, wall_ms - t.start_ms));
      e.deadline = time_.now() + std::max(t.timeout - gone, std::chrono::milliseconds(0));
    }
  }
}

std::optional<io::instant> transaction_coordinator::next_deadline() const {
  std::optional<io::instant> next;
  for (const auto& [id, e] : entries_) {
    if (!e.now.is(ongoing) && !e.now.deciding()) continue;
    if (e.deadline != io::instant::max() && (!next || e.deadline < *next)) next = e.deadline;
  }
  return next;
}

void transaction_coordinator::tick() {
  const auto now = time_.now();
  std::vector<std::string> due;  // ending one changes the entries
  for (const auto& [id, e] : entries_)
    if ((e.now.is(ongoing) || e.now.deciding()) && e.deadline <= now && !e.writing) due.push_back(id);
  for (const auto& id : due) {
    entry& e = *find_entry(id);
    if (e.now.deciding()) {
      auto done = std::exchange(e.on_ended, {});
      write_markers(e, true, [done = std::move(done)](answer a) mutable {
        if (done) done(a);
      });
    } else {
      broker_log().info("transactional id {}: its transaction took longer than {} ms and is aborted", id,
                        e.now.timeout.count());
      e.deadline = now + settings_.retry_markers;  // if it cannot be written now
      decide(e, false, ending::fenced, [](answer) {});
    }
  }
}

}  // namespace penstock::broker
