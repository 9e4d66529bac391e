// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "io/event_loop.h"

namespace penstock::client {

/// Runs the calling thread's loop until an operation has called back, or until `deadline`. `start` gets the
/// callback to hand on; it may be called after the wait is over and then does nothing. With `cancelled`, ends
/// with errc::cancelled once that is true; who sets it wakes the loop (event_loop::stop).
///
///     auto offsets = wait_for<std::vector<std::int64_t>>(loop, deadline, "offsets", [&](auto done) {
///       list_offsets(cluster, queries, isolation, deadline, std::move(done));
///     });
template <typename T, typename Start>
result<T> wait_for(io::event_loop& loop, io::instant deadline, const char* what, Start start,
                   const std::atomic<bool>* cancelled = nullptr) {
  const auto is_cancelled = [cancelled] { return cancelled != nullptr && cancelled->load(); };
  if (is_cancelled()) return fail(errc::cancelled, std::string(what) + ": was stopped");
  struct slot {
    std::unique_ptr<result<T>> outcome;
  };
  const auto shared = std::make_shared<slot>();
  start([shared](result<T> r) { shared->outcome = std::make_unique<result<T>>(std::move(r)); });
  while (!shared->outcome) {
    if (is_cancelled()) return fail(errc::cancelled, std::string(what) + ": was stopped");
    if (loop.time().now() >= deadline)
      return fail(errc::timeout, std::string(what) + ": no answer in time", recovery::retriable);
    loop.run_some_until(deadline);
  }
  return std::move(*shared->outcome);
}

/// Runs the loop for a while.
inline void wait(io::event_loop& loop, std::chrono::milliseconds time) {
  loop.run_until(loop.time().now() + time);
}

}  // namespace penstock::client
