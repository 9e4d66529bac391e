// SPDX-License-Identifier: Apache-2.0
#include "io/signals.h"

#include <boost/asio/signal_set.hpp>
#include <csignal>

#include "io/asio_loop.h"

namespace penstock::io {

struct stop_signals::impl {
  /// Shared with the handler under way, which may outlive the object for a turn of the loop.
  struct shared : std::enable_shared_from_this<shared> {
    shared(event_loop& loop, unique_function<void(int)> f)
        : signals(loop.native().context.get_executor(), SIGINT, SIGTERM), handler(std::move(f)) {}

    void wait() {
      signals.async_wait([self = shared_from_this()](boost::system::error_code failure, int number) {
        if (failure || self->gone) return;
        self->wait();
        self->handler(number);
      });
    }

    asio::basic_signal_set<asio::io_context::executor_type> signals;
    unique_function<void(int)> handler;
    bool gone = false;
  };

  std::shared_ptr<shared> state;
};

stop_signals::stop_signals(event_loop& loop, unique_function<void(int)> f) : impl_(std::make_unique<impl>()) {
  std::signal(SIGPIPE, SIG_IGN);
  impl_->state = std::make_shared<impl::shared>(loop, std::move(f));
  impl_->state->wait();
}

stop_signals::~stop_signals() {
  impl_->state->gone = true;
  boost::system::error_code ignored;
  impl_->state->signals.clear(ignored);
  impl_->state->signals.cancel(ignored);
}

}  // namespace penstock::io
