// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/openssl.h"

namespace penstock::io::detail {

/// One TLS connection over a stream. Handlers under way share it with the stream that the user holds, so that
/// it outlives whatever they do to that.
///
/// OpenSSL reads and writes through a BIO of ours: reading takes what `staged_` holds and then asks the
/// stream below without waiting, straight into OpenSSL's buffer; writing gathers in `sealed_`, which is sent
/// below when there is enough of it. Only waiting reads go to `staged_`.
class tls_connection final : public std::enable_shared_from_this<tls_connection> {
 public:
  tls_connection(event_loop& loop, std::unique_ptr<stream> under, std::shared_ptr<const tls_context> context,
                 endpoint to);
  ~tls_connection();

  void handshake(bool as_client, std::chrono::milliseconds timeout, tls_handler done);
  void read_some(std::span<char> out, unique_function<void(result<std::size_t>)> done);
  result<std::size_t> try_read(std::span<char> out);
  void write(std::vector<write_piece> pieces, unique_function<void(result<>)> done);
  result<> shutdown_write();
  void close();
  bool is_open() const noexcept { return under_->is_open(); }
  bool peer_ended() const noexcept { return under_->peer_ended(); }
  std::string peer() const { return under_->peer(); }

 private:
  friend struct tls_bio;
  result<> prepare(bool as_client);
  void shake();
  void finish_handshake(result<> outcome);
  error handshake_failure(int code);
  int verified(int ok, X509_STORE_CTX* chain);
  static int verify_callback(int ok, X509_STORE_CTX* chain);

  /// Bytes, 0 when there are none yet, or why there will be none.
  result<std::size_t> decrypt(std::span<char> out);
  error broken(int code, std::string_view what);
  void wait_for_bytes();
  void dropped();
  void bytes_came(result<std::size_t> n);
  void go_on_reading();

  result<> encrypt();
  result<std::string_view> next_plain();
  void advance(std::size_t n) noexcept;
  void flush();
  void go_on_writing();
  void finish_write(result<> outcome);

  tl::unexpected<error> refusal(std::string_view what) const;
  template <typename Done, typename Outcome>
  void complete_later(Done done, Outcome outcome);

  event_loop& loop_;
  std::unique_ptr<stream> under_;
  std::shared_ptr<const tls_context> context_;
  endpoint to_;
  ssl_ptr ssl_;

  std::array<char, 4096> staged_;  // bytes that came while we waited
  std::size_t staged_at_ = 0, staged_size_ = 0;
  bool waiting_ = false;         // a read of the stream below is under way
  std::optional<error> below_;   // why the stream below failed, or that it ended
  std::optional<error> broken_;  // why TLS itself is over
  std::span<char> wanted_;       // of the read under way
  unique_function<void(result<std::size_t>)> read_;

  std::vector<write_piece> pieces_;
  std::size_t piece_ = 0;     // the piece under way
  std::uint64_t offset_ = 0;  // bytes of it that are encrypted
  std::string plain_;         // small pieces together, or a part of a file
  std::size_t plain_at_ = 0;
  std::string sealed_, sending_;  // encrypted bytes: gathered, and on their way
  bool sending_now_ = false;
  bool shut_down_after_ = false;
  unique_function<void(result<>)> written_;

  tls_handler shaken_;  // set during the handshake
  timer deadline_;
  std::string refused_;  // which certificate was refused, and why
};

std::unique_ptr<stream> make_tls_stream(std::shared_ptr<tls_connection> c);

}  // namespace penstock::io::detail
