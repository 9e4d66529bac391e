// SPDX-License-Identifier: Apache-2.0
// What an admin client takes and gives: topics, groups, transactions, the cluster. Rights, users and quotas
// are in security_types.h.
#pragma once

#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::kafka {

/// What became of the things that one call named: each() has every thing's own result, in the order asked. As
/// a whole it is a result too: success only if everything succeeded, else the first error.
///
///     auto made = admin->create_topics({{.name = "a"}, {.name = "b"}});
///     if (!made) ...                               // made.error() is the first error
///     for (const auto& one : made.each()) ...      // result<> of "a", of "b"
template <typename T = void>
class outcomes : public std::conditional_t<std::is_void_v<T>, result<>, result<std::vector<T>>> {
  using whole = std::conditional_t<std::is_void_v<T>, result<>, result<std::vector<T>>>;

 public:
  explicit outcomes(std::vector<result<T>> each) : whole(sum(each)), each_(std::move(each)) {}
  const std::vector<result<T>>& each() const noexcept { return each_; }

 private:
  static whole sum(const std::vector<result<T>>& each) {
    for (const auto& one : each)
      if (!one) return fail(one.error());
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      std::vector<T> all;
      for (const auto& one : each) all.push_back(*one);
      return all;
    }
  }
  std::vector<result<T>> each_;
};

// --- the cluster

struct broker_info {
  std::int32_t id = -1;
  std::string host;
  std::int32_t port = 0;
  std::string rack;
  bool fenced = false;  ///< only if fenced ones were asked for (KIP-1073)
};

struct cluster_info {
  std::string cluster_id;
  std::int32_t controller_id = -1;
  std::vector<broker_info> brokers;
};

/// A feature level of the cluster, such as metadata.version (KIP-584). -1: not there.
struct feature_info {
  std::string name;
  std::int16_t min_supported = -1, max_supported = -1;
  std::int16_t finalized = -1;  ///< the level in force
};

struct feature_update {
  enum class kind : std::int8_t { upgrade = 1, safe_downgrade = 2, unsafe_downgrade = 3 };
  std::string name{};
  std::int16_t level = 0;  ///< 0 switches it off
  kind how = kind::upgrade;
};

/// A node of the KRaft quorum (KIP-595, KIP-642).
struct quorum_replica {
  std::int32_t id = -1;
  std::int64_t log_end_offset = -1;
  std::int64_t last_fetch_ms = -1, last_caught_up_ms = -1;  ///< milliseconds since 1970; -1: not known
};
struct quorum_info {
  std::int32_t leader_id = -1;
  std::int32_t leader_epoch = -1;
  std::int64_t high_watermark = -1;
  std::vector<quorum_replica> voters, observers;
};

/// What one directory of a broker holds (KIP-113, KIP-827).
struct log_dir_replica {
  topic_partition partition;
  std::int64_t bytes = 0;
  std::int64_t offset_lag = 0;
  bool future = false;  ///< it is on its way to this directory
};
struct log_dir {
  std::string path;
  std::int64_t total_bytes = -1, usable_bytes = -1;  ///< of the volume; -1 before Kafka 3.3
  std::vector<log_dir_replica> replicas;
  std::optional<penstock::error> failure{};  ///< the directory is offline
};
struct broker_log_dirs {
  std::int32_t broker = -1;
  std::vector<log_dir> directories;
};

// --- topics

struct partition_info {
  std::int32_t partition = 0;
  std::int32_t leader = -1;  ///< -1: none at the moment
  std::int32_t leader_epoch = -1;
  std::vector<std::int32_t> replicas;
  std::vector<std::int32_t> in_sync;
  std::vector<std::int32_t> offline{};
  std::vector<std::int32_t> eligible_leaders{};  ///< may lead although not in sync (KIP-966; Kafka 4.0)
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
  /// The brokers of each partition, the preferred leader first. Then `partitions` and `replication_factor`
  /// stay -1.
  std::vector<std::vector<std::int32_t>> assignment{};
};

struct more_partitions {
  std::string topic{};
  std::int32_t total = 0;
  std::vector<std::vector<std::int32_t>> assignment{};  ///< of the new ones; empty: the cluster chooses
};

enum class election : std::int8_t {
  preferred = 0,  ///< the first replica, if it is in sync
  unclean = 1,    ///< any replica that lives: records may be lost
};

struct reassignment {
  topic_partition partition{};
  std::optional<std::vector<std::int32_t>> replicas{};  ///< nothing: stop what is under way
};
struct ongoing_reassignment {
  topic_partition partition;
  std::vector<std::int32_t> replicas, adding, removing;
};

// --- configurations

enum class config_resource : std::int8_t {
  topic = 2,
  broker = 4,  ///< named by its id; an empty name is the default of all brokers
  broker_logger = 8,
  client_metrics = 16,
  group = 32,
};

struct config_key {
  config_resource kind = config_resource::topic;
  std::string name{};
  friend auto operator<=>(const config_key&, const config_key&) = default;
};

/// Where a value comes from.
enum class config_source : std::int8_t {
  unknown = -1,
  topic = 1,
  dynamic_broker = 2,
  dynamic_default_broker = 3,
  static_broker = 4,
  standard = 5,  ///< built in
  broker_logger = 6,
  client_metrics = 7,
  group = 8,
};

struct config_synonym {
  std::string name;
  std::optional<std::string> value;
  config_source source = config_source::unknown;
};

struct config_entry {
  std::string name;
  std::optional<std::string> value;  ///< nothing for secrets
  bool read_only = false, sensitive = false, is_default = false;
  config_source source = config_source::unknown;
  std::vector<config_synonym> synonyms{};  ///< what would hold, in order, if asked for (Kafka 1.1)
  std::string documentation{};             ///< if asked for (Kafka 2.6)
};

struct config_change {
  enum class kind : std::int8_t { set = 0, reset = 1, append = 2, subtract = 3 };  ///< the last two: of lists
  std::string name{};
  kind how = kind::set;
  std::string value{};
};
struct config_changes {
  config_key of{};
  std::vector<config_change> changes{};
};

// --- groups

struct group_listing {
  std::string group_id, protocol_type;
  std::string state;  ///< such as "Stable"; empty before Kafka 2.6
  std::string type;   ///< "classic", "consumer", "share", "streams"; empty before Kafka 3.8
};

struct group_filter {
  std::vector<std::string> states{};  ///< such as "Empty" (Kafka 2.6); none: all
  std::vector<std::string> types{};   ///< such as "consumer" (Kafka 3.8); none: all
};

struct group_member {
  std::string member_id, instance_id, client_id, client_host;
  std::vector<topic_partition> assignment;
  // Of KIP-848 groups only:
  std::vector<topic_partition> target{};  ///< what it is to have
  std::int32_t epoch = -1;
  std::string rack{};
};

struct group_info {
  std::string group_id, state, protocol_type;
  std::string protocol;  ///< the assignor
  std::int32_t coordinator = -1;
  std::vector<group_member> members;
  std::string type = "classic";                    ///< or "consumer" (KIP-848)
  std::int32_t epoch = -1, assignment_epoch = -1;  ///< of KIP-848 groups
};

/// A member to throw out, by one of its two names.
struct member_name {
  std::string instance_id{};
  std::string member_id{};
};

// --- transactions

struct transaction_filter {
  std::vector<std::string> states{};                            ///< such as "Ongoing"; none: all
  std::vector<std::int64_t> producer_ids{};                     ///< none: all
  std::optional<std::chrono::milliseconds> open_longer_than{};  ///< Kafka 3.8 (KIP-994)
  std::optional<std::string> id_pattern{};                      ///< an RE2 pattern; Kafka 4.1 (KIP-1152)
};

struct transaction_listing {
  std::string transactional_id;
  std::int64_t producer_id = -1;
  std::string state;
};

struct transaction_info {
  std::string transactional_id, state;
  std::int32_t coordinator = -1;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  std::chrono::milliseconds timeout{0};
  std::int64_t begun_ms = -1;  ///< milliseconds since 1970; -1: none is open
  std::vector<topic_partition> partitions;
};

/// A producer whose state a partition's leader keeps.
struct active_producer {
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  std::int32_t last_sequence = -1;
  std::int64_t last_timestamp_ms = -1;
  std::int32_t coordinator_epoch = -1;
  std::int64_t transaction_begin = no_offset;  ///< the first offset of its open transaction
};

/// A transaction to end on one partition, as describe_producers tells of it (KIP-664).
struct hanging_transaction {
  topic_partition partition{};
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  std::int32_t coordinator_epoch = -1;
};

/// The identity that the next producer of a fenced transactional id begins behind.
struct fenced_producer {
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
};

}  // namespace penstock::kafka
