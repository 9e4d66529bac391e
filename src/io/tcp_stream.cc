// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>

#include "io/connection_stream.h"
#include "io/gathered_write.h"
#include "io/tcp.h"

namespace penstock::io::detail {
namespace {

using boost::system::error_code;

/// The connection itself. Handlers under way share it with the stream that the user holds, so that it
/// outlives whatever they do to that.
class tcp_connection final : public std::enable_shared_from_this<tcp_connection> {
 public:
  tcp_connection(tcp_socket socket, std::string peer) : socket_(std::move(socket)), peer_(std::move(peer)) {}

  void read_some(std::span<char> out, unique_function<void(result<std::size_t>)> done) {
    if (!is_open() || reading_) return complete_later(std::move(done), result<std::size_t>(refusal("read")));
    reading_ = true;
    // Asio tries recv at once, with all of `out`, and waits only when there is nothing.
    socket_.async_read_some(
        asio::buffer(out.data(), out.size()),
        [self = shared_from_this(), done = std::move(done)](error_code failure, std::size_t n) mutable {
          self->reading_ = false;
          if (failure) return done(fail(self->failed("read from", failure)));
          done(n);
        });
  }

  result<std::size_t> try_read(std::span<char> out) {
    if (!is_open() || reading_) return refusal("read");
    if (out.empty()) return 0;
    const auto n = ::recv(socket_.native_handle(), out.data(), out.size(), MSG_DONTWAIT);
    if (n > 0) return static_cast<std::size_t>(n);
    if (n == 0) return fail(failed("read from", asio::error::eof));
    const int number = errno;
    if (number == EAGAIN || number == EWOULDBLOCK || number == EINTR) return 0;
    return fail(failed("read from", error_code(number, boost::system::system_category())));
  }

  void write(std::vector<write_piece> pieces, unique_function<void(result<>)> done) {
    if (!is_open() || written_) return complete_later(std::move(done), result<>(refusal("write")));
    written_ = std::move(done);
    writer_.begin(std::move(pieces));
    const auto p = writer_.push(socket_.native_handle(), peer_);
    if (p && *p == gathered_write::progress::blocked) return wait_until_writable();
    writer_.drop();
    complete_later(std::move(written_), p ? result<>() : result<>(fail(p.error())));
  }

  result<> shutdown_write() {
    if (!is_open()) return refusal("shut down");
    error_code failure;
    socket_.shutdown(tcp_socket::shutdown_send, failure);
    if (failure) return fail(failed("shut down", failure));
    return {};
  }

  void close() {
    error_code ignored;
    if (is_open()) socket_.close(ignored);
  }

  bool is_open() const noexcept { return socket_.is_open(); }
  bool peer_ended() const noexcept {
    if (!is_open()) return true;
    // Asio knows of the end only behind the last byte; poll tells of it at once.
    ::pollfd look{const_cast<tcp_socket&>(socket_).native_handle(), POLLRDHUP, 0};
    return ::poll(&look, 1, 0) > 0;
  }
  const std::string& peer() const noexcept { return peer_; }

 private:
  void wait_until_writable() {
    socket_.async_wait(tcp_socket::wait_write,
                       [self = shared_from_this()](error_code failure) { self->go_on_writing(failure); });
  }

  void go_on_writing(error_code failure) {
    result<> outcome;
    if (!failure && !is_open()) failure = asio::error::operation_aborted;
    if (failure) {
      outcome = fail(failed("write to", failure));
    } else {
      const auto p = writer_.push(socket_.native_handle(), peer_);
      if (p && *p == gathered_write::progress::blocked) return wait_until_writable();
      if (!p) outcome = fail(p.error());
    }
    writer_.drop();
    auto done = std::exchange(written_, nullptr);  // it may begin the next write
    done(std::move(outcome));
  }

  template <typename Done, typename Outcome>
  void complete_later(Done done, Outcome outcome) {
    asio::post(socket_.get_executor(), [done = std::move(done), outcome = std::move(outcome)]() mutable {
      done(std::move(outcome));
    });
  }

  /// Why a call cannot even start.
  tl::unexpected<error> refusal(std::string_view what) const {
    if (is_open()) {
      return fail(errc::internal,
                  fmt::format("cannot {}: the last {} of {} is still under way", what, what, peer_));
    }
    return fail(errc::cancelled, fmt::format("cannot {}: the connection to {} is closed", what, peer_));
  }

  error failed(std::string_view what, error_code failure) const {
    if (failure == asio::error::operation_aborted)
      return error(errc::cancelled, fmt::format("the connection to {} is closed", peer_));
    if (failure == asio::error::eof)
      return error(errc::closed, fmt::format("{} closed the connection", peer_), recovery::retriable);
    const bool gone = failure == asio::error::connection_reset || failure == asio::error::broken_pipe;
    return error(gone ? errc::closed : errc::io,
                 fmt::format("cannot {} {}: {}", what, peer_, failure.message()), recovery::retriable);
  }

  tcp_socket socket_;
  std::string peer_;
  gathered_write writer_;
  unique_function<void(result<>)> written_;  // set while a write is under way
  bool reading_ = false;
};

}  // namespace

result<std::unique_ptr<stream>> make_tcp_stream(tcp_socket socket) {
  error_code failure;
  const auto remote = socket.remote_endpoint(failure);
  if (!failure) socket.non_blocking(true, failure);
  if (!failure) socket.set_option(tcp::no_delay(true), failure);
  if (!failure) socket.set_option(asio::socket_base::keep_alive(true), failure);
  if (failure) {
    return fail(errc::io, fmt::format("cannot set up a connection: {}", failure.message()),
                recovery::retriable);
  }
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  return std::make_unique<connection_stream<tcp_connection>>(
      std::make_shared<tcp_connection>(std::move(socket), to_string(remote)));
}

}  // namespace penstock::io::detail
