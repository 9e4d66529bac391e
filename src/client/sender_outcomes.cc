// SPDX-License-Identifier: Apache-2.0
// What becomes of the batches that were sent: answers, retries, splits, reports.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "client/sender.h"
#include "client/transactions.h"
#include "wire/error_code.h"

namespace penstock::client {
namespace {

using wire::error_code;

constexpr std::chrono::milliseconds pause_for_marks{5};

bool leader_may_have_moved(error_code code) {
  switch (code) {
    case error_code::not_leader_or_follower:
    case error_code::leader_not_available:
    case error_code::unknown_topic_or_partition:
    case error_code::kafka_storage_error:
    case error_code::replica_not_available:
    case error_code::fenced_leader_epoch:
    case error_code::unknown_leader_epoch: return true;
    default: return false;
  }
}

// Codes after which the batch may lie in the log all the same.
bool may_be_appended(error_code code) {
  return code == error_code::request_timed_out || code == error_code::not_enough_replicas_after_append ||
         code == error_code::network_exception || code == error_code::unknown_server_error;
}

}  // namespace

void sender::answered(const std::shared_ptr<request>& r, result<incoming> in) {
  lanes_.answered(r->lane);
  for (auto* q : r->queues) --q->send.in_flight;
  if (!in) {
    if (transactions_ != nullptr) transactions_->left_unanswered();
    for (const auto& b : r->batches) {
      b->maybe_persisted = true;
      if (in.error().retriable())
        retry(b, in.error());
      else
        give_up(b, in.error());
    }
  } else if (settings_.acks == kafka::acks::none) {
    for (const auto& b : r->batches) succeed(b, kafka::no_offset, -1);
  } else {
    wire::produce_response response;
    if (auto decoded = response.decode(in->body, in->version); !decoded) {
      for (const auto& b : r->batches) {
        b->maybe_persisted = true;
        give_up(b, decoded.error().with_context(in->from));
      }
    } else {
      read_answer(*r, response);
    }
  }
  if (r->joins) transactions_->joined();
  for (auto* q : r->queues) make_ready(*q);
  run();
}

void sender::read_answer(const request& r, const wire::produce_response& response) {
  metrics_.throttled.record(response.throttle_time_ms, cluster_.now());
  std::vector<bool> seen(r.batches.size());
  std::size_t next = 0;  // answers usually come in the order of the request
  for (const auto& topic : response.responses) {
    for (const auto& answer : topic.partition_responses) {
      for (std::size_t tried = 0; tried < r.batches.size(); ++tried, ++next) {
        const auto i = next % r.batches.size();
        const auto* q = r.queues[i];
        if (seen[i] || q->partition != answer.index || q->topic->name != topic.name) continue;
        seen[i] = true;
        outcome(r.batches[i], answer);
        break;
      }
    }
  }
  for (std::size_t i = 0; i < r.batches.size(); ++i) {
    if (seen[i]) continue;
    r.batches[i]->maybe_persisted = true;
    give_up(r.batches[i],
            {errc::corrupt, fmt::format("{}: {} did not say what became of a batch", name_of(*r.queues[i]),
                                        cluster_.describe(r.lane.broker))});
  }
}

void sender::outcome(const batch_ptr& b, const wire::produce_response::partition_produce_response& answer) {
  const auto code = static_cast<error_code>(answer.error_code);
  if (code == error_code::none) return succeed(b, answer.base_offset, answer.log_append_time_ms);
  if (code == error_code::duplicate_sequence_number) return succeed(b, kafka::no_offset, -1);
  auto why = wire::make_error(code, name_of(*b->queue));
  if (answer.error_message && !answer.error_message->empty()) {
    auto said = *answer.error_message;
    for (const auto& e : answer.record_errors)
      if (e.batch_index_error_message)
        said += fmt::format("; record {}: {}", e.batch_index, *e.batch_index_error_message);
    why = error::from_kafka(why.kafka_code(), fmt::format("{} ({})", why.message(), said), why.what_to_do());
  }
  if (code == error_code::out_of_order_sequence_number || code == error_code::unknown_producer_id)
    return sequence_gap(b, why);
  if (code == error_code::message_too_large && split(b)) return;
  if (leader_may_have_moved(code)) cluster_.request_metadata();
  if (may_be_appended(code)) b->maybe_persisted = true;
  if (wire::retriable(code))
    retry(b, why);
  else
    give_up(b, why);
}

// Puts a batch back, in front of younger ones.
void sender::retry(const batch_ptr& b, const error& why) {
  auto& s = b->queue->send;
  const auto now = cluster_.now();
  if (transactions_ != nullptr && transactions_->doom() != nullptr)
    return give_up(b, error(*transactions_->doom()));
  ++b->attempts;
  ++counters_.retries;
  for (auto* c : {&metrics_.all, &measured_topic(*b)}) c->retries.record(b->builder.record_count(), now);
  if (now - b->created >= settings_.delivery_timeout)
    return give_up(
        b, {errc::timeout, fmt::format("{}: not delivered within delivery.timeout.ms; the last attempt: {}",
                                       name_of(*b->queue), why.message())});
  put_in_order(b);
  backoff wait(settings_.connection.retry_backoff, settings_.connection.retry_backoff_max);
  for (int i = 0; i < std::min(s.failures, 10); ++i) wait.next(cluster_.random());
  s.not_before = now + wait.next(cluster_.random());
  // The end of the transaction before is still being written: that takes milliseconds.
  if (static_cast<error_code>(why.kafka_code()) == error_code::concurrent_transactions)
    s.not_before = std::min(s.not_before, now + pause_for_marks);
  ++s.failures;
  make_ready(*b->queue);
}

void sender::put_in_order(const batch_ptr& b) {
  auto& waiting = b->queue->send.retry;
  const auto place =
      std::find_if(waiting.begin(), waiting.end(), [&](const auto& r) { return r->order > b->order; });
  waiting.insert(place, b);
}

// A batch of several records that is larger than its topic allows goes in two halves (KIP-126), each as long
// as it is still too large. They have the records' order, and the sequences that the batch had: to the broker
// it is as if they had always been two.
bool sender::split(const batch_ptr& b) {
  const auto count = b->builder.record_count();
  if (count < 2 || b->order_room < 2) return false;
  const auto half = count / 2;
  std::array<batch_ptr, 2> pieces;
  {
    const auto lock = hold();
    for (auto& p : pieces) p = accumulator_.split_off(*b);
    pieces[0]->reserved = b->reserved / 2;
    pieces[1]->reserved = b->reserved - pieces[0]->reserved;
    b->reserved = 0;
  }
  taken_ += pieces.size();
  auto records = b->builder.records();
  record_view r;
  for (std::int32_t i = 0; i < count && records.next(r); ++i) pieces[i < half ? 0 : 1]->builder.append(r);
  for (auto& c : b->callbacks)
    pieces[c.index < half ? 0 : 1]->callbacks.push_back(
        {c.index < half ? c.index : c.index - half, std::move(c.f)});
  b->callbacks.clear();
  auto sequence = b->base_sequence;
  for (auto& p : pieces) {
    p->as_messages = b->as_messages;
    p->attempts = b->attempts;
    p->maybe_persisted = b->maybe_persisted;
    p->producer_id = b->producer_id;
    p->producer_epoch = b->producer_epoch;
    p->base_sequence = sequence;
    p->order_room = b->order_room / 2;
    p->order = b->order + (p == pieces[1] ? p->order_room : 0);
    if (sequence >= 0) sequence = wire::add_sequence(sequence, p->builder.record_count());
  }
  metrics_.splits.record(1, cluster_.now());
  settle(b, true);
  for (const auto& p : pieces) {
    if (auto sealed = seal_as_before(*p); sealed)
      put_in_order(p);
    else
      give_up(p, sealed.error().with_context(name_of(*p->queue)));
  }
  return true;
}

void sender::succeed(const batch_ptr& b, std::int64_t offset, std::int64_t timestamp) {
  b->queue->send.failures = 0;
  b->queue->send.established = true;
  b->queue->send.known_in = b->queue->send.registered_in;
  const auto took = std::chrono::duration<double, std::milli>(cluster_.now() - b->created).count();
  metrics_.delivery.record(took, cluster_.now());
  metrics_.deliveries.record(took, cluster_.now());
  const auto records = b->builder.record_count();
  counters_.acknowledged += static_cast<std::uint64_t>(records);
  ++counters_.batches;
  report(b, {.topic = b->queue->topic->name,
             .partition = b->queue->partition,
             .first_offset = offset < 0 ? kafka::no_offset : offset,
             .records = records,
             .timestamp_ms = timestamp});
  settle(b, settings_.acks != kafka::acks::none);
}

void sender::give_up(const batch_ptr& b, const error& reason) {
  const auto why = transactions_ == nullptr ? reason : transactions_->batch_failed(*b, reason);
  if (b->base_sequence >= 0) b->queue->send.unresolved = true;
  const auto records = b->builder.record_count();
  counters_.failed += static_cast<std::uint64_t>(records);
  for (auto* c : {&metrics_.all, &measured_topic(*b)}) c->errors.record(records, cluster_.now());
  if (!failure_since_flush_) failure_since_flush_ = why;
  report(b, {.topic = b->queue->topic->name,
             .partition = b->queue->partition,
             .records = records,
             .outcome = b->maybe_persisted ? kafka::persistence::possibly : kafka::persistence::not_sent,
             .failure = &why});
  settle(b, false);
}

void sender::report(const batch_ptr& b, kafka::delivery d) {
  if (on_delivery_) on_delivery_(d);
  const auto first = d.first_offset;
  d.records = 1;
  for (const auto& c : b->callbacks) {
    if (first != kafka::no_offset) d.first_offset = first + c.index;
    c.f(d);
  }
}

void sender::settle(const batch_ptr& b, bool reuse) {
  --taken_;
  const auto lock = hold();
  accumulator_.release(b, reuse);  // from here on the batch may be somebody else's
}

}  // namespace penstock::client
