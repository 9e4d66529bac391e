// SPDX-License-Identifier: Apache-2.0
#include <penstock/kafka/admin.h>

#include "client/admin_calls.h"
#include "client/bootstrap.h"
#include "client/offsets.h"
#include "wire/messages/create_partitions.h"
#include "wire/messages/create_topics.h"
#include "wire/messages/delete_records.h"
#include "wire/messages/delete_topics.h"
#include "wire/messages/metadata.h"

// Topics, partitions and records. Configurations and groups are in kafka_admin_groups.cc.
namespace penstock::kafka {

using client::answer_error;
using wire::error_code;

result<admin> admin::create(admin_settings settings) {
  if (auto valid = client::validate(settings); !valid) return fail(valid.error());
  auto p = std::make_unique<impl>(std::move(settings));
  auto cluster = client::cluster::create(p->loop, p->settings.bootstrap_servers, p->settings.connection);
  if (!cluster) return fail(cluster.error());
  p->cluster = std::move(*cluster);
  return admin(std::move(p));
}

admin::admin(std::unique_ptr<impl> p) : impl_(std::move(p)) {}
admin::admin(admin&&) noexcept = default;
admin& admin::operator=(admin&&) noexcept = default;
admin::~admin() = default;

namespace {

struct metadata_ask {
  static constexpr auto key = wire::metadata_request::key;
  static constexpr std::int16_t min_version = 1;
  static constexpr std::int16_t max_version = wire::metadata_request::max_version;
  std::optional<std::vector<std::string>> topics;  // nothing: all

  result<> encode(wire::writer& w, std::int16_t version) const {
    wire::metadata_request r;
    if (topics) {
      r.topics.emplace();
      for (const auto& t : *topics) r.topics->push_back({{}, t});
    }
    r.allow_auto_topic_creation = version < 4;  // older ones cannot say no
    return r.encode(w, version);
  }
};

struct delete_ask {
  static constexpr auto key = wire::delete_topics_request::key;
  static constexpr std::int16_t min_version = 0;
  static constexpr std::int16_t max_version = wire::delete_topics_request::max_version;
  std::vector<std::string> names;
  std::int32_t timeout_ms = 0;

  result<> encode(wire::writer& w, std::int16_t version) const {
    wire::delete_topics_request r;
    r.timeout_ms = timeout_ms;
    if (version < 6)
      r.topic_names = names;
    else
      for (const auto& n : names) r.topics.push_back({n, {}});
    return r.encode(w, version);
  }
};

error_code top_level(const wire::metadata_response& r) { return static_cast<error_code>(r.error_code); }

}  // namespace

result<cluster_info> admin::describe_cluster() {
  auto answer =
      impl_->call<wire::metadata_response>(client::any_broker, metadata_ask{{{}}}, &top_level, "cluster");
  if (!answer) return fail(answer.error());
  cluster_info info{answer->cluster_id.value_or(std::string()), answer->controller_id, {}};
  for (auto& b : answer->brokers)
    info.brokers.push_back({b.node_id, std::move(b.host), b.port, b.rack.value_or(std::string())});
  return info;
}

result<> admin::create_topics(const std::vector<new_topic>& topics, bool validate_only) {
  wire::create_topics_request request;
  request.validate_only = validate_only;
  request.timeout_ms = impl_->broker_timeout();
  std::int16_t min_version = 0;
  for (const auto& t : topics) {
    if (t.partitions == -1 || t.replication_factor == -1) min_version = 4;
    auto& wanted = request.topics.emplace_back();
    wanted.name = t.name;
    wanted.num_partitions = t.partitions;
    wanted.replication_factor = t.replication_factor;
    for (const auto& [name, value] : t.configs) wanted.configs.push_back({name, value});
  }
  auto answer = impl_->call<wire::create_topics_response>(
      client::controller, std::move(request),
      [](const wire::create_topics_response& r) {
        // Only if the whole request went to the wrong broker may it be sent again without harm.
        for (const auto& t : r.topics)
          if (t.error_code != static_cast<std::int16_t>(error_code::not_controller)) return error_code::none;
        return r.topics.empty() ? error_code::none : error_code::not_controller;
      },
      "create topics", {.min_version = min_version});
  if (!answer) return fail(answer.error());
  for (const auto& t : answer->topics)
    if (t.error_code != 0) return fail(answer_error(t.error_code, "topic '" + t.name + "'", t.error_message));
  return {};
}

result<> admin::delete_topics(const std::vector<std::string>& names) {
  auto answer = impl_->call<wire::delete_topics_response>(
      client::controller, delete_ask{names, impl_->broker_timeout()},
      [](const wire::delete_topics_response& r) {
        for (const auto& t : r.responses)
          if (t.error_code != static_cast<std::int16_t>(error_code::not_controller)) return error_code::none;
        return r.responses.empty() ? error_code::none : error_code::not_controller;
      },
      "delete topics");
  if (!answer) return fail(answer.error());
  for (const auto& t : answer->responses)
    if (t.error_code != 0)
      return fail(
          answer_error(t.error_code, "topic '" + t.name.value_or(std::string()) + "'", t.error_message));
  return {};
}

result<std::vector<std::string>> admin::list_topics(bool with_internal) {
  auto answer =
      impl_->call<wire::metadata_response>(client::any_broker, metadata_ask{}, &top_level, "topics");
  if (!answer) return fail(answer.error());
  std::vector<std::string> names;
  for (auto& t : answer->topics)
    if (t.name && (with_internal || !t.is_internal)) names.push_back(std::move(*t.name));
  std::sort(names.begin(), names.end());
  return names;
}

result<std::vector<topic_info>> admin::describe_topics(const std::vector<std::string>& names) {
  auto answer =
      impl_->call<wire::metadata_response>(client::any_broker, metadata_ask{names}, &top_level, "topics");
  if (!answer) return fail(answer.error());
  std::vector<topic_info> infos;
  for (const auto& name : names) {
    const auto t = std::find_if(answer->topics.begin(), answer->topics.end(),
                                [&](const auto& x) { return x.name == name; });
    if (t == answer->topics.end()) return fail(errc::not_found, "topic '" + name + "' does not exist");
    const auto code = static_cast<error_code>(t->error_code);
    if (code != error_code::none && code != error_code::leader_not_available)
      return fail(answer_error(t->error_code, "topic '" + name + "'", std::nullopt));
    topic_info info;
    info.name = name;
    info.internal = t->is_internal;
    if (!t->topic_id.is_zero()) info.id = t->topic_id.to_string();
    for (const auto& p : t->partitions)
      info.partitions.push_back(
          {p.partition_index, p.leader_id, p.leader_epoch, p.replica_nodes, p.isr_nodes});
    std::sort(info.partitions.begin(), info.partitions.end(),
              [](const auto& a, const auto& b) { return a.partition < b.partition; });
    infos.push_back(std::move(info));
  }
  return infos;
}

result<> admin::await_topics(const std::vector<std::string>& names, std::chrono::milliseconds timeout) {
  const auto deadline = impl_->cluster->now() + timeout;
  client::backoff pause(std::chrono::milliseconds(5), std::chrono::milliseconds(200));
  for (;;) {
    std::string missing;
    auto infos = describe_topics(names);
    if (!infos) {
      if (infos.error().kind() != errc::not_found) return fail(infos.error());
      missing = infos.error().message();
    } else {
      for (const auto& t : *infos)
        for (const auto& p : t.partitions)
          if (p.leader < 0) missing = to_string(topic_partition{t.name, p.partition}) + " has no leader";
      if (missing.empty()) return {};
    }
    if (impl_->cluster->now() >= deadline)
      return fail(errc::timeout, std::move(missing), recovery::retriable);
    client::wait(impl_->loop, pause.next(impl_->cluster->random()));
  }
}

result<> admin::create_partitions(const std::string& topic, std::int32_t total) {
  wire::create_partitions_request request;
  request.topics.push_back({topic, total, std::nullopt});
  request.timeout_ms = impl_->broker_timeout();
  auto answer = impl_->call<wire::create_partitions_response>(
      client::controller, std::move(request),
      [](const wire::create_partitions_response& r) {
        return r.results.empty() ? error_code::none : static_cast<error_code>(r.results.front().error_code);
      },
      "create partitions");
  if (!answer) return fail(answer.error());
  for (const auto& t : answer->results)
    if (t.error_code != 0) return fail(answer_error(t.error_code, "topic '" + t.name + "'", t.error_message));
  return {};
}

result<std::vector<std::int64_t>> admin::list_offsets(const std::vector<topic_partition>& partitions,
                                                      std::int64_t at) {
  std::vector<client::offset_query> queries;
  for (const auto& tp : partitions) queries.push_back({tp, at});
  const auto deadline = impl_->deadline();
  return client::wait_for<std::vector<std::int64_t>>(
      impl_->loop, deadline + std::chrono::seconds(1), "offsets", [&](auto done) {
        client::list_offsets(*impl_->cluster, std::move(queries), isolation_level::read_uncommitted, deadline,
                             std::move(done));
      });
}

result<std::vector<std::int64_t>> admin::delete_records(const std::vector<start_position>& below) {
  const auto deadline = impl_->deadline();
  std::map<topic_partition, std::int64_t> first;
  // One partition a request: leaders differ, and this is rare.
  for (const auto& b : below) {
    for (;;) {
      if (auto known = impl_->await_leader(b.partition, deadline); !known) return fail(known.error());
      const auto leader =
          impl_->cluster->metadata().leader_of(b.partition.topic, b.partition.partition)->leader;
      wire::delete_records_request request;
      request.timeout_ms = impl_->broker_timeout();
      request.topics.push_back({b.partition.topic, {{b.partition.partition, b.offset}}});
      auto answer = impl_->call<wire::delete_records_response>(
          leader, std::move(request), [](const wire::delete_records_response&) { return error_code::none; },
          "delete records");
      if (!answer) return fail(answer.error());
      if (answer->topics.empty() || answer->topics.front().partitions.empty())
        return fail(errc::corrupt, "delete records: the broker answered without a result");
      const auto& p = answer->topics.front().partitions.front();
      if (p.error_code == 0) {
        first[b.partition] = p.low_watermark;
        break;
      }
      auto why = answer_error(p.error_code, "records of " + to_string(b.partition), std::nullopt);
      if (!why.retriable() || impl_->cluster->now() >= deadline) return fail(std::move(why));
      impl_->cluster->request_metadata();
      client::wait(impl_->loop, impl_->settings.connection.retry_backoff);
    }
  }
  std::vector<std::int64_t> in_order;
  for (const auto& b : below) in_order.push_back(first[b.partition]);
  return in_order;
}

}  // namespace penstock::kafka
