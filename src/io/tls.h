// SPDX-License-Identifier: Apache-2.0
// TLS on top of any stream, behind the same interface (OpenSSL, hidden in the .cc files).
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/unique_function.h"
#include "io/event_loop.h"
#include "io/file.h"
#include "io/stream.h"

namespace penstock::io {

/// Whom to trust and who we are; everything in PEM. Text counts before a file. Borrowed during the call.
struct tls_options {
  std::string_view ca_file{};  ///< neither this nor `ca_pem`: the system's authorities
  std::string_view ca_pem{};
  std::string_view
      certificate_file{};  ///< our own and what leads from it to an authority; a server needs one
  std::string_view certificate_pem{};
  std::string_view key_file{};  ///< neither this nor `key_pem`: in the certificate's
  std::string_view key_pem{};
  std::string_view key_password{};   ///< of an encrypted key
  std::string_view cipher_suites{};  ///< of TLS 1.2, OpenSSL's names; empty: OpenSSL's choice
  bool tls13_only = false;           ///< TLS 1.2 otherwise too, nothing older
  bool verify_host_name = true;      ///< client: the certificate is for the name that was dialled
  bool require_certificate = false;  ///< server: of clients
};

/// What the connections of one configuration share. Safe from any thread once made.
class tls_context {
 public:
  /// errc::invalid_argument, errc::not_found or errc::authentication says which file or text is wrong and
  /// how; never what is in a key.
  static result<std::shared_ptr<const tls_context>> client(const tls_options& o, file_system& files);
  static result<std::shared_ptr<const tls_context>> server(const tls_options& o, file_system& files);
  ~tls_context();
  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;

  struct impl;
  const impl& native() const noexcept { return *impl_; }  ///< for io's own .cc files

 private:
  explicit tls_context(std::unique_ptr<impl> i) noexcept;
  std::unique_ptr<impl> impl_;
};

using tls_handler = unique_function<void(result<std::unique_ptr<stream>>)>;

/// Makes a TLS connection of a connected stream, as a client that wants to talk to `to.host`. `done` is
/// called once, on the loop, never within the call. Errors: errc::authentication when a certificate is
/// refused (by us or by the peer), and fatal then; errc::io, closed, timeout (retriable) otherwise.
///
/// The stream that comes out decrypts into the caller's buffer; what the peer sends in one go is taken in few
/// system calls. A write is encrypted in parts as the socket takes them; ranges of files are read, not sent
/// by the kernel.
void start_tls(event_loop& loop, std::unique_ptr<stream> under, std::shared_ptr<const tls_context> context,
               const endpoint& to, std::chrono::milliseconds timeout, tls_handler done);

/// The server's side of it.
void accept_tls(event_loop& loop, std::unique_ptr<stream> under, std::shared_ptr<const tls_context> context,
                std::chrono::milliseconds timeout, tls_handler done);

}  // namespace penstock::io
