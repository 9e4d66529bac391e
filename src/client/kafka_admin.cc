// SPDX-License-Identifier: Apache-2.0
// The waiting face of client::admin_client: the cluster, topics, partitions, records, configurations. Groups,
// rights and transactions are in kafka_admin_groups.cc.
#include <penstock/kafka/admin.h>

#include "client/admin_impl.h"
#include "client/bootstrap.h"
#include "client/offsets.h"

namespace penstock::kafka {

result<admin> admin::create(admin_settings settings) {
  if (auto valid = client::validate(settings); !valid) return fail(valid.error());
  auto p = std::make_unique<impl>(std::move(settings));
  auto cluster = client::cluster::create(p->loop, p->settings.bootstrap_servers, p->settings.connection);
  if (!cluster) return fail(cluster.error());
  p->cluster = std::move(*cluster);
  p->client = std::make_unique<client::admin_client>(*p->cluster);
  return admin(std::move(p));
}

metric_list admin::metrics() const {
  metric_list all;
  client::metric_report to(all, impl_->cluster->now());
  client::report_connections(to, "admin-client", {&impl_->cluster->measured()},
                             impl_->cluster->metadata_age_seconds());
  return all;
}

admin::admin(std::unique_ptr<impl> p) : impl_(std::move(p)) {}
admin::admin(admin&&) noexcept = default;
admin& admin::operator=(admin&&) noexcept = default;
admin::~admin() = default;

void admin::cancel() {
  impl_->cancelled = true;
  impl_->loop.stop();
}

result<cluster_info> admin::describe_cluster(bool with_fenced) {
  return impl_->wait<cluster_info>(
      "cluster", [&](auto done) { impl_->client->describe_cluster(with_fenced, std::move(done)); });
}

result<std::vector<feature_info>> admin::describe_features() {
  return impl_->wait<std::vector<feature_info>>(
      "features", [&](auto done) { impl_->client->describe_features(std::move(done)); });
}

outcomes<> admin::update_features(const std::vector<feature_update>& updates, bool validate_only) {
  return impl_->wait_each<void>(updates.size(), "features", [&](auto done) {
    impl_->client->update_features(updates, validate_only, std::move(done));
  });
}

result<quorum_info> admin::describe_quorum() {
  return impl_->wait<quorum_info>("quorum",
                                  [&](auto done) { impl_->client->describe_quorum(std::move(done)); });
}

outcomes<broker_log_dirs> admin::describe_log_dirs(const std::vector<std::int32_t>& brokers) {
  return impl_->wait_each<broker_log_dirs>(brokers.size(), "directories", [&](auto done) {
    impl_->client->describe_log_dirs(brokers, std::move(done));
  });
}

outcomes<> admin::create_topics(const std::vector<new_topic>& topics, bool validate_only) {
  return impl_->wait_each<void>(topics.size(), "create topics", [&](auto done) {
    impl_->client->create_topics(topics, validate_only, std::move(done));
  });
}

outcomes<> admin::delete_topics(const std::vector<std::string>& names) {
  return impl_->wait_each<void>(names.size(), "delete topics",
                                [&](auto done) { impl_->client->delete_topics(names, std::move(done)); });
}

outcomes<> admin::delete_topics_by_id(const std::vector<std::string>& ids) {
  return impl_->wait_each<void>(ids.size(), "delete topics",
                                [&](auto done) { impl_->client->delete_topics_by_id(ids, std::move(done)); });
}

result<std::vector<std::string>> admin::list_topics(bool with_internal) {
  return impl_->wait<std::vector<std::string>>(
      "topics", [&](auto done) { impl_->client->list_topics(with_internal, std::move(done)); });
}

outcomes<topic_info> admin::describe_topics(const std::vector<std::string>& names) {
  return impl_->wait_each<topic_info>(
      names.size(), "topics", [&](auto done) { impl_->client->describe_topics(names, std::move(done)); });
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
  return create_partitions({{.topic = topic, .total = total}});
}

outcomes<> admin::create_partitions(const std::vector<more_partitions>& topics, bool validate_only) {
  return impl_->wait_each<void>(topics.size(), "create partitions", [&](auto done) {
    impl_->client->create_partitions(topics, validate_only, std::move(done));
  });
}

outcomes<> admin::elect_leaders(election how, const std::vector<topic_partition>& partitions) {
  return impl_->wait_each<void>(partitions.size(), "elect leaders", [&](auto done) {
    impl_->client->elect_leaders(how, partitions, std::move(done));
  });
}

outcomes<> admin::alter_reassignments(const std::vector<reassignment>& wanted) {
  return impl_->wait_each<void>(wanted.size(), "reassign partitions", [&](auto done) {
    impl_->client->alter_reassignments(wanted, std::move(done));
  });
}

result<std::vector<ongoing_reassignment>> admin::list_reassignments(
    const std::vector<topic_partition>& partitions) {
  return impl_->wait<std::vector<ongoing_reassignment>>(
      "reassignments", [&](auto done) { impl_->client->list_reassignments(partitions, std::move(done)); });
}

outcomes<std::int64_t> admin::list_offsets(const std::vector<topic_partition>& partitions, std::int64_t at) {
  std::vector<client::offset_query> queries;
  for (const auto& tp : partitions) queries.push_back({tp, at});
  return impl_->wait_each<std::int64_t>(partitions.size(), "offsets", [&](auto done) {
    client::list_offsets(*impl_->cluster, std::move(queries), isolation_level::read_uncommitted,
                         impl_->deadline(), std::move(done));
  });
}

outcomes<std::int64_t> admin::delete_records(const std::vector<start_position>& below) {
  return impl_->wait_each<std::int64_t>(below.size(), "delete records", [&](auto done) {
    impl_->client->delete_records(below, std::move(done));
  });
}

result<std::vector<config_entry>> admin::describe_configs(config_resource kind, const std::string& name) {
  auto one = describe_configs({{kind, name}}).each().front();
  return one;
}

outcomes<std::vector<config_entry>> admin::describe_configs(const std::vector<config_key>& of, bool synonyms,
                                                            bool documentation) {
  return impl_->wait_each<std::vector<config_entry>>(of.size(), "configuration", [&](auto done) {
    impl_->client->describe_configs(of, synonyms, documentation, std::move(done));
  });
}

result<> admin::alter_configs(config_resource kind, const std::string& name,
                              const std::map<std::string, std::optional<std::string>>& changes) {
  config_changes all{{kind, name}, {}};
  for (const auto& [key, value] : changes)
    all.changes.push_back(
        {key, value ? config_change::kind::set : config_change::kind::reset, value.value_or(std::string())});
  return alter_configs({std::move(all)});
}

outcomes<> admin::alter_configs(const std::vector<config_changes>& changes, bool validate_only) {
  return impl_->wait_each<void>(changes.size(), "configuration", [&](auto done) {
    impl_->client->alter_configs(changes, validate_only, std::move(done));
  });
}

result<std::vector<config_key>> admin::list_config_resources(const std::vector<config_resource>& kinds) {
  return impl_->wait<std::vector<config_key>>("configuration resources", [&](auto done) {
    impl_->client->list_config_resources(kinds, std::move(done));
  });
}

}  // namespace penstock::kafka
