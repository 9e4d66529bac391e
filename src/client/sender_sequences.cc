// SPDX-License-Identifier: Apache-2.0
// Idempotence: the producer id, epochs, and what is done about gaps in the sequences.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/sender.h"
#include "client/transactions.h"
#include "wire/error_code.h"

namespace penstock::client {
namespace {

using wire::error_code;

// What Kafka's clients ask for when they are not transactional.
constexpr std::int32_t no_transaction_timeout = 0x7fffffff;
constexpr std::int16_t last_epoch = 0x7fff;

}  // namespace

// The broker misses a sequence before this batch's. If an earlier batch is still to be sent again, that
// explains it. If one failed for good, the partition goes on under a new epoch. Otherwise the broker lost
// what it had acknowledged.
void sender::sequence_gap(const batch_ptr& b, const error& why) {
  auto& s = b->queue->send;
  const bool explained = !s.retry.empty() && s.retry.front()->order < b->order;
  if (!explained && transactions_ != nullptr) return give_up(b, why);  // the next transaction begins anew
  if (!explained) {
    const bool forgotten = static_cast<error_code>(why.kafka_code()) == error_code::unknown_producer_id;
    if (!s.unresolved && !forgotten && !s.restart) {
      s.suspect = s.suspect || b->maybe_persisted;
      return give_up(b, why.with_context("the broker lost acknowledged records of this producer"));
    }
    s.suspect = s.suspect || (forgotten && b->maybe_persisted);
    s.restart = true;
  }
  retry(b, why);
}

// Whether the partition has its producer id; begins its sequences again where that is due.
bool sender::prepare_sequences(partition_queue& q) {
  auto& s = q.send;
  if (transactions_ != nullptr) {
    join_epoch(q);
    return true;
  }
  if (s.restart) {
    if (s.in_flight > 0) return false;
    if (s.producer_epoch < last_epoch) {
      ++s.producer_epoch;
    } else if (s.producer_id != producer_id_) {
      s.producer_id = producer_id_;
      s.producer_epoch = producer_epoch_;
    } else {
      producer_id_state_ = id_state::none;  // every epoch is used up: another id
      request_producer_id();
      return false;
    }
    restart_sequences(q);
  }
  if (s.producer_id < 0) {
    s.producer_id = producer_id_;
    s.producer_epoch = producer_epoch_;
  }
  return true;
}

// A transactional producer has one epoch for all partitions; with a new one they all begin with sequence 0.
void sender::join_epoch(partition_queue& q) {
  auto& s = q.send;
  const auto [id, epoch] = transactions_->identity();
  if (s.producer_id == id && s.producer_epoch == epoch) return;
  // With transaction.version 2 a broker takes no other sequence than 0 from a producer that it does not know.
  s.established = transactions_->implicit() || (s.established && s.producer_id == id);
  s.producer_id = id;
  s.producer_epoch = epoch;
  s.next_sequence = 0;
  s.unresolved = s.suspect = s.restart = false;
}

void sender::restart_sequences(partition_queue& q) {
  auto& s = q.send;
  if (std::exchange(s.suspect, false)) {
    // A broker that came back remembers but the last batch of a producer, so what looks like a gap may be a
    // repetition. What was sent without an answer could be there: sending it under a new epoch could make it
    // twice.
    const auto doubtful = std::stable_partition(s.retry.begin(), s.retry.end(),
                                                [](const auto& b) { return !b->maybe_persisted; });
    std::vector<batch_ptr> given_up(doubtful, s.retry.end());
    s.retry.erase(doubtful, s.retry.end());
    for (const auto& b : given_up)
      give_up(b, {errc::kafka,
                  fmt::format("{}: the broker does not say whether it has a batch that it did not answer",
                              name_of(q))});
  }
  s.restart = false;
  s.unresolved = false;
  s.established = false;
  s.next_sequence = 0;
  for (const auto& b : s.retry) {
    b->producer_id = s.producer_id;
    b->producer_epoch = s.producer_epoch;
    b->base_sequence = s.next_sequence;
    wire::set_producer(b->builder.sealed(), b->producer_id, b->producer_epoch, b->base_sequence);
    s.next_sequence = wire::add_sequence(s.next_sequence, b->builder.record_count());
  }
}

void sender::request_producer_id() {
  if (producer_id_state_ != id_state::none) return;
  producer_id_state_ = id_state::asked;
  wire::init_producer_id_request ask;
  ask.transaction_timeout_ms = no_transaction_timeout;
  cluster_.call<wire::init_producer_id_response>(any_broker, std::move(ask), {},
                                                 [this, alive = std::weak_ptr<void>(alive_)](auto response) {
                                                   if (!alive.expired())
                                                     producer_id_arrived(std::move(response));
                                                 });
}

void sender::producer_id_arrived(result<wire::init_producer_id_response> response) {
  if (response && response->error_code != 0)
    response = fail(wire::make_error(response->error_code, "producer id for idempotence"));
  producer_id_state_ = id_state::none;
  if (response) {
    producer_id_ = response->producer_id;
    producer_epoch_ = response->producer_epoch;
    producer_id_state_ = id_state::known;
    id_backoff_.reset();
  } else if (response.error().retriable()) {
    producer_id_state_ = id_state::asked;  // until the back-off is over
    id_timer_.arm(id_backoff_.next(cluster_.random()), [this] {
      producer_id_state_ = id_state::none;
      kick();
    });
    return;
  } else if (response.error().kind() == errc::unsupported) {
    fatal_ = {
        errc::unsupported,
        response.error().message() +
            ": idempotence needs Kafka 0.11 or later; set enable.idempotence to false for older brokers"};
  } else {
    fatal_ = response.error();
  }
  kick();
}

}  // namespace penstock::client
