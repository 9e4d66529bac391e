// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/kafka/producer.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "client/accumulator.h"
#include "client/bootstrap.h"
#include "client/cluster.h"
#include "client/sender.h"

namespace penstock::kafka {

// The calling threads append to the accumulator under a lock; the background thread runs the loop with the
// sender.
struct producer::impl {
  explicit impl(producer_settings s)
      : settings(std::move(s)), accumulator(settings, io::random_source::system()) {}

  const producer_settings settings;
  const io::clock& clock = io::clock::system();
  std::mutex mutex;
  std::condition_variable changed;  // memory or metadata became available
  client::accumulator accumulator;
  io::event_loop loop;
  std::unique_ptr<client::cluster> cluster;
  std::unique_ptr<client::sender> sender;
  std::atomic<bool> kicked = false;
  bool closed = false;           // under mutex
  std::optional<error> refusal;  // under mutex: why brokers do not let us in
  std::shared_ptr<void> alive = std::make_shared<char>();
  delivery_callback on_delivery;
  std::thread thread;

  void kick() {
    if (kicked.exchange(true)) return;
    loop.post([this] {
      kicked = false;
      sender->kick();
    });
  }

  // Runs f on the background thread and waits for its value.
  template <typename F>
  auto on_loop(F f) {
    std::promise<decltype(f())> done;
    auto value = done.get_future();
    loop.post([&] { done.set_value(f()); });
    return value.get();
  }

  bool on_own_thread() const { return std::this_thread::get_id() == thread.get_id(); }
  result<> closed_error() const { return fail(errc::closed, "the producer is closed"); }

  // Waits for room or metadata; an error when that takes longer than max_block.
  result<> wait(std::unique_lock<std::mutex>& lock, client::append_status why, std::string_view topic,
                io::instant deadline) {
    if (on_own_thread())
      return fail(errc::exhausted, "a delivery callback sent a record for which there is no room now",
                  recovery::retriable);
    if (why == client::append_status::no_metadata)
      loop.post([this, name = std::string(topic)] { sender->want_topic(name); });
    const bool in_time = changed.wait_until(lock, deadline) == std::cv_status::no_timeout ||
                         io::clock::system().now() < deadline;
    if (why == client::append_status::no_metadata && refusal) return fail(*refusal);
    if (in_time) return {};
    if (why == client::append_status::no_metadata)
      return fail(
          errc::timeout,
          fmt::format("topic '{}': its partitions are not known after max.block.ms ({} ms), asked of {}",
                      topic, settings.max_block.count(), settings.bootstrap_servers),
          recovery::retriable);
    return fail(errc::exhausted,
                fmt::format("topic '{}': no room in buffer.memory ({} bytes) after max.block.ms ({} ms)",
                            topic, settings.buffer_memory, settings.max_block.count()),
                recovery::retriable);
  }

  // Appends while the lock is held. True: the sender is to be woken.
  result<bool> append(std::unique_lock<std::mutex>& lock, const record_to_send& r, std::int64_t& now,
                      delivery_callback* f, bool may_wait, client::append_status& status) {
    io::instant deadline{};
    for (;;) {
      if (closed) return fail(closed_error().error());
      if (now < 0 && r.timestamp_ms == now_ms) now = clock.wall_ms();
      auto done = accumulator.append(r, r.timestamp_ms == now_ms ? now : r.timestamp_ms, clock, f);
      if (!done) return fail(done.error());
      status = done->status;
      if (done->status == client::append_status::accepted) return done->work;
      if (done->work) kick();
      if (!may_wait) {
        if (done->status == client::append_status::no_metadata)
          loop.post([this, name = std::string(r.topic)] { sender->want_topic(name); });
        return false;
      }
      if (deadline == io::instant{}) deadline = io::clock::system().now() + settings.max_block;
      if (auto waited = wait(lock, done->status, r.topic, deadline); !waited) return fail(waited.error());
      now = -1;
    }
  }

  result<> send(const record_to_send& r, delivery_callback* f) {
    std::int64_t now = r.timestamp_ms == now_ms ? clock.wall_ms() : -1;
    auto status = client::append_status::accepted;
    std::unique_lock lock(mutex);
    auto work = append(lock, r, now, f, true, status);
    lock.unlock();
    if (!work) return fail(work.error());
    if (*work) kick();
    return {};
  }
};

result<producer> producer::create(producer_settings settings) {
  if (auto valid = client::validate(settings); !valid) return fail(valid.error());
  auto p = std::make_unique<impl>(std::move(settings));
  auto cluster = client::cluster::create(p->loop, p->settings.bootstrap_servers, p->settings.connection);
  if (!cluster) return fail(cluster.error());
  p->cluster = std::move(*cluster);
  p->sender = std::make_unique<client::sender>(*p->cluster, p->accumulator, p->settings, &p->mutex);
  p->sender->on_writable([i = p.get()] {
    { const std::lock_guard lock(i->mutex); }
    i->changed.notify_all();
  });
  p->cluster->on_metadata(p->alive, [i = p.get()](const result<>&) {
    {
      const std::lock_guard lock(i->mutex);
      i->refusal = i->cluster->refusal();
    }
    i->changed.notify_all();
  });
  p->sender->on_delivery([i = p.get()](const delivery& d) {
    if (i->on_delivery) i->on_delivery(d);
  });
  p->thread = std::thread([i = p.get()] { i->loop.run(); });
  return producer(std::move(p));
}

producer::producer(std::unique_ptr<impl> p) : impl_(std::move(p)) {}
producer::producer(producer&&) noexcept = default;

producer& producer::operator=(producer&& other) noexcept {
  producer old(std::move(other));
  std::swap(impl_, old.impl_);
  return *this;
}

producer::~producer() {
  if (impl_) static_cast<void>(close(impl_->settings.delivery_timeout));
}

void producer::on_delivery(delivery_callback f) {
  const std::lock_guard lock(impl_->mutex);
  impl_->on_delivery = std::move(f);
}

result<> producer::send(const record_to_send& r) { return impl_->send(r, nullptr); }
result<> producer::send(const record_to_send& r, delivery_callback f) { return impl_->send(r, &f); }

result<std::size_t> producer::send(std::span<const record_to_send> records) {
  std::int64_t now = -1;
  std::size_t taken = 0;
  bool work = false;
  std::optional<penstock::error> failure;
  auto status = client::append_status::accepted;
  std::unique_lock lock(impl_->mutex);
  for (const auto& r : records) {
    auto done = impl_->append(lock, r, now, nullptr, true, status);
    if (!done) {
      failure = done.error();
      break;
    }
    work = work || *done;
    ++taken;
  }
  lock.unlock();
  if (work) impl_->kick();
  if (failure && taken == 0) return fail(std::move(*failure));
  return taken;
}

result<bool> producer::try_send(const record_to_send& r) {
  std::int64_t now = -1;
  auto status = client::append_status::accepted;
  std::unique_lock lock(impl_->mutex);
  auto work = impl_->append(lock, r, now, nullptr, false, status);
  lock.unlock();
  if (!work) return fail(work.error());
  if (*work) impl_->kick();
  return status == client::append_status::accepted;
}

result<> producer::flush(std::chrono::milliseconds timeout) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->closed) return impl_->closed_error();
  }
  if (impl_->on_own_thread())
    return fail(errc::invalid_argument, "flush must not be called from a delivery callback");
  auto done = std::make_shared<std::promise<result<>>>();
  auto outcome = done->get_future();
  impl_->loop.post(
      [i = impl_.get(), done] { i->sender->flush([done](result<> r) { done->set_value(std::move(r)); }); });
  if (outcome.wait_for(timeout) == std::future_status::ready) return outcome.get();
  return fail(errc::timeout,
              fmt::format("flush: records without an outcome are left after {} ms", timeout.count()),
              recovery::retriable);
}

result<> producer::close(std::chrono::milliseconds timeout) {
  if (impl_->on_own_thread())
    return fail(errc::invalid_argument, "close must not be called from a delivery callback");
  auto flushed = flush(timeout);
  {
    const std::lock_guard lock(impl_->mutex);
    if (std::exchange(impl_->closed, true)) return {};
  }
  impl_->changed.notify_all();
  impl_->on_loop([i = impl_.get()] {
    i->sender->abandon({errc::cancelled, "the producer was closed before the record was acknowledged"});
    return true;
  });
  impl_->loop.stop();
  impl_->thread.join();
  return flushed;
}

producer::counters producer::statistics() const {
  // Once it is closed there is no background thread that could change the counters.
  if (!impl_->thread.joinable() || impl_->on_own_thread()) return impl_->sender->statistics();
  return impl_->on_loop([i = impl_.get()] { return i->sender->statistics(); });
}

result<std::int32_t> producer::partitions_of(std::string_view topic) {
  const auto deadline = io::clock::system().now() + impl_->settings.max_block;
  std::unique_lock lock(impl_->mutex);
  for (;;) {
    if (impl_->closed) return fail(impl_->closed_error().error());
    const auto* t = impl_->accumulator.find(topic);
    if (t != nullptr && t->known > 0) return t->known;
    if (t != nullptr && t->error != wire::error_code::none)
      return fail(wire::make_error(t->error, fmt::format("topic '{}'", topic)));
    if (auto waited = impl_->wait(lock, client::append_status::no_metadata, topic, deadline); !waited)
      return fail(waited.error());
  }
}

}  // namespace penstock::kafka
