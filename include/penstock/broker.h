// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace penstock {

/// When what the broker wrote is forced to the disk (fsync). In each case records survive the death of the
/// process (kill -9); the policy says what survives the death of the machine.
enum class flush_policy : std::uint8_t {
  none,  ///< when the kernel likes: seconds of acknowledged records may be lost with the power. What Apache
         ///< Kafka does.
  interval,  ///< at most `flush_interval` of acknowledged records may be lost with the power; a transaction
             ///< is committed only when all of it, and the decision, is on the disk
  each,  ///< nothing is acknowledged, nor shown to a consumer, before it is on the disk; requests share their
         ///< fsyncs
};

/// How an embedded broker is set up. Only `directory` must be given.
struct broker_options {
  std::string directory{};  ///< where everything is kept; made if needed; one broker at a time
  std::string listen_host =
      "127.0.0.1";                ///< loopback only: other addresses are refused until TLS or SASL is there
  std::uint16_t port = 0;         ///< 0 picks a free one; see embedded_broker::port
  std::string advertised_host{};  ///< what clients are told to connect to; empty: listen_host
  std::uint16_t advertised_port = 0;    ///< 0: the port listened on
  std::int32_t node_id = 1;             ///< the one broker's id, also the controller's
  std::int32_t default_partitions = 1;  ///< of topics made without a number of partitions (`num.partitions`)
  bool auto_create_topics = true;       ///< a client's Metadata request for an unknown topic makes it
  bool clamp_replication = false;  ///< accept any replication factor and keep one copy, instead of an error
  flush_policy flush = flush_policy::interval;
  std::chrono::milliseconds flush_interval{100};
  std::chrono::milliseconds group_initial_rebalance_delay{
      0};  ///< wait for more members before a group's first assignment
  std::chrono::milliseconds group_min_session_timeout{6000};
  std::chrono::milliseconds group_max_session_timeout{1'800'000};
  std::chrono::milliseconds offsets_retention{std::chrono::hours(24 * 7)};  ///< of groups without members
  /// 2: each transaction has an epoch of its own, and partitions join it as they are written (KIP-890); 0: as
  /// before Kafka 4. What clients are told in ApiVersions (`transaction.version`).
  std::int16_t transaction_version = 2;
  std::chrono::milliseconds transaction_max_timeout{900'000};  ///< the longest a client may ask for
  std::chrono::milliseconds transactional_id_expiration{std::chrono::hours(24 * 7)};  ///< of unused ids
  bool accept_data_loss = false;  ///< open partitions damaged before their end by cutting them there
  std::uint32_t max_request_bytes = 100u << 20;  ///< a larger request closes its connection
  std::uint32_t max_connections = 4096;          ///< further ones are closed at once
  /// Called once, on a thread of the broker, when it had to stop by itself: a write or fsync failed (E19). It
  /// must not call back into the broker but may hand the news to another thread.
  std::function<void(const error&)> on_failure{};
};

/// A durable single-node broker that speaks the Kafka protocol, inside of this process. Any Kafka client may
/// use it.
///
/// It owns its threads and its directory: it is listening when `start` returns, and after `stop` (or the
/// destructor) the port and the directory are free again. Acknowledged records and committed offsets survive
/// a kill -9. All functions are safe from any thread. What a person should know goes to spdlog's logger
/// "penstock", if the program has registered one, or to standard error.
///
///     auto broker = penstock::embedded_broker::start({.directory = "data"});
///     if (!broker) return report(broker.error());
///     connect_to(broker->bootstrap_servers());     // "127.0.0.1:40321"
///     ...
///     broker->stop();
class embedded_broker {
 public:
  /// Opens the directory, recovers what an unclean stop left behind and listens. Errors name the file, the
  /// partition or the address: invalid_argument (options), already_exists (another broker holds the
  /// directory), corrupt (a partition is damaged before its end; see accept_data_loss), io, unsupported.
  static result<embedded_broker> start(broker_options options);

  embedded_broker(embedded_broker&&) noexcept;
  embedded_broker& operator=(embedded_broker&&) noexcept;
  ~embedded_broker();  ///< stops it

  /// "host:port", as clients want it.
  std::string bootstrap_servers() const;
  std::uint16_t port() const;
  /// The cluster's id: 22 characters, made at the directory's first start.
  std::string cluster_id() const;

  /// Answers what can be answered, closes the connections, syncs and closes the logs. Idempotent. Returns the
  /// failure if the broker had stopped by itself before.
  result<> stop();

 private:
  struct impl;
  explicit embedded_broker(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock
