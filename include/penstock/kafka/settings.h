// SPDX-License-Identifier: Apache-2.0
// The settings of every client, with Kafka's meaning and defaults. Each says Kafka's name for it, by which
// it can be read from a file or set as text (properties.h).
//
//     kafka::consumer_settings s{.bootstrap_servers = "localhost:9092", .group_id = "board",
//                                .auto_offset_reset = kafka::offset_reset::earliest};
#pragma once

#include <penstock/compression.h>
#include <penstock/kafka/assignor.h>
#include <penstock/kafka/metrics.h>
#include <penstock/kafka/security.h>
#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::kafka {

class properties;

/// What all clients have in common: how they reach brokers and how long they wait.
struct connection_settings {
  std::string client_id = "penstock";                      ///< client.id
  std::chrono::milliseconds request_timeout{30'000};       ///< request.timeout.ms
  std::chrono::milliseconds connect_timeout{10'000};       ///< socket.connection.setup.timeout.ms
  std::chrono::milliseconds reconnect_backoff{50};         ///< reconnect.backoff.ms
  std::chrono::milliseconds reconnect_backoff_max{1'000};  ///< reconnect.backoff.max.ms
  std::chrono::milliseconds retry_backoff{100};            ///< retry.backoff.ms
  std::chrono::milliseconds retry_backoff_max{1'000};      ///< retry.backoff.max.ms
  std::chrono::milliseconds metadata_max_age{300'000};     ///< metadata.max.age.ms
  std::chrono::milliseconds default_api_timeout{60'000};   ///< default.api.timeout.ms
  std::uint32_t max_response_bytes = 256u << 20;           ///< larger frames close the connection
  security_settings security{};                            ///< TLS and SASL
  /// Called every `metrics_interval` (0: never) with what metrics() answers, on the client's own thread, or,
  /// of consumers and admin clients, within their calls. Must not block; an admin client does not call it.
  kafka::metrics_callback metrics_callback{};
  std::chrono::milliseconds metrics_interval{0};
};

/// Where records go that name no partition. librdkafka: partitioner.
enum class partitioner : std::uint8_t {
  murmur2,      ///< by the key's hash, byte for byte as Kafka's Java client; without a key as `sticky`
  sticky,       ///< whatever the key: one partition for a batch and another for the next (KIP-480)
  round_robin,  ///< whatever the key: each partition in turn
  random,       ///< whatever the key: any partition
};
/// A partitioner of one's own: the partition, from 0 to `partitions` - 1. Called within send, under the
/// producer's lock: it must be quick and must not call the producer.
using partition_function = std::function<std::int32_t(std::string_view topic, std::string_view key,
                                                      std::string_view value, std::int32_t partitions)>;

/// A producer's settings.
struct producer_settings {
  std::string bootstrap_servers{};  ///< bootstrap.servers: "host:port,host:port"
  kafka::acks acks = kafka::acks::all;
  /// enable.idempotence: no duplicates and no reordering by retries. Not set: on when acks is `all`.
  std::optional<bool> idempotence{};
  penstock::compression compression = penstock::compression::none;  ///< compression.type
  std::optional<int> compression_level{};                           ///< compression.<codec>.level
  kafka::partitioner partitioner = kafka::partitioner::murmur2;
  partition_function own_partitioner{};      ///< instead of `partitioner`
  std::size_t batch_size = 16'384;           ///< batch.size: bytes a partition's batch may grow to
  std::chrono::milliseconds linger{5};       ///< linger.ms: how long a batch waits for more records
  std::size_t max_request_size = 1'048'576;  ///< max.request.size: of a record, and of a request's batches
  std::size_t buffer_memory = 32u << 20;     ///< buffer.memory: bytes of records not yet acknowledged
  int max_in_flight = 5;  ///< max.in.flight.requests.per.connection (at most 5 if idempotent)
  /// connections.per.broker (not Kafka's): the most connections that produce requests take to one broker.
  /// Further ones are opened while batches wait for the first, and closed when one would do again.
  int connections_per_broker = 2;
  std::chrono::milliseconds delivery_timeout{120'000};  ///< delivery.timeout.ms: from send to its outcome
  std::chrono::milliseconds max_block{60'000};          ///< max.block.ms: send waits for memory and metadata
  bool allow_auto_create_topics = true;  ///< lets the broker make a missing topic, if it does such things
  /// transactional.id: makes the producer transactional. Stable over restarts, and one producer's alone: a
  /// second one with the same id takes over and fences the first. Empty: no transactions.
  std::string transactional_id{};
  /// transaction.timeout.ms: a transaction that is open for longer is aborted by the broker, and its producer
  /// fenced. At most the broker's transaction.max.timeout.ms (15 minutes unless set).
  std::chrono::milliseconds transaction_timeout{60'000};
  connection_settings connection{};

  /// The defaults and what is given by name. One error tells all problems: unknown names with the nearest
  /// that exists, values out of range, values that do not fit together. Settings of consumers and admin
  /// clients are passed over when they come from a file, and refused otherwise.
  static result<producer_settings> from_properties(const properties& given);
  /// Sets what is given by name and leaves the others as they are; nothing if there is an error.
  result<> apply(const properties& given);
};

/// How a group's partitions are shared out by its leader. Kafka: partition.assignment.strategy.
enum class assignor : std::uint8_t {
  range,               ///< "range": per topic, consecutive partitions
  round_robin,         ///< "roundrobin": all partitions in turn
  sticky,              ///< "sticky": balanced, and as few moves as possible
  cooperative_sticky,  ///< "cooperative-sticky": the same; what does not move is never given up (KIP-429)
};

/// Who shares the partitions out. Kafka: group.protocol.
enum class group_protocol : std::uint8_t {
  classic,   ///< a member of the group; any broker
  consumer,  ///< the broker, without stopping anybody (KIP-848); Kafka 4.0 and newer
};

/// A consumer's settings.
struct consumer_settings {
  std::string bootstrap_servers{};  ///< bootstrap.servers: "host:port,host:port"
  std::string group_id{};           ///< group.id; needed for subscribe and for commits
  offset_reset auto_offset_reset = offset_reset::latest;
  bool enable_auto_commit =
      true;  ///< enable.auto.commit: positions handed out by poll, at the next poll or close
  std::chrono::milliseconds auto_commit_interval{5'000};  ///< auto.commit.interval.ms
  kafka::isolation_level isolation_level = kafka::isolation_level::read_uncommitted;
  std::vector<assignor> assignors{
      assignor::range};  ///< partition.assignment.strategy, in order of preference
  /// Assignors of the application's own, preferred to those above (which may then be an empty list).
  std::vector<std::shared_ptr<partition_assignor>> own_assignors{};
  kafka::group_protocol group_protocol = kafka::group_protocol::classic;  ///< group.protocol
  /// group.remote.assignor: the broker's, "uniform" or "range"; empty: its choice. Of the protocol
  /// `consumer`.
  std::string group_remote_assignor{};
  std::chrono::milliseconds session_timeout{45'000};    ///< session.timeout.ms
  std::chrono::milliseconds heartbeat_interval{3'000};  ///< heartbeat.interval.ms
  std::chrono::milliseconds max_poll_interval{
      300'000};                     ///< max.poll.interval.ms: then the member leaves the group
  std::string group_instance_id{};  ///< group.instance.id: static membership
  std::string client_rack{};  ///< client.rack: reads from a replica there if the brokers allow it (KIP-392)
  std::int32_t fetch_min_bytes = 1;                  ///< fetch.min.bytes
  std::int32_t fetch_max_bytes = 50 << 20;           ///< fetch.max.bytes: of one answer
  std::int32_t max_partition_fetch_bytes = 1 << 20;  ///< max.partition.fetch.bytes
  std::chrono::milliseconds fetch_max_wait{
      500};  ///< fetch.max.wait.ms: the broker's patience for fetch_min_bytes
  std::size_t max_buffered_bytes = 64u << 20;  ///< bytes fetched ahead of poll; no fetch is sent above it
  std::size_t max_poll_bytes = 4u << 20;       ///< about how much one poll hands out
  bool check_crcs = true;                      ///< check.crcs
  bool allow_auto_create_topics = false;       ///< allow.auto.create.topics
  connection_settings connection{};

  /// As those of producer_settings.
  static result<consumer_settings> from_properties(const properties& given);
  result<> apply(const properties& given);
};

/// An admin client's settings.
struct admin_settings {
  std::string bootstrap_servers{};  ///< bootstrap.servers: "host:port,host:port"
  connection_settings connection{};

  /// As those of producer_settings.
  static result<admin_settings> from_properties(const properties& given);
  result<> apply(const properties& given);
};

}  // namespace penstock::kafka
