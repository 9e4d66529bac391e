// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <penstock/kafka/admin.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "client/backoff.h"
#include "client/blocking.h"
#include "client/cluster.h"
#include "client/coordinator.h"
#include "wire/error_code.h"

namespace penstock::client {

/// An answered error code as an error about `thing`, with what the broker said of it. Codes that mean "is
/// there" or "is not there" become that kind.
inline error answer_error(std::int16_t code, const std::string& thing,
                          const std::optional<std::string>& said) {
  switch (static_cast<wire::error_code>(code)) {
    case wire::error_code::topic_already_exists: return {errc::already_exists, thing + " already exists"};
    case wire::error_code::unknown_topic_or_partition:
    case wire::error_code::group_id_not_found:
    case wire::error_code::resource_not_found: return {errc::not_found, thing + " does not exist"};
    default: break;
  }
  const auto e = wire::make_error(code, thing);
  if (!said || said->empty()) return e;
  return error::from_kafka(code, fmt::format("{} ({})", e.message(), *said), e.what_to_do());
}

}  // namespace penstock::client

namespace penstock::kafka {

/// The calling thread runs the loop while it waits for an answer.
struct admin::impl {
  explicit impl(admin_settings s) : settings(std::move(s)) {}

  admin_settings settings;
  io::event_loop loop;
  std::unique_ptr<client::cluster> cluster;

  io::instant deadline() const { return cluster->now() + settings.connection.default_api_timeout; }
  std::int32_t broker_timeout() const {
    return static_cast<std::int32_t>(settings.connection.request_timeout.count());
  }

  /// Sends until there is an answer whose code is not a passing one, at most default_api_timeout.
  template <typename Response, typename Request>
  result<Response> call(std::int32_t broker, const Request& request,
                        wire::error_code (*code_of)(const Response&), const char* what,
                        client::call_options options = {}) {
    const auto until = deadline();
    client::backoff pause(settings.connection.retry_backoff, settings.connection.retry_backoff_max);
    if (broker == client::controller) know_controller(until);
    for (;;) {
      auto response = client::wait_for<Response>(loop, until, what, [&](auto done) {
        cluster->call<Response>(broker, request, options, std::move(done));
      });
      if (response) {
        const auto code = code_of(*response);
        if (code == wire::error_code::none || !wire::retriable(code)) return response;
        response = fail(wire::make_error(code, what));
      }
      if (!response.error().retriable()) return response;
      const auto wait = pause.next(cluster->random());
      if (cluster->now() + wait >= until)
        return fail(errc::timeout,
                    fmt::format("{}: no success with {} within {} ms; the last attempt: {}", what,
                                settings.bootstrap_servers, settings.connection.default_api_timeout.count(),
                                response.error().message()));
      if (broker == client::controller) cluster->request_metadata();
      client::wait(loop, wait);
    }
  }

  /// The same to a group's coordinator.
  template <typename Response, typename Request>
  result<Response> call_coordinator(const std::string& group, const Request& request,
                                    wire::error_code (*code_of)(const Response&),
                                    client::call_options options = {}) {
    const auto until = deadline();
    return client::wait_for<Response>(loop, until + std::chrono::seconds(1), "group", [&](auto done) {
      client::coordinator_call<Response, Request>::start(*cluster, group, request, options, code_of, until,
                                                         std::move(done));
    });
  }

  /// Metadata name the controller and where the brokers are; the first request would not know that.
  void know_controller(io::instant until) {
    if (cluster->metadata().version() > 0) return;
    cluster->request_metadata();
    while (cluster->metadata().version() == 0 && cluster->now() < until) loop.run_some_until(until);
  }

  result<> await_leader(const topic_partition& tp, io::instant until);
};

}  // namespace penstock::kafka
