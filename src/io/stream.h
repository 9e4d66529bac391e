// SPDX-License-Identifier: Apache-2.0
// Byte streams: TCP for now; TLS puts itself behind the same interface.
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_function.h"
#include "io/event_loop.h"
#include "io/file.h"

namespace penstock::io {

struct endpoint {
  std::string host{};  ///< a name or an address
  std::uint16_t port = 0;
  friend bool operator==(const endpoint&, const endpoint&) = default;
};
std::string to_string(const endpoint& e);  ///< "host:port", IPv6 addresses in brackets
/// Parses "host:port" or "[v6]:port".
result<endpoint> parse_endpoint(std::string_view text);

/// A piece of a gathered write: memory, or a range of a file that goes to the socket without passing through
/// us (sendfile). `keep` holds whatever owns the memory or the file until the write is over.
struct write_piece {
  std::string_view bytes{};
  const file* from = nullptr;
  std::uint64_t position = 0;
  std::uint64_t length = 0;  ///< with `from` only
  std::shared_ptr<const void> keep{};
};

/// A connected byte stream on an event loop. One read and one write may be under way at a time. Handlers run
/// on the loop, never inside the call that registers them. Closing or destroying it completes pending
/// handlers with errc::cancelled; they run from the loop, so what they touch must outlive it or be guarded.
class stream {
 public:
  virtual ~stream() = default;
  /// Reads at least one byte, as many as are there up to out.size(). errc::closed at the end of the stream.
  virtual void read_some(std::span<char> out, unique_function<void(result<std::size_t>)> done) = 0;
  /// Reads what is there without waiting: 0 when there is nothing yet, errc::closed at the end. For loops
  /// that drain a socket before they wait again.
  virtual result<std::size_t> try_read(std::span<char> out) = 0;
  /// Writes all pieces in order.
  virtual void write(std::vector<write_piece> pieces, unique_function<void(result<>)> done) = 0;
  /// Tells the peer that nothing more comes (it reads errc::closed after the last byte); reading goes on.
  /// After the last write is over.
  virtual result<> shutdown_write() = 0;
  virtual void close() = 0;
  virtual bool is_open() const noexcept = 0;
  /// Whether the peer will send nothing more, because it closed its side or is gone. True as soon as the
  /// system knows, while bytes that it sent before may still be waiting to be read. One look, no waiting.
  virtual bool peer_ended() const noexcept = 0;
  virtual std::string peer() const = 0;  ///< "host:port" for messages
};

/// Accepts connections until destroyed.
class listener {
 public:
  virtual ~listener() = default;
  virtual endpoint local() const = 0;  ///< with the port that was chosen when 0 was asked for
  virtual void close() = 0;
};

/// Connects (resolving the name off the loop's thread), with TCP_NODELAY. errc::timeout after `timeout`.
void connect(event_loop& loop, const endpoint& to, std::chrono::milliseconds timeout,
             unique_function<void(result<std::unique_ptr<stream>>)> done);

/// Listens at once (SO_REUSEADDR); errc::io when the address is taken. Each connection is handed to
/// `accepted` on the loop; accept errors that pass (too many files) are waited out.
result<std::unique_ptr<listener>> listen(event_loop& loop, const endpoint& at,
                                         unique_function<void(std::unique_ptr<stream>)> accepted);

}  // namespace penstock::io
