// SPDX-License-Identifier: Apache-2.0
// For tests: an HTTP server on a thread of its own whose answers a function gives.
#pragma once

#include <fmt/format.h>

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/event_loop.h"
#include "io/stream.h"

namespace penstock {

class scripted_http {
 public:
  struct answer {
    unsigned status;
    std::string body;
  };
  /// Gets the request as it came: "GET /path HTTP/1.1\r\n...\r\n\r\nbody". Status 0: hang up.
  using script = std::function<answer(const std::string& request)>;

  explicit scripted_http(script s) : script_(std::move(s)) {
    auto made = io::listen(loop_, {"127.0.0.1", 0}, [this](std::unique_ptr<io::stream> c) {
      std::make_shared<connection>(*this, std::move(c))->read();
    });
    listener_ = std::move(*made);
    url_ = fmt::format("http://127.0.0.1:{}", listener_->local().port);
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~scripted_http() {
    loop_.stop();
    thread_.join();
  }
  const std::string& url() const noexcept { return url_; }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  struct connection : std::enable_shared_from_this<connection> {
    connection(scripted_http& o, std::unique_ptr<io::stream> c) : owner(o), stream(std::move(c)) {}
    void read() {
      stream->read_some(piece, [self = shared_from_this()](result<std::size_t> n) {
        if (!n) return;
        self->text.append(self->piece.data(), *n);
        self->whole() ? self->reply() : self->read();
      });
    }
    bool whole() const {
      const auto end = text.find("\r\n\r\n");
      if (end == std::string::npos) return false;
      const auto length = text.find("Content-Length: ");
      return length == std::string::npos || text.size() >= end + 4 + std::stoul(text.substr(length + 16));
    }
    void reply() {
      {
        const std::lock_guard lock(owner.mutex_);
        owner.requests_.push_back(text);
      }
      const answer a = owner.script_(text);
      if (a.status == 0) return stream->close();
      out = fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", a.status,
                        a.body.size(), a.body);
      stream->write({{.bytes = out}}, [self = shared_from_this()](result<>) { self->stream->close(); });
    }
    scripted_http& owner;
    std::unique_ptr<io::stream> stream;
    std::array<char, 4096> piece;
    std::string text, out;
  };

  script script_;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;  // guarded by mutex_
  io::event_loop loop_;
  std::unique_ptr<io::listener> listener_;
  std::string url_;
  std::thread thread_;
};

}  // namespace penstock
