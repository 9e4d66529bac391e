// SPDX-License-Identifier: Apache-2.0
#include "client/accumulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "wire/error_code.h"

namespace penstock::client {
namespace {

constexpr std::chrono::milliseconds longest_without_word{20};

std::size_t size_of(std::span<const record_header> headers) noexcept {
  std::size_t n = 0;
  for (const auto& h : headers) n += h.key.size() + h.value.size() + 2 * base::max_varint32_bytes;
  return n;
}

// Compared once a record, where a call of memcmp is felt.
bool same_name(std::string_view a, std::string_view b) noexcept {
  using word = std::uint64_t;
  if (a.size() != b.size()) return false;
  if (a.size() < sizeof(word)) return a == b;
  const auto differ = [&](std::size_t at) {
    word x, y;
    std::memcpy(&x, a.data() + at, sizeof x);
    std::memcpy(&y, b.data() + at, sizeof y);
    return x ^ y;
  };
  word found = differ(a.size() - sizeof(word));
  for (std::size_t at = 0; at + sizeof(word) < a.size(); at += sizeof(word)) found |= differ(at);
  return found == 0;
}

}  // namespace

std::string name_of(const partition_queue& q) {
  return fmt::format("topic '{}', partition {}", q.topic->name, q.partition);
}

accumulator::accumulator(const kafka::producer_settings& settings, io::random_source& random)
    : settings_(settings), random_(random) {}

topic_queues* accumulator::find(std::string_view name) noexcept {
  if (last_topic_ != nullptr && same_name(last_topic_->name, name)) return last_topic_;
  const auto it = topics_.find(name);
  return it == topics_.end() ? nullptr : last_topic_ = it->second.get();
}

topic_queues& accumulator::find_or_add(std::string_view name) {
  if (auto* t = find(name)) return *t;
  auto t = std::make_unique<topic_queues>();
  t->name = name;
  return *(topics_[t->name] = std::move(t));
}

void accumulator::set_topic(const std::string& name, std::int32_t partitions, wire::error_code error) {
  auto& t = find_or_add(name);
  t.error = error;
  t.known = partitions;
  while (t.partitions.size() < static_cast<std::size_t>(std::max(partitions, 0))) {
    auto q = std::make_unique<partition_queue>();
    q->topic = &t;
    q->partition = static_cast<std::int32_t>(t.partitions.size());
    t.partitions.push_back(std::move(q));
  }
}

// Whether the record goes where the others without a place of their own go, as long as their batch has room.
bool accumulator::is_sticky(const kafka::record_to_send& r) const noexcept {
  if (r.partition != kafka::any_partition || settings_.own_partitioner) return false;
  return settings_.partitioner == kafka::partitioner::sticky ||
         (settings_.partitioner == kafka::partitioner::murmur2 && r.key.data() == nullptr);
}

std::int32_t accumulator::choose_partition(topic_queues& t, const kafka::record_to_send& r) {
  if (r.partition != kafka::any_partition) return r.partition;
  if (settings_.own_partitioner) return settings_.own_partitioner(r.topic, r.key, r.value, t.known);
  switch (settings_.partitioner) {
    case kafka::partitioner::murmur2:
      if (r.key.data() != nullptr) return base::partition_for_key(r.key, t.known);
      break;
    case kafka::partitioner::sticky: break;
    case kafka::partitioner::round_robin:
      return static_cast<std::int32_t>(t.turn++ % static_cast<std::uint32_t>(t.known));
    case kafka::partitioner::random:
      return static_cast<std::int32_t>(random_.next() % static_cast<std::uint64_t>(t.known));
  }
  // Without a key: one partition until its batch is full, so that batches are few and large (KIP-480,
  // KIP-794).
  if (t.sticky < 0 || t.sticky >= t.known) t.sticky = draw_partition(t);
  return t.sticky;
}

// As KIP-794 has it, the more batches wait for a partition, the less likely it is: what a slow broker, or a
// busy connection, does not take goes elsewhere.
std::int32_t accumulator::draw_partition(const topic_queues& t) {
  const std::span queues(t.partitions.data(), static_cast<std::size_t>(t.known));
  const std::size_t last =
      t.sticky < -1 && t.known > 1 ? static_cast<std::size_t>(-2 - t.sticky) : queues.size();
  std::size_t longest = 0;
  for (const auto& q : queues) longest = std::max(longest, q->full.size());
  std::uint64_t tickets = 0;
  const auto tickets_of = [&](std::size_t p) { return p == last ? 0 : longest + 1 - queues[p]->full.size(); };
  for (std::size_t p = 0; p < queues.size(); ++p) tickets += tickets_of(p);
  std::uint64_t drawn = random_.next() % tickets;
  std::size_t p = 0;
  for (; drawn >= tickets_of(p); ++p) drawn -= tickets_of(p);
  return static_cast<std::int32_t>(p);
}

result<accumulator::appended> accumulator::append(topic_queues* t, const kafka::record_to_send& r,
                                                  std::int64_t timestamp_ms, const io::clock& time,
                                                  kafka::delivery_callback* callback) {
  if (refusal_) return fail(*refusal_);
  if (t == nullptr || t->known == 0) {
    if (t != nullptr && t->error != wire::error_code::none)
      return fail(wire::make_error(t->error, fmt::format("topic '{}'", r.topic)));
    return appended{append_status::no_metadata, false};
  }
  const std::size_t bound =
      wire::batch_builder::record_size_bound(r.key.size(), r.value.size(), size_of(r.headers));
  if (bound + wire::batch_overhead > settings_.max_request_size)
    return fail(errc::invalid_argument,
                fmt::format("topic '{}': a record of {} bytes is larger than max.request.size, "
                            "which is {}",
                            r.topic, bound, settings_.max_request_size));
  if (buffered_ + bound > settings_.buffer_memory && buffered_ > 0) {
    const bool first = !std::exchange(starving_, true);  // then even a young batch is worth sending
    if (!refused_at_) {
      refused_at_ = time.now();
      room_since_ = false;
    }
    return appended{append_status::no_memory, first};
  }
  const auto p = choose_partition(*t, r);
  if (p < 0 || p >= t->known)
    return fail(errc::invalid_argument,
                fmt::format("topic '{}' has no partition {}, it has {}", r.topic, p, t->known));

  appended done;
  auto* q = t->partitions[static_cast<std::size_t>(p)].get();
  if (!q->open) {
    q->open = new_batch(*q, time);
    done.work = true;
  }
  std::size_t before = q->open->builder.size();
  if (!q->open->builder.append(r.key, r.value, timestamp_ms, r.headers)) {
    q->full.push_back(std::move(q->open));
    announce(*q);
    done.work = true;
    if (is_sticky(r) && t->known > 1) {
      t->sticky = -2 - q->partition;  // another one, the next time
      q = t->partitions[static_cast<std::size_t>(choose_partition(*t, r))].get();
    }
    // The other partition's batch may be full as well.
    if (q->open && !q->open->builder.empty() &&
        q->open->builder.size() + bound > std::min(settings_.batch_size, settings_.max_request_size)) {
      q->full.push_back(std::move(q->open));
      announce(*q);
    }
    if (!q->open) q->open = new_batch(*q, time);
    before = q->open->builder.size();
    if (!q->open->builder.append(r.key, r.value, timestamp_ms, r.headers))
      return fail(errc::internal, fmt::format("topic '{}': an empty batch did not take a record", r.topic));
  }
  auto& batch = *q->open;
  if (callback != nullptr)
    batch.callbacks.push_back({batch.builder.record_count() - 1, std::move(*callback)});
  const std::size_t grown = batch.builder.size() - before;
  batch.reserved += grown;
  buffered_ += grown;
  bytes_ += r.key.size() + r.value.size();
  ++records_;
  return done;
}

batch_ptr accumulator::new_batch(partition_queue& q, const io::clock& time) {
  const auto now = time.now();
  batch_ptr b;
  if (!free_.empty()) {
    b = std::move(free_.back());
    free_.pop_back();
    b->builder.reset();
  } else {
    b = std::make_shared<producer_batch>(std::min(settings_.batch_size, settings_.max_request_size));
  }
  b->queue = &q;
  b->created = now;
  b->generation = generation_;
  ++outstanding_[generation_];
  begun_.emplace_back(now, b);
  ++batches_;
  return b;
}

void accumulator::announce(partition_queue& q) {
  if (std::exchange(q.announced, true)) return;
  with_full_.push_back(&q);
}

std::optional<io::instant> accumulator::take_work(io::instant begun_before,
                                                  std::vector<partition_queue*>& out) {
  for (auto* q : with_full_) {
    q->announced = false;
    out.push_back(q);
  }
  with_full_.clear();
  for (; !begun_.empty(); begun_.pop_front()) {
    const auto& [begun, batch] = begun_.front();
    const auto b = batch.lock();
    // The buffer of a batch that was sent may serve another one by now, which has an entry of its own.
    if (!b || b->created != begun || b->queue == nullptr || b->queue->open != b) continue;
    if (begun > begun_before) return begun;
    out.push_back(b->queue);
  }
  return std::nullopt;
}

std::optional<io::instant> accumulator::put_back(partition_queue& q) {
  if (!q.open) return std::nullopt;
  const auto begun = q.open->created;
  auto place = begun_.end();
  while (place != begun_.begin() && std::prev(place)->first > begun) --place;
  for (auto same = place; same != begun_.begin() && std::prev(same)->first == begun; --same) {
    if (std::prev(same)->second.lock() == q.open) return begun;
  }
  begun_.emplace(place, begun, q.open);
  return begun;
}

batch_ptr accumulator::take_batch(partition_queue& q, bool even_open) {
  batch_ptr b;
  if (!q.full.empty()) {
    b = std::move(q.full.front());
    q.full.pop_front();
  } else if (even_open && q.open) {
    b = std::move(q.open);
  }
  if (b) --batches_;
  return b;
}

batch_ptr accumulator::split_off(producer_batch& from) {
  auto b = std::make_shared<producer_batch>(std::max(from.builder.size(), settings_.batch_size));
  b->queue = from.queue;
  b->created = from.created;
  b->generation = from.generation;
  ++outstanding_[b->generation];
  return b;
}

std::optional<io::instant> accumulator::tell_of_room_at(bool nothing_under_way) const {
  if (!refused_at_ || !room_since_) return std::nullopt;
  const bool worth_it = buffered_ <= settings_.buffer_memory - settings_.buffer_memory / 4;
  return worth_it || nothing_under_way ? *refused_at_ : *refused_at_ + longest_without_word;
}

void accumulator::release(const batch_ptr& b, bool reuse) {
  buffered_ -= std::exchange(b->reserved, 0);
  starving_ = false;
  room_since_ = true;
  if (const auto it = outstanding_.find(b->generation); it != outstanding_.end() && --it->second == 0)
    outstanding_.erase(it);
  b->callbacks.clear();
  b->queue = nullptr;
  b->sealed = {};
  b->as_messages = false;
  b->producer_id = -1;
  b->producer_epoch = -1;
  b->base_sequence = -1;
  b->attempts = 0;
  b->maybe_persisted = false;
  const std::size_t kept = (free_.size() + 1) * std::max<std::size_t>(settings_.batch_size, 4096);
  if (reuse && kept <= settings_.buffer_memory / 2) free_.push_back(b);
}

std::uint64_t accumulator::seal_generation() {
  for (const auto& [name, t] : topics_) {
    for (const auto& q : t->partitions) {
      if (!q->open) continue;
      q->full.push_back(std::move(q->open));
      announce(*q);
    }
  }
  return begin_generation();
}

std::uint64_t accumulator::begin_generation() { return ++generation_; }

bool accumulator::outstanding_before(std::uint64_t generation) const {
  return !outstanding_.empty() && outstanding_.begin()->first < generation;
}

std::vector<batch_ptr> accumulator::take_all() { return take_expired(io::instant::max()); }

std::vector<batch_ptr> accumulator::take_expired(io::instant before) {
  std::vector<batch_ptr> taken;
  for (const auto& [name, t] : topics_) {
    for (const auto& q : t->partitions) {
      while (!q->full.empty() && q->full.front()->created < before) taken.push_back(take_batch(*q, false));
      if (q->full.empty() && q->open && q->open->created < before) taken.push_back(take_batch(*q, true));
    }
  }
  return taken;
}

}  // namespace penstock::client
