// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <penstock/kafka/producer.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "client/accumulator.h"
#include "client/cluster.h"
#include "client/sender.h"
#include "client/transactions.h"
#include "io/recent_clock.h"

namespace penstock::kafka {

// The calling threads append to the accumulator under a lock; the background thread runs the loop with the
// sender.
struct producer::impl {
  explicit impl(producer_settings s)
      : settings(std::move(s)), accumulator(settings, io::random_source::system()) {}

  const producer_settings settings;
  const io::clock& clock = io::clock::system();
  std::mutex mutex;
  io::recent_wall_clock wall;       // under mutex
  std::condition_variable changed;  // memory or metadata became available
  client::accumulator accumulator;
  io::event_loop loop;
  std::unique_ptr<client::cluster> cluster;
  std::unique_ptr<client::sender> sender;
  std::unique_ptr<client::transactions> transactions;  // unless there is no transactional id
  std::atomic<bool> kicked = false;
  bool closed = false;           // under mutex
  std::optional<error> refusal;  // under mutex: why brokers do not let us in
  std::shared_ptr<void> alive = std::make_shared<char>();
  client::producer_waits waits;  // under mutex
  delivery_callback on_delivery;
  client::regular_metrics regularly;
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

  // Adds the time that a call takes to what is measured of its kind.
  class timed_call {
   public:
    timed_call(impl& p, std::int64_t client::producer_waits::*kind)
        : impl_(p), kind_(kind), begun_(io::clock::system().now()) {}
    ~timed_call() {
      const auto took = io::clock::system().now() - begun_;
      const std::lock_guard lock(impl_.mutex);
      impl_.waits.*kind_ += took.count();
    }
    timed_call(const timed_call&) = delete;
    timed_call& operator=(const timed_call&) = delete;

   private:
    impl& impl_;
    std::int64_t client::producer_waits::*kind_;
    io::instant begun_;
  };

  // Waits until something changed; false when the deadline passed before.
  bool await_change(std::unique_lock<std::mutex>& lock, client::append_status why, io::instant deadline) {
    const bool memory = why == client::append_status::no_memory;
    const auto before = io::clock::system().now();
    waits.threads += memory;
    const auto status = changed.wait_until(lock, deadline);
    waits.threads -= memory;
    const auto now = io::clock::system().now();
    const auto took = (now - before).count();
    if (memory)
      waits.memory.record(static_cast<double>(took), now);
    else
      waits.metadata += took;
    return status == std::cv_status::no_timeout || now < deadline;
  }

  // Waits for room or metadata; an error when that takes longer than max_block.
  result<> wait(std::unique_lock<std::mutex>& lock, client::append_status why, std::string_view topic,
                io::instant deadline) {
    if (on_own_thread())
      return fail(errc::exhausted, "a delivery callback sent a record for which there is no room now",
                  recovery::retriable);
    if (why == client::append_status::no_metadata)
      loop.post([this, name = std::string(topic)] { sender->want_topic(name); });
    const bool in_time = await_change(lock, why, deadline);
    if (why == client::append_status::no_metadata && refusal) return fail(*refusal);
    if (in_time) return {};
    if (why == client::append_status::no_metadata)
      return fail(
          errc::timeout,
          fmt::format("topic '{}': its partitions are not known after max.block.ms ({} ms), asked of {}",
                      topic, settings.max_block.count(), settings.bootstrap_servers),
          recovery::retriable);
    waits.exhausted.record(1, io::clock::system().now());
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
      if (now < 0 && r.timestamp_ms == now_ms) now = wall.ms();
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
    std::int64_t now = -1;
    auto status = client::append_status::accepted;
    std::unique_lock lock(mutex);
    auto work = append(lock, r, now, f, true, status);
    lock.unlock();
    if (!work) return fail(work.error());
    if (*work) kick();
    return {};
  }
};

}  // namespace penstock::kafka
