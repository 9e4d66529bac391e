// SPDX-License-Identifier: Apache-2.0
#include "broker/server.h"

#include <mutex>
#include <optional>
#include <thread>

#include "broker/core.h"

namespace penstock::broker {

struct server::impl {
  impl(server_options options, environment env) : core(std::move(options), env) {}

  // On the server's thread.
  void begin_stop() {
    if (std::exchange(stopping, true)) return;
    core.shut_down([this](result<> r) {
      outcome = std::move(r);
      core.loop.stop();
    });
  }

  broker_core core;
  bool stopping = false;
  result<> outcome;
  std::mutex stop_mutex;
  std::thread thread;
};

server::server(std::unique_ptr<impl> i) : impl_(std::move(i)) {}

server::~server() { (void)stop(); }

result<std::unique_ptr<server>> server::start(server_options options, environment env) {
  auto i = std::make_unique<impl>(std::move(options), env);
  if (auto opened = i->core.open(); !opened) return fail(opened.error());
  if (auto listening = i->core.listen(); !listening) return fail(listening.error());
  impl* p = i.get();
  p->core.on_stopped_by_failure = [p] {
    if (p->core.options.on_failure) p->core.options.on_failure(*p->core.failure());
    p->core.loop.post([p] { p->begin_stop(); });
  };
  p->thread = std::thread([p] { p->core.loop.run(); });
  return std::unique_ptr<server>(new server(std::move(i)));
}

io::endpoint server::endpoint() const { return impl_->core.listening; }
io::endpoint server::advertised() const { return impl_->core.advertised; }
const std::string& server::cluster_id() const noexcept { return impl_->core.metadata.cluster_id; }

request_hooks& server::hooks() noexcept { return impl_->core.hooks; }

result<> server::stop() {
  const std::lock_guard lock(impl_->stop_mutex);
  if (impl_->thread.joinable()) {
    impl_->core.loop.post([p = impl_.get()] { p->begin_stop(); });
    impl_->thread.join();
  }
  return impl_->outcome;
}

}  // namespace penstock::broker
