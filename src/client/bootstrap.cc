// SPDX-License-Identifier: Apache-2.0
#include "client/bootstrap.h"

#include <fmt/format.h>

#include <chrono>

#include "wire/compression.h"

namespace penstock::client {
namespace {

std::string_view trim(std::string_view s) {
  const auto first = s.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return s.substr(first, s.find_last_not_of(" \t") - first + 1);
}

auto bad(std::string message) { return fail(errc::invalid_argument, std::move(message)); }

result<> positive(std::string_view name, std::int64_t value) {
  if (value > 0) return {};
  return bad(fmt::format("{} is {}; it must be greater than zero", name, value));
}

}  // namespace

result<std::vector<io::endpoint>> parse_bootstrap_servers(std::string_view text) {
  std::vector<io::endpoint> found;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const auto part = trim(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (part.empty()) continue;
    auto parsed = io::parse_endpoint(part);
    if (!parsed) return bad(fmt::format("bootstrap.servers: {}", parsed.error().message()));
    if (parsed->host.empty() || parsed->port == 0)
      return bad(fmt::format("bootstrap.servers: '{}' is not host:port", part));
    found.push_back(std::move(*parsed));
  }
  if (found.empty())
    return bad("bootstrap.servers names no broker: give host:port, more separated by commas");
  return found;
}

result<> validate(const kafka::connection_settings& s) {
  if (s.security.protocol != kafka::security_protocol::plaintext)
    return fail(errc::unsupported,
                "security.protocol: only plaintext is supported in this version, not TLS or SASL");
  if (!s.security.sasl_mechanism.empty() || !s.security.sasl_username.empty())
    return fail(errc::unsupported, "sasl.mechanism: SASL is not supported in this version");
  for (const auto& [name, value] : {std::pair{"request.timeout.ms", s.request_timeout},
                                    {"socket.connection.setup.timeout.ms", s.connect_timeout},
                                    {"retry.backoff.ms", s.retry_backoff},
                                    {"reconnect.backoff.ms", s.reconnect_backoff},
                                    {"metadata.max.age.ms", s.metadata_max_age},
                                    {"default.api.timeout.ms", s.default_api_timeout}}) {
    if (auto valid = positive(name, value.count()); !valid) return valid;
  }
  return {};
}

bool is_idempotent(const kafka::producer_settings& s) noexcept {
  return s.idempotence.value_or((s.acks == kafka::acks::all && s.max_in_flight <= 5) ||
                                !s.transactional_id.empty());
}

namespace {

result<> validate_transactions(const kafka::producer_settings& s) {
  if (s.transactional_id.empty()) return {};
  if (s.acks != kafka::acks::all) return bad("transactional.id needs acks=all");
  if (!s.idempotence.value_or(true)) return bad("transactional.id needs enable.idempotence");
  if (s.max_in_flight > 5)
    return bad(fmt::format("transactional.id allows at most 5 max.in.flight.requests.per.connection, not {}",
                           s.max_in_flight));
  if (s.transaction_timeout.count() > 0x7fffffff)
    return bad(fmt::format("transaction.timeout.ms is {}; it must be less than 2^31",
                           s.transaction_timeout.count()));
  return positive("transaction.timeout.ms", s.transaction_timeout.count());
}

}  // namespace

result<> validate(const kafka::producer_settings& s) {
  if (auto valid = validate(s.connection); !valid) return valid;
  if (auto valid = validate_transactions(s); !valid) return valid;
  if (s.idempotence.value_or(false) && s.acks != kafka::acks::all)
    return bad("enable.idempotence needs acks=all");
  if (s.idempotence.value_or(false) && s.max_in_flight > 5)
    return bad(
        fmt::format("enable.idempotence allows at most 5 max.in.flight.requests.per.connection, not {}",
                    s.max_in_flight));
  if (s.linger.count() < 0)
    return bad(fmt::format("linger.ms is {}; it must not be negative", s.linger.count()));
  if (s.max_request_size < 1024 || s.max_request_size > (std::size_t{1} << 30))
    return bad(fmt::format("max.request.size is {}; it must be between 1 KiB and 1 GiB", s.max_request_size));
  if (s.batch_size > (std::size_t{1} << 30))
    return bad(fmt::format("batch.size is {}; it must be at most 1 GiB", s.batch_size));
  if (s.compression_level) {
    const auto levels = wire::levels_of(s.compression);
    if (*s.compression_level < levels.min || *s.compression_level > levels.max)
      return bad(fmt::format("compression level {} is out of range for {}: {} to {}", *s.compression_level,
                             to_string(s.compression), levels.min, levels.max));
  }
  if (auto valid = positive("max.in.flight.requests.per.connection", s.max_in_flight); !valid) return valid;
  if (auto valid = positive("buffer.memory", static_cast<std::int64_t>(s.buffer_memory)); !valid)
    return valid;
  return positive("delivery.timeout.ms", s.delivery_timeout.count());
}

result<> validate(const kafka::consumer_settings& s) {
  if (auto valid = validate(s.connection); !valid) return valid;
  if (s.assignors.empty()) return bad("partition.assignment.strategy names no assignor");
  if (s.heartbeat_interval >= s.session_timeout)
    return bad(
        fmt::format("heartbeat.interval.ms is {}; it must be less than session.timeout.ms, which is {}",
                    s.heartbeat_interval.count(), s.session_timeout.count()));
  if (s.fetch_max_wait.count() < 0) return bad("fetch.max.wait.ms must not be negative");
  if (auto valid = positive("fetch.max.bytes", s.fetch_max_bytes); !valid) return valid;
  if (auto valid = positive("max.poll.interval.ms", s.max_poll_interval.count()); !valid) return valid;
  if (auto valid = positive("heartbeat.interval.ms", s.heartbeat_interval.count()); !valid) return valid;
  return positive("max.partition.fetch.bytes", s.max_partition_fetch_bytes);
}

}  // namespace penstock::client
