// SPDX-License-Identifier: Apache-2.0
// Where partitions are read: positions that are looked up, and whether those that are known still hold.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/fetcher.h"
#include "client/fetcher_parts.h"
#include "client/offsets.h"
#include "wire/error_code.h"

namespace penstock::client {

using wire::error_code;

namespace {

// Version 2 asked for rights on the whole cluster.
constexpr std::int16_t first_version_for_consumers = 3;

}  // namespace

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

void fetcher::offsets_arrived(const request& asked, std::vector<result<std::int64_t>> offsets) {
  looking_up_ = false;
  for (std::size_t i = 0; i < asked.entries.size(); ++i) {
    auto& p = *asked.entries[i].p;
    if (p.epoch != asked.entries[i].epoch) continue;
    const auto& found = offsets[i];
    if (found && *found < 0 && p.wanted >= 0) {
      p.wanted = kafka::latest_offset;  // nothing is that young
    } else if (found) {
      p.wanted = kafka::no_offset;
      p.next_fetch = p.position = *found;
    } else if (found.error().retriable()) {
      wait(p);
    } else {
      stop(p, found.error());
    }
  }
  run();
}

// The position is not there: an error that says which offsets are lost, which the leader is asked for.
void fetcher::tell_loss(partition& p) {
  p.stopped = true;
  list_offsets(cluster_, {{*p.tp, kafka::earliest_offset}}, settings_.isolation,
               cluster_.now() + cluster_.settings().default_api_timeout,
               [this, tp = *p.tp, epoch = p.epoch, at = p.next_fetch,
                alive = std::weak_ptr<void>(alive_)](auto offsets) {
                 const auto which = alive.expired() ? nullptr : find(tp);
                 if (which == nullptr || which->epoch != epoch) return;
                 auto text = fmt::format("{}: offset {} does not exist (any more)", name_of(tp), at);
                 if (const auto& first = offsets.front(); first && *first > at)
                   text += fmt::format(": offsets {} to {} were removed", at, *first - 1);
                 stop(*which, {errc::data_loss, std::move(text)});
               });
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

// The topic that the position is in may have been deleted, and one of the same name made since (KIP-516). Its
// offsets mean nothing there: it is read from its beginning, unless the application wants to be told.
bool fetcher::is_same_topic(partition& p) {
  const auto* topic = cluster_.metadata().find(p.tp->topic);
  if (topic == nullptr || topic->id.is_zero() || topic->id == p.topic_id) return true;
  const bool known = !p.topic_id.is_zero();
  p.topic_id = topic->id;
  if (!known) return true;
  if (settings_.reset == kafka::offset_reset::none)
    stop(p, {errc::data_loss, fmt::format("{}: the topic was deleted and made anew, so that offset {} is not "
                                          "the one that was read up to",
                                          name_of(*p.tp), p.next_fetch)});
  else
    restart(p, {.offset = kafka::earliest_offset});
  return false;
}

// Truncation (KIP-320). After a change of the leader the new one may lack records at the end that were read
// from the old one, and have others there: it is asked where the epoch of the last record that was read ends.

void fetcher::validate(std::int32_t broker, std::vector<partition_ptr> partitions) {
  auto asked = std::make_shared<request>();
  asked->broker = broker;
  wire::offset_for_leader_epoch_request ask;
  ask.replica_id = -1;
  for (const auto& p : partitions) {
    const auto* leader = cluster_.metadata().leader_of(p->tp->topic, p->tp->partition);
    if (ask.topics.empty() || ask.topics.back().topic != p->tp->topic)
      ask.topics.push_back({p->tp->topic, {}});
    ask.topics.back().partitions.push_back({p->tp->partition, leader->leader_epoch, p->fetched_epoch});
    p->checking = true;
    asked->entries.push_back({p, p->epoch, leader->leader_epoch});
  }
  cluster_.call<wire::offset_for_leader_epoch_response>(
      broker, std::move(ask), {.min_version = first_version_for_consumers},
      [this, asked, alive = std::weak_ptr<void>(alive_)](auto response) {
        if (!alive.expired()) validated(*asked, std::move(response));
      });
}

void fetcher::validated(const request& asked, result<wire::offset_for_leader_epoch_response> response) {
  for (const auto& e : asked.entries) {
    auto& p = *e.p;
    if (p.epoch != e.epoch || !std::exchange(p.checking, false)) continue;
    const auto leader_epoch = static_cast<std::int32_t>(e.offset);
    if (!response) {
      if (response.error().kind() == errc::unsupported)
        p.checked_epoch = leader_epoch;  // the broker cannot say
      else if (response.error().retriable())
        wait(p);
      else
        stop(p, response.error().with_context(name_of(*p.tp)));
      continue;
    }
    const wire::offset_for_leader_epoch_response::epoch_end_offset* end = nullptr;
    for (const auto& t : response->topics)
      if (t.topic == p.tp->topic)
        for (const auto& candidate : t.partitions)
          if (candidate.partition == p.tp->partition) end = &candidate;
    const auto code =
        end == nullptr ? error_code::unknown_server_error : static_cast<error_code>(end->error_code);
    if (code == error_code::none) {
      if (end->end_offset < p.next_fetch)
        truncated(p, end->end_offset, end->leader_epoch);
      else
        p.checked_epoch = leader_epoch;
    } else if (wire::retriable(code) || code == error_code::unknown_server_error ||
               code == error_code::fenced_leader_epoch || code == error_code::unknown_leader_epoch) {
      cluster_.request_metadata();
      wait(p);
    } else {
      stop(p, wire::make_error(code, name_of(*p.tp)));
    }
  }
  run();
}

// The log ends, or goes on differently, at `end_offset`, which is below the position; below zero: nobody
// knows where.
void fetcher::truncated(partition& p, std::int64_t end_offset, std::int32_t epoch) {
  if (settings_.reset == kafka::offset_reset::none)
    return stop(p, {errc::data_loss,
                    end_offset < 0
                        ? fmt::format("{}: the new leader does not know the records before offset {}, up to "
                                      "which was read (leader epoch {})",
                                      name_of(*p.tp), p.next_fetch, p.fetched_epoch)
                        : fmt::format("{}: the log was cut back to offset {} when its leader changed; it had "
                                      "been read up to offset {}, and the records in between are lost",
                                      name_of(*p.tp), end_offset, p.next_fetch)});
  if (end_offset >= 0) {
    restart(p, {end_offset, epoch, {}});
    // The leader has just said so itself.
    if (const auto* leader = cluster_.metadata().leader_of(p.tp->topic, p.tp->partition))
      p.checked_epoch = leader->leader_epoch;
  } else {
    restart(p, {.offset = settings_.reset == kafka::offset_reset::earliest ? kafka::earliest_offset
                                                                           : kafka::latest_offset});
  }
}

}  // namespace penstock::client
