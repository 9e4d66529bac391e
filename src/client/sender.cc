// SPDX-License-Identifier: Apache-2.0
// When batches go out, and when nothing is left. What a request is made of is in sender_requests.cc, what
// becomes of it in sender_outcomes.cc.
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

}  // namespace

sender::sender(cluster& c, accumulator& a, const kafka::producer_settings& settings, std::mutex* guard)
    : cluster_(c),
      accumulator_(a),
      settings_(settings),
      guard_(guard),
      idempotent_(is_idempotent(settings)),
      // Without answers nobody knows when a partition may change its connection.
      lanes_(c, settings.acks == kafka::acks::none ? 1 : settings.connections_per_broker,
             settings.max_in_flight, [this] { kick(); }),
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
  if (const auto again = lanes_.tidy()) schedule(*again);
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
    if (const auto due = accumulator_.tell_of_room_at(taken_ == 0)) {
      if (*due <= now) {
        writable_ = true;
        accumulator_.told_of_room();
      } else {
        schedule(*due);
      }
    }
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

  std::map<lane_id, std::vector<partition_queue*>> by_lane;
  bool leaderless = false;
  for (auto* q : ready_) {
    if (!wants_to_send(*q)) continue;
    if (transactions_ != nullptr && !transactions_->takes_part(*q)) continue;
    const auto leader = leader_of(*q);
    if (leader < 0) {
      leaderless = true;
    } else if (const auto lane = lanes_.lane_of(*q, leader)) {
      by_lane[*lane].push_back(q);
    }
  }
  if (transactions_ != nullptr) transactions_->register_partitions();
  if (leaderless) cluster_.request_metadata();
  std::map<std::int32_t, bool> waiting;  // by broker: whether partitions that share a full lane have more
  for (auto& [lane, queues] : by_lane) {
    send_to(lane, queues);
    auto& more = waiting[lane.broker];
    more = more || (queues.size() > 1 && !lanes_.has_room(lane));
  }
  for (const auto& [broker, more] : waiting)
    if (const auto again = lanes_.looked(broker, more)) schedule(*again);
  std::erase_if(ready_, [](const auto* q) { return !q->send.ready; });
  // The first in line stood there longest; next time another begins.
  if (ready_.size() > 1) std::rotate(ready_.begin(), ready_.begin() + 1, ready_.end());
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
