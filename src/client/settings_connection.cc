// SPDX-License-Identifier: Apache-2.0
// The settings that all clients have. How to add one: src/client/README.md, "Settings".
#include <algorithm>

#include "client/bootstrap.h"
#include "client/setting.h"

namespace penstock::client {
namespace {

using kafka::connection_settings;

setting bootstrap_servers() {
  setting row{.name = "bootstrap.servers", .type = "list", .range = "host:port"};
  row.text =
      "Brokers to ask first, with commas between; they name the others. An IPv6 address stands in brackets.";
  row.set = [](settings_view& s, std::string_view given) -> complaint {
    *s.bootstrap = given;
    return std::nullopt;  // looked at by the check
  };
  row.get = [](const settings_view& s) { return *s.bootstrap; };
  row.check = [](const settings_view& s) -> complaint {
    if (s.bootstrap->empty()) return std::nullopt;  // said when something wants to connect
    const auto parsed = parse_bootstrap_servers(*s.bootstrap);
    if (parsed) return std::nullopt;
    std::string why = parsed.error().message();
    const std::string_view name = "bootstrap.servers";
    if (why.starts_with(name))
      why.erase(0, name.size() + (why.size() > name.size() && why[name.size()] == ':'));
    return why.starts_with(' ') ? why.substr(1) : why;
  };
  return row;
}

}  // namespace

void add_connection_settings(std::vector<setting>& rows) {
  rows.push_back(bootstrap_servers());
  rows.push_back(text("client.id", &connection_settings::client_id,
                      "Names this program in the brokers' logs, metrics and quotas."));
  rows.push_back(number("request.timeout.ms", &connection_settings::request_timeout,
                        {.low = 1, .high = day_ms},
                        "How long a broker may take for an answer; then the connection is closed."));
  rows.push_back(number("socket.connection.setup.timeout.ms", &connection_settings::connect_timeout,
                        {.low = 1, .high = day_ms}, "How long connecting to a broker may take."));
  rows.push_back(number("reconnect.backoff.ms", &connection_settings::reconnect_backoff,
                        {.low = 1, .high = day_ms},
                        "How long to wait before connecting again to a broker; doubles with each failure."));
  rows.push_back(number("reconnect.backoff.max.ms", &connection_settings::reconnect_backoff_max,
                        {.low = 1, .high = day_ms}, "The longest wait before connecting again."));
  rows.push_back(
      number("retry.backoff.ms", &connection_settings::retry_backoff, {.low = 1, .high = day_ms},
             "How long to wait before a failed request is sent again; doubles with each failure."));
  rows.push_back(number("retry.backoff.max.ms", &connection_settings::retry_backoff_max,
                        {.low = 1, .high = day_ms}, "The longest wait before a request is sent again."));
  rows.push_back(number("metadata.max.age.ms", &connection_settings::metadata_max_age,
                        {.low = 1, .high = 30 * day_ms},
                        "After this long topics and leaders are asked for again even if nothing failed."));
  rows.push_back(number("default.api.timeout.ms", &connection_settings::default_api_timeout,
                        {.low = 1, .high = day_ms},
                        "How long a call that waits for brokers may take, all attempts together."));
  rows.push_back(number("receive.message.max.bytes", &connection_settings::max_response_bytes,
                        {.low = 1000, .high = 2'147'483'647, .unit = "bytes"},
                        "The largest answer taken from a broker; a larger one closes the connection."));
}

const std::vector<setting>& settings_table() {
  static const std::vector<setting> table = [] {
    std::vector<setting> rows;
    add_connection_settings(rows);
    add_security_settings(rows);
    add_producer_settings(rows);
    add_consumer_settings(rows);
    std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return rows;
  }();
  return table;
}

}  // namespace penstock::client
