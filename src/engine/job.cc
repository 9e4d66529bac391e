// SPDX-License-Identifier: Apache-2.0
#include <penstock/job.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "engine/execution.h"

namespace penstock {
namespace {

/// How long a lane sleeps at most: idleness and intervals are checked at least that often.
constexpr std::chrono::milliseconds longest_sleep{50};
/// Rounds with work between two looks at the lane's sockets.
constexpr int rounds_per_poll = 8;

}  // namespace

struct job::impl {
  std::unique_ptr<engine::execution> run;
  std::vector<std::thread> threads;
  mutable std::mutex mutex;
  std::condition_variable changed;
  unsigned running = 0;  // guarded by mutex

  void run_lane(unsigned lane);
  void loop_lane(unsigned lane);
  io::instant wake_time(unsigned lane, io::instant now) const;
};

void job::impl::run_lane(unsigned lane) {
  try {
    if (result<> opened = run->open_lane(lane); !opened) {
      run->epochs().fail(std::move(opened.error()));
    } else {
      loop_lane(lane);
    }
  } catch (const std::exception& e) {
    run->epochs().fail(error(errc::internal, std::string("a lane stopped on an exception: ") + e.what()));
  } catch (...) {
    run->epochs().fail(error(errc::internal, "a lane stopped on an exception of unknown type"));
  }
  const std::lock_guard lock(mutex);
  --running;
  changed.notify_all();
}

void job::impl::loop_lane(unsigned lane) {
  io::event_loop& loop = run->loop(lane);
  engine::lane_signal& signal = run->signal(lane);
  const io::clock& clock = io::clock::system();
  int since_poll = 0;
  while (!run->epochs().over()) {
    if (run->step(lane, clock.now())) {
      if (++since_poll >= rounds_per_poll) {
        loop.poll();
        since_poll = 0;
      }
      continue;
    }
    since_poll = 0;
    if (loop.poll() != 0) continue;
    signal.about_to_sleep();
    const io::instant now = clock.now();
    if (!run->step(lane, now) && !run->epochs().over()) loop.run_some_until(wake_time(lane, now));
    signal.awake();
  }
}

io::instant job::impl::wake_time(unsigned lane, io::instant now) const {
  io::instant longest = now + longest_sleep;
  const std::int64_t wall = io::clock::system().wall_ms();
  const std::int64_t timer = run->next_timer_ms(lane);
  if (timer > wall && timer - wall < longest_sleep.count())
    longest = now + std::chrono::milliseconds(timer - wall);
  // Lane 0 begins the epochs. A deadline that is past means that one is under way, and its end wakes the
  // lane.
  if (lane != 0 || run->epochs().next_deadline() <= now) return longest;
  return std::min(longest, run->epochs().next_deadline());
}

job::job(std::unique_ptr<impl> state) : impl_(std::move(state)) {}

job::~job() {
  stop();
  (void)wait();
}

result<std::unique_ptr<job>> job::start(const topology& what, run_options options) {
  auto made = engine::execution::create(what, options, io::clock::system());
  if (!made) return fail(std::move(made.error()));
  auto state = std::make_unique<impl>();
  state->run = std::move(*made);
  state->running = state->run->lanes();
  std::unique_ptr<job> j(new job(std::move(state)));
  for (unsigned i = 0; i < j->impl_->run->lanes(); ++i)
    j->impl_->threads.emplace_back([p = j->impl_.get(), i] { p->run_lane(i); });
  return j;
}

void job::stop() { impl_->run->epochs().request_stop(); }

result<> job::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [&] { return impl_->running == 0; });
  for (std::thread& t : impl_->threads) {
    if (t.joinable()) t.join();
  }
  if (auto e = impl_->run->epochs().failure()) return fail(std::move(*e));
  return {};
}

bool job::wait_for(std::chrono::milliseconds time) {
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_for(lock, time, [&] { return impl_->running == 0; });
}

job_progress job::progress() const { return impl_->run->progress(); }
std::vector<operator_metrics> job::metrics() const { return impl_->run->metrics(); }

}  // namespace penstock
