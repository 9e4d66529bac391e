// SPDX-License-Identifier: Apache-2.0
#include "io/event_loop.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <optional>

#include "io/asio_loop.h"

namespace penstock::io {
namespace {

/// So many handlers are run in one go at most: handlers that post themselves again must not hold up timers,
/// or the caller of poll.
constexpr std::size_t handlers_a_round = 256;

/// Runs the timers that are due, then at least one handler, waiting for it until `until` on the machine's
/// clock (forever without); returns early, with 0, when a timer becomes due.
std::size_t wait_one(event_loop::impl& loop, std::optional<instant> until) {
  if (const auto ran = loop.timers->run_due(); ran > 0) return ran;
  const auto next = loop.timers->next();
  if (!next && !until) return loop.context.run_one();
  const auto now = std::chrono::steady_clock::now();
  auto wait = std::chrono::nanoseconds::max();
  if (until) wait = *until - now;
  if (next) wait = std::min<std::chrono::nanoseconds>(wait, *next - loop.time.now());
  if (wait <= wait.zero()) return loop.context.poll_one();
  return loop.context.run_one_for(std::min<std::chrono::nanoseconds>(wait, std::chrono::hours(1)));
}

std::size_t run_ready(event_loop::impl& loop) {
  std::size_t ran = loop.timers->run_due();
  while (ran < handlers_a_round && loop.context.poll_one() > 0) ++ran;
  return ran;
}

/// The same distance from now on the machine's clock; a clock that stands still must not make a wait endless.
instant on_the_machine(const event_loop::impl& loop, instant deadline) {
  if (&loop.time == &clock::system()) return deadline;
  const auto now = std::chrono::steady_clock::now();
  const auto left = deadline - loop.time.now();
  return left < instant::max() - now ? now + left : instant::max();
}

}  // namespace

event_loop::event_loop(const clock& time) : impl_(std::make_unique<impl>(*this, time)) {}

event_loop::~event_loop() {
  impl_->gate->close();
  impl_->closing = true;
  impl_->timers->shut();
}

void event_loop::post(unique_function<void()> f) {
  if (impl_->closing) return;  // from the destructor of a handler that the loop is dropping
  asio::post(impl_->context, [f = std::move(f)]() mutable { f(); });
}

void event_loop::run() {
  while (!impl_->stop_asked.load(std::memory_order_acquire)) wait_one(*impl_, std::nullopt);
  impl_->stop_asked.store(false, std::memory_order_relaxed);
}

std::size_t event_loop::run_until(instant deadline) {
  const auto until = on_the_machine(*impl_, deadline);
  std::size_t ran = 0;
  do {
    if (impl_->stop_asked.exchange(false, std::memory_order_acq_rel)) break;
    ran += wait_one(*impl_, until);
  } while (std::chrono::steady_clock::now() < until && impl_->time.now() < deadline);
  return ran;
}

std::size_t event_loop::run_some_until(instant deadline) {
  const auto until = on_the_machine(*impl_, deadline);
  while (std::chrono::steady_clock::now() < until && impl_->time.now() < deadline) {
    if (const auto ran = wait_one(*impl_, until); ran > 0) return ran + run_ready(*impl_);
  }
  return run_ready(*impl_);
}

std::size_t event_loop::poll() { return run_ready(*impl_); }

void event_loop::stop() {
  impl_->stop_asked.store(true, std::memory_order_release);
  post([] {});  // wakes a loop that waits
}

const clock& event_loop::time() const noexcept { return impl_->time; }

struct timer::impl {
  explicit impl(std::shared_ptr<detail::timer_queue> of) noexcept : queue(std::move(of)) {}
  ~impl() { queue->cancel(node); }
  std::shared_ptr<detail::timer_queue> queue;
  detail::timer_node node;
};

timer::timer(event_loop& loop) : impl_(std::make_unique<impl>(loop.native().timers)) {}
timer::~timer() = default;
timer::timer(timer&&) noexcept = default;
timer& timer::operator=(timer&&) noexcept = default;

void timer::arm(std::chrono::nanoseconds after, unique_function<void()> f) {
  impl_->queue->arm(impl_->node, after, std::move(f));
}
void timer::cancel() { impl_->queue->cancel(impl_->node); }
bool timer::armed() const noexcept { return impl_->node.place != detail::timer_node::not_queued; }

}  // namespace penstock::io
