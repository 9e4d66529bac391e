// SPDX-License-Identifier: Apache-2.0
// The inside of event_loop, for the .cc files of this room (and of those that bring their own Asio code:
// http).
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <mutex>

#include "io/event_loop.h"
#include "io/timer_queue.h"

namespace penstock::io {

namespace asio = boost::asio;

namespace detail {

/// A way to a loop that may be gone: threads that outlive it (a name's resolution) post through this.
class loop_gate {
 public:
  explicit loop_gate(event_loop& loop) noexcept : loop_(&loop) {}
  /// Drops `f` when the loop is gone.
  void post(unique_function<void()> f) {
    const std::scoped_lock lock(mutex_);
    if (loop_ != nullptr) loop_->post(std::move(f));
  }
  void close() noexcept {
    const std::scoped_lock lock(mutex_);
    loop_ = nullptr;
  }

 private:
  std::mutex mutex_;
  event_loop* loop_;
};

}  // namespace detail

struct event_loop::impl {
  impl(event_loop& loop, const clock& clock_of_loop)
      : time(clock_of_loop),
        timers(std::make_shared<detail::timer_queue>(clock_of_loop)),
        gate(std::make_shared<detail::loop_gate>(loop)) {}

  const clock& time;
  std::shared_ptr<detail::timer_queue> timers;  // shared with the timers, which may outlive the loop
  std::shared_ptr<detail::loop_gate> gate;
  std::atomic<bool> stop_asked{false};
  bool closing = false;
  // One thread runs it, which lets Asio queue that thread's own posts without a lock.
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
};

}  // namespace penstock::io
