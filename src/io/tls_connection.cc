// SPDX-License-Identifier: Apache-2.0
#include "io/tls_connection.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>

namespace penstock::io::detail {

namespace {

constexpr std::size_t record_bytes = 16'384;       // the most that one TLS record holds
constexpr std::size_t sealed_enough = 256u << 10;  // then it is sent before more is encrypted
constexpr std::size_t longest_ssl_write = 1u << 20;

}  // namespace

/// OpenSSL's way to the stream below.
struct tls_bio {
  static tls_connection& of(BIO* b) { return *static_cast<tls_connection*>(BIO_get_data(b)); }

  static int read(BIO* b, char* out, int size) {
    auto& c = of(b);
    BIO_clear_retry_flags(b);
    if (size <= 0) return 0;
    const auto room = static_cast<std::size_t>(size);
    if (c.staged_at_ < c.staged_size_) {
      const auto n = std::min(room, c.staged_size_ - c.staged_at_);
      std::memcpy(out, c.staged_.data() + c.staged_at_, n);
      c.staged_at_ += n;
      return static_cast<int>(n);
    }
    if (!c.below_ && !c.waiting_) {
      auto n = c.under_->try_read({out, room});
      if (n && *n > 0) return static_cast<int>(*n);
      if (!n) c.below_ = std::move(n.error());
    }
    if (c.below_) return c.below_->kind() == errc::closed ? 0 : -1;
    BIO_set_retry_read(b);
    return -1;
  }

  static int write(BIO* b, const char* in, int size) {
    BIO_clear_retry_flags(b);
    if (size > 0) of(b).sealed_.append(in, static_cast<std::size_t>(size));
    return size;
  }

  static long control(BIO* b, int command, long, void*) {
    switch (command) {
      case BIO_CTRL_FLUSH: return 1;
      case BIO_CTRL_EOF: return of(b).below_ ? 1 : 0;
      default: return 0;
    }
  }

  static const BIO_METHOD* method() {
    static const openssl_ptr<BIO_METHOD, BIO_meth_free> made = [] {
      openssl_ptr<BIO_METHOD, BIO_meth_free> m(
          BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "penstock stream"));
      BIO_meth_set_read(m.get(), read);
      BIO_meth_set_write(m.get(), write);
      BIO_meth_set_ctrl(m.get(), control);
      return m;
    }();
    return made.get();
  }
};

tls_connection::tls_connection(event_loop& loop, std::unique_ptr<stream> under,
                               std::shared_ptr<const tls_context> context, endpoint to)
    : loop_(loop),
      under_(std::move(under)),
      context_(std::move(context)),
      to_(std::move(to)),
      deadline_(loop) {}

tls_connection::~tls_connection() = default;

// --- the handshake ---

result<> tls_connection::prepare(bool as_client) {
  ERR_clear_error();
  ssl_.reset(SSL_new(context_->native().context.get()));
  BIO* bio = ssl_ == nullptr ? nullptr : BIO_new(tls_bio::method());
  if (bio == nullptr) return fail(errc::io, fmt::format("OpenSSL cannot be set up: {}", openssl_reason()));
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_verify(ssl_.get(), SSL_get_verify_mode(ssl_.get()), &tls_connection::verify_callback);
  if (!as_client) {
    SSL_set_accept_state(ssl_.get());
    return {};
  }
  SSL_set_connect_state(ssl_.get());
  std::string host = to_.host;
  if (host.ends_with('.')) host.pop_back();
  X509_VERIFY_PARAM* const param = SSL_get0_param(ssl_.get());
  const bool address = X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
  ERR_clear_error();
  if (address && !context_->native().verify_host_name) X509_VERIFY_PARAM_set1_ip(param, nullptr, 0);
  if (address) return {};
  SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
  if (context_->native().verify_host_name) {
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (host.empty() || X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size()) != 1)
      return fail(errc::invalid_argument, fmt::format("'{}' is no host name for TLS", host));
  }
  return {};
}

void tls_connection::handshake(bool as_client, std::chrono::milliseconds timeout, tls_handler done) {
  shaken_ = std::move(done);
  auto prepared = prepare(as_client);
  deadline_.arm(timeout, [self = shared_from_this(), timeout] {
    self->finish_handshake(fail(errc::timeout, fmt::format("no TLS handshake within {} ms", timeout.count()),
                                recovery::retriable));
  });
  loop_.post([self = shared_from_this(), prepared = std::move(prepared)]() mutable {
    if (!prepared) return self->finish_handshake(std::move(prepared));
    self->shake();
  });
}

void tls_connection::shake() {
  if (!shaken_) return;
  ERR_clear_error();
  const int outcome = SSL_do_handshake(ssl_.get());
  if (outcome == 1) return finish_handshake({});
  const int code = SSL_get_error(ssl_.get(), outcome);
  if (code == SSL_ERROR_WANT_READ) {
    flush();
    return wait_for_bytes();
  }
  finish_handshake(fail(handshake_failure(code)));
}

void tls_connection::finish_handshake(result<> outcome) {
  if (!shaken_) return;
  const auto self = shared_from_this();  // the deadline's handler may be all that holds us
  deadline_.cancel();
  flush();  // our last message, or the alert that says why we refuse
  auto done = std::exchange(shaken_, nullptr);
  if (outcome) return done(make_tls_stream(shared_from_this()));
  under_->close();
  const auto& why = outcome.error();
  done(fail(
      error(why.kind(), fmt::format("TLS with {}: {}", to_string(to_), why.message()), why.what_to_do())));
}

error tls_connection::handshake_failure(int code) {
  if (!refused_.empty()) {
    ERR_clear_error();
    return error(errc::authentication, refused_);
  }
  if (code == SSL_ERROR_SSL) {
    const int reason = ERR_GET_REASON(ERR_peek_error());
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
        reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_BAD_RECORD_TYPE) {
      return error(errc::authentication,
                   fmt::format("the peer does not speak TLS there ({})", openssl_reason()));
    }
    // What the peer refuses is told by an alert, which OpenSSL numbers from 1000 on.
    if (reason >= SSL_AD_REASON_OFFSET)
      return error(errc::authentication, fmt::format("the peer refuses: {}", openssl_reason()));
    if (reason != SSL_R_UNEXPECTED_EOF_WHILE_READING) return error(errc::authentication, openssl_reason());
  }
  ERR_clear_error();
  if (below_ && below_->kind() != errc::closed) return *below_;
  return error(
      errc::closed,
      "the peer closed the connection during the handshake (does it speak TLS there, and does it want a "
      "client certificate?)",
      recovery::retriable);
}

int tls_connection::verify_callback(int ok, X509_STORE_CTX* chain) {
  const auto* ssl =
      static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  return static_cast<tls_connection*>(SSL_get_app_data(ssl))->verified(ok, chain);
}

int tls_connection::verified(int ok, X509_STORE_CTX* chain) {
  if (ok == 1 || !refused_.empty()) return ok;
  const X509* certificate = X509_STORE_CTX_get_current_cert(chain);
  const int code = X509_STORE_CTX_get_error(chain);
  if (certificate == nullptr) {
    refused_ = X509_verify_cert_error_string(code);
  } else if (code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    refused_ = fmt::format("its certificate is for {} and not for {}", names_of(certificate), to_.host);
  } else {
    refused_ =
        fmt::format("the certificate of {} (issued by {}) is not accepted: {}", subject_of(certificate),
                    issuer_of(certificate), X509_verify_cert_error_string(code));
  }
  return ok;
}

// --- reading ---

error tls_connection::broken(int code, std::string_view what) {
  const bool alert = code == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) >= SSL_AD_REASON_OFFSET;
  if (alert) {
    return error(errc::authentication,
                 fmt::format("TLS: {} refuses the connection: {}", peer(), openssl_reason()));
  }
  if (code == SSL_ERROR_ZERO_RETURN || (below_ && below_->kind() == errc::closed)) {
    ERR_clear_error();
    return error(errc::closed, fmt::format("{} closed the connection", peer()), recovery::retriable);
  }
  if (code == SSL_ERROR_SSL)
    return error(errc::corrupt, fmt::format("TLS: cannot {} {}: {}", what, peer(), openssl_reason()),
                 recovery::retriable);
  ERR_clear_error();
  if (below_) return *below_;
  return error(errc::io, fmt::format("TLS: cannot {} {}", what, peer()), recovery::retriable);
}

result<std::size_t> tls_connection::decrypt(std::span<char> out) {
  if (broken_) return fail(*broken_);
  std::size_t total = 0;
  ERR_clear_error();
  while (total < out.size()) {
    std::size_t n = 0;
    const int outcome = SSL_read_ex(ssl_.get(), out.data() + total, out.size() - total, &n);
    total += n;
    if (outcome == 1) continue;
    const int code = SSL_get_error(ssl_.get(), outcome);
    if (code != SSL_ERROR_WANT_READ) broken_ = broken(code, "read from");
    break;
  }
  flush();  // reading may have to answer (a key update)
  if (total > 0 || !broken_) return total;
  return fail(*broken_);
}

void tls_connection::read_some(std::span<char> out, unique_function<void(result<std::size_t>)> done) {
  if (!is_open() || read_) return complete_later(std::move(done), result<std::size_t>(refusal("read")));
  auto n = decrypt(out);
  if (!n || *n > 0) {
    // Marked as under way until the handler runs, as with a socket.
    read_ = std::move(done);
    return loop_.post([self = shared_from_this(), n = std::move(n)]() mutable {
      std::exchange(self->read_, nullptr)(std::move(n));
    });
  }
  wanted_ = out;
  read_ = std::move(done);
  wait_for_bytes();
}

result<std::size_t> tls_connection::try_read(std::span<char> out) {
  if (!is_open() || read_) return refusal("read");
  return decrypt(out);
}

void tls_connection::wait_for_bytes() {
  if (waiting_) return;
  waiting_ = true;
  // A loop that ends drops what it has not called. Our callers' handlers wait here and not in the loop, and
  // may hold what holds us: they go the same way.
  struct pending {
    std::shared_ptr<tls_connection> self;
    explicit pending(std::shared_ptr<tls_connection> s) noexcept : self(std::move(s)) {}
    pending(pending&&) noexcept = default;
    ~pending() {
      if (self) self->dropped();
    }
  };
  under_->read_some(staged_, [p = pending(shared_from_this())](result<std::size_t> n) mutable {
    std::exchange(p.self, nullptr)->bytes_came(std::move(n));
  });
}

void tls_connection::dropped() {
  const auto shaken = std::exchange(shaken_, nullptr);
  const auto read = std::exchange(read_, nullptr);
  const auto written = std::exchange(written_, nullptr);
}

void tls_connection::bytes_came(result<std::size_t> n) {
  waiting_ = false;
  staged_at_ = staged_size_ = 0;
  if (n)
    staged_size_ = *n;
  else
    below_ = std::move(n.error());
  if (shaken_) return shake();
  go_on_reading();
}

void tls_connection::go_on_reading() {
  if (!read_) return;
  auto n = is_open() ? decrypt(wanted_) : result<std::size_t>(refusal("read"));
  if (n && *n == 0) return wait_for_bytes();
  std::exchange(read_, nullptr)(std::move(n));
}

// --- writing ---

void tls_connection::write(std::vector<write_piece> pieces, unique_function<void(result<>)> done) {
  if (!is_open() || written_) return complete_later(std::move(done), result<>(refusal("write")));
  written_ = std::move(done);
  pieces_ = std::move(pieces);
  piece_ = 0;
  offset_ = 0;
  auto encrypted = encrypt();
  flush();
  if (encrypted && sending_now_) return;
  loop_.post([self = shared_from_this(), encrypted = std::move(encrypted)]() mutable {
    self->finish_write(std::move(encrypted));
  });
}

/// Encrypts until enough is gathered for one write below, or all of it.
result<> tls_connection::encrypt() {
  if (broken_) return fail(*broken_);
  ERR_clear_error();
  while (sealed_.size() < sealed_enough) {
    const auto plain = next_plain();
    if (!plain) return fail(plain.error());
    if (plain->empty()) return {};
    std::size_t n = 0;
    const int outcome = SSL_write_ex(ssl_.get(), plain->data(), plain->size(), &n);
    if (outcome != 1) {
      broken_ = broken(SSL_get_error(ssl_.get(), outcome), "write to");
      return fail(*broken_);
    }
    advance(n);
  }
  return {};
}

/// What to encrypt next: a large piece as it lies, or small ones put together so that they share a record.
result<std::string_view> tls_connection::next_plain() {
  if (plain_at_ < plain_.size()) return std::string_view(plain_).substr(plain_at_);
  plain_.clear();
  plain_at_ = 0;
  for (; piece_ < pieces_.size(); ++piece_, offset_ = 0) {
    const auto& p = pieces_[piece_];
    const auto left = (p.from == nullptr ? p.bytes.size() : p.length) - offset_;
    const auto room = record_bytes - plain_.size();
    if (p.from != nullptr && left > 0) {
      if (room < std::min<std::uint64_t>(left, record_bytes)) break;
      const auto before = plain_.size();
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left, room));
      plain_.resize(before + part);
      const auto got = p.from->read_at(p.position + offset_, {plain_.data() + before, part});
      if (!got) return fail(got.error());
      if (*got < part)
        return fail(errc::io, fmt::format("cannot send {}: it ends before position {}", p.from->path(),
                                          p.position + p.length));
      offset_ += part;
      if (part < left) break;
      continue;
    }
    if (left > room) {
      if (!plain_.empty()) break;
      return p.bytes.substr(static_cast<std::size_t>(offset_), longest_ssl_write);
    }
    plain_.append(p.bytes.substr(static_cast<std::size_t>(offset_)));
  }
  return std::string_view(plain_);
}

void tls_connection::advance(std::size_t n) noexcept {
  if (plain_at_ < plain_.size())
    plain_at_ += n;
  else
    offset_ += n;
}

void tls_connection::flush() {
  if (sending_now_ || sealed_.empty() || !is_open()) return;
  sending_.clear();
  sending_.swap(sealed_);
  sending_now_ = true;
  under_->write({{.bytes = sending_}}, [self = shared_from_this()](result<> r) {
    self->sending_now_ = false;
    if (!r && self->written_) return self->finish_write(std::move(r));
    if (r) self->go_on_writing();
  });
}

void tls_connection::go_on_writing() {
  if (written_) {
    auto encrypted = is_open() ? encrypt() : result<>(refusal("write"));
    if (!encrypted) return finish_write(std::move(encrypted));
  }
  flush();
  if (sending_now_) return;
  if (std::exchange(shut_down_after_, false)) static_cast<void>(under_->shutdown_write());
  if (written_) finish_write({});
}

void tls_connection::finish_write(result<> outcome) {
  if (!written_) return;
  pieces_.clear();
  plain_.clear();
  plain_at_ = 0;
  if (sending_.capacity() > 2 * sealed_enough) std::string().swap(sending_);
  auto done = std::exchange(written_, nullptr);  // it may begin the next write
  done(std::move(outcome));
}

result<> tls_connection::shutdown_write() {
  if (!is_open()) return refusal("shut down");
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  flush();
  if (!sending_now_) return under_->shutdown_write();
  shut_down_after_ = true;
  return {};
}

void tls_connection::close() {
  if (!is_open()) return;
  if (!shaken_ && !broken_ && !sending_now_ && !written_) {
    SSL_shutdown(ssl_.get());  // one try to say good-bye; the socket takes it at once or not
    ERR_clear_error();
    flush();
  }
  under_->close();
}

tl::unexpected<error> tls_connection::refusal(std::string_view what) const {
  if (is_open())
    return fail(errc::internal,
                fmt::format("cannot {}: the last {} of {} is still under way", what, what, peer()));
  return fail(errc::cancelled, fmt::format("cannot {}: the connection to {} is closed", what, peer()));
}

template <typename Done, typename Outcome>
void tls_connection::complete_later(Done done, Outcome outcome) {
  loop_.post([done = std::move(done), outcome = std::move(outcome)]() mutable { done(std::move(outcome)); });
}

}  // namespace penstock::io::detail
