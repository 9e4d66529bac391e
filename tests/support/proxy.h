// SPDX-License-Identifier: Apache-2.0
// A TCP proxy that understands Kafka's frames, for tests: it stands between clients and a broker (or
// several), and makes happen to single requests what networks do to them.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_function.h"
#include "io/event_loop.h"
#include "io/stream.h"
#include "proxy_rules.h"

namespace penstock::testing {

/// What the proxy tells of: a rule that met a request, or what became of a request delivered again or late.
struct proxy_event {
  enum class kind : std::uint8_t {
    met,        ///< the rule applies to this request
    held,       ///< a request of `late` or `replay` without a time waits for release()
    delivered,  ///< the broker answered a request that was delivered again or late
    failed,     ///< the broker did not answer such a request
  };
  kind what = kind::met;
  int rule = 0;
  fault action = fault::none;
  request_info request{};
  /// Of the answer to an EndTxn, InitProducerId, AddOffsetsToTxn, Heartbeat or LeaveGroup.
  std::optional<std::int16_t> error_code{};
};
std::string to_string(const proxy_event& e);  ///< one line, as the program prints it

/// Listens on 127.0.0.1 and passes everything on to the broker it was made for. Other brokers that the
/// answers name get ports of their own, so that clients never leave the proxy. Plaintext only.
///
/// Threads: the loop's. proxy_thread (proxy_thread.h) gives it one.
class proxy {
 public:
  /// `seed`: of chances and delays.
  proxy(io::event_loop& loop, io::endpoint broker, std::uint64_t seed = 1);
  ~proxy();
  proxy(const proxy&) = delete;
  proxy& operator=(const proxy&) = delete;

  result<> listen(std::uint16_t port = 0);
  io::endpoint address() const;

  int add(fault_rule rule);  ///< its number, for events
  void clear();              ///< no rules; what is delayed or held already stays so
  /// Requests held by `late` or `replay` go to the broker now. How many.
  std::size_t release();
  std::size_t held() const noexcept { return held_.size(); }
  /// Closes all connections now.
  std::size_t cut_all();
  /// While on, new connections are closed at once, as if the broker were down.
  void refuse(bool on) noexcept { refusing_ = on; }
  /// A line of the control protocol (see proxy_main.cc); its answer.
  std::string command(std::string_view line);

  unique_function<void(const proxy_event&)> on_event;
  unique_function<void(const request_info&)> on_request;  ///< every request, in the order they arrive in
  std::int64_t requests(wire::api_key key) const;
  std::int64_t faults() const noexcept { return faults_; }

 private:
  friend class proxy_link;
  friend class proxy_delivery;
  struct active_rule {
    int number;
    fault_rule rule;
    int skipped = 0;
    int met = 0;
  };
  struct verdict {
    fault what = fault::none;
    int rule = 0;
    std::optional<std::chrono::milliseconds> after{};
  };
  struct held_request {
    io::endpoint broker;
    std::string frame;
    request_info info;
    verdict why;
  };

  io::endpoint port_for(const io::endpoint& broker);
  result<io::endpoint> open_port(const io::endpoint& broker, std::uint16_t port);
  void accepted(const io::endpoint& broker, std::unique_ptr<io::stream> client);
  verdict meet(const request_info& info);
  void deliver(held_request r);
  void tell(const proxy_event& e) {
    if (on_event) on_event(e);
  }

  io::event_loop& loop_;
  io::endpoint broker_;
  std::mt19937_64 dice_;
  std::map<std::string, std::unique_ptr<io::listener>> ports_;  // by the broker's address
  std::set<std::shared_ptr<class proxy_link>> links_;
  std::set<std::shared_ptr<class proxy_delivery>> deliveries_;
  std::vector<held_request> held_;
  std::vector<active_rule> rules_;
  std::map<wire::api_key, std::int64_t> requests_;
  std::int64_t faults_ = 0;
  int next_rule_ = 1;
  bool refusing_ = false;
};

}  // namespace penstock::testing
