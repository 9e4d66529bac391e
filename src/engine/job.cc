// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/job.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "engine/execution.h"
#include "io/failpoint.h"
#include "io/random.h"

namespace penstock {
namespace {

/// How long a lane sleeps at most: idleness and intervals are checked at least that often.
constexpr std::chrono::milliseconds longest_sleep{50};
/// Rounds with work between two looks at the lane's sockets.
constexpr int rounds_per_poll = 8;

}  // namespace

struct job::impl {
  const topology* what = nullptr;
  run_options options;
  std::shared_ptr<engine::execution> run;  // guarded by mutex; replaced at a restart
  std::vector<std::thread> threads;        // the supervisor's
  std::thread supervisor;
  mutable std::mutex mutex;
  std::condition_variable changed;
  unsigned running = 0;                         // guarded by mutex: lanes
  bool over = false;                            // guarded by mutex: nothing runs any more, nothing will
  bool stopping = false;                        // guarded by mutex
  std::optional<error> failure;                 // guarded by mutex
  std::atomic<std::uint64_t> epochs_before{0};  // of runs that are over
  std::atomic<unsigned> restarts{0};
  std::stop_source stopper;  // what blocks in a start or restart hears of a stop by it
  std::optional<std::stop_callback<std::function<void()>>> asked_outside;

  std::shared_ptr<engine::execution> current() const {
    const std::lock_guard lock(mutex);
    return run;
  }
  void start_lanes();
  void supervise();
  std::optional<error> end_of_run();
  bool wait_before_restart(const error& why, unsigned attempt, io::random_source& random);
  std::optional<error> begin_anew();
  void tell(const std::string& line) const;
  void run_lane(engine::execution& e, unsigned lane);
  void loop_lane(engine::execution& e, unsigned lane);
  static io::instant wake_time(engine::execution& e, unsigned lane, io::instant now);
};

void job::impl::tell(const std::string& line) const { options.tell(line); }

void job::impl::start_lanes() {
  const std::lock_guard lock(mutex);
  running = run->lanes();
  for (unsigned i = 0; i < run->lanes(); ++i)
    threads.emplace_back([this, e = run.get(), i] { run_lane(*e, i); });
}

/// Waits for the lanes; why the run failed, if it did.
std::optional<error> job::impl::end_of_run() {
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return running == 0; });
  }
  for (std::thread& t : threads) t.join();
  threads.clear();
  const auto ended = current();
  epochs_before += ended->epochs().epochs_committed();
  return ended->epochs().failure();
}

void job::impl::supervise() {
  unsigned in_a_row = 0;
  io::random_source& random = io::random_source::system();
  for (;;) {
    std::optional<error> why = end_of_run();
    const auto ended = current();
    if (ended->epochs().epochs_committed() != 0) in_a_row = 0;
    while (why && ended->may_pass(*why) && in_a_row < options.restarts.limit &&
           wait_before_restart(*why, ++in_a_row, random)) {
      ++restarts;
      why = begin_anew();
      if (!why) break;
    }
    if (current() != ended) {
      start_lanes();
      continue;
    }
    const std::lock_guard lock(mutex);
    if (why && !(stopping && why->kind() == errc::cancelled)) failure = std::move(why);
    over = true;
    changed.notify_all();
    return;
  }
}

/// False when it was stopped meanwhile.
bool job::impl::wait_before_restart(const error& why, unsigned attempt, io::random_source& random) {
  const auto& policy = options.restarts;
  auto longest = policy.first_wait;
  for (unsigned i = 1; i < attempt && longest < policy.longest_wait; ++i) longest *= 2;
  longest = std::min(longest, policy.longest_wait);
  const auto half = static_cast<std::uint64_t>(longest.count() / 2);
  const std::chrono::milliseconds wait(half + random.next() % (half + 1));
  tell(fmt::format("{}: {}; restart {} of {} in {} ms", what->name(), why.message(), attempt, policy.limit,
                   wait.count()));
  std::unique_lock lock(mutex);
  return !changed.wait_for(lock, wait, [this] { return stopping; });
}

/// What had been committed counts: whoever wrote for this job is shut out, an epoch in doubt is decided, the
/// sources begin at what is committed (E3, E8).
std::optional<error> job::impl::begin_anew() {
  {
    // Its connections, its buffers and its state go first.
    const auto dead = current();
    dead->abandon();
  }
  if (result<> r = io::failpoint("restart.before"); !r) return std::move(r.error());
  auto made = engine::execution::create(*what, options, io::clock::system());
  if (!made) return std::move(made.error());
  tell(fmt::format("{}: runs again from {}", what->name(), (*made)->starting_places()));
  const std::lock_guard lock(mutex);
  run = std::move(*made);
  if (stopping) run->epochs().request_stop();
  return std::nullopt;
}

void job::impl::run_lane(engine::execution& e, unsigned lane) {
  try {
    if (result<> opened = e.open_lane(lane); !opened) {
      e.epochs().fail(std::move(opened.error()));
    } else {
      loop_lane(e, lane);
    }
  } catch (const std::exception& thrown) {
    e.epochs().fail(error(errc::internal, std::string("a lane stopped on an exception: ") + thrown.what()));
  } catch (...) {
    e.epochs().fail(error(errc::internal, "a lane stopped on an exception of unknown type"));
  }
  const std::lock_guard lock(mutex);
  --running;
  changed.notify_all();
}

void job::impl::loop_lane(engine::execution& e, unsigned lane) {
  io::event_loop& loop = e.loop(lane);
  engine::lane_signal& signal = e.signal(lane);
  const io::clock& clock = io::clock::system();
  int since_poll = 0;
  while (!e.epochs().over()) {
    if (e.step(lane, clock.now())) {
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
    if (!e.step(lane, now) && !e.epochs().over()) loop.run_some_until(wake_time(e, lane, now));
    signal.awake();
  }
}

io::instant job::impl::wake_time(engine::execution& e, unsigned lane, io::instant now) {
  io::instant longest = now + longest_sleep;
  const std::int64_t wall = io::clock::system().wall_ms();
  const std::int64_t timer = e.next_timer_ms(lane);
  if (timer > wall && timer - wall < longest_sleep.count())
    longest = now + std::chrono::milliseconds(timer - wall);
  // Lane 0 begins the epochs. A deadline that is past means that one is under way, and its end wakes the
  // lane.
  if (lane != 0 || e.epochs().next_deadline() <= now) return longest;
  return std::min(longest, e.epochs().next_deadline());
}

job::job(std::unique_ptr<impl> state) : impl_(std::move(state)) {}

job::~job() {
  impl_->asked_outside.reset();
  stop();
  (void)wait();
  if (impl_->supervisor.joinable()) impl_->supervisor.join();
}

result<std::unique_ptr<job>> job::start(const topology& what, run_options options) {
  auto state = std::make_unique<impl>();
  state->what = &what;
  state->options = std::move(options);
  if (!state->options.tell)
    state->options.tell = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
  const std::stop_token outside = std::exchange(state->options.stop, state->stopper.get_token());
  // Until there is a job that can be stopped.
  std::stop_callback starting(outside, [p = state.get()] { p->stopper.request_stop(); });
  auto made = engine::execution::create(what, state->options, io::clock::system());
  if (!made) return fail(std::move(made.error()));
  state->run = std::move(*made);
  state->start_lanes();
  std::unique_ptr<job> j(new job(std::move(state)));
  j->impl_->supervisor = std::thread([p = j->impl_.get()] { p->supervise(); });
  j->impl_->asked_outside.emplace(outside, [p = j.get()] { p->stop(); });
  return j;
}

void job::stop() {
  impl_->stopper.request_stop();
  const std::lock_guard lock(impl_->mutex);
  impl_->stopping = true;
  impl_->changed.notify_all();
  impl_->run->epochs().request_stop();
}

result<> job::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [&] { return impl_->over; });
  if (impl_->failure) return fail(*impl_->failure);
  return {};
}

bool job::wait_for(std::chrono::milliseconds time) {
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_for(lock, time, [&] { return impl_->over; });
}

job_progress job::progress() const { return impl_->current()->progress(); }
std::vector<operator_metrics> job::metrics() const { return impl_->current()->metrics(); }
guarantee job::delivery() const {
  return impl_->current()->exactly_once() ? guarantee::exactly_once : guarantee::at_least_once;
}
std::uint64_t job::epochs() const {
  return impl_->epochs_before + impl_->current()->epochs().epochs_committed();
}
unsigned job::restarts() const { return impl_->restarts; }

}  // namespace penstock
