// SPDX-License-Identifier: Apache-2.0
// Which partitions are read and what is asked for. What comes back is in fetcher_answers.cc.
#include "client/fetcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "client/fetcher_parts.h"
#include "client/offsets.h"
#include "wire/error_code.h"

namespace penstock::client {

using wire::error_code;

fetcher::fetcher(cluster& c, fetcher_settings settings)
    : cluster_(c), settings_(settings), retry_timer_(c.loop()) {
  cluster_.on_metadata(alive_, [this](const result<>&) { kick(); });
}

fetcher::~fetcher() = default;

fetcher::partition_ptr fetcher::find(const kafka::topic_partition& tp) const {
  const auto it = partitions_.find(tp);
  return it == partitions_.end() ? nullptr : it->second;
}

void fetcher::restart(partition& p, std::int64_t offset) {
  ++p.epoch;
  p.wanted = offset < 0 ? offset : kafka::no_offset;
  p.next_fetch = p.position = offset < 0 ? kafka::no_offset : offset;
  p.stopped = false;
  p.not_before = {};
  p.unknown_since.reset();
  p.parked.clear();
  std::erase_if(sections_, [&](const section& s) {
    if (s.p.get() != &p) return false;
    buffered_ -= s.left;
    return true;
  });
  kick();
}

void fetcher::assign(const kafka::topic_partition& tp, std::int64_t offset, std::int64_t tag) {
  auto& p = partitions_[tp];
  if (!p) {
    p = std::make_shared<partition>();
    p->tp = std::make_shared<const kafka::topic_partition>(tp);
  }
  p->tag = tag;
  cluster_.watch_topic(tp.topic);
  restart(*p, offset);
}

void fetcher::remove(const kafka::topic_partition& tp) {
  const auto p = find(tp);
  if (!p) return;
  restart(*p, kafka::no_offset);
  partitions_.erase(tp);
}

void fetcher::seek(const kafka::topic_partition& tp, std::int64_t offset) {
  if (const auto p = find(tp)) restart(*p, offset);
}

void fetcher::pause(const kafka::topic_partition& tp) {
  if (const auto p = find(tp)) p->paused = true;
}

void fetcher::resume(const kafka::topic_partition& tp) {
  const auto p = find(tp);
  if (!p || !std::exchange(p->paused, false)) return;
  for (; !p->parked.empty(); p->parked.pop_back()) {
    buffered_ += p->parked.back().left;
    sections_.push_front(std::move(p->parked.back()));
  }
  kick();
}

std::optional<std::int64_t> fetcher::position(const kafka::topic_partition& tp) const {
  const auto p = find(tp);
  if (!p || p->position < 0) return std::nullopt;
  return p->position;
}

std::optional<std::int64_t> fetcher::high_watermark(const kafka::topic_partition& tp) const {
  const auto p = find(tp);
  return p ? p->high_watermark : std::nullopt;
}

std::vector<kafka::topic_partition> fetcher::assignment() const {
  std::vector<kafka::topic_partition> all;
  for (const auto& [tp, p] : partitions_) all.push_back(tp);
  return all;
}

void fetcher::kick() {
  if (std::exchange(kicked_, true)) return;
  cluster_.loop().post([this, alive = std::weak_ptr<void>(alive_)] {
    if (!alive.expired()) run();
  });
}

void fetcher::run() {
  kicked_ = false;
  look_up_offsets();
  send_fetches();
  // Data that was parked may be wanted by now.
  if (ready()) announce();
}

void fetcher::announce() {
  if (on_ready_) on_ready_();
}

// Positions that are not known yet.

void fetcher::look_up_offsets() {
  if (looking_up_) return;
  request asked;
  std::vector<offset_query> queries;
  const auto now = cluster_.now();
  for (const auto& [tp, p] : partitions_) {
    if (p->wanted == kafka::no_offset || p->stopped || p->not_before > now) continue;
    asked.entries.push_back({p, p->epoch, p->wanted});
    queries.push_back({tp, p->wanted});
  }
  if (queries.empty()) return;
  looking_up_ = true;
  list_offsets(cluster_, std::move(queries), settings_.isolation,
               now + cluster_.settings().default_api_timeout,
               [this, asked = std::move(asked), alive = std::weak_ptr<void>(alive_)](auto offsets) {
                 if (!alive.expired()) offsets_arrived(asked, std::move(offsets));
               });
}

void fetcher::offsets_arrived(const request& asked, result<std::vector<std::int64_t>> offsets) {
  looking_up_ = false;
  for (std::size_t i = 0; i < asked.entries.size(); ++i) {
    auto& p = *asked.entries[i].p;
    if (p.epoch != asked.entries[i].epoch) continue;
    if (offsets) {
      p.wanted = kafka::no_offset;
      p.next_fetch = p.position = (*offsets)[i];
    } else if (offsets.error().retriable()) {
      wait(p);
    } else {
      stop(p, offsets.error());
    }
  }
  run();
}

// Requests.

void fetcher::wait(partition& p) {
  p.not_before = cluster_.now() + cluster_.settings().retry_backoff;
  if (!retry_timer_.armed()) retry_timer_.arm(cluster_.settings().retry_backoff, [this] { run(); });
}

bool fetcher::may_fetch(partition& p) {
  if (p.paused || p.stopped || p.next_fetch < 0) return false;
  if (p.not_before <= cluster_.now()) return true;
  if (!retry_timer_.armed()) retry_timer_.arm(p.not_before - cluster_.now(), [this] { run(); });
  return false;
}

// The leader is not known. That passes, unless the topic or the partition does not exist.
void fetcher::leaderless(partition& p) {
  const auto now = cluster_.now();
  const auto* topic = cluster_.metadata().find(p.tp->topic);
  cluster_.request_metadata();
  if (topic == nullptr) return;
  if (topic->error != error_code::none && topic->error != error_code::unknown_topic_or_partition &&
      !wire::retriable(topic->error))
    return stop(p, wire::make_error(topic->error, name_of(*p.tp)));
  const bool exists = static_cast<std::size_t>(p.tp->partition) < topic->partitions.size();
  if (exists) return p.unknown_since.reset();
  if (!p.unknown_since) p.unknown_since = now;
  if (now - *p.unknown_since < settings_.unknown_topic_after) return;
  stop(p, {errc::not_found, topic->partitions.empty()
                                ? fmt::format("topic '{}' does not exist", p.tp->topic)
                                : fmt::format("topic '{}' has no partition {}, it has {}", p.tp->topic,
                                              p.tp->partition, topic->partitions.size())});
}

// Bytes that the next answer may bring.
std::size_t fetcher::budget() const noexcept {
  std::size_t taken = buffered_;
  for (const auto& [broker, bytes] : outstanding_) taken += bytes;
  return settings_.max_buffered_bytes - std::min(taken, settings_.max_buffered_bytes);
}

void fetcher::send_fetches() {
  std::map<std::int32_t, std::vector<partition_ptr>> by_leader;
  for (const auto& [tp, p] : partitions_) {
    if (!may_fetch(*p)) continue;
    const auto* leader = cluster_.metadata().leader_of(tp.topic, tp.partition);
    if (leader == nullptr)
      leaderless(*p);
    else if (!outstanding_.contains(leader->leader))
      by_leader[leader->leader].push_back(p);
  }
  for (auto& [broker, partitions] : by_leader) {
    // Small answers cost as much as large ones: rather wait until there is room for one worth its while.
    const auto worth = std::min<std::size_t>(static_cast<std::size_t>(settings_.max_bytes),
                                             settings_.max_buffered_bytes / 2);
    if (budget() < worth && (buffered_ > 0 || !outstanding_.empty())) continue;
    send_fetch(broker, std::move(partitions));
  }
}

void fetcher::send_fetch(std::int32_t broker, std::vector<partition_ptr> partitions) {
  // A broker fills its answer in the order of the request, so everyone gets to be first.
  std::rotate(partitions.begin(),
              partitions.begin() + static_cast<std::ptrdiff_t>(turn_++ % partitions.size()),
              partitions.end());
  wire::fetch_request fetch;
  fetch.max_wait_ms = static_cast<std::int32_t>(settings_.max_wait.count());
  fetch.min_bytes = settings_.min_bytes;
  fetch.max_bytes = static_cast<std::int32_t>(std::min<std::size_t>(
      static_cast<std::size_t>(settings_.max_bytes), std::max<std::size_t>(budget(), 1)));
  fetch.isolation_level = static_cast<std::int8_t>(settings_.isolation);
  auto asked = std::make_shared<request>();
  asked->broker = broker;
  std::map<std::string_view, std::size_t> topics;
  for (const auto& p : partitions) {
    const auto [it, added] = topics.try_emplace(p->tp->topic, fetch.topics.size());
    if (added) fetch.topics.push_back({p->tp->topic, {}, {}});
    auto& entry = fetch.topics[it->second].partitions.emplace_back();
    entry.partition = p->tp->partition;
    entry.current_leader_epoch = cluster_.metadata().leader_of(p->tp->topic, p->tp->partition)->leader_epoch;
    entry.fetch_offset = p->next_fetch;
    entry.partition_max_bytes = settings_.partition_max_bytes;
    asked->entries.push_back({p, p->epoch, p->next_fetch});
  }
  outstanding_[broker] =
      std::min(static_cast<std::size_t>(fetch.max_bytes),
               partitions.size() * static_cast<std::size_t>(settings_.partition_max_bytes));

  outgoing out;
  out.key = wire::fetch_request::key;
  out.min_version = 3;   // Kafka 0.10.1: a limit for the whole answer
  out.max_version = 12;  // from 13 on topics have ids instead of names
  out.timeout = cluster_.settings().request_timeout + settings_.max_wait;
  out.encode = [fetch = std::move(fetch)](wire::writer& w, std::int16_t version) {
    return fetch.encode(w, version);
  };
  out.done = [this, asked, alive = std::weak_ptr<void>(alive_)](result<incoming> in) {
    if (!alive.expired()) arrived(*asked, std::move(in));
  };
  cluster_.send(broker, channel::fetch, std::move(out));
}

}  // namespace penstock::client
