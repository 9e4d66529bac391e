// SPDX-License-Identifier: Apache-2.0
// What is known of brokers and topics, and how it is kept fresh.
#include <fmt/format.h>

#include <set>
#include <utility>

#include "client/cluster.h"
#include "wire/error_code.h"

namespace penstock::client {
namespace {

// Of Metadata: before it, whoever asks for a topic that is not there may make it.
constexpr std::int16_t first_version_that_makes_none = 4;

}  // namespace

std::optional<io::endpoint> cluster::address_of(std::int32_t broker) const {
  if (broker <= first_bootstrap_id) {
    const auto i = static_cast<std::size_t>(first_bootstrap_id - broker);
    return i < bootstrap_.size() ? std::optional(bootstrap_[i]) : std::nullopt;
  }
  const auto it = metadata_.brokers().find(broker);
  return it == metadata_.brokers().end() ? std::nullopt : std::optional(it->second);
}

std::string cluster::describe(std::int32_t broker) const {
  const auto address = address_of(broker);
  return address ? io::to_string(*address) : fmt::format("broker {}", broker);
}

std::int16_t cluster::feature_level(std::string_view feature) const {
  const auto it = std::find_if(features_.begin(), features_.end(),
                               [&](const auto& named) { return named.first == feature; });
  return it == features_.end() || features_epoch_ < 0 ? std::int16_t{0} : it->second;
}

double cluster::metadata_age_seconds() const {
  if (metadata_.version() == 0) return -1;
  return std::chrono::duration<double>(now() - last_refresh_).count();
}

void cluster::watch_topic(const std::string& topic, bool create) {
  auto [it, added] = watched_.try_emplace(topic, create);
  it->second = it->second || create;
  if (!is_missing(topic)) return;
  if (metadata_in_flight_)
    metadata_again_ = true;
  else if (added)
    arm_metadata({});
  else
    request_metadata();
}

void cluster::unwatch_topic(const std::string& topic) {
  watched_.erase(topic);
  metadata_.forget(topic);
}

void cluster::watch_all_topics() {
  if (!std::exchange(watching_all_, true)) request_metadata();
}

void cluster::request_metadata() {
  if (metadata_in_flight_)
    metadata_again_ = true;
  else if (!metadata_timer_.armed() || metadata_due_ > now() + settings_.retry_backoff_max)
    schedule_metadata();
}

bool cluster::is_missing(const std::string& topic) const {
  const auto* t = metadata_.find(topic);
  if (t == nullptr) return true;
  return t->error == wire::error_code::unknown_topic_or_partition ||
         t->error == wire::error_code::leader_not_available;
}

void cluster::on_metadata(std::weak_ptr<void> token, std::function<void(const result<>&)> f) {
  listeners_.push_back({std::move(token), std::move(f)});
}

// Soon, but not sooner than the back-off after the last one.
void cluster::schedule_metadata() {
  const auto wait = metadata_backoff_.failures() == 0 && last_refresh_ == io::instant{}
                        ? std::chrono::nanoseconds(0)
                        : last_refresh_ + metadata_backoff_.next(random_) - now();
  arm_metadata(std::max<std::chrono::nanoseconds>(wait, std::chrono::nanoseconds(0)));
}

void cluster::arm_metadata(std::chrono::nanoseconds after) {
  const auto due = now() + after;
  if (metadata_timer_.armed() && metadata_due_ <= due) return;
  metadata_due_ = due;
  metadata_timer_.arm(after, [this] { refresh_metadata(); });
}

void cluster::refresh_metadata() {
  if (metadata_in_flight_) return;
  metadata_in_flight_ = true;
  metadata_again_ = false;
  metadata_timer_.cancel();

  // Whether the broker may create topics is said for all topics of a request, so those that may be made go
  // alone.
  bool create = false;
  for (const auto& [topic, may_create] : watched_) create = create || (may_create && is_missing(topic));
  wire::metadata_request request;
  const bool all = watching_all_ && !create;
  if (watching_all_ && create) metadata_again_ = true;
  if (!all) request.topics.emplace();
  for (const auto& [topic, may_create] : watched_) {
    if (all) break;
    if (create && !may_create)
      metadata_again_ = true;
    else
      request.topics->push_back({{}, topic});
  }

  outgoing out;
  out.key = wire::metadata_request::key;
  out.min_version = 1;  // in version 0 an empty list asks for every topic
  out.max_version = wire::metadata_request::max_version;
  out.encode = [request = std::move(request), create](wire::writer& w, std::int16_t version) mutable {
    request.allow_auto_topic_creation = create || version < first_version_that_makes_none;
    // Who asks such a broker for a topic makes it; who must not asks for all there are.
    if (version < first_version_that_makes_none && !create && request.topics && !request.topics->empty())
      request.topics.reset();
    return request.encode(w, version);
  };
  out.done = [this, all, create, alive = std::weak_ptr<void>(alive_)](result<incoming> in) {
    if (alive.expired()) return;
    if (!in) return metadata_arrived(fail(std::move(in.error())));
    wire::metadata_response response;
    if (auto decoded = response.decode(in->body, in->version); !decoded)
      return metadata_arrived(fail(decoded.error().with_context(in->from)));
    const bool of_all = all || (in->version < first_version_that_makes_none && !create);
    if (of_all && response.error_code == 0 && !response.brokers.empty()) name_missing_topics(response);
    metadata_arrived(std::move(response));
  };
  send(any_broker, channel::general, std::move(out));
}

// Of all topics the answer names those that exist; the others that somebody waits for, or that were there
// before, are unknown.
void cluster::name_missing_topics(wire::metadata_response& response) {
  std::set<std::string, std::less<>> there;
  for (const auto& t : response.topics)
    if (t.name) there.insert(*t.name);
  const auto deny = [&](const std::string& topic) {
    if (!there.insert(topic).second) return;
    auto& t = response.topics.emplace_back();
    t.name = topic;
    t.error_code = static_cast<std::int16_t>(wire::error_code::unknown_topic_or_partition);
  };
  for (const auto& [topic, create] : watched_) deny(topic);
  std::vector<std::string> gone;
  for (const auto& [topic, known] : metadata_.topics())
    if (!there.contains(topic)) gone.push_back(topic);
  for (const auto& topic : gone) metadata_.forget(topic);
}

void cluster::metadata_arrived(result<wire::metadata_response> response) {
  metadata_in_flight_ = false;
  last_refresh_ = now();
  if (response && response->error_code != 0)
    response = fail(wire::make_error(response->error_code, "metadata"));
  // A broker that has just started and has not heard from the controller yet: it knows of nothing, itself
  // included, and what it says of topics means nothing.
  if (response && response->brokers.empty())
    response = fail(errc::closed, "the broker asked for metadata names no brokers yet", recovery::retriable);
  if (!response) {
    schedule_metadata();
    return notify_metadata(fail(response.error()));
  }
  metadata_.apply(*response);
  update_nodes();
  bool missing = false;
  for (const auto& [topic, create] : watched_) missing = missing || is_missing(topic);
  if (!missing) metadata_backoff_.reset();
  if (metadata_again_ && metadata_backoff_.failures() == 0)
    arm_metadata(settings_.retry_backoff / 10);
  else if (missing || metadata_again_)
    schedule_metadata();
  else
    arm_metadata(settings_.metadata_max_age);
  notify_metadata({});
}

void cluster::notify_metadata(const result<>& outcome) {
  std::erase_if(listeners_, [](const auto& l) { return l.token.expired(); });
  const auto alive = std::weak_ptr<void>(alive_);
  const auto now_listening = listeners_;  // a listener may add another
  for (const auto& l : now_listening) {
    if (alive.expired()) return;
    if (!l.token.expired()) l.f(outcome);
  }
}

}  // namespace penstock::client
