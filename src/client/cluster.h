// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/shared_buffer.h"
#include "base/unique_function.h"
#include "client/backoff.h"
#include "client/buffer_pool.h"
#include "client/connection.h"
#include "client/metadata.h"
#include "client/metrics.h"
#include "client/sasl.h"
#include "io/event_loop.h"
#include "io/random.h"
#include "io/stream.h"
#include "io/tls.h"

namespace penstock::client {

/// Any broker that can be reached: for metadata, coordinators and producer ids.
inline constexpr std::int32_t any_broker = -1;
/// The controller, for changes of topics.
inline constexpr std::int32_t controller = -2;

/// Bootstrap addresses are brokers with this number and lower ones until metadata tells who they are.
inline constexpr std::int32_t first_bootstrap_id = -1000;

/// A broker answers one connection's requests in order, so what waits there (a fetch, a join) has a
/// connection of its own.
enum class channel : std::uint8_t {
  general,
  fetch,
  coordinator,
  produce,  ///< the first of those that a busy broker has besides the general one; no more than one byte
            ///< holds
};
/// Where the requests of a broker's nth lane for batches travel; the first shares the general connection.
constexpr channel produce_channel(int lane) noexcept {
  return lane == 0 ? channel::general : static_cast<channel>(static_cast<int>(channel::produce) + lane - 1);
}
inline constexpr int most_produce_lanes = 64;

/// How to send one request.
struct call_options {
  client::channel channel = channel::general;
  std::chrono::milliseconds timeout{0};  ///< 0: request_timeout
  std::int16_t min_version = 0;
  std::int16_t max_version = 0x7fff;
  /// Set, where there is one, when the request goes out: until then no broker can have seen it.
  std::shared_ptr<bool> sent{};
};

/// The brokers of one Kafka cluster as one event loop sees them: connections, metadata, and typed requests.
/// What fetchers, producers, group members and admin operations of that loop share.
///
/// Threads: the loop's only. Lifetime: outlives the fetchers and producers made on it; destroying it closes
/// the connections and drops pending handlers uncalled.
class cluster {
 public:
  /// Checks the settings and parses the bootstrap list; connects when first needed.
  static result<std::unique_ptr<cluster>> create(io::event_loop& loop, std::string_view bootstrap_servers,
                                                 kafka::connection_settings settings,
                                                 io::random_source& random = io::random_source::system());
  ~cluster();
  cluster(const cluster&) = delete;
  cluster& operator=(const cluster&) = delete;

  io::event_loop& loop() noexcept { return loop_; }
  io::instant now() const noexcept { return loop_.time().now(); }
  const kafka::connection_settings& settings() const noexcept { return settings_; }
  io::random_source& random() noexcept { return random_; }
  buffer_pool& buffers() noexcept { return buffers_; }
  /// What its connections have done and are doing.
  const connection_metrics& measured();
  /// Since the brokers last told about topics; -1: not yet.
  double metadata_age_seconds() const;

  /// Sends `request` (any wire request) to a broker in the highest version both know and gives the decoded
  /// `Response`, or the error why there is none: timeout, io or closed (retriable), unsupported, corrupt.
  /// Error codes within a response are the caller's to look at.
  template <typename Response, typename Request>
  void call(std::int32_t broker, Request request, call_options options,
            unique_function<void(result<Response>)> done) {
    outgoing out;
    out.key = Request::key;
    out.min_version = std::max<std::int16_t>(Request::min_version, options.min_version);
    out.max_version = std::min<std::int16_t>(Request::max_version, options.max_version);
    out.timeout = options.timeout;
    out.encode = [r = std::move(request), sent = options.sent](wire::writer& w, std::int16_t version) {
      if (sent != nullptr) *sent = true;
      return r.encode(w, version);
    };
    out.done = [done = std::move(done)](result<incoming> in) mutable {
      if (!in) return done(fail(std::move(in.error())));
      Response response;
      auto decoded = response.decode(in->body, in->version);
      if (!decoded) return done(fail(decoded.error().with_context(in->from)));
      done(std::move(response));
    };
    send(broker, options.channel, std::move(out));
  }
  /// The same for a request whose bytes are made by hand and whose answer is read in place.
  void send(std::int32_t broker, client::channel channel, outgoing out);

  /// Whether a request to this broker would go out at once.
  bool is_ready(std::int32_t broker, client::channel channel) const;
  /// The highest version of an API that a broker offers, or -1 while that is not known or when it has none.
  std::int16_t offered_version(std::int32_t broker, client::channel channel, wire::api_key key) const;
  /// Connects if needed; `done` when the next request would go out at once, or with the error of the attempt.
  void connect(std::int32_t broker, client::channel channel, unique_function<void(result<>)> done);
  /// Closes a connection, unless somebody uses it at the moment.
  void close_idle(std::int32_t broker, client::channel channel);
  /// Requests sent to a broker and not answered yet.
  std::size_t in_flight(std::int32_t broker, client::channel channel) const;
  /// "host:port" of a broker, for messages.
  std::string describe(std::int32_t broker) const;

  /// Why brokers do not let us in (a certificate, a password), since the latest attempt failed with that:
  /// what waits for brokers need not wait longer.
  const std::optional<error>& refusal() const noexcept { return refusal_; }

  /// Expires with the cluster: for operations that wait on the loop by themselves.
  std::weak_ptr<void> alive() const noexcept { return alive_; }

  const metadata_cache& metadata() const noexcept { return metadata_; }
  /// Keeps a topic's partitions in the cache from now on; asks for them soon. `create`: the broker may make
  /// it.
  void watch_topic(const std::string& topic, bool create = false);
  void unwatch_topic(const std::string& topic);
  /// Keeps every topic of the cluster in the cache from now on.
  void watch_all_topics();
  /// Asks a broker again, soon (a burst of wishes is one request; failures back off). For answers such as
  /// NOT_LEADER_OR_FOLLOWER.
  void request_metadata();
  /// Called after every change of the cache and after every failed attempt to refresh it, until the token is
  /// gone.
  void on_metadata(std::weak_ptr<void> token, std::function<void(const result<>&)> f);
  /// The level of a feature of the whole cluster (KIP-584), as the brokers that this loop is connected to
  /// told last; 0: not finalized, or not known to them.
  std::int16_t feature_level(std::string_view feature) const;
  /// Whether a broker that answers keeps its cluster in ZooKeeper: then it learns of topics from the
  /// controller, a while after it has begun to answer.
  bool has_zookeeper() const;
  /// Takes note of a broker that an answer named (a group's coordinator).
  void learn_broker(std::int32_t id, io::endpoint at) { metadata_.learn_broker(id, std::move(at)); }

 private:
  struct node;
  cluster(io::event_loop& loop, std::vector<io::endpoint> bootstrap, kafka::connection_settings settings,
          io::random_source& random);
  struct node_key {
    std::int32_t broker;
    client::channel channel;
    friend auto operator<=>(const node_key&, const node_key&) = default;
  };
  node* find_node(node_key key) const;
  node* find_node(std::uint64_t serial) const;
  node* find_or_add_node(node_key key);
  std::optional<io::endpoint> address_of(std::int32_t broker) const;
  std::int32_t resolve(std::int32_t broker, client::channel channel);
  std::int32_t pick_any();
  void open(node& n);
  void secure(node& n, std::unique_ptr<io::stream> stream);
  void opened(node& n, result<std::unique_ptr<io::stream>> stream);
  void ready(node& n);
  void lost(node& n, const error& why);
  void fail_waiting(node& n, const error& why);
  void close(node& n, const error& why);
  void arm_metadata(std::chrono::nanoseconds after);
  void schedule_metadata();
  bool is_missing(const std::string& topic) const;
  void refresh_metadata();
  void name_missing_topics(wire::metadata_response& response);
  void metadata_arrived(result<wire::metadata_response> response);
  void update_nodes();
  void notify_metadata(const result<>& outcome);

  io::event_loop& loop_;
  std::vector<io::endpoint> bootstrap_;
  kafka::connection_settings settings_;
  io::random_source& random_;
  std::shared_ptr<const io::tls_context> tls_;  // with TLS
  std::unique_ptr<sasl_login> login_;           // with SASL
  std::optional<error> refusal_;
  buffer_pool buffers_;
  connection_metrics metrics_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();

  std::map<node_key, std::unique_ptr<node>> nodes_;
  std::int64_t features_epoch_ = -1;
  std::vector<std::pair<std::string, std::int16_t>> features_;  // name and level
  std::uint64_t next_serial_ = 1;
  std::size_t next_bootstrap_ = 0;

  metadata_cache metadata_;
  std::map<std::string, bool> watched_;  // topic -> may be created
  bool watching_all_ = false;
  io::timer metadata_timer_;
  io::instant metadata_due_{};
  bool metadata_in_flight_ = false;
  bool metadata_again_ = false;  // somebody asked while a request was under way
  io::instant last_refresh_{};
  backoff metadata_backoff_;
  struct listener {
    std::weak_ptr<void> token;
    std::function<void(const result<>&)> f;
  };
  std::vector<listener> listeners_;
};

}  // namespace penstock::client
