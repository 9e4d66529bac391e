// SPDX-License-Identifier: Apache-2.0
// What is sent and when. What becomes of it is in sender_outcomes.cc.
#include "client/sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/bootstrap.h"
#include "client/transactions.h"
#include "wire/error_code.h"

namespace penstock::client {
namespace {

using wire::error_code;

// A topic that the brokers deny for this long is an error; before, it may be on its way.
constexpr std::chrono::seconds patience_for_topics{5};

// Produce 3 brought record batches, 7 zstd; from 13 on topics have ids instead of names. Kafka 0.10 takes
// message sets, in version 2 of the request.
constexpr std::int16_t first_with_batches = 3, first_with_zstd = 7, last_with_names = 12;
constexpr std::int16_t with_messages = 2;
// So that a batch can be split again and again and its pieces keep their order.
constexpr std::uint64_t orders_a_batch = std::uint64_t{1} << 20;
// By this version and later ones a batch registers its partition for the transaction (KIP-890).
constexpr std::int16_t first_that_registers = 12;

}  // namespace

sender::sender(cluster& c, accumulator& a, const kafka::producer_settings& settings, std::mutex* guard)
    : cluster_(c),
      accumulator_(a),
      settings_(settings),
      guard_(guard),
      idempotent_(is_idempotent(settings)),
      id_backoff_(settings.connection.retry_backoff, settings.connection.retry_backoff_max),
      id_timer_(c.loop()),
      timer_(c.loop()) {
  cluster_.on_metadata(alive_, [this](const result<>&) { metadata_changed(); });
}

sender::~sender() = default;

std::unique_lock<std::mutex> sender::hold() const {
  return guard_ == nullptr ? std::unique_lock<std::mutex>() : std::unique_lock<std::mutex>(*guard_);
}

void sender::kick() {
  if (std::exchange(kicked_, true)) return;
  cluster_.loop().post([this, alive = std::weak_ptr<void>(alive_)] {
    if (!alive.expired()) run();
  });
}

void sender::want_topic(const std::string& name) {
  {
    const auto lock = hold();
    accumulator_.find_or_add(name);
  }
  cluster_.watch_topic(name, settings_.allow_auto_create_topics);
  metadata_changed();  // it may be there already
}

void sender::run() {
  kicked_ = false;
  collect();
  send_ready();
  check_flushes();
  if (std::exchange(writable_, false) && on_writable_) on_writable_();
}

void sender::schedule(io::instant at) {
  if (timer_.armed() && timer_due_ <= at) return;
  timer_due_ = at;
  timer_.arm(std::max<std::chrono::nanoseconds>(at - cluster_.now(), std::chrono::nanoseconds(0)),
             [this] { run(); });
}

// Finds out which partitions have full batches or ones that have lingered long enough.
void sender::collect() {
  const auto now = cluster_.now();
  work_.clear();
  std::optional<io::instant> oldest;
  bool anything = false;
  {
    const auto lock = hold();
    const bool at_once = accumulator_.starving() || accumulator_.outstanding_before(flushing_);
    oldest = accumulator_.take_work(at_once ? io::instant::max() : now - settings_.linger, work_);
    anything = !accumulator_.empty();
  }
  for (auto* q : work_) make_ready(*q);
  if (oldest) schedule(*oldest + settings_.linger);
  if (anything || taken_ > 0) {
    if (now >= next_expiry_) expire();
    schedule(next_expiry_);
  }
}

void sender::make_ready(partition_queue& q) {
  if (std::exchange(q.send.ready, true)) return;
  ready_.push_back(&q);
}

bool sender::is_due(const producer_batch& b) const {
  return b.generation < flushing_ || cluster_.now() - b.created >= settings_.linger ||
         accumulator_.starving();
}

std::int32_t sender::leader_of(partition_queue& q) {
  if (q.send.leader_as_of != cluster_.metadata().version()) {
    const auto* p = cluster_.metadata().leader_of(q.topic->name, q.partition);
    q.send.leader = p == nullptr ? -1 : p->leader;
    q.send.leader_as_of = cluster_.metadata().version();
  }
  return q.send.leader;
}

// Whether the partition has a batch that may go out now. Takes the partition off the list when it has none.
bool sender::wants_to_send(partition_queue& q) {
  if (idempotent_ && !q.send.established && q.send.in_flight > 0) return false;
  if (!q.send.retry.empty()) {
    if (q.send.in_flight > 0) return false;  // those under way come back first
    if (q.send.not_before > cluster_.now()) {
      schedule(q.send.not_before);
      return false;
    }
    return true;
  }
  const auto lock = hold();
  if (const auto* head = !q.full.empty() ? q.full.front().get() : q.open.get();
      transactions_ != nullptr && head != nullptr && !transactions_->belongs(*head))
    return false;  // it is looked at again when its transaction begins
  if (!q.full.empty()) return true;
  if (q.open && is_due(*q.open)) return true;
  // What was begun after a flush lingers on. Its turn was used up while everything was collected at once.
  if (const auto begun = accumulator_.put_back(q)) schedule(*begun + settings_.linger);
  q.send.ready = false;
  return false;
}

void sender::send_ready() {
  if (fatal_) return abandon(*fatal_);
  if (transactions_ != nullptr) {
    if (const auto* doom = transactions_->doom()) return abandon(error(*doom));
    if (!transactions_->may_send()) return;
  }
  if (ready_.empty()) return;
  if (transactions_ == nullptr && idempotent_ && producer_id_state_ != id_state::known)
    return request_producer_id();

  std::map<std::int32_t, std::vector<partition_queue*>> by_leader;
  bool leaderless = false;
  for (auto* q : ready_) {
    if (!wants_to_send(*q)) continue;
    if (transactions_ != nullptr && !transactions_->takes_part(*q)) continue;
    const auto leader = leader_of(*q);
    if (leader < 0)
      leaderless = true;
    else
      by_leader[leader].push_back(q);
  }
  if (transactions_ != nullptr) transactions_->register_partitions();
  if (leaderless) cluster_.request_metadata();
  for (auto& [broker, queues] : by_leader) send_to(broker, queues);
  std::erase_if(ready_, [](const auto* q) { return !q->send.ready; });
  // The first in line stood there longest; next time another begins.
  if (ready_.size() > 1) std::rotate(ready_.begin(), ready_.begin() + 1, ready_.end());
}

void sender::send_to(std::int32_t broker, std::vector<partition_queue*>& queues) {
  if (!cluster_.is_ready(broker, channel::general)) {
    if (!connecting_.insert(broker).second) return;
    cluster_.connect(broker, channel::general, [this, broker, alive = std::weak_ptr<void>(alive_)](result<>) {
      if (alive.expired()) return;
      connecting_.erase(broker);
      kick();
    });
    return;
  }
  const auto version = cluster_.offered_version(broker, channel::general, wire::produce_request::key);
  while (!queues.empty() && in_flight_[broker] < settings_.max_in_flight) {
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
    send(broker, std::move(batches));
    std::erase_if(queues, [this](auto* q) { return !wants_to_send(*q); });
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

void sender::send(std::int32_t broker, std::vector<batch_ptr> batches) {
  auto r = std::make_shared<request>();
  r->broker = broker;
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
  ++in_flight_[broker];
  ++counters_.requests;
  cluster_.send(broker, channel::general, std::move(out));
}

// What could not be sent within delivery_timeout fails. Batches under way are left to their request's
// timeout.
void sender::expire() {
  const auto now = cluster_.now();
  next_expiry_ =
      now + std::clamp<std::chrono::milliseconds>(settings_.delivery_timeout / 4,
                                                  std::chrono::milliseconds(10), std::chrono::seconds(1));
  const auto begun_before = now - settings_.delivery_timeout;
  std::vector<batch_ptr> late;
  {
    const auto lock = hold();
    late = accumulator_.take_expired(begun_before);
  }
  taken_ += late.size();
  for (auto* q : ready_) {
    while (!q->send.retry.empty() && q->send.in_flight == 0 &&
           q->send.retry.front()->created < begun_before) {
      late.push_back(std::move(q->send.retry.front()));
      q->send.retry.pop_front();
    }
  }
  for (const auto& b : late)
    give_up(b, {errc::timeout, fmt::format("{}: not delivered within delivery.timeout.ms ({} ms)",
                                           name_of(*b->queue), settings_.delivery_timeout.count())});
}

void sender::abandon(const error& why) {
  std::vector<batch_ptr> all;
  {
    const auto lock = hold();
    all = accumulator_.take_all();
  }
  taken_ += all.size();
  for (auto* q : ready_) {
    for (auto& b : q->send.retry) all.push_back(std::move(b));
    q->send.retry.clear();
    q->send.ready = false;
  }
  ready_.clear();
  for (const auto& b : all) give_up(b, why.with_context(name_of(*b->queue)));
  check_flushes();
}

void sender::flush(unique_function<void(result<>)> done) {
  auto f = std::make_shared<flush_request>();
  {
    const auto lock = hold();
    f->generation = flushing_ = accumulator_.begin_generation();
  }
  f->done = std::move(done);
  flushes_.push_back(std::move(f));
  kick();
}

void sender::hurry(std::uint64_t generation) {
  flushing_ = std::max(flushing_, generation);
  kick();
}

void sender::check_flushes() {
  if (transactions_ != nullptr) transactions_->advance();
  if (flushes_.empty()) return;
  std::vector<std::shared_ptr<flush_request>> over;
  {
    const auto lock = hold();
    std::erase_if(flushes_, [&](const auto& f) {
      if (accumulator_.outstanding_before(f->generation)) return false;
      over.push_back(f);
      return true;
    });
  }
  if (over.empty()) return;
  const auto failure = std::exchange(failure_since_flush_, std::nullopt);
  for (auto& f : over) f->done(failure ? result<>(fail(*failure)) : result<>());
}

bool sender::idle() const { return taken_ == 0; }

kafka::producer::counters sender::statistics() const {
  auto c = counters_;
  const auto lock = hold();
  c.records = accumulator_.records();
  c.bytes = accumulator_.bytes();
  return c;
}

void sender::metadata_changed() {
  const auto now = cluster_.now();
  {
    const auto lock = hold();
    for (const auto& [name, t] : accumulator_.topics()) {
      const auto* known = cluster_.metadata().find(name);
      if (known == nullptr) continue;
      auto code = known->error;
      if (code == error_code::unknown_topic_or_partition) {
        if (!t->missing_since) t->missing_since = now;
        const auto patience = std::min<std::chrono::milliseconds>(settings_.max_block, patience_for_topics);
        if (now - *t->missing_since < patience) code = error_code::none;
      } else {
        t->missing_since.reset();
        if (wire::retriable(code)) code = error_code::none;
      }
      const auto partitions = static_cast<std::int32_t>(known->partitions.size());
      if (partitions == t->known && code == t->error) continue;
      accumulator_.set_topic(name, partitions, code);
      writable_ = true;
    }
  }
  kick();
}

}  // namespace penstock::client
