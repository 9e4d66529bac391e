// SPDX-License-Identifier: Apache-2.0
// One client's connection through the proxy, and requests that take a way of their own.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "proxy.h"

namespace penstock::testing {

/// Two connections, the frames between them, and what the rules want done to them.
class proxy_link : public std::enable_shared_from_this<proxy_link> {
 public:
  proxy_link(proxy& owner, io::endpoint broker, std::unique_ptr<io::stream> client);
  void start();
  /// The owner goes or wants it gone; it is not told.
  void abandon();

 private:
  struct queued {
    std::string bytes;
    io::instant not_before{};
    bool last = false;  ///< closed behind it
  };
  struct side {
    explicit side(io::event_loop& loop) : wait(loop) {}
    std::unique_ptr<io::stream> stream;
    std::vector<char> room;
    std::string arrived;     ///< not yet a whole frame
    std::deque<queued> out;  ///< to be written to it
    std::size_t out_bytes = 0;
    bool reading = false;
    bool writing = false;
    bool at_end = false;  ///< it sends nothing more
    io::timer wait;
  };
  struct owed {
    std::optional<request_info> info;
    proxy::verdict verdict;
  };

  void read(side& from);
  void got(side& from, std::size_t n);
  void request(std::string frame);
  void obey(const proxy::verdict& v, const request_info& info, std::string frame);
  void answer(std::string frame);
  void send(side& to, queued q);
  void pump(side& to);
  void swallow(const proxy::verdict& v);
  void ended(side& from);
  void close();
  side& other(side& s) { return &s == &client_ ? broker_side_ : client_; }

  proxy* owner_;
  io::event_loop& loop_;
  io::endpoint broker_;
  side client_, broker_side_;
  std::deque<owed> owed_;  ///< requests without an answer yet, oldest first
  io::timer limit_;
  bool swallowing_ = false;
  bool deaf_ = false;  ///< takes nothing more from the client
  bool closed_ = false;
};

/// A request on a connection of its own to the broker.
class proxy_delivery : public std::enable_shared_from_this<proxy_delivery> {
 public:
  proxy_delivery(proxy& owner, proxy::held_request r);
  void start(std::chrono::milliseconds after);
  void abandon();

 private:
  void connect();
  void connected(std::unique_ptr<io::stream> s);
  void read();
  void over(proxy_event::kind what, std::optional<std::int16_t> error_code = {});

  proxy* owner_;
  io::event_loop& loop_;
  proxy::held_request request_;
  std::unique_ptr<io::stream> stream_;
  std::string answer_;
  std::vector<char> room_;
  io::timer timer_;
};

}  // namespace penstock::testing
