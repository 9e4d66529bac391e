// SPDX-License-Identifier: Apache-2.0
#include <penstock/progress.h>
#include <penstock/run.h>
#include <penstock/topology.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>

#include "io/event_loop.h"
#include "io/signals.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
constexpr auto progress_interval = 100ms;
constexpr int status_of_signal = 128;  // as a shell reports the end by a signal

}  // namespace

result<> run(const topology& what, application_options options) {
  io::event_loop loop;
  std::stop_source stopper;
  bool asked = false;
  // Before anything blocks: a start waits for brokers.
  io::stop_signals signals(loop, [&](int number) {
    if (asked) std::_Exit(status_of_signal + number);
    asked = true;
    stopper.request_stop();
  });
  const std::stop_callback asked_by_caller(std::exchange(options.run.stop, stopper.get_token()),
                                           [&] { stopper.request_stop(); });

  std::unique_ptr<job> running;  // the worker's, until it says that it is there
  progress shown(what.name(), options.progress);
  io::timer tick(loop);
  const std::function<void()> show = [&] {
    const job_progress now = running->progress();
    shown.update(now.records_read, now.records_total);
    tick.arm(progress_interval, show);
  };

  // Starting and waiting block, and signals need this thread's loop: so another thread does it.
  result<> outcome;
  std::thread worker([&] {
    auto started = job::start(what, options.run);
    if (started) {
      running = std::move(*started);
      loop.post([&] { tick.arm(progress_interval, show); });
      outcome = running->wait();
    } else if (started.error().kind() != errc::cancelled || !stopper.stop_requested()) {
      outcome = fail(std::move(started.error()));
    }
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  worker.join();
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
