// SPDX-License-Identifier: Apache-2.0
// penstock broker: the embedded broker as a process of its own.
#include <penstock/broker.h>

#include <fmt/format.h>

#include <charconv>
#include <map>
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

const CLI::Validator is_endpoint(
    [](const std::string& text) {
      return parse_endpoint(text) ? std::string() : "\"" + text + "\" is not HOST:PORT";
    },
    "HOST:PORT");

struct options {
  broker_options broker;
  std::string listen = "127.0.0.1:9092";
  std::string advertise;
  std::int64_t flush_interval_ms = 100;
};

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

void add_broker(CLI::App& app, action& chosen) {
  auto o = std::make_shared<options>();
  auto* c = app.add_subcommand("broker", "Run a durable single-node broker until SIGINT or SIGTERM");
  c->add_option("--dir", o->broker.directory, "where it keeps everything; made if needed")->required();
  c->add_option("--listen", o->listen, "address to listen on; port 0 picks a free one")
      ->check(is_endpoint)
      ->capture_default_str();
  c->add_option("--advertise", o->advertise, "address that clients are told (default: the one listened on)")
      ->check(is_endpoint);
  c->add_option("--partitions", o->broker.default_partitions, "of topics made without a number")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  c->add_flag("!--no-auto-create", o->broker.auto_create_topics, "unknown topics are not made on first use");
  const std::map<std::string, flush_policy> policies{
      {"none", flush_policy::none}, {"interval", flush_policy::interval}, {"each", flush_policy::each}};
  c->add_option("--flush", o->broker.flush, "when records are forced to disk: none, interval, each")
      ->transform(CLI::CheckedTransformer(policies))
      ->default_str("interval");
  c->add_option("--flush-interval-ms", o->flush_interval_ms)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_flag("--clamp-replication", o->broker.clamp_replication,
              "accept any replication factor and keep one copy");
  c->callback([&chosen, o] { chosen = [o] { return run(*o); }; });
}

}  // namespace penstock::tools
