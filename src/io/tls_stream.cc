// SPDX-License-Identifier: Apache-2.0
#include "io/connection_stream.h"
#include "io/tls_connection.h"

namespace penstock::io {
namespace detail {

std::unique_ptr<stream> make_tls_stream(std::shared_ptr<tls_connection> c) {
  return std::make_unique<connection_stream<tls_connection>>(std::move(c));
}

}  // namespace detail

void start_tls(event_loop& loop, std::unique_ptr<stream> under, std::shared_ptr<const tls_context> context,
               const endpoint& to, std::chrono::milliseconds timeout, tls_handler done) {
  std::make_shared<detail::tls_connection>(loop, std::move(under), std::move(context), to)
      ->handshake(true, timeout, std::move(done));
}

void accept_tls(event_loop& loop, std::unique_ptr<stream> under, std::shared_ptr<const tls_context> context,
                std::chrono::milliseconds timeout, tls_handler done) {
  const auto from = parse_endpoint(under->peer());
  std::make_shared<detail::tls_connection>(loop, std::move(under), std::move(context),
                                           from ? *from : endpoint{})
      ->handshake(false, timeout, std::move(done));
}

}  // namespace penstock::io
