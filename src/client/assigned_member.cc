// SPDX-License-Identifier: Apache-2.0
#include "client/assigned_member.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/coordinator.h"
#include "wire/error_code.h"

namespace penstock::client {
namespace {

using wire::error_code;
using held_partitions = std::map<wire::uuid, std::vector<std::int32_t>>;

constexpr std::int32_t joining = 0;
constexpr std::int32_t leaving = -1;
constexpr std::int32_t leaving_for_a_while = -2;  // a static member that may come back
constexpr std::chrono::milliseconds first_interval{1'000};

}  // namespace

assigned_member::assigned_member(cluster& c, group_settings settings, group_handlers handlers)
    : cluster_(c),
      settings_(std::move(settings)),
      handlers_(std::move(handlers)),
      interval_(first_interval),
      backoff_(c.settings().retry_backoff, c.settings().retry_backoff_max),
      timer_(c.loop()) {
  cluster_.on_metadata(alive_, [this](const result<>&) { metadata_changed(); });
}

assigned_member::~assigned_member() = default;

void assigned_member::start(topic_selection topics) {
  selection_ = std::move(topics);
  selection_.watch(cluster_);
  // The member names itself, so that a join whose answer is lost does not leave a stranger in the group.
  member_id_ = wire::uuid::from_random(cluster_.random().next(), cluster_.random().next()).to_string();
  find();
}

void assigned_member::find() {
  state_ = state::finding;
  const auto attempt = ++attempt_;
  under_way_ = false;
  find_coordinator(cluster_, settings_.group_id,
                   [this, attempt, alive = std::weak_ptr<void>(alive_)](result<std::int32_t> broker) {
                     if (alive.expired() || attempt != attempt_ || state_ != state::finding) return;
                     if (!broker) return again(broker.error());
                     coordinator_ = *broker;
                     state_ = state::member;
                     beat();
                   });
}

void assigned_member::arm(std::chrono::nanoseconds after) {
  timer_.arm(after, [this] {
    if (state_ == state::finding) return find();
    if (state_ != state::member) return;
    if (epoch_ > 0 && handlers_.last_poll &&
        cluster_.now() - handlers_.last_poll() > settings_.rebalance_timeout) {
      send_leave([] {});
      return lose(stopped_polling(settings_));
    }
    beat();
  });
}

void assigned_member::again(const error& why) {
  if (!why.retriable()) return stop(why);
  state_ = state::finding;
  ++attempt_;
  under_way_ = false;
  say_all_ = true;
  arm(backoff_.next(cluster_.random()));
}

// Heartbeats.

void assigned_member::beat() {
  if (state_ != state::member) return;
  if (under_way_) {
    beat_again_ = true;
    return;
  }
  under_way_ = true;
  beat_again_ = false;
  cluster_.send(coordinator_, channel::coordinator, heartbeat());
}

outgoing assigned_member::heartbeat() {
  wire::consumer_group_heartbeat_request request;
  request.group_id = settings_.group_id;
  request.member_id = member_id_;
  request.member_epoch = epoch_;
  if (is_static()) request.instance_id = settings_.instance_id;
  const bool all = say_all_ || epoch_ == joining;
  if (all) {
    request.rebalance_timeout_ms = static_cast<std::int32_t>(settings_.rebalance_timeout.count());
    if (!settings_.rack.empty()) request.rack_id = settings_.rack;
    if (!settings_.remote_assignor.empty()) request.server_assignor = settings_.remote_assignor;
  }
  auto topics = selection_.topics(cluster_);
  const bool changed = topics != said_topics_;
  if (all || held_ != said_held_) {
    request.topic_partitions.emplace();
    if (epoch_ != joining)  // who joins must hold nothing
      for (const auto& [id, partitions] : held_) request.topic_partitions->push_back({id, partitions});
  }
  outgoing out;
  out.key = wire::consumer_group_heartbeat_request::key;
  out.min_version = 0;
  out.max_version = wire::consumer_group_heartbeat_request::max_version;
  out.timeout = cluster_.settings().request_timeout;
  said_topics_ = topics;
  said_held_ = held_;
  say_all_ = false;
  out.encode = [request = std::move(request), topics = std::move(topics), selection = selection_, all,
                changed](wire::writer& w, std::int16_t version) mutable {
    // Brokers match patterns from version 1 on.
    if (selection.is_pattern() && version >= 1) {
      if (all) request.subscribed_topic_regex = selection.pattern();
    } else if (all || changed) {
      request.subscribed_topic_names = std::move(topics);
    }
    return request.encode(w, version);
  };
  out.done = [this, attempt = attempt_, alive = std::weak_ptr<void>(alive_)](result<incoming> in) {
    if (alive.expired() || attempt != attempt_ || state_ != state::member) return;
    under_way_ = false;
    if (!in) return answered(fail(std::move(in.error())));
    by_broker_ = in->version >= 1;
    heartbeat_response response;
    if (auto decoded = response.decode(in->body, in->version); !decoded)
      return answered(fail(decoded.error().with_context(in->from)));
    answered(std::move(response));
  };
  return out;
}

void assigned_member::answered(result<heartbeat_response> response) {
  if (!response) {
    if (response.error().kind() == errc::unsupported)
      return stop(
          {errc::unsupported, fmt::format("group '{}': group.protocol=consumer needs Kafka 4.0 or newer: {}",
                                          settings_.group_id, response.error().message())});
    return again(response.error());
  }
  const auto code = static_cast<error_code>(response->error_code);
  auto why =
      wire::make_error(code, response->error_message && !response->error_message->empty()
                                 ? fmt::format("group '{}': {}", settings_.group_id, *response->error_message)
                                 : fmt::format("group '{}'", settings_.group_id));
  switch (code) {
    case error_code::none: return accept(*response);
    case error_code::unknown_member_id:
    case error_code::fenced_member_epoch: return lose(why);
    case error_code::unsupported_version:
      return stop(
          {errc::unsupported,
           fmt::format("group '{}': the broker has the protocol of group.protocol=consumer switched off",
                       settings_.group_id)});
    // Another member holds the instance id; a static one that ended without a word lets go of it in time.
    default:
      if (coordinator_may_have_moved(code) || wire::retriable(code))
        return again(why.retriable() ? why : error(why.kind(), why.message(), recovery::retriable));
      return stop(why);
  }
}

void assigned_member::accept(heartbeat_response& response) {
  backoff_.reset();
  if (response.member_id && !response.member_id->empty()) member_id_ = *response.member_id;
  if (epoch_ != response.member_epoch) {
    epoch_ = response.member_epoch;
    handlers_.renamed(member_id_, epoch_);
  }
  interval_ = std::clamp<std::chrono::milliseconds>(std::chrono::milliseconds(response.heartbeat_interval_ms),
                                                    std::chrono::milliseconds(1), std::chrono::minutes(10));
  if (response.assignment) {
    held_partitions target;
    for (auto& t : response.assignment->topic_partitions) {
      auto& partitions = target[t.topic_id];
      partitions.insert(partitions.end(), t.partitions.begin(), t.partitions.end());
      std::sort(partitions.begin(), partitions.end());
    }
    target_ = std::move(target);
    reconcile();
  }
  if (state_ != state::member) return;
  if (beat_again_)
    beat();
  else
    arm(interval_);
}

// Partitions to hold and to give up. Names are needed for the topics' ids; what has none yet waits.
void assigned_member::reconcile() {
  if (!target_ || reconciling_ || state_ != state::member) return;
  std::map<wire::uuid, const std::string*> names;
  for (const auto& [name, topic] : cluster_.metadata().topics())
    if (!topic.id.is_zero()) names[topic.id] = &name;
  group_generation g;
  held_partitions known;
  bool all_known = true;
  for (const auto& [id, partitions] : *target_) {
    const auto it = names.find(id);
    if (it == names.end()) {
      all_known = false;
      continue;
    }
    known[id] = partitions;
    for (const auto p : partitions) g.partitions.push_back({*it->second, p});
  }
  if (!all_known) cluster_.request_metadata();
  if (all_known) target_.reset();
  if (told_ && known == held_) return;
  std::sort(g.partitions.begin(), g.partitions.end());
  g.id = epoch_;
  g.member_id = member_id_;
  g.incremental = true;
  told_ = true;
  reconciling_ = true;
  reconciling_to_ = std::move(known);
  handlers_.assigned(g);
}

void assigned_member::reconciled() {
  if (!std::exchange(reconciling_, false)) return;
  held_ = std::move(reconciling_to_);
  if (state_ != state::member) return;
  if (held_ != said_held_) beat();  // others wait for what was given up
  reconcile();
}

void assigned_member::metadata_changed() {
  if (state_ != state::member) return;
  reconcile();
  // A broker that cannot match the pattern itself is told what it matches now.
  if (selection_.is_pattern() && !by_broker_ && epoch_ > 0 && selection_.topics(cluster_) != said_topics_)
    beat();
}

void assigned_member::lose(const error& why) {
  state_ = state::fenced;
  ++attempt_;
  timer_.cancel();
  under_way_ = beat_again_ = false;
  epoch_ = joining;
  held_.clear();
  said_held_.clear();
  target_.reset();
  reconciling_ = told_ = false;
  handlers_.renamed(member_id_, -1);
  handlers_.lost(why);
}

void assigned_member::stop(const error& why) {
  state_ = state::stopped;
  ++attempt_;
  timer_.cancel();
  handlers_.failed(why);
}

void assigned_member::rejoin() {
  if (state_ != state::fenced) return;
  say_all_ = true;
  find();
}

void assigned_member::leave(unique_function<void()> done) {
  const bool in_group = state_ != state::stopped;
  state_ = state::stopped;
  ++attempt_;
  timer_.cancel();
  if (in_group)
    send_leave(std::move(done));
  else
    cluster_.loop().post(std::move(done));
}

void assigned_member::send_leave(unique_function<void()> done) {
  if (coordinator_ < 0) {
    cluster_.loop().post(std::move(done));
    return;
  }
  wire::consumer_group_heartbeat_request request;
  request.group_id = settings_.group_id;
  request.member_id = member_id_;
  request.member_epoch = is_static() ? leaving_for_a_while : leaving;
  if (is_static()) request.instance_id = settings_.instance_id;
  cluster_.call<heartbeat_response>(coordinator_, std::move(request), {.channel = channel::coordinator},
                                    [done = std::move(done)](const auto&) mutable { done(); });
}

}  // namespace penstock::client
