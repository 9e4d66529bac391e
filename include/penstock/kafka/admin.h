// SPDX-License-Identifier: Apache-2.0
#pragma once

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

struct broker_info {
  std::int32_t id = -1;
  std::string host;
  std::int32_t port = 0;
  std::string rack;
};

struct cluster_info {
  std::string cluster_id;
  std::int32_t controller_id = -1;
  std::vector<broker_info> brokers;
};

struct partition_info {
  std::int32_t partition = 0;
  std::int32_t leader = -1;  ///< -1: none at the moment
  std::int32_t leader_epoch = -1;
  std::vector<std::int32_t> replicas;
  std::vector<std::int32_t> in_sync;
};

struct topic_info {
  std::string name;
  std::string id;  ///< the topic's UUID as Kafka prints it; empty before Kafka 2.8
  bool internal = false;
  std::vector<partition_info> partitions;  ///< by number
};

struct new_topic {
  std::string name;
  std::int32_t partitions = -1;                  ///< -1: the broker's num.partitions (Kafka 2.4)
  std::int16_t replication_factor = -1;          ///< -1: the broker's default.replication.factor
  std::map<std::string, std::string> configs{};  ///< such as {"cleanup.policy", "compact"}
};

struct group_listing {
  std::string group_id, protocol_type, state, type;
};

struct group_member {
  std::string member_id, instance_id, client_id, client_host;
  std::vector<topic_partition> assignment;
};

struct group_info {
  std::string group_id, state, protocol_type, protocol;
  std::int32_t coordinator = -1;
  std::vector<group_member> members;
};

enum class config_resource : std::int8_t { topic = 2, broker = 4 };

struct config_entry {
  std::string name;
  std::optional<std::string> value;  ///< nothing for secrets
  bool read_only = false, sensitive = false, is_default = false;
  std::int8_t source = -1;
};

/// Looks after a cluster: topics, configurations, groups, offsets, records.
///
/// Threads: one thread at a time; calls wait for their answer, at most default_api_timeout. Errors name the
/// topic, partition or group, and are retried where Kafka says that they pass.
///
///     auto admin = kafka::admin::create({.bootstrap_servers = "localhost:9092"});
///     auto made = admin->create_topics({{.name = "orders", .partitions = 4}});
class admin {
 public:
  /// Checks the settings; does not wait for a broker.
  static result<admin> create(admin_settings settings);
  admin(admin&&) noexcept;
  admin& operator=(admin&&) noexcept;
  ~admin();

  result<cluster_info> describe_cluster();

  /// All or the first error (of which errc::already_exists is one: the other topics are made all the same).
  result<> create_topics(const std::vector<new_topic>& topics, bool validate_only = false);
  result<> delete_topics(const std::vector<std::string>& names);
  /// Names, sorted; internal ones only if asked for.
  result<std::vector<std::string>> list_topics(bool with_internal = false);
  /// In the order asked. errc::not_found names the first that does not exist.
  result<std::vector<topic_info>> describe_topics(const std::vector<std::string>& names);
  /// Waits until every partition of these topics has a leader.
  result<> await_topics(const std::vector<std::string>& names, std::chrono::milliseconds timeout);
  /// Raises the number of partitions.
  result<> create_partitions(const std::string& topic, std::int32_t total);

  result<std::vector<config_entry>> describe_configs(config_resource kind, const std::string& name);
  /// Sets (a value) or resets to the default (nothing) each name; the others stay. Kafka 2.3 or later.
  result<> alter_configs(config_resource kind, const std::string& name,
                         const std::map<std::string, std::optional<std::string>>& changes);

  result<std::vector<group_listing>> list_groups();
  result<group_info> describe_group(const std::string& group_id);
  result<> delete_group(const std::string& group_id);
  /// Every offset the group has committed.
  result<std::vector<partition_offset>> group_offsets(const std::string& group_id);
  /// Sets the offsets of a group that has no members.
  result<> alter_group_offsets(const std::string& group_id, const std::vector<partition_offset>& offsets);

  /// `at`: earliest_offset, latest_offset, or milliseconds since 1970 (the first record at or after that;
  /// no_offset when there is none). In the order asked.
  result<std::vector<std::int64_t>> list_offsets(const std::vector<topic_partition>& partitions,
                                                 std::int64_t at);
  /// Removes the records below each offset (latest_offset: all); returns the new first offsets.
  result<std::vector<std::int64_t>> delete_records(const std::vector<start_position>& below);

  struct impl;

 private:
  explicit admin(std::unique_ptr<impl> p);
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock::kafka
