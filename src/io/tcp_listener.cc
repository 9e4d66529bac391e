// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/error.hpp>

#include "io/tcp.h"

namespace penstock::io {
namespace {

using boost::system::error_code;
using detail::tcp;
using detail::tcp_socket;
using std::chrono::milliseconds;

/// How long to wait when the process or the machine has no descriptor or memory left for a connection.
constexpr milliseconds pause_when_exhausted{50};

class acceptor final : public std::enable_shared_from_this<acceptor> {
 public:
  acceptor(event_loop& loop, unique_function<void(std::unique_ptr<stream>)> accepted)
      : acceptor_(loop.native().context.get_executor()), pause_(loop), accepted_(std::move(accepted)) {}

  error_code open(const tcp::endpoint& at) {
    error_code failure;
    acceptor_.open(at.protocol(), failure);
    if (!failure) acceptor_.set_option(asio::socket_base::reuse_address(true), failure);
    if (!failure) acceptor_.bind(at, failure);
    if (!failure) acceptor_.listen(asio::socket_base::max_listen_connections, failure);
    if (!failure) local_ = acceptor_.local_endpoint(failure);
    if (!failure) ::fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC);
    return failure;
  }

  void accept_next() {
    acceptor_.async_accept([self = shared_from_this()](error_code failure, tcp_socket socket) {
      self->take(failure, std::move(socket));
    });
  }

  void close() {
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  }

  const tcp::endpoint& local() const noexcept { return local_; }

 private:
  void take(error_code failure, tcp_socket socket) {
    if (!acceptor_.is_open()) return;
    if (!failure) {
      // A peer that is gone already fails the set-up; the next one may not.
      if (auto made = detail::make_tcp_stream(std::move(socket))) accepted_(std::move(*made));
      if (acceptor_.is_open()) accept_next();  // `accepted` may have closed us
      return;
    }
    if (failure == asio::error::connection_aborted) return accept_next();
    pause_.arm(pause_when_exhausted, [self = shared_from_this()] { self->accept_next(); });
  }

  asio::basic_socket_acceptor<tcp, asio::io_context::executor_type> acceptor_;
  timer pause_;
  unique_function<void(std::unique_ptr<stream>)> accepted_;
  tcp::endpoint local_;
};

class tcp_listener final : public listener {
 public:
  explicit tcp_listener(std::shared_ptr<acceptor> a) noexcept : acceptor_(std::move(a)) {}
  ~tcp_listener() override { acceptor_->close(); }
  endpoint local() const override {
    return {.host = acceptor_->local().address().to_string(), .port = acceptor_->local().port()};
  }
  void close() override { acceptor_->close(); }

 private:
  std::shared_ptr<acceptor> acceptor_;
};

}  // namespace

result<std::unique_ptr<listener>> listen(event_loop& loop, const endpoint& at,
                                         unique_function<void(std::unique_ptr<stream>)> accepted) {
  auto address = detail::numeric_endpoint(at);
  if (!address) {
    const auto found = detail::resolve(at);
    if (!found) return fail(found.error().with_context(fmt::format("cannot listen on {}", to_string(at))));
    address = found->front();
  }
  auto made = std::make_shared<acceptor>(loop, std::move(accepted));
  if (const auto failure = made->open(*address))
    return fail(errc::io, fmt::format("cannot listen on {}: {}", to_string(at), failure.message()));
  made->accept_next();
  return std::make_unique<tcp_listener>(std::move(made));
}

}  // namespace penstock::io
