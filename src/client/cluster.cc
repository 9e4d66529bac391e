// SPDX-License-Identifier: Apache-2.0
// The connections. What is known of brokers and topics is in cluster_metadata.cc.
#include "client/cluster.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "client/bootstrap.h"
#include "wire/error_code.h"

namespace penstock::client {
namespace {

/// Whether a broker does not let us in, or we do not trust it.
bool is_refusal(const error& why) {
  if (why.kind() == errc::authentication) return true;
  const auto code = static_cast<wire::error_code>(why.kafka_code());
  return code == wire::error_code::sasl_authentication_failed ||
         code == wire::error_code::unsupported_sasl_mechanism || code == wire::error_code::illegal_sasl_state;
}

}  // namespace

// One connection, or the wish for one.
struct cluster::node {
  node(cluster& c, node_key k, io::endpoint at)
      : key(k),
        serial(c.next_serial_++),
        address(std::move(at)),
        retry(c.loop_),
        wait(c.settings_.reconnect_backoff, c.settings_.reconnect_backoff_max) {}

  node_key key;
  std::uint64_t serial;  // names this node in handlers, which may come after it is gone
  io::endpoint address;
  std::shared_ptr<client::connection> connection;
  bool connecting = false;
  io::instant not_before{};
  io::timer retry;
  backoff wait;
  std::vector<outgoing> waiting;
  std::vector<unique_function<void(result<>)>> wishes;
};

result<std::unique_ptr<cluster>> cluster::create(io::event_loop& loop, std::string_view bootstrap_servers,
                                                 kafka::connection_settings settings,
                                                 io::random_source& random) {
  auto bootstrap = parse_bootstrap_servers(bootstrap_servers);
  if (!bootstrap) return fail(bootstrap.error());
  if (auto valid = validate(settings); !valid) return fail(valid.error());
  auto tls = make_tls(settings.security);
  if (!tls) return fail(tls.error());
  auto login = make_sasl_login(loop, settings.security, random);
  if (!login) return fail(login.error());
  std::unique_ptr<cluster> made(new cluster(loop, std::move(*bootstrap), std::move(settings), random));
  made->tls_ = std::move(*tls);
  made->login_ = std::move(*login);
  return made;
}

cluster::cluster(io::event_loop& loop, std::vector<io::endpoint> bootstrap,
                 kafka::connection_settings settings, io::random_source& random)
    : loop_(loop),
      bootstrap_(std::move(bootstrap)),
      settings_(std::move(settings)),
      random_(random),
      metadata_timer_(loop),
      metadata_backoff_(settings_.retry_backoff, settings_.retry_backoff_max) {}

cluster::~cluster() {
  for (auto& [key, n] : nodes_) {
    // Handlers belong to objects that may be gone already.
    if (n->connection) n->connection->abandon();
  }
}

cluster::node* cluster::find_node(node_key key) const {
  const auto it = nodes_.find(key);
  return it == nodes_.end() ? nullptr : it->second.get();
}

cluster::node* cluster::find_node(std::uint64_t serial) const {
  for (const auto& [key, n] : nodes_)
    if (n->serial == serial) return n.get();
  return nullptr;
}

cluster::node* cluster::find_or_add_node(node_key key) {
  auto address = address_of(key.broker);
  if (auto* n = find_node(key)) {
    if (!address || n->address == *address || n->connection) return n;
    nodes_.erase(key);  // it moved while there was no connection
  }
  if (!address) return nullptr;
  auto made = std::make_unique<node>(*this, key, std::move(*address));
  return (nodes_[key] = std::move(made)).get();
}

// A broker that answers already, else one that metadata names and that has not failed, else a bootstrap
// address.
std::int32_t cluster::pick_any() {
  const node* best = nullptr;
  for (const auto& [key, n] : nodes_) {
    if (key.channel != channel::general || !n->connection || !n->connection->is_ready()) continue;
    if (best == nullptr || n->connection->in_flight() < best->connection->in_flight()) best = n.get();
  }
  if (best != nullptr) return best->key.broker;
  for (const auto& [id, address] : metadata_.brokers()) {
    const auto* n = find_node({id, channel::general});
    if (n == nullptr || n->wait.failures() == 0) return id;
  }
  return first_bootstrap_id - static_cast<std::int32_t>(next_bootstrap_++ % bootstrap_.size());
}

std::int32_t cluster::resolve(std::int32_t broker, client::channel) {
  if (broker == client::controller) {
    broker = metadata_.controller();
    if (!metadata_.brokers().contains(broker)) broker = any_broker;
  }
  return broker == any_broker ? pick_any() : broker;
}

void cluster::send(std::int32_t broker, client::channel channel, outgoing out) {
  const auto id = resolve(broker, channel);
  node* n = find_or_add_node({id, channel});
  if (n == nullptr) {
    request_metadata();
    loop_.post([done = std::move(out.done), id]() mutable {
      done(fail(errc::not_found, fmt::format("broker {} is not known", id), recovery::retriable));
    });
    return;
  }
  if (n->connection && n->connection->is_ready()) return n->connection->send(std::move(out));
  n->waiting.push_back(std::move(out));
  open(*n);
}

bool cluster::is_ready(std::int32_t broker, client::channel channel) const {
  const auto* n = find_node({broker, channel});
  return n != nullptr && n->connection && n->connection->is_ready();
}

std::int16_t cluster::offered_version(std::int32_t broker, client::channel channel, wire::api_key key) const {
  const auto* n = find_node({broker, channel});
  if (n == nullptr || !n->connection) return -1;
  return n->connection->pick_version(key, 0, std::numeric_limits<std::int16_t>::max());
}

std::size_t cluster::in_flight(std::int32_t broker, client::channel channel) const {
  const auto* n = find_node({broker, channel});
  return n != nullptr && n->connection ? n->connection->in_flight() : 0;
}

void cluster::connect(std::int32_t broker, client::channel channel, unique_function<void(result<>)> done) {
  const auto id = resolve(broker, channel);
  node* n = find_or_add_node({id, channel});
  if (n == nullptr) {
    request_metadata();
    loop_.post([done = std::move(done), id]() mutable {
      done(fail(errc::not_found, fmt::format("broker {} is not known", id), recovery::retriable));
    });
  } else if (n->connection && n->connection->is_ready()) {
    loop_.post([done = std::move(done)]() mutable { done({}); });
  } else {
    n->wishes.push_back(std::move(done));
    open(*n);
  }
}

void cluster::open(node& n) {
  if (n.connecting || n.connection || n.retry.armed()) return;
  if (const auto wait = n.not_before - now(); wait.count() > 0) {
    n.retry.arm(wait, [this, serial = n.serial] {
      if (auto* again = find_node(serial)) open(*again);
    });
    return;
  }
  n.connecting = true;
  io::connect(loop_, n.address, settings_.connect_timeout,
              [this, alive = std::weak_ptr<void>(alive_), serial = n.serial](auto stream) {
                if (alive.expired()) return;
                auto* opened_node = find_node(serial);
                if (opened_node == nullptr) return;
                if (stream && tls_ != nullptr) return secure(*opened_node, std::move(*stream));
                opened(*opened_node, std::move(stream));
              });
}

void cluster::secure(node& n, std::unique_ptr<io::stream> stream) {
  io::start_tls(loop_, std::move(stream), tls_, n.address, settings_.connect_timeout,
                [this, alive = std::weak_ptr<void>(alive_), serial = n.serial](auto secured) {
                  if (alive.expired()) return;
                  if (auto* opened_node = find_node(serial)) opened(*opened_node, std::move(secured));
                });
}

void cluster::opened(node& n, result<std::unique_ptr<io::stream>> stream) {
  n.connecting = false;
  if (!stream) {
    const auto& why = stream.error();
    const bool refused = why.kind() == errc::authentication;
    return lost(n, error(why.kind(), why.message(), refused ? recovery::fatal : recovery::retriable));
  }
  n.connection = std::make_shared<client::connection>(
      loop_, std::move(*stream), buffers_,
      connection_options{.client_id = settings_.client_id,
                         .request_timeout = settings_.request_timeout,
                         .max_response_bytes = settings_.max_response_bytes,
                         .login = login_.get(),
                         .host = n.address.host,
                         .random = &random_,
                         .metrics = &metrics_,
                         .node = n.key.broker});
  metrics_.opened.record(1, now());
  n.connection->start(
      [this, serial = n.serial] {
        if (auto* ready_node = find_node(serial)) ready(*ready_node);
      },
      [this, serial = n.serial](const error& why) {
        if (auto* lost_node = find_node(serial)) lost(*lost_node, why);
      });
}

void cluster::ready(node& n) {
  n.wait.reset();
  refusal_.reset();
  if (n.connection->features_epoch() >= features_epoch_) {
    features_epoch_ = n.connection->features_epoch();
    features_ = n.connection->features();
  }
  for (auto& out : std::exchange(n.waiting, {})) n.connection->send(std::move(out));
  for (auto& wish : std::exchange(n.wishes, {})) wish({});
}

// Only those brokers offer what their controller tells them by.
bool cluster::has_zookeeper() const {
  return std::any_of(nodes_.begin(), nodes_.end(), [](const auto& n) {
    constexpr auto update_metadata = static_cast<wire::api_key>(6);
    return n.second->connection && n.second->connection->pick_version(update_metadata, 0, 0x7fff) >= 0;
  });
}

void cluster::lost(node& n, const error& why) {
  if (is_refusal(why)) refusal_ = why;
  (n.connection ? metrics_.closed : metrics_.failed).record(1, now());
  n.connection.reset();
  n.not_before = now() + n.wait.next(random_);
  const bool known = n.key.broker >= 0;
  fail_waiting(n, why);  // may send again, which opens the node anew; `n` stays
  if (known) request_metadata();
}

void cluster::fail_waiting(node& n, const error& why) {
  auto waiting = std::exchange(n.waiting, {});
  auto wishes = std::exchange(n.wishes, {});
  for (auto& out : waiting) out.done(fail(why));
  for (auto& wish : wishes) wish(fail(why));
}

void cluster::close(node& n, const error& why) {
  const auto old = std::exchange(n.connection, nullptr);
  if (!old) return;
  metrics_.closed.record(1, now());
  old->close(why);
}

void cluster::close_idle(std::int32_t broker, client::channel channel) {
  auto* n = find_node({broker, channel});
  if (n == nullptr || n->connecting || !n->waiting.empty() || !n->wishes.empty()) return;
  if (n->connection && n->connection->in_flight() > 0) return;
  close(*n, {errc::cancelled, "the connection is not needed any more"});
  nodes_.erase(nodes_.find({broker, channel}));
}

const connection_metrics& cluster::measured() {
  metrics_.open = 0;
  metrics_.in_flight = 0;
  for (const auto& [key, n] : nodes_) {
    if (!n->connection || !n->connection->is_ready()) continue;
    ++metrics_.open;
    metrics_.in_flight += static_cast<std::int64_t>(n->connection->in_flight());
  }
  return metrics_;
}

void cluster::update_nodes() {
  // A bootstrap connection becomes its broker's own, now that one knows whose address it is.
  std::vector<node_key> bootstrap;
  for (const auto& [key, n] : nodes_)
    if (key.broker <= first_bootstrap_id && n->connection) bootstrap.push_back(key);
  for (const auto key : bootstrap) {
    for (const auto& [id, address] : metadata_.brokers()) {
      const node_key own{id, key.channel};
      if (find_node(own) != nullptr || !(address == nodes_.at(key)->address)) continue;
      auto moved = nodes_.extract(key);
      moved.key() = own;
      moved.mapped()->key = own;
      moved.mapped()->connection->set_node(id);
      nodes_.insert(std::move(moved));
      break;
    }
  }
  // A broker at another address than before is reached there; what was asked of the old one fails.
  std::vector<node_key> moved;
  for (const auto& [key, n] : nodes_) {
    const auto it = metadata_.brokers().find(key.broker);
    if (it != metadata_.brokers().end() && !(it->second == n->address)) moved.push_back(key);
  }
  for (const auto key : moved) {
    auto& n = *nodes_.at(key);
    n.address = metadata_.brokers().at(key.broker);
    n.not_before = {};
    close(n, {errc::closed, fmt::format("broker {} moved to {}", key.broker, io::to_string(n.address)),
              recovery::retriable});
    if (!n.waiting.empty() || !n.wishes.empty()) open(n);
  }
}

}  // namespace penstock::client
