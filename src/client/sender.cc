// SPDX-License-Identifier: Apache-2.0
#include "client/sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/bootstrap.h"
#include "wire/error_code.h"

namespace penstock::client {
namespace {

using wire::error_code;

// What Kafka's clients ask for when they are not transactional.
constexpr std::int32_t no_transaction_timeout = 0x7fffffff;
constexpr std::int16_t last_epoch = 0x7fff;
// A topic that the brokers deny for this long is an error; before, it may be on its way.
constexpr std::chrono::seconds patience_for_topics{5};

std::string name_of(const partition_queue& q) {
  return fmt::format("topic '{}', partition {}", q.topic->name, q.partition);
}

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

struct sender::request {
  std::int32_t broker = -1;
  std::vector<batch_ptr> batches;  // in the order of the wire
  std::vector<partition_queue*> queues;
};

struct sender::flush_request {
  std::uint64_t generation = 0;
  unique_function<void(result<>)> done;
};

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
  if (!q.full.empty()) return true;
  if (q.open && is_due(*q.open)) return true;
  q.send.ready = false;
  return false;
}

void sender::send_ready() {
  if (fatal_) return abandon(*fatal_);
  if (ready_.empty()) return;
  if (idempotent_ && producer_id_state_ != id_state::known) return request_producer_id();

  std::map<std::int32_t, std::vector<partition_queue*>> by_leader;
  bool leaderless = false;
  for (auto* q : ready_) {
    if (!wants_to_send(*q)) continue;
    const auto leader = leader_of(*q);
    if (leader < 0)
      leaderless = true;
    else
      by_leader[leader].push_back(q);
  }
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
  while (!queues.empty() && in_flight_[broker] < settings_.max_in_flight) {
    std::vector<batch_ptr> batches;
    std::size_t size = 0;
    for (auto* q : queues) {
      auto b = next_batch(*q, settings_.max_request_size - std::min(size, settings_.max_request_size),
                          batches.empty());
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
batch_ptr sender::next_batch(partition_queue& q, std::size_t room, bool first) {
  if (idempotent_ && !prepare_sequences(q)) return nullptr;
  batch_ptr b;
  if (!q.send.retry.empty()) {
    if (!first && q.send.retry.front()->sealed.size() > room) return nullptr;
    b = std::move(q.send.retry.front());
    q.send.retry.pop_front();
    return b;
  }
  {
    const auto lock = hold();
    const auto* head = !q.full.empty() ? q.full.front().get() : q.open.get();
    if (head == nullptr || (!first && head->builder.size() > room)) return nullptr;
    b = accumulator_.take_batch(q, q.open && is_due(*q.open));
    if (!b) return nullptr;
  }
  ++taken_;
  b->order = next_order_++;
  if (auto sealed = seal(*b); !sealed) {
    give_up(b, sealed.error().with_context(name_of(q)));
    return nullptr;
  }
  return b;
}

result<> sender::seal(producer_batch& b) {
  auto& s = b.queue->send;
  wire::batch_builder::seal_options options;
  options.codec = settings_.compression;
  if (settings_.compression_level) options.level = *settings_.compression_level;
  if (idempotent_) {
    options.producer_id = s.producer_id;
    options.producer_epoch = s.producer_epoch;
    options.base_sequence = s.next_sequence;
  }
  auto sealed = b.builder.seal(options);
  if (!sealed) return fail(sealed.error());
  b.sealed = *sealed;
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

  outgoing out;
  out.key = wire::produce_request::key;
  // Version 3 brought record batches, 7 zstd; from 13 on topics have ids instead of names.
  out.min_version = settings_.compression == compression::zstd ? 7 : 3;
  out.max_version = 12;
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

void sender::answered(const std::shared_ptr<request>& r, result<incoming> in) {
  --in_flight_[r->broker];
  for (auto* q : r->queues) --q->send.in_flight;
  if (!in) {
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
  for (auto* q : r->queues) make_ready(*q);
  run();
}

void sender::read_answer(const request& r, const wire::produce_response& response) {
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
    give_up(r.batches[i], {errc::corrupt, fmt::format("{}: {} did not say what became of a batch",
                                                      name_of(*r.queues[i]), cluster_.describe(r.broker))});
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
  ++b->attempts;
  ++counters_.retries;
  if (now - b->created >= settings_.delivery_timeout)
    return give_up(
        b, {errc::timeout, fmt::format("{}: not delivered within delivery.timeout.ms; the last attempt: {}",
                                       name_of(*b->queue), why.message())});
  const auto place =
      std::find_if(s.retry.begin(), s.retry.end(), [&](const auto& r) { return r->order > b->order; });
  s.retry.insert(place, b);
  backoff wait(settings_.connection.retry_backoff, settings_.connection.retry_backoff_max);
  for (int i = 0; i < std::min(s.failures, 10); ++i) wait.next(cluster_.random());
  s.not_before = now + wait.next(cluster_.random());
  ++s.failures;
  make_ready(*b->queue);
}

// The broker misses a sequence before this batch's. If an earlier batch is still to be sent again, that
// explains it. If one failed for good, the partition goes on under a new epoch. Otherwise the broker lost
// what it had acknowledged.
void sender::sequence_gap(const batch_ptr& b, const error& why) {
  auto& s = b->queue->send;
  const bool explained = !s.retry.empty() && s.retry.front()->order < b->order;
  if (!explained) {
    const bool forgotten = static_cast<error_code>(why.kafka_code()) == error_code::unknown_producer_id;
    if (!s.unresolved && !forgotten && !s.restart)
      return give_up(b, why.with_context("the broker lost acknowledged records of this producer"));
    s.restart = true;
  }
  retry(b, why);
}

// Whether the partition has its producer id; begins its sequences again where that is due.
bool sender::prepare_sequences(partition_queue& q) {
  auto& s = q.send;
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

void sender::restart_sequences(partition_queue& q) {
  auto& s = q.send;
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

void sender::succeed(const batch_ptr& b, std::int64_t offset, std::int64_t timestamp) {
  b->queue->send.failures = 0;
  b->queue->send.established = true;
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

void sender::give_up(const batch_ptr& b, const error& why) {
  if (b->base_sequence >= 0) b->queue->send.unresolved = true;
  const auto records = b->builder.record_count();
  counters_.failed += static_cast<std::uint64_t>(records);
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
  writable_ = writable_ || accumulator_.starving();
  accumulator_.release(b, reuse);  // from here on the batch may be somebody else's
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

void sender::check_flushes() {
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
  } else {
    fatal_ = response.error();
  }
  kick();
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
