// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/detail/async_queue.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "io/event_loop.h"

namespace penstock::detail {

/// Answers on their way to the lane. It outlives the queue, since requests may; the loop outlives both until
/// the queue says `close`.
class async_inbox {
 public:
  struct answer {
    std::uint64_t id;
    unsigned attempt;
    std::unique_ptr<async_outcome> outcome;
  };
  async_inbox(io::event_loop& loop, std::function<void()> arrived)
      : loop_(&loop), arrived_(std::move(arrived)) {}

  static void put(const std::shared_ptr<async_inbox>& self, answer a) {
    const std::lock_guard lock(self->mutex_);
    if (self->loop_ == nullptr) return;
    self->answers_.push_back(std::move(a));
    // Within the lane's own work the answer is fetched when that is done.
    if (!self->at_work_ && !std::exchange(self->posted_, true))
      self->loop_->post([self] { self->arrived(); });
  }
  std::vector<answer> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(answers_, {});
  }
  void set_at_work(bool on) {
    const std::lock_guard lock(mutex_);
    at_work_ = on;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
    answers_.clear();
  }

 private:
  void arrived() {  // on the lane's thread, as `close` is while lanes run
    {
      const std::lock_guard lock(mutex_);
      posted_ = false;
      if (loop_ == nullptr) return;
    }
    arrived_();
  }

  std::mutex mutex_;
  io::event_loop* loop_;  // guarded by mutex_; null: nobody waits any more
  std::function<void()> arrived_;
  std::vector<answer> answers_;  // guarded by mutex_
  bool posted_ = false;          // guarded by mutex_
  bool at_work_ = false;         // guarded by mutex_
};

async_ticket::async_ticket(std::shared_ptr<async_inbox> to, std::uint64_t id, unsigned attempt)
    : to_(std::move(to)), id_(id), attempt_(attempt) {}

async_ticket::~async_ticket() {
  if (!answered_.load(std::memory_order_acquire))
    fail(error(errc::user, "the request was let go of without an answer"));
}

void async_ticket::answer(std::unique_ptr<async_outcome> outcome) {
  if (!answered_.exchange(true, std::memory_order_acq_rel))
    async_inbox::put(to_, {id_, attempt_, std::move(outcome)});
}

void async_ticket::fail(error e) {
  auto outcome = std::make_unique<async_outcome>();
  outcome->failure = std::move(e);
  answer(std::move(outcome));
}

struct async_queue::impl {
  async_owner& owner;
  const async_options options;
  services* lane = nullptr;
  std::string name;
  std::shared_ptr<async_inbox> inbox;
  std::unique_ptr<io::timer> timer;
  std::map<std::uint64_t, std::unique_ptr<async_entry>> entries;  // records and fences, as they came
  std::deque<std::uint64_t> ready;                                // to be started
  std::vector<std::uint64_t> done;                                // unordered: finished, not handed on
  std::set<std::pair<std::int64_t, std::uint64_t>> deadlines;
  std::int64_t armed_ns = 0;
  std::uint64_t next_id = 1;
  std::uint64_t first_fence = 0;  // unordered: what is before it may come out; 0: no fence
  std::size_t records = 0;
  std::size_t in_flight = 0;
  bool running = false;

  impl(async_owner& o, const async_options& opts) : owner(o), options(opts) {}

  std::int64_t now() const {
    return std::chrono::nanoseconds(lane->context().clock.now().time_since_epoch()).count();
  }

  std::uint64_t append(std::unique_ptr<async_entry> e) {
    const std::uint64_t id = next_id++;
    if (e->what != async_entry::kind::record && first_fence == 0) first_fence = id;
    entries.emplace_hint(entries.end(), id, std::move(e));
    return id;
  }

  void set_due(std::uint64_t id, async_entry& e, std::int64_t at) {
    if (e.due_ns != 0) deadlines.erase({e.due_ns, id});
    e.due_ns = at;
    if (at != 0) deadlines.insert({at, id});
  }

  void start(std::uint64_t id, async_entry& e) {
    const std::int64_t at = now();
    if (e.attempt == 0) e.expires_ns = at + nanoseconds(options.timeout);
    ++e.attempt;
    e.pausing = false;
    set_due(id, e,
            options.attempt_timeout ? std::min(e.expires_ns, at + nanoseconds(*options.attempt_timeout))
                                    : e.expires_ns);
    owner.start(e, std::make_shared<async_ticket>(inbox, id, e.attempt));
  }

  void finish(std::uint64_t id, async_entry& e, std::unique_ptr<async_outcome> outcome) {
    set_due(id, e, 0);
    e.outcome = std::move(outcome);
    --in_flight;
    if (options.order == async_order::unordered) done.push_back(id);
  }

  void failed(std::uint64_t id, async_entry& e, error cause) {
    const std::int64_t pause = backoff(e.attempt);
    if (cause.retriable() && e.attempt < options.max_attempts && now() + pause < e.expires_ns) {
      e.pausing = true;
      set_due(id, e, now() + pause);
      return;
    }
    if (e.attempt > 1) cause = cause.with_context(fmt::format("after {} attempts", e.attempt));
    auto outcome = std::make_unique<async_outcome>();
    outcome->failure = std::move(cause);
    finish(id, e, std::move(outcome));
  }

  void collect() {
    for (async_inbox::answer& a : inbox->take()) {
      const auto at = entries.find(a.id);
      if (at == entries.end()) continue;
      async_entry& e = *at->second;
      if (e.outcome != nullptr || e.attempt != a.attempt || e.pausing) continue;  // too late
      if (a.outcome->failure) {
        failed(a.id, e, std::move(*a.outcome->failure));
      } else {
        finish(a.id, e, std::move(a.outcome));
      }
    }
  }

  void expire() {
    const std::int64_t at = now();
    while (!deadlines.empty() && deadlines.begin()->first <= at) {
      const std::uint64_t id = deadlines.begin()->second;
      async_entry& e = *entries.at(id);
      if (e.pausing) {
        start(id, e);
      } else {
        const bool all = at >= e.expires_ns;
        failed(id, e,
               error(errc::timeout,
                     fmt::format("no answer within {} ms",
                                 (all ? options.timeout : *options.attempt_timeout).count()),
                     all ? recovery::fatal : recovery::retriable));
      }
    }
  }

  void start_ready() {
    while (!ready.empty() && in_flight < options.capacity && !lane->failed()) {
      const std::uint64_t id = ready.front();
      ready.pop_front();
      ++in_flight;
      start(id, *entries.at(id));
    }
  }

  void run() {
    if (running) return;  // from within the user's function, or what is downstream
    running = true;
    inbox->set_at_work(true);
    bool again = true;
    while (again && !lane->failed()) {
      start_ready();
      collect();
      expire();
      again = release();
      if (again) continue;
      inbox->set_at_work(false);  // an answer from now on is announced
      collect();
      again = can_release() || (!ready.empty() && in_flight < options.capacity);
      if (again) inbox->set_at_work(true);
    }
    inbox->set_at_work(false);
    running = false;
    arm();
  }

  void arm() {
    const std::int64_t next = deadlines.empty() ? 0 : deadlines.begin()->first;
    if (next == armed_ns) return;
    armed_ns = next;
    if (next == 0) return timer->cancel();
    timer->arm(std::chrono::nanoseconds(std::max<std::int64_t>(0, next - now())), [this] {
      armed_ns = 0;
      run();
    });
  }

  bool may_come_out(std::uint64_t id) const { return first_fence == 0 || id < first_fence; }

  bool can_release() const {
    if (waiting || entries.empty()) return false;
    const async_entry& head = *entries.begin()->second;
    if (head.what != async_entry::kind::record || head.outcome != nullptr) return true;
    return std::any_of(done.begin(), done.end(), [&](std::uint64_t id) { return may_come_out(id); });
  }

  void hand_on(std::map<std::uint64_t, std::unique_ptr<async_entry>>::iterator at) {
    owner.emit(at->first, *at->second);
    entries.erase(at);
    --records;
  }

  /// True when something moved.
  bool release() {
    bool moved = false;
    waiting = false;
    while (!entries.empty() && !lane->failed()) {
      if (owner.must_wait()) {
        waiting = true;
        break;
      }
      if (!release_some()) break;
      moved = true;
    }
    if (moved) owner.emitted();
    return moved;
  }

  bool release_some() {
    bool moved = false;
    if (options.order == async_order::unordered) {
      std::erase_if(done, [&](std::uint64_t id) {
        if (!may_come_out(id)) return false;
        hand_on(entries.find(id));
        return moved = true;
      });
    } else {
      for (std::size_t n = 0; n < batch_capacity && !entries.empty(); ++n) {
        async_entry& head = *entries.begin()->second;
        if (head.what != async_entry::kind::record || head.outcome == nullptr) break;
        hand_on(entries.begin());
        moved = true;
      }
    }
    if (entries.empty() || entries.begin()->second->what == async_entry::kind::record) return moved;
    owner.emitted();
    const std::unique_ptr<async_entry> fence = std::move(entries.begin()->second);
    entries.erase(entries.begin());
    find_fence();
    if (fence->what == async_entry::kind::watermark) {
      owner.pass(fence->time);
    } else {
      owner.let_through(fence->epoch);
    }
    return true;
  }

  void find_fence() {
    first_fence = 0;
    if (options.order == async_order::ordered) return;
    for (const auto& [id, e] : entries) {
      if (e->what == async_entry::kind::record) continue;
      first_fence = id;
      return;
    }
  }

  std::int64_t backoff(unsigned attempt) const {
    const std::int64_t longest = nanoseconds(options.max_retry_backoff);
    std::int64_t pause = nanoseconds(options.retry_backoff);
    for (unsigned i = 1; i < attempt && pause < longest; ++i) pause *= 2;
    return std::min(pause, longest);
  }
  static std::int64_t nanoseconds(std::chrono::milliseconds ms) {
    return std::chrono::nanoseconds(ms).count();
  }

  bool waiting = false;  // for what is downstream
};

async_queue::async_queue(async_owner& owner, const async_options& options)
    : impl_(std::make_unique<impl>(owner, options)) {}

async_queue::~async_queue() {
  if (impl_->inbox != nullptr) impl_->inbox->close();
}

void async_queue::open(services& lane, std::string name) {
  impl_->lane = &lane;
  impl_->name = std::move(name);
  impl_->inbox = std::make_shared<async_inbox>(lane.context().loop, [q = impl_.get()] { q->run(); });
  impl_->timer = std::make_unique<io::timer>(lane.context().loop);
}

std::uint64_t async_queue::add(std::unique_ptr<async_entry> e, bool ready) {
  ++impl_->records;
  const std::uint64_t id = impl_->append(std::move(e));
  if (ready) make_ready(id);
  return id;
}

void async_queue::make_ready(std::uint64_t id) { impl_->ready.push_back(id); }

void async_queue::add_fence(watermark w) {
  if (!impl_->entries.empty()) {
    // Nothing stands between two watermarks: the later one says it all.
    async_entry& last = *impl_->entries.rbegin()->second;
    if (last.what == async_entry::kind::watermark) {
      last.time = w;
      return;
    }
  }
  auto fence = std::make_unique<async_entry>();
  fence->what = async_entry::kind::watermark;
  fence->time = w;
  impl_->append(std::move(fence));
}

void async_queue::add_fence(std::uint64_t epoch) {
  auto fence = std::make_unique<async_entry>();
  fence->what = async_entry::kind::barrier;
  fence->epoch = epoch;
  impl_->append(std::move(fence));
}

void async_queue::run() { impl_->run(); }
void async_queue::release() { impl_->run(); }
bool async_queue::full() const noexcept { return impl_->records >= impl_->options.capacity; }

std::string async_queue::problem(const async_options& o) {
  if (o.capacity == 0) return "async_map needs a capacity of at least 1";
  if (o.timeout.count() <= 0) return "the timeout of async_map must be more than 0";
  if (o.attempt_timeout && o.attempt_timeout->count() <= 0)
    return "the attempt_timeout of async_map must be more than 0";
  if (o.max_attempts == 0) return "async_map needs at least 1 attempt";
  if (o.retry_backoff.count() < 0 || o.max_retry_backoff.count() < 0)
    return "the pause before async_map tries again must not be negative";
  return {};
}

}  // namespace penstock::detail
