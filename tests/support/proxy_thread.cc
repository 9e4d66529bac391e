// SPDX-License-Identifier: Apache-2.0
#include "proxy_thread.h"

#include <algorithm>
#include <future>
#include <stdexcept>

namespace penstock::testing {

proxy_thread::proxy_thread(const std::string& broker, std::uint64_t seed) {
  const auto to = io::parse_endpoint(broker);
  if (!to) throw std::runtime_error(to.error().message());
  proxy_ = std::make_unique<proxy>(loop_, *to, seed);
  if (auto listening = proxy_->listen(); !listening) throw std::runtime_error(listening.error().message());
  address_ = to_string(proxy_->address());
  proxy_->on_event = [this](const proxy_event& e) {
    const std::lock_guard lock(mutex_);
    events_.push_back(e);
    news_.notify_all();
  };
  proxy_->on_request = [this](const request_info& r) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(r);
  };
  thread_ = std::thread([this] { loop_.run(); });
}

proxy_thread::~proxy_thread() {
  loop_.post([this] { proxy_.reset(); });
  loop_.post([this] { loop_.stop(); });
  thread_.join();
  loop_.poll();  // what closing has completed
}

std::string proxy_thread::command(const std::string& line) {
  std::promise<std::string> promise;
  auto answer = promise.get_future();
  loop_.post([&] { promise.set_value(proxy_->command(line)); });
  auto said = answer.get();
  if (!said.starts_with("ok")) throw std::runtime_error(said);
  return said;
}

std::vector<proxy_event> proxy_thread::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

std::vector<request_info> proxy_thread::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

bool proxy_thread::wait_for(const std::function<bool(const proxy_event&)>& which,
                            std::chrono::milliseconds patience) const {
  std::unique_lock lock(mutex_);
  return news_.wait_for(lock, patience, [&] { return std::any_of(events_.begin(), events_.end(), which); });
}

}  // namespace penstock::testing
