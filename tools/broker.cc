// SPDX-License-Identifier: Apache-2.0
// penstock broker: the embedded broker as a process of its own.
#include <penstock/broker.h>

#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "command.h"
#include "io/event_loop.h"
#include "io/signals.h"
#include "output.h"

namespace penstock::tools {
namespace {

struct endpoint {
  std::string host;
  std::uint16_t port = 0;
};

/// "127.0.0.1:9092" or "[::1]:9092".
std::optional<endpoint> parse_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return std::nullopt;
  auto host = text.substr(0, colon);
  const auto digits = text.substr(colon + 1);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  endpoint e{std::string(host), 0};
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), e.port);
  if (problem != std::errc{} || end != digits.data() + digits.size() || host.empty()) return std::nullopt;
  return e;
}

std::string complain_unless_endpoint(const std::string& text) {
  return parse_endpoint(text) ? std::string() : "\"" + text + "\" is not HOST:PORT";
}

struct options {
  broker_options broker;
  std::string listen = "127.0.0.1:9092";
  std::string advertise;
  std::string flush = "interval";
  std::string transaction_version = "2";
  std::int64_t group_min_session_ms = 6'000;
  std::int64_t flush_interval_ms = 100;
  bool no_auto_create = false;
};

flush_policy parse_policy(std::string_view name) {
  if (name == "none") return flush_policy::none;
  return name == "each" ? flush_policy::each : flush_policy::interval;
}

void set_endpoints(options& o) {
  const auto listen = *parse_endpoint(o.listen);
  o.broker.listen_host = listen.host;
  o.broker.port = listen.port;
  if (o.advertise.empty()) return;
  const auto advertised = *parse_endpoint(o.advertise);
  o.broker.advertised_host = advertised.host;
  o.broker.advertised_port = advertised.port;
}

result<> run(options o) {
  set_endpoints(o);
  o.broker.auto_create_topics = !o.no_auto_create;
  o.broker.flush = parse_policy(o.flush);
  o.broker.transaction_version = o.transaction_version == "2" ? 2 : 0;
  o.broker.group_min_session_timeout = std::chrono::milliseconds(o.group_min_session_ms);
  o.broker.flush_interval = std::chrono::milliseconds(o.flush_interval_ms);
  io::event_loop loop;
  // Before the start, so that a signal that comes meanwhile ends it as well.
  io::stop_signals signals(loop, [&loop](int) { loop.stop(); });
  o.broker.on_failure = [&loop](const error&) { loop.stop(); };
  auto broker = embedded_broker::start(o.broker);
  if (!broker) return fail(broker.error());
  const auto& host = o.broker.listen_host;
  const auto shown = host.find(':') == host.npos ? host : "[" + host + "]";
  const auto line = fmt::format("listening on {}:{}\n", shown, broker->port());
  if (const auto printed = print(line); !printed) return printed;
  loop.run();
  return broker->stop();
}

}  // namespace

void add_broker(command root) {
  auto o = std::make_shared<options>();
  auto c = root.add("broker", "Run a durable single-node broker until SIGINT or SIGTERM");
  c.value("--dir", o->broker.directory, "where it keeps everything; made if needed").required();
  c.value("--listen", o->listen, "address to listen on; port 0 picks a free one")
      .check(complain_unless_endpoint)
      .shows_default();
  c.value("--advertise", o->advertise, "address that clients are told (default: the one listened on)")
      .check(complain_unless_endpoint);
  c.value("--partitions", o->broker.default_partitions, "of topics made without a number")
      .between(1, 10'000)
      .shows_default();
  c.flag("--no-auto-create", o->no_auto_create, "unknown topics are not made on first use");
  c.value("--flush", o->flush, "when records are forced to the disk")
      .one_of({"none", "interval", "each"})
      .shows_default();
  c.value("--flush-interval-ms", o->flush_interval_ms, "of --flush interval")
      .between(1, 3'600'000)
      .shows_default();
  c.value("--group-min-session-ms", o->group_min_session_ms,
          "the shortest session that a group's members may ask for")
      .between(100, 1'800'000)
      .shows_default();
  c.value("--transaction-version", o->transaction_version,
          "2: an epoch for each transaction (KIP-890); 0: as before Kafka 4")
      .one_of({"0", "2"})
      .shows_default();
  c.flag("--clamp-replication", o->broker.clamp_replication,
         "accept any replication factor and keep one copy");
  c.run([o] { return run(*o); });
}

}  // namespace penstock::tools
