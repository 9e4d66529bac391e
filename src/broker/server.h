// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/broker.h>
#include <penstock/result.h>

#include <memory>
#include <string>

#include "io/clock.h"
#include "io/file.h"
#include "io/random.h"
#include "io/stream.h"

namespace penstock::broker {

class request_hooks;
using server_options = penstock::broker_options;

/// What the broker takes from the outside world; a test may put its own in. Everything must outlive the
/// server.
struct environment {
  const io::clock* time = &io::clock::system();
  io::file_system* files = &io::file_system::system();
  io::random_source* random = &io::random_source::system();
};

/// The broker itself: one thread serves all connections, one syncs files, one does upkeep (retention,
/// compaction). penstock::embedded_broker is its public face.
///
///     auto s = server::start({.directory = dir});
///     if (!s) return fail(s.error());
///     use((*s)->endpoint());
///     (*s)->stop();
class server {
 public:
  /// Listening when it returns. See penstock::embedded_broker::start for the errors.
  static result<std::unique_ptr<server>> start(server_options options, environment env = {});
  ~server();  ///< stops it
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// Where it listens, with the port chosen. Safe from any thread.
  io::endpoint endpoint() const;
  /// What clients are told to connect to.
  io::endpoint advertised() const;
  const std::string& cluster_id() const noexcept;
  /// For tests: hooks.h says what may be done to requests. Lives as long as the server.
  request_hooks& hooks() noexcept;

  /// Stops clean and waits for the threads. Idempotent; safe from any thread but the server's own. Returns
  /// the failure if it had stopped by itself before.
  result<> stop();

 private:
  struct impl;
  explicit server(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock::broker
