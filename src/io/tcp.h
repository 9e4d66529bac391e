// SPDX-License-Identifier: Apache-2.0
// What the parts of the TCP implementation share.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/asio_loop.h"
#include "io/stream.h"

namespace penstock::io::detail {

using tcp = asio::ip::tcp;
// Bound to io_context's own executor: the default one is type-erased and costs a call each time.
using tcp_socket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;

/// Makes a stream of a connected socket and sets it up: non-blocking, TCP_NODELAY, keep-alive, closed on
/// exec.
result<std::unique_ptr<stream>> make_tcp_stream(tcp_socket socket);

/// The numeric form of an address and port, as in "127.0.0.1:9092".
std::string to_string(const tcp::endpoint& e);

/// The addresses of an endpoint whose host is an address already; nothing when it is a name.
std::optional<tcp::endpoint> numeric_endpoint(const endpoint& e);

/// The addresses of a name, in the order to try them in. Blocks for as long as the system's resolver does.
result<std::vector<tcp::endpoint>> resolve(const endpoint& e);

}  // namespace penstock::io::detail
