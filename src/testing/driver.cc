// SPDX-License-Identifier: Apache-2.0
#include <penstock/testing.h>

#include <limits>
#include <stdexcept>
#include <utility>

#include "engine/execution.h"
#include "io/clock.h"
#include "io/random.h"

namespace penstock::testing {

struct driver::impl {
  impl(const topology& t, driver_options o) : what(t), options(o), draws(o.seed) {}

  const topology& what;
  driver_options options;
  io::manual_clock clock;
  io::seeded_random draws;
  std::unique_ptr<engine::execution> run;
  std::optional<error> start_failure;
  std::size_t next_lane = 0;

  void start() {
    run.reset();  // first: what it had not flushed is lost
    start_failure.reset();
    // Epochs end on request only, and a stop is never given up.
    constexpr std::chrono::hours never{24 * 365 * 200};
    auto made = engine::execution::create(
        what,
        {.lanes = options.lanes,
         .delivery = options.exactly_once ? guarantee::exactly_once : guarantee::at_least_once,
         .commit_interval = never,
         .stop_timeout = never},
        clock);
    if (!made) {
      start_failure = std::move(made.error());
      return;
    }
    run = std::move(*made);
    for (unsigned i = 0; i < run->lanes() && !start_failure; ++i) {
      if (result<> r = run->open_lane(i); !r) start_failure = std::move(r.error());
    }
  }

  result<> status() const {
    if (start_failure) return fail(*start_failure);
    if (auto e = run->epochs().failure()) return fail(std::move(*e));
    return {};
  }

  /// One step of one lane.
  bool step_lane(unsigned lane) {
    const bool worked = run->step(lane, clock.now());
    return run->loop(lane).poll() != 0 || worked;
  }
  bool step_any() {
    if (options.seed != 0) {
      // Any lane that is drawn; when it has nothing to do, all in turn, so that quiet means quiet.
      if (step_lane(static_cast<unsigned>(draws.next() % run->lanes()))) return true;
    }
    for (unsigned i = 0; i < run->lanes(); ++i) {
      const auto lane = static_cast<unsigned>(next_lane++ % run->lanes());
      if (step_lane(lane)) return true;
    }
    return false;
  }
  template <typename Done>
  result<> run_until(Done done) {
    if (start_failure) return fail(*start_failure);
    while (!done() && !run->epochs().failed() && step_any()) {
    }
    return status();
  }
  result<> end_epoch() {
    if (start_failure) return fail(*start_failure);
    const std::uint64_t before = run->epochs().epochs_committed();
    run->epochs().request_epoch();
    result<> r = run_until([&] { return run->epochs().epochs_committed() > before; });
    if (r && run->epochs().epochs_committed() == before)
      return fail(errc::timeout,
                  "the epoch does not end: a sink does not flush, or a commit is not answered");
    return r;
  }
};

driver::driver(const topology& what, driver_options options) : impl_(std::make_unique<impl>(what, options)) {
  impl_->start();
}

driver::~driver() = default;

result<> driver::run() {
  return impl_->run_until([] { return false; });
}

result<> driver::run_rounds(std::size_t rounds) {
  return impl_->run_until([&] { return rounds-- == 0; });
}

result<> driver::commit() {
  if (result<> r = run(); !r) return r;
  return impl_->run->epochs().over() ? result<>{} : impl_->end_epoch();
}

result<> driver::commit_now() { return impl_->end_epoch(); }

result<> driver::finish() {
  if (result<> r = run(); !r) return r;
  if (!impl_->run->epochs().over())
    return fail(errc::timeout, "the job does not end: a source has no end, or a sink does not flush");
  return {};
}

result<> driver::stop() {
  if (impl_->start_failure) return fail(*impl_->start_failure);
  impl_->run->epochs().request_stop();
  return finish();
}

result<> driver::advance(std::chrono::milliseconds by) {
  impl_->clock.advance(by);
  return run();
}

result<> driver::advance_watermark(std::int64_t to_ms) {
  if (result<> r = run(); !r) return r;
  impl_->run->advance_watermark(to_ms);
  return run();
}

result<> driver::crash_and_restore(std::optional<unsigned> lanes) {
  if (lanes) impl_->options.lanes = *lanes;
  impl_->start();
  return impl_->status();
}

std::vector<operator_metrics> driver::metrics() const {
  return impl_->run == nullptr ? std::vector<operator_metrics>{} : impl_->run->metrics();
}

operator_metrics driver::metrics(const std::string& name) const {
  for (operator_metrics& m : metrics()) {
    if (m.name == name) return std::move(m);
  }
  return {};
}

std::string driver::state_of(const std::string& name, const std::string& state,
                             const std::string& key) const {
  if (impl_->run == nullptr) return {};
  auto bytes = impl_->run->inspect(name, state, key);
  if (!bytes) throw std::invalid_argument(bytes.error().message());
  return std::move(*bytes);
}

void driver::wrong_type(const std::string& name, const std::string& state) {
  throw std::invalid_argument("the state '" + state + "' of '" + name + "' is of another type");
}

bool driver::over() const { return impl_->run != nullptr && impl_->run->epochs().over(); }

job_progress driver::progress() const {
  return impl_->run == nullptr ? job_progress{} : impl_->run->progress();
}

}  // namespace penstock::testing
