// SPDX-License-Identifier: Apache-2.0
// One HTTP/1.1 request to a server elsewhere, over TCP or TLS, for the few places that need one.
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_function.h"
#include "io/event_loop.h"
#include "io/stream.h"
#include "io/tls.h"

namespace penstock::io {

/// "https://host:port/path?query" in parts.
struct http_url {
  bool tls = false;
  endpoint at{};
  std::string target{};  ///< "/path?query"
};
/// http and https, without user information; errc::invalid_argument says what is wrong.
result<http_url> parse_http_url(std::string_view text);

struct http_fetch_request {
  http_url to;
  std::string method = "GET";
  std::vector<std::pair<std::string, std::string>> headers{};  ///< Host and Content-Length come by themselves
  std::string body{};
};
struct http_answer {
  unsigned status = 0;
  std::string body{};
};

struct http_fetch_options {
  std::shared_ptr<const tls_context> tls{};  ///< for https
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds read_timeout{10'000};  ///< from the request to the end of the answer
  std::size_t max_body = 1u << 20;
};

/// `done` is called once, on the loop, never within the call. Redirects are not followed. Errors name the
/// server and never what was sent.
void http_fetch(event_loop& loop, http_fetch_request request, http_fetch_options options,
                unique_function<void(result<http_answer>)> done);

}  // namespace penstock::io
