// SPDX-License-Identifier: Apache-2.0
// What the tests of this room share.
#pragma once

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/event_loop.h"
#include "io/random.h"
#include "io/stream.h"

namespace penstock::io {

/// Runs the loop until `condition` holds; false when it does not within `most`.
template <typename Condition>
bool run_until_true(event_loop& loop, Condition condition,
                    std::chrono::seconds most = std::chrono::seconds(30)) {
  const auto deadline = clock::system().now() + most;
  while (!condition()) {
    if (clock::system().now() >= deadline) return false;
    loop.run_some_until(loop.time().now() + std::chrono::milliseconds(100));
  }
  return true;
}

inline std::string random_bytes(std::size_t size, std::uint64_t seed = 1) {
  seeded_random random(seed);
  std::string bytes(size, '\0');
  for (auto& b : bytes) b = static_cast<char>(random.next());
  return bytes;
}

/// A directory that goes with the test.
class scratch_directory {
 public:
  scratch_directory() {
    std::string pattern = std::filesystem::temp_directory_path() / "penstock-io-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// A listening socket whose queue of connections is full: Linux drops further handshakes, so that a connect
/// to it gets no answer.
class full_backlog {
 public:
  full_backlog() {
    listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listening_, generic, size) != 0 || ::listen(listening_, 0) != 0 ||
        ::getsockname(listening_, generic, &size) != 0)
      throw std::runtime_error("cannot listen");
    port_ = ntohs(address.sin_port);
    for (int i = 0; i < 2; ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      (void)::connect(fd, generic, size);
      queued_.push_back(fd);
    }
  }
  ~full_backlog() {
    for (const int fd : queued_) ::close(fd);
    ::close(listening_);
  }
  full_backlog(const full_backlog&) = delete;
  full_backlog& operator=(const full_backlog&) = delete;
  endpoint at() const { return {"127.0.0.1", port_}; }

 private:
  int listening_ = -1;
  std::uint16_t port_ = 0;
  std::vector<int> queued_;
};

}  // namespace penstock::io
