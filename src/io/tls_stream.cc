// SPDX-License-Identifier: Apache-2.0
#include "io/tls_connection.h"

namespace penstock::io {
namespace detail {
namespace {

class tls_stream final : public stream {
 public:
  explicit tls_stream(std::shared_ptr<tls_connection> c) noexcept : connection_(std::move(c)) {}
  ~tls_stream() override { connection_->close(); }

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
  std::string peer() const override { return connection_->peer(); }

 private:
  std::shared_ptr<tls_connection> connection_;
};

}  // namespace

std::unique_ptr<stream> make_tls_stream(std::shared_ptr<tls_connection> c) {
  return std::make_unique<tls_stream>(std::move(c));
}

}  // namespace detail

void start_tls(event_loop& loop, std::unique_ptr<stream> under, std::shared_ptr<const tls_context> context,
               const endpoint& to, std::chrono::milliseconds timeout, tls_handler done) {
  std::make_shared<detail::tls_connection>(loop, std::move(under), std::move(context), to)
      ->handshake(true, timeout, std::move(done));
}

void accept_tls(event_loop& loop, std::unique_ptr<stream> under, std::shared_ptr<const tls_context> context,
                std::chrono::milliseconds timeout, tls_handler done) {
  const auto from = parse_endpoint(under->peer());
  std::make_shared<detail::tls_connection>(loop, std::move(under), std::move(context),
                                           from ? *from : endpoint{})
      ->handshake(false, timeout, std::move(done));
}

}  // namespace penstock::io
