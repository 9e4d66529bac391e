// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/admin_types.h>
#include <penstock/kafka/metrics.h>
#include <penstock/kafka/security_types.h>
#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock::kafka {

/// Looks after a cluster: topics, partitions, configurations, groups, offsets, records, rights, users,
/// quotas, transactions.
///
/// Threads: one thread at a time; calls wait for their answer, at most default_api_timeout (those that need
/// several requests a little longer). Requests go to the broker concerned (controller, coordinator, leader)
/// and are repeated while Kafka says that the error passes. Errors name the topic, partition or group; each
/// thing that a call names has a result of its own. What a broker is too old for is errc::unsupported with
/// the API, its version and the Kafka release that brought it; the releases below say since when.
///
///     auto admin = kafka::admin::create({.bootstrap_servers = "localhost:9092"});
///     auto made = admin->create_topics({{.name = "orders", .partitions = 4}});
class admin {
 public:
  /// Checks the settings; does not wait for a broker.
  static result<admin> create(admin_settings settings);
  /// What its connections have done so far.
  metric_list metrics() const;
  admin(admin&&) noexcept;
  admin& operator=(admin&&) noexcept;
  ~admin();
  /// Makes the call under way, and every later one, end with errc::cancelled. From any thread.
  void cancel();

  // --- the cluster

  /// `with_fenced`: brokers too that are registered but do not take part (Kafka 4.0).
  result<cluster_info> describe_cluster(bool with_fenced = false);
  /// What the brokers support and what is in force (Kafka 2.7).
  result<std::vector<feature_info>> describe_features();
  outcomes<> update_features(const std::vector<feature_update>& updates, bool validate_only = false);
  /// The KRaft quorum (Kafka 3.3).
  result<quorum_info> describe_quorum();
  /// What these brokers keep where, or all of them (Kafka 1.0).
  outcomes<broker_log_dirs> describe_log_dirs(const std::vector<std::int32_t>& brokers = {});

  // --- topics

  /// `validate_only` makes nothing, but says what would go wrong. errc::already_exists for those that are
  /// there.
  outcomes<> create_topics(const std::vector<new_topic>& topics, bool validate_only = false);
  outcomes<> delete_topics(const std::vector<std::string>& names);
  /// By topic_info::id, so that a namesake made since stays (Kafka 2.8).
  outcomes<> delete_topics_by_id(const std::vector<std::string>& ids);
  /// Names, sorted; internal ones only if asked for.
  result<std::vector<std::string>> list_topics(bool with_internal = false);
  /// errc::not_found for those that do not exist.
  outcomes<topic_info> describe_topics(const std::vector<std::string>& names);
  /// Waits until every partition of these topics has a leader.
  result<> await_topics(const std::vector<std::string>& names, std::chrono::milliseconds timeout);

  // --- partitions

  /// Raises the number of partitions (Kafka 1.0).
  result<> create_partitions(const std::string& topic, std::int32_t total);
  outcomes<> create_partitions(const std::vector<more_partitions>& topics, bool validate_only = false);
  /// Makes the preferred replica, or any that lives, the leader (Kafka 2.2; unclean: 2.4). One that leads
  /// already is a success.
  outcomes<> elect_leaders(election how, const std::vector<topic_partition>& partitions);
  /// Begins to move replicas, or stops a move (Kafka 2.4).
  outcomes<> alter_reassignments(const std::vector<reassignment>& wanted);
  /// The moves under way of these partitions, or of all.
  result<std::vector<ongoing_reassignment>> list_reassignments(
      const std::vector<topic_partition>& partitions = {});

  // --- records

  /// `at`: earliest_offset, latest_offset, or milliseconds since 1970 (the first record at or after that;
  /// no_offset when there is none). In the order asked; partitions that there are not (errc::not_found) or
  /// that have no leader in time (errc::timeout) do not keep the others from their answers.
  ///
  ///     auto ends = admin->list_offsets({{"orders", 0}, {"orders", 1}}, kafka::latest_offset);
  ///     if (ends.each()[1]) use(*ends.each()[1]);    // whatever became of partition 0
  outcomes<std::int64_t> list_offsets(const std::vector<topic_partition>& partitions, std::int64_t at);
  /// Removes the records below each offset (latest_offset: all); returns the new first offsets (Kafka 0.11).
  outcomes<std::int64_t> delete_records(const std::vector<start_position>& below);

  // --- configurations

  /// Sorted by name (Kafka 0.11).
  result<std::vector<config_entry>> describe_configs(config_resource kind, const std::string& name);
  outcomes<std::vector<config_entry>> describe_configs(const std::vector<config_key>& of,
                                                       bool synonyms = false, bool documentation = false);
  /// Sets (a value) or resets to the default (nothing) each name; the others stay.
  result<> alter_configs(config_resource kind, const std::string& name,
                         const std::map<std::string, std::optional<std::string>>& changes);
  /// The same for several, with changes of lists. Brokers before Kafka 2.3 can only replace a whole
  /// configuration: there it is read, changed and written, and who else does that meanwhile may be undone.
  outcomes<> alter_configs(const std::vector<config_changes>& changes, bool validate_only = false);
  /// What has configurations of these kinds, or of all kinds (Kafka 4.1; client metrics alone: 3.7).
  result<std::vector<config_key>> list_config_resources(const std::vector<config_resource>& kinds = {});

  // --- groups

  result<std::vector<group_listing>> list_groups(const group_filter& filter = {});
  result<group_info> describe_group(const std::string& group_id);
  outcomes<group_info> describe_groups(const std::vector<std::string>& group_ids);
  /// Only without members (Kafka 1.1).
  result<> delete_group(const std::string& group_id);
  outcomes<> delete_groups(const std::vector<std::string>& group_ids);
  /// Throws members out of a classic group (Kafka 2.4); static ones by their instance id.
  outcomes<> remove_members(const std::string& group_id, const std::vector<member_name>& members,
                            const std::string& reason = {});
  /// Every offset the group has committed.
  result<std::vector<partition_offset>> group_offsets(const std::string& group_id);
  /// Sets the offsets of a group that has no members.
  outcomes<> alter_group_offsets(const std::string& group_id, const std::vector<partition_offset>& offsets);
  /// Forgets offsets of topics that no member reads (Kafka 2.4).
  outcomes<> delete_group_offsets(const std::string& group_id,
                                  const std::vector<topic_partition>& partitions);

  // --- rights, users, quotas

  /// Sorted (Kafka 0.11). SECURITY_DISABLED where the brokers have no authorizer.
  result<std::vector<acl>> describe_acls(const acl_filter& filter = {});
  /// One that is there already is a success.
  outcomes<> create_acls(const std::vector<acl>& acls);
  /// What each filter removed.
  outcomes<std::vector<acl>> delete_acls(const std::vector<acl_filter>& filters);
  /// Mechanisms and iterations of these users, or of all; never a secret (Kafka 2.7).
  outcomes<scram_user> describe_scram_users(const std::vector<std::string>& users = {});
  outcomes<> alter_scram_users(const std::vector<scram_change>& changes);
  result<std::vector<client_quota>> describe_client_quotas(const quota_filter& filter = {});
  outcomes<> alter_client_quotas(const std::vector<quota_change>& changes, bool validate_only = false);

  // --- transactions (Kafka 3.0)

  result<std::vector<transaction_listing>> list_transactions(const transaction_filter& filter = {});
  outcomes<transaction_info> describe_transactions(const std::vector<std::string>& transactional_ids);
  /// Who writes to these partitions, as their leaders know it (Kafka 2.8).
  outcomes<std::vector<active_producer>> describe_producers(const std::vector<topic_partition>& partitions);
  /// Ends a transaction on one partition that its coordinator has forgotten (KIP-664). Never one that is
  /// still at work: its records would be torn apart.
  result<> abort_transaction(const hanging_transaction& which);
  /// Aborts what these ids have open and shuts out their producers (Kafka 0.11).
  outcomes<fenced_producer> fence_producers(const std::vector<std::string>& transactional_ids);

  struct impl;

 private:
  explicit admin(std::unique_ptr<impl> p);
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock::kafka
