// SPDX-License-Identifier: Apache-2.0
#include "client/bootstrap.h"

#include <fmt/format.h>

#include <optional>
#include <set>
#include <string_view>

#include "client/assignors.h"
#include "client/sasl.h"
#include "client/setting.h"

namespace penstock::client {
namespace {

std::string_view trim(std::string_view s) {
  const auto first = s.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return s.substr(first, s.find_last_not_of(" \t") - first + 1);
}

auto bad(std::string message) { return fail(errc::invalid_argument, std::move(message)); }

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

namespace {

// The table's checks and `more`; what SASL lacks is told only when all else is right.
template <typename Settings>
result<> validate_all(Settings s, std::vector<std::string> more) {
  auto problems = check_values(view_of(s));
  problems.insert(problems.end(), more.begin(), more.end());
  if (auto valid = settings_result(problems); !valid) return valid;
  if (auto valid = validate_sasl(s.connection.security); !valid) return valid;
  return {};
}

}  // namespace

result<> validate(const kafka::connection_settings& s) {
  return validate_all(kafka::admin_settings{.bootstrap_servers = {}, .connection = s}, {});
}

result<> validate(const kafka::admin_settings& s) { return validate_all(s, {}); }

bool is_idempotent(const kafka::producer_settings& s) noexcept {
  return s.idempotence.value_or((s.acks == kafka::acks::all && s.max_in_flight <= 5) ||
                                !s.transactional_id.empty());
}

result<> validate(const kafka::producer_settings& s) {
  std::vector<std::string> problems;
  const bool transactional = !s.transactional_id.empty();
  if (transactional && !s.idempotence.value_or(true))
    problems.emplace_back("transactional.id needs enable.idempotence");
  if (transactional || s.idempotence.value_or(false)) {
    const std::string_view name = transactional ? "transactional.id" : "enable.idempotence";
    if (s.acks != kafka::acks::all) problems.push_back(fmt::format("{} needs acks=all", name));
    if (s.max_in_flight > 5)
      problems.push_back(fmt::format("{} allows at most 5 max.in.flight.requests.per.connection, not {}",
                                     name, s.max_in_flight));
  }
  return validate_all(s, std::move(problems));
}

namespace {

std::vector<std::string> wrong_assignors(const kafka::consumer_settings& s) {
  std::vector<std::string> problems;
  const bool classic = s.group_protocol == kafka::group_protocol::classic;
  if (classic && !s.group_remote_assignor.empty())
    problems.push_back("group.remote.assignor is for group.protocol=consumer only");
  if (!classic && !s.own_assignors.empty())
    problems.push_back(
        "with group.protocol=consumer the broker shares partitions out: an assignor of one's own is never "
        "asked");
  std::set<std::string_view> names;
  for (const auto& a : s.own_assignors) {
    if (a == nullptr || a->name().empty())
      problems.push_back("an assignor of one's own has no name, or is null");
    else if (!names.insert(a->name()).second)
      problems.push_back(fmt::format("two assignors have the name '{}'", a->name()));
  }
  for (const auto how : s.assignors)
    if (!names.insert(protocol_name(how)).second)
      problems.push_back(fmt::format("partition.assignment.strategy names '{}' twice", protocol_name(how)));
  return problems;
}

}  // namespace

result<> validate(const kafka::consumer_settings& s) {
  auto problems = wrong_assignors(s);
  if (s.heartbeat_interval >= s.session_timeout)
    problems.push_back(
        fmt::format("heartbeat.interval.ms is {}; it must be less than session.timeout.ms, which is {}",
                    s.heartbeat_interval.count(), s.session_timeout.count()));
  return validate_all(s, std::move(problems));
}

}  // namespace penstock::client
