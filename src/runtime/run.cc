// SPDX-License-Identifier: Apache-2.0
#include <penstock/progress.h>
#include <penstock/run.h>
#include <penstock/topology.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <thread>

#include "io/event_loop.h"
#include "io/signals.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
constexpr auto progress_interval = 100ms;
constexpr int status_of_signal = 128;  // as a shell reports the end by a signal

}  // namespace

result<> run(const topology& what, application_options options) {
  auto started = job::start(what, options.run);
  if (!started) return fail(started.error());
  job& running = **started;

  io::event_loop loop;
  bool asked = false;
  io::stop_signals signals(loop, [&](int number) {
    if (asked) std::_Exit(status_of_signal + number);
    asked = true;
    running.stop();
  });

  progress shown(what.name(), options.progress);
  io::timer tick(loop);
  const std::function<void()> show = [&] {
    const job_progress now = running.progress();
    shown.update(now.records_read, now.records_total);
    tick.arm(progress_interval, show);
  };
  tick.arm(progress_interval, show);

  // wait() blocks, and signals need this thread's loop: so another thread waits.
  result<> outcome;
  std::thread waiter([&] {
    outcome = running.wait();
    loop.stop();
  });
  loop.run();
  waiter.join();
  return outcome;
}

int wait_for_stop_signal() {
  io::event_loop loop;
  int arrived = 0;
  io::stop_signals signals(loop, [&](int number) {
    arrived = number;
    loop.stop();
  });
  loop.run();
  return arrived;
}

}  // namespace penstock
