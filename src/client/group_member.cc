// SPDX-License-Identifier: Apache-2.0
#include "client/group_member.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "client/coordinator.h"
#include "wire/error_code.h"
#include "wire/messages/leave_group.h"

namespace penstock::client {
namespace {

using wire::error_code;

constexpr const char* protocol_type = "consumer";
// How long the leader waits for the partitions of topics that other members want.
constexpr std::chrono::seconds patience_for_metadata{5};
// On top of the rebalance timeout, which the coordinator may use up.
constexpr std::chrono::seconds grace{5};

}  // namespace

error stopped_polling(const group_settings& settings) {
  return {errc::timeout,
          fmt::format("group '{}': the application did not poll for max.poll.interval.ms ({} ms), so its "
                      "partitions were given up",
                      settings.group_id, settings.rebalance_timeout.count()),
          recovery::retriable};
}

group_member::group_member(cluster& c, group_settings settings, group_handlers handlers)
    : cluster_(c),
      settings_(std::move(settings)),
      handlers_(std::move(handlers)),
      cooperative_(all_cooperative(settings_.assignors)),
      backoff_(c.settings().retry_backoff, c.settings().retry_backoff_max),
      timer_(c.loop()),
      heartbeats_(c.loop()) {
  cluster_.on_metadata(alive_, [this](const result<>&) { metadata_changed(); });
}

group_member::~group_member() = default;

void group_member::start(topic_selection topics) {
  selection_ = std::move(topics);
  selection_.watch(cluster_);
  tick();
  // What a pattern matches is not known before the first metadata.
  if (selection_.is_pattern() && cluster_.metadata().version() == 0)
    state_ = state::matching;
  else
    find();
}

void group_member::find() {
  state_ = state::finding;
  const auto attempt = ++attempt_;
  find_coordinator(cluster_, settings_.group_id,
                   [this, attempt, alive = std::weak_ptr<void>(alive_)](result<std::int32_t> broker) {
                     if (alive.expired() || attempt != attempt_ || state_ != state::finding) return;
                     if (!broker) return retry(broker.error());
                     coordinator_ = *broker;
                     join();
                   });
}

// After a failure: the coordinator is looked for anew and asked again, unless the failure is for good.
void group_member::retry(const error& why) {
  if (!why.retriable()) return stop(why);
  state_ = state::finding;
  ++attempt_;
  timer_.arm(backoff_.next(cluster_.random()), [this] { find(); });
}

void group_member::join() {
  state_ = state::joining;
  const auto attempt = ++attempt_;
  wire::join_group_request request;
  request.group_id = settings_.group_id;
  request.session_timeout_ms = static_cast<std::int32_t>(settings_.session_timeout.count());
  request.rebalance_timeout_ms = static_cast<std::int32_t>(settings_.rebalance_timeout.count());
  request.member_id = generation_.member_id;
  if (is_static()) request.group_instance_id = settings_.instance_id;
  request.protocol_type = protocol_type;
  topics_ = selection_.topics(cluster_);
  join_again_ = false;
  group_subscription own{generation_.member_id, settings_.instance_id, topics_, owned_,
                         generation_.id,        settings_.rack};
  for (const auto& a : settings_.assignors) {
    own.user_data = a->user_data(topics_);
    request.protocols.push_back({std::string(a->name()), encode_subscription(own)});
  }
  call_options options{.channel = channel::coordinator,
                       .timeout = std::max<std::chrono::milliseconds>(settings_.rebalance_timeout + grace,
                                                                      cluster_.settings().request_timeout)};
  options.min_version = is_static() ? 5 : 0;
  cluster_.call<wire::join_group_response>(
      coordinator_, std::move(request), options,
      [this, attempt, alive = std::weak_ptr<void>(alive_)](result<wire::join_group_response> response) {
        if (!alive.expired() && attempt == attempt_ && state_ == state::joining) joined(std::move(response));
      });
}

void group_member::joined(result<wire::join_group_response> response) {
  if (!response) return retry(response.error());
  switch (const auto code = static_cast<error_code>(response->error_code)) {
    case error_code::none: break;
    case error_code::member_id_required: generation_.member_id = response->member_id; return join();
    case error_code::unknown_member_id:
      if (!owned_.empty())
        return lose(wire::make_error(code, fmt::format("group '{}'", settings_.group_id)), true);
      generation_.member_id.clear();
      return join();
    case error_code::rebalance_in_progress: return join();
    default: return retry(wire::make_error(code, fmt::format("joining group '{}'", settings_.group_id)));
  }
  backoff_.reset();
  generation_.id = response->generation_id;
  generation_.member_id = response->member_id;
  protocol_ = response->protocol_name.value_or(std::string());
  leader_ = response->leader == response->member_id;
  members_.clear();
  shared_out_.reset();
  if (!leader_) return sync({});
  for (auto& m : response->members)
    members_.push_back(decode_subscription(protocol_, std::move(m.member_id),
                                           m.group_instance_id.value_or(std::string()), m.metadata));
  if (!response->skip_assignment) return lead();
  // A static member that led before: its earlier assignment holds.
  for (const auto& m : members_)
    for (const auto& t : m.topics) cluster_.watch_topic(t);
  sync({});
}

partition_counts group_member::count_partitions() const {
  client::partition_counts counts;
  const auto add = [&](const std::string& topic) {
    const auto* t = cluster_.metadata().find(topic);
    if (t != nullptr && !t->partitions.empty())
      counts[topic] = static_cast<std::int32_t>(t->partitions.size());
  };
  for (const auto& t : topics_) add(t);
  for (const auto& m : members_)
    for (const auto& t : m.topics) add(t);
  return counts;
}

void group_member::lead() {
  state_ = state::sharing_out;
  sharing_since_ = cluster_.now();
  for (const auto& m : members_)
    for (const auto& t : m.topics) cluster_.watch_topic(t);
  try_to_share_out();
}

bool group_member::knows_all_topics() const {
  for (const auto& m : members_) {
    for (const auto& t : m.topics) {
      const auto* known = cluster_.metadata().find(t);
      if (known == nullptr ||
          (known->error != error_code::none && known->error != error_code::unknown_topic_or_partition))
        return false;
    }
  }
  return true;
}

// The partitions of every topic must be known, but a topic that does not exist is not waited for very long.
void group_member::try_to_share_out() {
  if (state_ != state::sharing_out) return;
  const bool patient = cluster_.now() - sharing_since_ < patience_for_metadata;
  if (patient && !knows_all_topics()) {
    timer_.arm(cluster_.settings().retry_backoff, [this] { try_to_share_out(); });
    return;
  }
  shared_out_ = count_partitions();
  std::sort(members_.begin(), members_.end(), comes_before);
  auto shares = chosen().share_out(members_, *shared_out_);
  std::vector<wire::sync_group_request::sync_group_request_assignment> assignments;
  for (const auto& m : members_) assignments.push_back({m.member_id, encode_assignment(shares[m.member_id])});
  sync(std::move(assignments));
}

// The assignor that the coordinator chose for the group.
kafka::partition_assignor& group_member::chosen() const {
  for (const auto& a : settings_.assignors)
    if (a->name() == protocol_) return *a;
  return *settings_.assignors.front();
}

// A leader may hand out what this member does not want (any more).
std::vector<kafka::topic_partition> group_member::subscribed_ones(
    std::vector<kafka::topic_partition> share) const {
  std::erase_if(share, [&](const auto& tp) { return !selection_.includes(tp.topic); });
  share.erase(std::unique(share.begin(), share.end()), share.end());
  return share;
}

void group_member::sync(std::vector<wire::sync_group_request::sync_group_request_assignment> assignments) {
  state_ = state::syncing;
  const auto attempt = ++attempt_;
  cluster_.send(coordinator_, channel::coordinator, [&] {
    outgoing out;
    out.key = wire::sync_group_request::key;
    out.min_version = is_static() ? 3 : 0;
    out.max_version = wire::sync_group_request::max_version;
    out.timeout = std::max<std::chrono::milliseconds>(settings_.rebalance_timeout + grace,
                                                      cluster_.settings().request_timeout);
    wire::sync_group_request request;
    request.group_id = settings_.group_id;
    request.generation_id = generation_.id;
    request.member_id = generation_.member_id;
    if (is_static()) request.group_instance_id = settings_.instance_id;
    request.assignments = std::move(assignments);
    out.encode = [request = std::move(request), protocol = protocol_](wire::writer& w,
                                                                      std::int16_t version) mutable {
      if (version >= 5) {
        request.protocol_type = protocol_type;
        request.protocol_name = protocol;
      }
      return request.encode(w, version);
    };
    out.done = [this, attempt, alive = std::weak_ptr<void>(alive_)](result<incoming> in) {
      if (alive.expired() || attempt != attempt_ || state_ != state::syncing) return;
      if (!in) return synced(fail(std::move(in.error())));
      wire::sync_group_response response;
      if (auto decoded = response.decode(in->body, in->version); !decoded)
        return synced(fail(decoded.error()));
      synced(std::move(response));
    };
    return out;
  }());
}

void group_member::synced(result<wire::sync_group_response> response) {
  if (!response) return retry(response.error());
  switch (const auto code = static_cast<error_code>(response->error_code)) {
    case error_code::none: break;
    case error_code::rebalance_in_progress: return join();
    case error_code::unknown_member_id:
    case error_code::illegal_generation:
      if (!owned_.empty())
        return lose(wire::make_error(code, fmt::format("group '{}'", settings_.group_id)),
                    code == error_code::unknown_member_id);
      if (code == error_code::unknown_member_id) generation_.member_id.clear();
      generation_.id = -1;
      return join();
    default: return retry(wire::make_error(code, fmt::format("syncing group '{}'", settings_.group_id)));
  }
  state_ = state::stable;
  last_heartbeat_ = cluster_.now();
  auto share = decode_assignment(response->assignment);
  chosen().on_assignment(share, generation_.id);
  generation_.partitions = subscribed_ones(std::move(share.partitions));
  generation_.incremental = cooperative_;
  reconciling_ = cooperative_;
  handlers_.assigned(generation_);
  metadata_changed();  // partitions may have been added while this was under way
}

// What was given up is free for others now, who get it with the next generation.
void group_member::reconciled() {
  if (!std::exchange(reconciling_, false)) return;
  const auto had = std::exchange(owned_, generation_.partitions);
  const bool gave_up = std::any_of(had.begin(), had.end(), [&](const auto& tp) {
    return std::find(owned_.begin(), owned_.end(), tp) == owned_.end();
  });
  if (state_ == state::stable && (gave_up || join_again_)) interrupt();
}

// Heartbeats.

void group_member::tick() {
  heartbeats_.arm(settings_.heartbeat_interval, [this] {
    tick();
    if (state_ != state::stable && state_ != state::interrupted) return;
    const bool member = generation_.id >= 0;
    if (member && handlers_.last_poll &&
        cluster_.now() - handlers_.last_poll() > settings_.rebalance_timeout) {
      // Somebody else had better take the partitions.
      send_leave([] {});
      return lose(stopped_polling(settings_), true);
    }
    heartbeat();
  });
}

void group_member::heartbeat() {
  if (generation_.id < 0 || std::exchange(heartbeat_under_way_, true)) return;
  if (std::exchange(refind_, false)) {
    find_coordinator(cluster_, settings_.group_id,
                     [this, alive = std::weak_ptr<void>(alive_)](result<std::int32_t> b) {
                       if (alive.expired()) return;
                       heartbeat_under_way_ = false;
                       refind_ = !b;
                       if (!b) return;
                       coordinator_ = *b;
                       if (state_ == state::stable || state_ == state::interrupted) heartbeat();
                     });
    return;
  }
  wire::heartbeat_request request;
  request.group_id = settings_.group_id;
  request.generation_id = generation_.id;
  request.member_id = generation_.member_id;
  call_options options{.channel = channel::coordinator, .timeout = settings_.session_timeout};
  if (is_static()) {
    request.group_instance_id = settings_.instance_id;
    options.min_version = 3;
  }
  cluster_.call<wire::heartbeat_response>(
      coordinator_, std::move(request), options,
      [this, generation = generation_.id, alive = std::weak_ptr<void>(alive_)](auto response) {
        if (alive.expired()) return;
        heartbeat_under_way_ = false;
        if (generation == generation_.id && (state_ == state::stable || state_ == state::interrupted))
          heartbeat_answered(std::move(response));
      });
}

void group_member::heartbeat_answered(result<wire::heartbeat_response> response) {
  if (!response) {
    refind_ = true;  // with the next one
    return;
  }
  const auto code = static_cast<error_code>(response->error_code);
  const auto why = wire::make_error(code, fmt::format("group '{}'", settings_.group_id));
  switch (code) {
    case error_code::none: last_heartbeat_ = cluster_.now(); return;
    case error_code::rebalance_in_progress: last_heartbeat_ = cluster_.now(); return interrupt();
    case error_code::unknown_member_id: return lose(why, true);
    case error_code::illegal_generation: return lose(why, false);
    case error_code::fenced_instance_id: return stop(why);
    default:
      if (wire::retriable(code) || coordinator_may_have_moved(code))
        refind_ = true;
      else
        stop(why);
  }
}

void group_member::interrupt() {
  if (state_ != state::stable) return;
  if (!cooperative_) {
    state_ = state::interrupted;
    return handlers_.rebalance();
  }
  // The application goes on meanwhile; but what it holds must be known.
  if (reconciling_)
    join_again_ = true;
  else
    find();
}

void group_member::lose(const error& why, bool forget_member) {
  state_ = state::interrupted;
  ++attempt_;
  generation_.id = -1;
  owned_.clear();
  reconciling_ = join_again_ = false;
  if (forget_member) generation_.member_id.clear();
  handlers_.renamed(generation_.member_id, -1);
  handlers_.lost(why);
}

void group_member::stop(const error& why) {
  state_ = state::stopped;
  ++attempt_;
  timer_.cancel();
  heartbeats_.cancel();
  handlers_.failed(why);
}

void group_member::rejoin() {
  if (state_ == state::interrupted) find();
}

// The leader watches whether topics have got more partitions, or exist at last; everybody, what his pattern
// matches.
void group_member::metadata_changed() {
  if (state_ == state::matching && cluster_.metadata().version() > 0) return find();
  if (state_ == state::sharing_out) return try_to_share_out();
  if (state_ != state::stable) return;
  if (leader_ && !shared_out_ && knows_all_topics()) shared_out_ = count_partitions();
  if ((leader_ && shared_out_ && count_partitions() != *shared_out_) ||
      (selection_.is_pattern() && selection_.topics(cluster_) != topics_))
    interrupt();
}

void group_member::leave(unique_function<void()> done) {
  state_ = state::stopped;
  ++attempt_;
  timer_.cancel();
  heartbeats_.cancel();
  send_leave(std::move(done));
}

void group_member::send_leave(unique_function<void()> done) {
  const auto id = generation_.member_id;
  if (id.empty() || coordinator_ < 0 || is_static()) {
    cluster_.loop().post(std::move(done));
    return;
  }
  outgoing out;
  out.key = wire::leave_group_request::key;
  out.min_version = 0;
  out.max_version = wire::leave_group_request::max_version;
  out.encode = [group = settings_.group_id, id](wire::writer& w, std::int16_t version) {
    wire::leave_group_request request;
    request.group_id = group;
    if (version >= 3)
      request.members.push_back({id, std::nullopt, std::nullopt});
    else
      request.member_id = id;
    return request.encode(w, version);
  };
  out.done = [done = std::move(done)](result<incoming>) mutable { done(); };
  // A join that waits would hold the answer up, so it goes over another connection.
  cluster_.send(coordinator_, channel::general, std::move(out));
}

}  // namespace penstock::client
