// SPDX-License-Identifier: Apache-2.0
#include "client/admin_call.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::client {

using wire::api_key;
using wire::error_code;

error answer_error(std::int16_t code, const std::string& thing, const std::optional<std::string>& said) {
  switch (static_cast<error_code>(code)) {
    case error_code::topic_already_exists: return {errc::already_exists, thing + " already exists"};
    case error_code::unknown_topic_or_partition:
    case error_code::unknown_topic_id:
    case error_code::group_id_not_found:
    case error_code::transactional_id_not_found:
    case error_code::resource_not_found: return {errc::not_found, thing + " does not exist"};
    default: break;
  }
  const auto e = wire::make_error(code, thing);
  if (!said || said->empty()) return e;
  return error::from_kafka(code, fmt::format("{} ({})", e.message(), *said), e.what_to_do());
}

namespace {

// Which release brought an API, or a version of it that something needs.
struct introduction {
  api_key key;
  std::int16_t version;
  const char* release;
};
constexpr introduction introductions[] = {
    {api_key::create_topics, 4, "2.4"},
    {api_key::create_topics, 0, "0.10.1"},
    {api_key::delete_topics, 6, "2.8"},
    {api_key::delete_topics, 0, "0.10.1"},
    {api_key::delete_records, 0, "0.11"},
    {api_key::init_producer_id, 0, "0.11"},
    {api_key::write_txn_markers, 0, "0.11"},
    {api_key::describe_acls, 0, "0.11"},
    {api_key::create_acls, 1, "2.0"},
    {api_key::create_acls, 0, "0.11"},
    {api_key::delete_acls, 0, "0.11"},
    {api_key::describe_configs, 0, "0.11"},
    {api_key::alter_configs, 0, "0.11"},
    {api_key::describe_log_dirs, 0, "1.0"},
    {api_key::create_partitions, 0, "1.0"},
    {api_key::delete_groups, 0, "1.1"},
    {api_key::elect_leaders, 1, "2.4"},
    {api_key::elect_leaders, 0, "2.2"},
    {api_key::leave_group, 3, "2.4"},
    {api_key::list_groups, 5, "3.8"},
    {api_key::list_groups, 4, "2.6"},
    {api_key::incremental_alter_configs, 0, "2.3"},
    {api_key::alter_partition_reassignments, 0, "2.4"},
    {api_key::list_partition_reassignments, 0, "2.4"},
    {api_key::offset_delete, 0, "2.4"},
    {api_key::describe_client_quotas, 0, "2.6"},
    {api_key::alter_client_quotas, 0, "2.6"},
    {api_key::describe_user_scram_credentials, 0, "2.7"},
    {api_key::alter_user_scram_credentials, 0, "2.7"},
    {api_key::update_features, 1, "3.3"},
    {api_key::update_features, 0, "2.7"},
    {api_key::describe_producers, 0, "2.8"},
    {api_key::describe_transactions, 0, "3.0"},
    {api_key::list_transactions, 2, "4.1"},
    {api_key::list_transactions, 1, "3.8"},
    {api_key::list_transactions, 0, "3.0"},
    {api_key::describe_quorum, 0, "3.0"},
    {api_key::list_config_resources, 1, "4.1"},
    {api_key::list_config_resources, 0, "3.7"},
};

}  // namespace

error too_old(const error& why, api_key key, std::int16_t min_version, const std::string& what) {
  std::string release;
  for (const auto& i : introductions) {
    if (i.key != key || i.version > min_version) continue;
    release = fmt::format(", which came with Kafka {}", i.release);
    break;
  }
  return {errc::unsupported, fmt::format("{}: the broker is too old, it has no {} {}{} ({})", what,
                                         wire::to_string(key), min_version, release, why.message())};
}

namespace {

class attempts : public std::enable_shared_from_this<attempts> {
 public:
  attempts(cluster& c, call_plan plan, std::function<void(std::int32_t, report_function)> attempt,
           unique_function<void(error)> give_up)
      : cluster_(c),
        plan_(std::move(plan)),
        attempt_(std::move(attempt)),
        give_up_(std::move(give_up)),
        backoff_(c.settings().retry_backoff, c.settings().retry_backoff_max),
        timer_(c.loop()) {}

  void begin() {
    switch (plan_.to.whom) {
      case route::to::any: return send(any_broker);
      case route::to::broker:
      case route::to::controller: return first_ ? use_cached() : ask_brokers();
      case route::to::group: return find(coordinated::group);
      case route::to::transaction: return find(coordinated::transaction);
    }
  }

 private:
  bool knows(std::int32_t id) const { return cluster_.metadata().brokers().contains(id); }

  void use_cached() {
    const bool controller = plan_.to.whom == route::to::controller;
    const auto id = controller ? cluster_.metadata().controller() : plan_.to.id;
    if (id >= 0 && knows(id)) return send(id);
    ask_brokers();
  }
  void ask_brokers() {
    cluster_.call<wire::metadata_response>(
        any_broker, metadata_ask{std::vector<std::string>()}, {},
        [self = shared_from_this()](result<wire::metadata_response> r) {
          if (!r) return self->report(r.error());
          for (const auto& b : r->brokers)
            self->cluster_.learn_broker(b.node_id, {b.host, static_cast<std::uint16_t>(b.port)});
          if (self->plan_.to.whom == route::to::controller)
            return self->send(self->knows(r->controller_id) ? r->controller_id : any_broker);
          if (self->knows(self->plan_.to.id)) return self->send(self->plan_.to.id);
          self->report(error(errc::not_found, fmt::format("{}: broker {} is not in the cluster",
                                                          self->plan_.what, self->plan_.to.id)));
        });
  }
  void find(coordinated type) {
    find_coordinator(cluster_, type, plan_.to.key, [self = shared_from_this()](result<std::int32_t> broker) {
      if (!broker) return self->report(broker.error());
      self->send(*broker);
    });
  }
  void send(std::int32_t broker) {
    attempt_(broker, [self = shared_from_this()](std::optional<error> e) { self->report(std::move(e)); });
  }
  void report(std::optional<error> e) {
    if (!e) return;
    if (!e->retriable()) return give_up_(std::move(*e));
    const auto wait = backoff_.next(cluster_.random());
    if (cluster_.now() + wait >= plan_.deadline)
      return give_up_({errc::timeout,
                       fmt::format("{}: no success within default.api.timeout.ms; the last attempt: {}",
                                   plan_.what, e->message()),
                       recovery::retriable});
    first_ = false;
    // The timer holds this call, so the handler drops it with the timer.
    timer_.arm(wait, [self = shared_from_this(), alive = cluster_.alive()]() mutable {
      const auto call = std::move(self);
      if (!alive.expired()) call->begin();
    });
  }

  cluster& cluster_;
  call_plan plan_;
  std::function<void(std::int32_t, report_function)> attempt_;
  unique_function<void(error)> give_up_;
  bool first_ = true;
  backoff backoff_;
  io::timer timer_;
};

}  // namespace

void attempt_until_done(cluster& c, call_plan plan,
                        std::function<void(std::int32_t, report_function)> attempt,
                        unique_function<void(error)> give_up) {
  std::make_shared<attempts>(c, std::move(plan), std::move(attempt), std::move(give_up))->begin();
}

result<> metadata_ask::encode(wire::writer& w, std::int16_t version) const {
  wire::metadata_request r;
  // Before version 4 a topic that is asked for by its name may be made: there all are asked for.
  if (topics && (version >= 4 || topics->empty())) {
    r.topics.emplace();
    for (const auto& t : *topics) r.topics->push_back({{}, t});
  }
  r.allow_auto_topic_creation = version < 4;
  return r.encode(w, version);
}

// A broker that has not heard from the controller yet knows of nothing, itself included.
static error_code code_of_metadata(const wire::metadata_response& r) {
  return r.error_code == 0 && r.brokers.empty() ? error_code::leader_not_available : top_code(r);
}

void ask_metadata(cluster& c, metadata_ask ask, io::instant deadline,
                  done_with<wire::metadata_response> done) {
  auto what = ask.topics && !ask.topics->empty() ? "topic '" + ask.topics->front() + "'" : "cluster";
  admin_call<wire::metadata_response>(
      c, {.what = std::move(what), .deadline = deadline}, std::move(ask), &code_of_metadata,
      [&c, done = std::move(done)](result<wire::metadata_response> r) mutable {
        if (r)
          for (const auto& b : r->brokers)
            c.learn_broker(b.node_id, {b.host, static_cast<std::uint16_t>(b.port)});
        done(std::move(r));
      });
}

result<std::int32_t> leader_in(const wire::metadata_response& metadata, const kafka::topic_partition& tp) {
  const auto t = std::find_if(metadata.topics.begin(), metadata.topics.end(),
                              [&](const auto& x) { return x.name == tp.topic; });
  if (t == metadata.topics.end()) return fail(errc::not_found, "topic '" + tp.topic + "' does not exist");
  if (t->error_code != 0) return fail(answer_error(t->error_code, "topic '" + tp.topic + "'"));
  const auto p = std::find_if(t->partitions.begin(), t->partitions.end(),
                              [&](const auto& x) { return x.partition_index == tp.partition; });
  if (p == t->partitions.end())
    return fail(errc::not_found, fmt::format("topic '{}' has no partition {}, it has {}", tp.topic,
                                             tp.partition, t->partitions.size()));
  if (p->leader_id < 0) return fail(wire::make_error(error_code::leader_not_available, to_string(tp)));
  return p->leader_id;
}

}  // namespace penstock::client
