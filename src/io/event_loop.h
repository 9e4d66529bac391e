// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "base/unique_function.h"
#include "io/clock.h"

namespace penstock::io {

/// One thread's loop over sockets, timers and posted functions (over Boost.Asio, hidden in the .cc files).
///
/// The loop belongs to the thread that runs it: timers, streams and listeners made on it are touched only
/// from its handlers or while nobody runs it, and streams and listeners go before it. `post` and `stop` alone
/// are safe from any thread. Handlers do not throw.
///
///     event_loop loop;
///     loop.post([&] { start(); });
///     loop.run();              // until stop() is called
class event_loop {
 public:
  explicit event_loop(const clock& time = clock::system());
  ~event_loop();  ///< destroys pending handlers without calling them
  event_loop(const event_loop&) = delete;
  event_loop& operator=(const event_loop&) = delete;

  /// Runs `f` on the loop's thread, after what is already queued. From any thread; wakes a loop that waits.
  void post(unique_function<void()> f);
  /// Runs handlers until stop() is called.
  void run();
  /// Runs handlers until stop(), or until `deadline`; waits for I/O in between. Returns how many handlers
  /// ran.
  std::size_t run_until(instant deadline);
  /// Waits until at least one handler ran, or `deadline`; runs the others that are ready too, without waiting
  /// more.
  std::size_t run_some_until(instant deadline);
  /// Runs what is ready now, without waiting.
  std::size_t poll();
  /// Makes run and run_until return soon: the one under way, or else the next one. Wakes run_some_until. From
  /// any thread.
  void stop();

  const clock& time() const noexcept;

  struct impl;
  impl& native() noexcept { return *impl_; }  ///< for io's own .cc files

 private:
  std::unique_ptr<impl> impl_;
};

/// A one-shot timer on the loop's clock, never early, up to a millisecond late. Arming again, cancelling or
/// destroying it drops the earlier handler uncalled.
class timer {
 public:
  explicit timer(event_loop& loop);
  ~timer();
  timer(timer&&) noexcept;
  timer& operator=(timer&&) noexcept;
  void arm(std::chrono::nanoseconds after, unique_function<void()> f);
  void cancel();
  bool armed() const noexcept;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock::io
