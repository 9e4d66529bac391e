// SPDX-License-Identifier: Apache-2.0
// What goes into a request: batches, sealed for the version that the broker speaks.
#include <algorithm>
#include <utility>

#include "client/bootstrap.h"
#include "client/sender.h"
#include "client/transactions.h"

namespace penstock::client {
namespace {

// Produce 3 brought record batches, 7 zstd; from 13 on topics have ids instead of names. Kafka 0.10 takes
// message sets, in version 2 of the request.
constexpr std::int16_t first_with_batches = 3, first_with_zstd = 7, last_with_names = 12;
constexpr std::int16_t with_messages = 2;
// So that a batch can be split again and again and its pieces keep their order.
constexpr std::uint64_t orders_a_batch = std::uint64_t{1} << 20;
// By this version and later ones a batch registers its partition for the transaction (KIP-890).
constexpr std::int16_t first_that_registers = 12;

}  // namespace

void sender::send_to(lane_id lane, std::vector<partition_queue*>& queues) {
  if (!lanes_.is_ready(lane)) return;
  const auto version =
      cluster_.offered_version(lane.broker, produce_channel(lane.lane), wire::produce_request::key);
  while (!queues.empty() && lanes_.has_room(lane)) {
    std::vector<batch_ptr> batches;
    std::size_t size = 0;
    for (auto* q : queues) {
      auto b = next_batch(*q, settings_.max_request_size - std::min(size, settings_.max_request_size),
                          batches.empty(), version);
      if (!b) continue;
      size += b->sealed.size();
      batches.push_back(std::move(b));
    }
    if (batches.empty()) return;
    send(lane, std::move(batches));
    // A guest on this lane goes home as soon as nothing of it is under way: no more of it here.
    std::erase_if(queues, [this](auto* q) { return !wants_to_send(*q) || lanes_.is_guest(*q); });
  }
}

// The partition's next batch, sealed; nullptr when there is none or it does not fit the room left in the
// request.
batch_ptr sender::next_batch(partition_queue& q, std::size_t room, bool first, std::int16_t version) {
  if (idempotent_ && !prepare_sequences(q)) return nullptr;
  batch_ptr b;
  if (!q.send.retry.empty()) {
    if (!first && q.send.retry.front()->sealed.size() > room) return nullptr;
    b = std::move(q.send.retry.front());
    q.send.retry.pop_front();
    if (auto sealed = seal_again(*b, version); !sealed) {
      give_up(b, sealed.error().with_context(name_of(q)));
      return nullptr;
    }
    return b;
  }
  {
    const auto lock = hold();
    const auto* head = !q.full.empty() ? q.full.front().get() : q.open.get();
    if (transactions_ != nullptr && head != nullptr && !transactions_->belongs(*head)) return nullptr;
    if (head == nullptr || (!first && head->builder.size() > room)) return nullptr;
    b = accumulator_.take_batch(q, q.open && is_due(*q.open));
    if (!b) return nullptr;
  }
  ++taken_;
  b->order = next_order_;
  b->order_room = orders_a_batch;
  next_order_ += orders_a_batch;
  const std::size_t uncompressed = b->builder.size();
  if (auto sealed = seal(*b, version); !sealed) {
    give_up(b, sealed.error().with_context(name_of(q)));
    return nullptr;
  }
  measure_sending(*b, uncompressed);
  return b;
}

producer_metrics::counted& sender::measured_topic(const producer_batch& b) {
  const auto& name = b.queue->topic->name;
  const auto it = metrics_.topics.find(name);
  return it == metrics_.topics.end() ? metrics_.topics[name] : it->second;
}

void sender::measure_sending(const producer_batch& b, std::size_t uncompressed) {
  const auto now = cluster_.now();
  const auto records = static_cast<double>(b.builder.record_count());
  const auto size = static_cast<double>(b.sealed.size());
  const auto before = static_cast<double>(uncompressed);
  metrics_.batch_size.record(size, now);
  metrics_.record_size.record(before, now, static_cast<std::uint64_t>(records), before / records);
  metrics_.queue_time.record(std::chrono::duration<double, std::milli>(now - b.created).count(), now);
  for (auto* c : {&metrics_.all, &measured_topic(b)}) {
    c->sends.record(records, now);
    c->bytes.record(size, now);
    c->ratio.record(size / before, now);
  }
}

// Seals in the format that a broker with this version of Produce takes.
result<> sender::seal_for(producer_batch& b, std::int16_t version,
                          wire::batch_builder::seal_options options) {
  options.codec = settings_.compression;
  if (settings_.compression_level) options.level = *settings_.compression_level;
  if (const topic_queues& topic = *b.queue->topic; topic.codec) {
    options.codec = *topic.codec;
    if (topic.level) options.level = *topic.level;
  }
  if (options.codec == compression::zstd && version < first_with_zstd)
    return fail(errc::unsupported,
                "compression.type zstd needs Kafka 2.1 or later, which this broker is not");
  b.as_messages = version < first_with_batches;
  if (b.as_messages && idempotent_)
    return fail(errc::unsupported, "enable.idempotence needs Kafka 0.11 or later, which this broker is not");
  auto sealed =
      b.as_messages ? b.builder.seal_as_messages(options.codec, options.level) : b.builder.seal(options);
  if (!sealed) return fail(sealed.error());
  b.sealed = *sealed;
  return {};
}

// The leader may be of another version than the one before.
result<> sender::seal_again(producer_batch& b, std::int16_t version) {
  if (b.as_messages == (version < first_with_batches)) return {};
  return seal_with_its_sequence(b, version);
}

result<> sender::seal_with_its_sequence(producer_batch& b, std::int16_t version) {
  wire::batch_builder::seal_options options;
  options.producer_id = b.producer_id;
  options.producer_epoch = b.producer_epoch;
  options.base_sequence = b.base_sequence;
  options.transactional = transactions_ != nullptr;
  return seal_for(b, version, options);
}

// For the broker that the whole was sealed for.
result<> sender::seal_as_before(producer_batch& b) {
  return seal_with_its_sequence(b, b.as_messages ? with_messages : last_with_names);
}

result<> sender::seal(producer_batch& b, std::int16_t version) {
  auto& s = b.queue->send;
  wire::batch_builder::seal_options options;
  if (idempotent_) {
    options.producer_id = s.producer_id;
    options.producer_epoch = s.producer_epoch;
    options.base_sequence = s.next_sequence;
    options.transactional = transactions_ != nullptr;
  }
  if (auto sealed = seal_for(b, version, options); !sealed) return sealed;
  if (idempotent_) {
    b.producer_id = s.producer_id;
    b.producer_epoch = s.producer_epoch;
    b.base_sequence = s.next_sequence;
    s.next_sequence = wire::add_sequence(s.next_sequence, b.builder.record_count());
  }
  return {};
}

void sender::send(lane_id lane, std::vector<batch_ptr> batches) {
  auto r = std::make_shared<request>();
  r->lane = lane;
  const bool as_messages = batches.front()->as_messages;  // all of them: they go to one broker
  wire::produce_request produce;
  produce.acks = static_cast<std::int16_t>(settings_.acks);
  produce.timeout_ms = static_cast<std::int32_t>(settings_.connection.request_timeout.count());
  std::vector<std::vector<batch_ptr>> by_topic;
  for (auto& b : batches) {
    const auto& name = b->queue->topic->name;
    std::size_t t = 0;
    while (t < produce.topic_data.size() && produce.topic_data[t].name != name) ++t;
    if (t == produce.topic_data.size()) {
      produce.topic_data.push_back({name, {}, {}});
      by_topic.emplace_back();
    }
    produce.topic_data[t].partition_data.push_back(
        {b->queue->partition, wire::records_field::external(static_cast<std::uint32_t>(b->sealed.size()))});
    ++b->queue->send.in_flight;
    r->joins = r->joins || b->queue->send.joins();
    by_topic[t].push_back(std::move(b));
  }

  double records = 0;
  for (const auto& topic : by_topic)
    for (const auto& b : topic) records += b->builder.record_count();
  metrics_.records_per_request.record(records, cluster_.now());

  outgoing out;
  out.key = wire::produce_request::key;
  out.min_version = as_messages                                  ? with_messages
                    : settings_.compression == compression::zstd ? first_with_zstd
                                                                 : first_with_batches;
  out.max_version = as_messages ? with_messages : last_with_names;
  if (transactions_ != nullptr) {
    produce.transactional_id = transactions_->id();
    if (transactions_->implicit())
      out.min_version = first_that_registers;
    else
      out.max_version = first_that_registers - 1;
  }
  out.answered = settings_.acks != kafka::acks::none;
  for (auto& topic : by_topic) {
    for (auto& b : topic) {
      out.spliced.push_back({.bytes = b->sealed, .keep = b});
      r->queues.push_back(b->queue);
      r->batches.push_back(std::move(b));
    }
  }
  out.encode = [produce = std::move(produce)](wire::writer& w, std::int16_t version) {
    return produce.encode(w, version);
  };
  out.done = [this, r, alive = std::weak_ptr<void>(alive_)](result<incoming> in) {
    if (!alive.expired()) answered(r, std::move(in));
  };
  lanes_.sent(lane);
  if (r->joins) transactions_->joining();
  ++counters_.requests;
  cluster_.send(lane.broker, produce_channel(lane.lane), std::move(out));
}

}  // namespace penstock::client
