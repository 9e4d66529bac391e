// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "client/bootstrap.h"
#include "client/producer_impl.h"

namespace penstock::kafka {

namespace {

metric_list measure(producer::impl& i) {
  metric_list all;
  client::metric_report to(all, i.cluster->now());
  client::report_connections(to, "producer", {&i.cluster->measured()}, i.cluster->metadata_age_seconds());
  client::producer_state state{.buffer_total = i.settings.buffer_memory,
                               .produce_connections = i.sender->connections()};
  {
    const std::lock_guard lock(i.mutex);
    state.buffer_used = i.accumulator.buffered_bytes();
    state.waits = i.waits;
  }
  client::report_producer(to, i.sender->measured(), state);
  return all;
}

}  // namespace

result<producer> producer::create(producer_settings settings) {
  if (auto valid = client::validate(settings); !valid) return fail(valid.error());
  auto p = std::make_unique<impl>(std::move(settings));
  auto cluster = client::cluster::create(p->loop, p->settings.bootstrap_servers, p->settings.connection);
  if (!cluster) return fail(cluster.error());
  p->cluster = std::move(*cluster);
  p->sender = std::make_unique<client::sender>(*p->cluster, p->accumulator, p->settings, &p->mutex);
  if (!p->settings.transactional_id.empty()) {
    p->transactions = std::make_unique<client::transactions>(*p->cluster, *p->sender, p->accumulator,
                                                             p->settings, &p->mutex);
    p->sender->take_part_in(p->transactions.get());
  }
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
  p->regularly.start(p->loop, p->settings.connection, [i = p.get()] { return measure(*i); });
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
  const producer::impl::timed_call timed(*impl_, &client::producer_waits::flush);
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
  const auto deadline = io::clock::system().now() + timeout;
  leave_transaction(timeout);
  auto flushed = flush(
      std::max(std::chrono::duration_cast<std::chrono::milliseconds>(deadline - io::clock::system().now()),
               std::chrono::milliseconds(0)));
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

metric_list producer::metrics() const {
  if (!impl_->thread.joinable() || impl_->on_own_thread()) return measure(*impl_);
  return impl_->on_loop([i = impl_.get()] { return measure(*i); });
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
