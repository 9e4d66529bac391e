// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <boost/asio/error.hpp>
#include <system_error>
#include <thread>

#include "io/tcp.h"

namespace penstock::io {
namespace {

using boost::system::error_code;
using detail::tcp;
using detail::tcp_socket;
using connected = unique_function<void(result<std::unique_ptr<stream>>)>;

/// One attempt to connect: resolves, then tries the addresses one after the other. Kept alive by the handler
/// of its deadline, which goes when the loop does.
class connector final : public std::enable_shared_from_this<connector> {
 public:
  connector(event_loop& loop, endpoint to, connected done)
      : loop_(loop), to_(std::move(to)), done_(std::move(done)), deadline_(loop), attempt_(loop) {}

  void start(std::chrono::milliseconds timeout) {
    ends_ = loop_.time().now() + timeout;
    deadline_.arm(timeout, [self = shared_from_this(), timeout] {
      const auto why = self->last_.empty() ? "" : "; " + self->last_;
      self->finish(fail(errc::timeout,
                        fmt::format("cannot connect to {}: no answer within {} ms{}", to_string(self->to_),
                                    timeout.count(), why),
                        recovery::retriable));
    });
    if (const auto address = detail::numeric_endpoint(to_)) {
      // From the loop, so that nothing is handed out before connect() has returned.
      return loop_.post([self = shared_from_this(), address = *address] { self->resolved({{address}}); });
    }
    resolve();
  }

 private:
  /// In a thread of its own: the system's resolver blocks and cannot be cancelled, and neither a second name
  /// nor the end of the loop shall wait for it.
  void resolve() {
    try {
      std::thread([weak = weak_from_this(), gate = loop_.native().gate, to = to_] {
        auto found = detail::resolve(to);
        gate->post([weak, found = std::move(found)]() mutable {
          if (const auto self = weak.lock()) self->resolved(std::move(found));
        });
      }).detach();
    } catch (const std::system_error& e) {
      last_ = fmt::format("cannot start a thread to resolve it: {}", e.what());
      loop_.post([self = shared_from_this()] { self->next_address(); });
    }
  }

  void resolved(result<std::vector<tcp::endpoint>> found) {
    if (!done_) return;  // the deadline was earlier
    if (!found) return finish(fail(found.error()));
    addresses_ = std::move(*found);
    next_address();
  }

  void next_address() {
    if (!done_) return;
    if (tried_ == addresses_.size()) {
      return finish(fail(errc::io, fmt::format("cannot connect to {}: {}", to_string(to_), last_),
                         recovery::retriable));
    }
    const auto address = addresses_[tried_++];
    socket_ = std::make_shared<tcp_socket>(loop_.native().context.get_executor());
    const auto left = addresses_.size() - tried_;
    if (left > 0) {  // an address that swallows packets must leave time for the others
      attempt_.arm((ends_ - loop_.time().now()) / (left + 1), [socket = socket_] {
        error_code unused;
        socket->close(unused);
      });
    }
    socket_->async_connect(address, [self = shared_from_this(), socket = socket_,
                                     address](error_code failure) { self->attempted(address, failure); });
  }

  void attempted(const tcp::endpoint& address, error_code failure) {
    if (!done_) return;
    attempt_.cancel();
    if (!failure && !socket_->is_open()) failure = asio::error::operation_aborted;
    // A port nobody listens on may be the one the kernel chose for our side: then we have met ourselves.
    if (!failure && socket_->local_endpoint(failure) == socket_->remote_endpoint(failure))
      failure = asio::error::connection_refused;
    if (!failure) {
      auto made = detail::make_tcp_stream(std::move(*socket_));
      if (made) return finish(std::move(made));
      last_ = made.error().message();
    } else {
      const auto cause = failure == asio::error::operation_aborted ? "no answer" : failure.message();
      // An address is told only where the name does not tell it.
      const auto at = detail::to_string(address);
      last_ = at == to_string(to_) ? std::string(cause) : fmt::format("{} ({})", cause, at);
    }
    next_address();
  }

  void finish(result<std::unique_ptr<stream>> outcome) {
    const auto self = shared_from_this();  // the deadline's handler may be all that holds us
    deadline_.cancel();
    attempt_.cancel();
    if (socket_ != nullptr && socket_->is_open()) {
      error_code ignored;
      socket_->close(ignored);
    }
    auto done = std::exchange(done_, nullptr);
    done(std::move(outcome));
  }

  event_loop& loop_;
  endpoint to_;
  connected done_;  // empty once called
  timer deadline_;
  timer attempt_;
  instant ends_{};
  std::vector<tcp::endpoint> addresses_;
  std::size_t tried_ = 0;
  std::shared_ptr<tcp_socket> socket_;
  std::string last_;  // why the latest attempt failed
};

}  // namespace

void connect(event_loop& loop, const endpoint& to, std::chrono::milliseconds timeout, connected done) {
  std::make_shared<connector>(loop, to, std::move(done))->start(timeout);
}

}  // namespace penstock::io
