// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "proxy.h"

namespace penstock::testing {

/// A proxy on a thread of its own, for tests of what blocks. All functions are safe from any thread.
///
///     proxy_thread proxy("127.0.0.1:9092");
///     proxy.rule("cut-after api=end_txn");
///     ... a client with bootstrap.servers = proxy.address() ...
///     proxy.wait_for([](const proxy_event& e) { return e.request.key == wire::api_key::end_txn; });
class proxy_thread {
 public:
  explicit proxy_thread(const std::string& broker, std::uint64_t seed = 1);  ///< throws when it cannot listen
  ~proxy_thread();
  proxy_thread(const proxy_thread&) = delete;
  proxy_thread& operator=(const proxy_thread&) = delete;

  const std::string& address() const noexcept { return address_; }
  /// A line of the control protocol; throws when it is refused.
  std::string command(const std::string& line);
  void rule(const std::string& words) { command("rule " + words); }
  std::vector<proxy_event> events() const;
  /// Every request that arrived, in order.
  std::vector<request_info> requests() const;
  /// Until an event that happened since the proxy began satisfies it; false when it takes longer than that.
  bool wait_for(const std::function<bool(const proxy_event&)>& which,
                std::chrono::milliseconds patience = std::chrono::seconds(20)) const;

 private:
  io::event_loop loop_;
  std::unique_ptr<proxy> proxy_;
  std::string address_;
  mutable std::mutex mutex_;
  mutable std::condition_variable news_;
  std::vector<proxy_event> events_;
  std::vector<request_info> requests_;
  std::thread thread_;
};

}  // namespace penstock::testing
