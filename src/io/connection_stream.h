// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/stream.h"

namespace penstock::io::detail {

/// The stream that a user holds, of a `Connection` that handlers under way share with it: it closes the
/// connection when it goes, and they let go of it.
template <typename Connection>
class connection_stream final : public stream {
 public:
  explicit connection_stream(std::shared_ptr<Connection> c) noexcept : connection_(std::move(c)) {}
  ~connection_stream() override { connection_->close(); }

  void read_some(std::span<char> out, unique_function<void(result<std::size_t>)> done) override {
    connection_->read_some(out, std::move(done));
  }
  result<std::size_t> try_read(std::span<char> out) override { return connection_->try_read(out); }
  void write(std::vector<write_piece> pieces, unique_function<void(result<>)> done) override {
    connection_->write(std::move(pieces), std::move(done));
  }
  result<> shutdown_write() override { return connection_->shutdown_write(); }
  void close() override { connection_->close(); }
  bool is_open() const noexcept override { return connection_->is_open(); }
  bool peer_ended() const noexcept override { return connection_->peer_ended(); }
  std::string peer() const override { return connection_->peer(); }

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace penstock::io::detail
