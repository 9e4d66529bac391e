// SPDX-License-Identifier: Apache-2.0
// Which partitions are read and what is asked for. What comes back is in fetcher_answers.cc.
#include "client/fetcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "client/fetcher_parts.h"
#include "wire/error_code.h"

namespace penstock::client {

namespace {

constexpr std::int16_t last_version_with_names = 12;  // then topics have ids
constexpr std::int16_t first_version_with_fetched_epoch = 12;

}  // namespace

fetcher::fetcher(cluster& c, fetcher_settings settings)
    : cluster_(c), settings_(settings), retry_timer_(c.loop()) {
  cluster_.on_metadata(alive_, [this](const result<>&) { kick(); });
}

fetcher::~fetcher() = default;

fetcher::partition_ptr fetcher::find(const kafka::topic_partition& tp) const {
  const auto it = partitions_.find(tp);
  return it == partitions_.end() ? nullptr : it->second;
}

void fetcher::restart(partition& p, const place& at) {
  ++p.epoch;
  p.wanted = at.time ? *at.time : at.offset < 0 ? at.offset : kafka::no_offset;
  p.next_fetch = p.position = at.time || at.offset < 0 ? kafka::no_offset : at.offset;
  p.fetched_epoch = at.leader_epoch;
  p.checked_epoch = -1;
  p.checking = false;
  p.stopped = false;
  p.not_before = {};
  p.unknown_since.reset();
  for (const auto& s : p.parked) {
    buffered_ -= s.left;
    parked_ -= s.left;
  }
  p.parked.clear();
  std::erase_if(sections_, [&](const section& s) {
    if (s.p.get() != &p) return false;
    buffered_ -= s.left;
    return true;
  });
  kick();
}

fetcher::partition_ptr fetcher::find_or_add(const kafka::topic_partition& tp, std::int64_t tag) {
  auto& p = partitions_[tp];
  if (!p) {
    p = std::make_shared<partition>();
    p->tp = std::make_shared<const kafka::topic_partition>(tp);
  }
  p->tag = tag;
  p->topic_id = {};
  cluster_.watch_topic(tp.topic);
  return p;
}

void fetcher::assign(const kafka::topic_partition& tp, std::int64_t offset, std::int64_t tag,
                     std::int32_t leader_epoch) {
  restart(*find_or_add(tp, tag), {offset, offset < 0 ? -1 : leader_epoch, {}});
}

void fetcher::assign_at_time(const kafka::topic_partition& tp, std::int64_t timestamp_ms, std::int64_t tag) {
  restart(*find_or_add(tp, tag), {.time = std::max<std::int64_t>(timestamp_ms, 0)});
}

void fetcher::remove(const kafka::topic_partition& tp) {
  const auto p = find(tp);
  if (!p) return;
  restart(*p, {});
  partitions_.erase(tp);
}

void fetcher::seek(const kafka::topic_partition& tp, std::int64_t offset) {
  const auto p = find(tp);
  if (!p) return;
  p->topic_id = {};
  restart(*p, {.offset = offset});
}

void fetcher::pause(const kafka::topic_partition& tp) {
  if (const auto p = find(tp)) p->paused = true;
}

void fetcher::resume(const kafka::topic_partition& tp) {
  const auto p = find(tp);
  if (!p || !std::exchange(p->paused, false)) return;
  for (; !p->parked.empty(); p->parked.pop_back()) {
    parked_ -= p->parked.back().left;
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

// Requests.

void fetcher::wait(partition& p) {
  p.not_before = cluster_.now() + cluster_.settings().retry_backoff;
  if (!retry_timer_.armed()) retry_timer_.arm(cluster_.settings().retry_backoff, [this] { run(); });
}

bool fetcher::may_fetch(partition& p) {
  if (p.paused || p.stopped || p.checking || p.next_fetch < 0) return false;
  if (p.not_before <= cluster_.now()) return true;
  if (!retry_timer_.armed()) retry_timer_.arm(p.not_before - cluster_.now(), [this] { run(); });
  return false;
}

// Bytes that the next answer may bring.
std::size_t fetcher::budget() const noexcept {
  std::size_t taken = buffered_;
  for (const auto& [broker, bytes] : outstanding_) taken += bytes;
  return settings_.max_buffered_bytes - std::min(taken, settings_.max_buffered_bytes);
}

void fetcher::send_fetches() {
  std::map<std::int32_t, std::vector<partition_ptr>> by_source, to_check;
  for (const auto& [tp, p] : partitions_) {
    if (!may_fetch(*p)) continue;
    const auto* leader = cluster_.metadata().leader_of(tp.topic, tp.partition);
    if (leader == nullptr) {
      leaderless(*p);
      continue;
    }
    const auto source = source_of(*p, *leader);
    if (outstanding_.contains(source) || !is_same_topic(*p)) continue;
    if (p->fetched_epoch >= 0 && leader->leader_epoch > p->checked_epoch)
      to_check[leader->leader].push_back(p);
    else
      by_source[source].push_back(p);
  }
  for (auto& [broker, partitions] : to_check) validate(broker, std::move(partitions));
  for (auto& [broker, partitions] : by_source) {
    // Small answers cost as much as large ones: rather wait until there is room for one worth its while.
    const auto worth = std::min<std::size_t>(static_cast<std::size_t>(settings_.max_bytes),
                                             settings_.max_buffered_bytes / 2);
    if (budget() < worth && (buffered_ > parked_ || !outstanding_.empty())) continue;
    send_fetch(broker, std::move(partitions));
  }
}

// The leader, or the replica that it recommended for a while.
std::int32_t fetcher::source_of(partition& p, const partition_metadata& leader) {
  if (p.replica < 0) return leader.leader;
  if (p.replica_until > cluster_.now() && cluster_.metadata().brokers().contains(p.replica)) return p.replica;
  p.replica = -1;
  return leader.leader;
}

void fetcher::send_fetch(std::int32_t broker, std::vector<partition_ptr> partitions) {
  auto asked = std::make_shared<request>();
  asked->broker = broker;
  asked->by_id = true;
  std::vector<fetch_wish> wishes;
  wishes.reserve(partitions.size());
  for (const auto& p : partitions) {
    const auto* leader = cluster_.metadata().leader_of(p->tp->topic, p->tp->partition);
    wishes.push_back({p->tp, p->topic_id, p->next_fetch, leader->leader_epoch, p->fetched_epoch,
                      settings_.partition_max_bytes});
    asked->entries.push_back({p, p->epoch, p->next_fetch});
    asked->by_id = asked->by_id && !p->topic_id.is_zero();
  }
  // A broker fills its answer in the order of the request, so everyone gets to be first. (In a session it
  // sees to that by itself.)
  std::rotate(wishes.begin(), wishes.begin() + static_cast<std::ptrdiff_t>(turn_++ % wishes.size()),
              wishes.end());
  wire::fetch_request fetch;
  fetch.max_wait_ms = static_cast<std::int32_t>(settings_.max_wait.count());
  fetch.min_bytes = settings_.min_bytes;
  fetch.max_bytes = static_cast<std::int32_t>(std::min<std::size_t>(
      static_cast<std::size_t>(settings_.max_bytes), std::max<std::size_t>(budget(), 1)));
  fetch.isolation_level = static_cast<std::int8_t>(settings_.isolation);
  fetch.rack_id = settings_.rack;
  sessions_[broker].fill(fetch, wishes, asked->by_id);
  outstanding_[broker] =
      std::min(static_cast<std::size_t>(fetch.max_bytes),
               partitions.size() * static_cast<std::size_t>(settings_.partition_max_bytes));

  outgoing out;
  out.key = wire::fetch_request::key;
  out.min_version = 3;  // Kafka 0.10.1: a limit for the whole answer
  out.max_version = asked->by_id ? wire::fetch_request::max_version : last_version_with_names;
  out.timeout = cluster_.settings().request_timeout + settings_.max_wait;
  out.encode = [fetch = std::move(fetch)](wire::writer& w, std::int16_t version) mutable {
    if (version < first_version_with_fetched_epoch)
      for (auto& t : fetch.topics)
        for (auto& p : t.partitions) p.last_fetched_epoch = -1;
    return fetch.encode(w, version);
  };
  out.done = [this, asked, alive = std::weak_ptr<void>(alive_)](result<incoming> in) {
    if (!alive.expired()) arrived(*asked, std::move(in));
  };
  cluster_.send(broker, channel::fetch, std::move(out));
}

// Brokers keep few sessions: one that is over should make room for others' (KIP-227). A fetch that waits at
// the broker would hold the request up on its own connection.
void fetcher::close_sessions(unique_function<void()> done) {
  const auto left = std::make_shared<std::pair<int, unique_function<void()>>>(1, std::move(done));
  const auto one_less = [left] {
    if (--left->first == 0) left->second();
  };
  for (auto& [broker, session] : sessions_) {
    const auto by = outstanding_.contains(broker) && cluster_.is_ready(broker, channel::general)
                        ? channel::general
                        : channel::fetch;
    wire::fetch_request last;
    if (!cluster_.is_ready(broker, by) || !session.close(last)) continue;
    ++left->first;
    cluster_.call<wire::fetch_response>(broker, std::move(last), {.channel = by},
                                        [one_less](const auto&) { one_less(); });
  }
  one_less();
}

}  // namespace penstock::client
