// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <cstring>

#include "io/openssl.h"

namespace penstock::io {
namespace {

using namespace detail;

constexpr std::uint64_t largest_pem = 8u << 20;
// A read from the socket takes several records at once (one is at most 16 KiB).
constexpr std::size_t read_ahead_bytes = 65'536 + 512;

/// PEM text and where it came from, for messages. May hold a private key: wiped when it goes.
struct pem_text {
  std::string text;
  std::string where;
  pem_text() = default;
  pem_text(pem_text&&) = default;
  pem_text& operator=(pem_text&&) = default;
  ~pem_text() { OPENSSL_cleanse(text.data(), text.size()); }
};

result<pem_text> load(std::string_view what, std::string_view text, std::string_view path,
                      file_system& files) {
  pem_text loaded;
  loaded.where = text.empty() ? std::string(path) : fmt::format("the given {}", what);
  if (!text.empty()) {
    loaded.text = text;
    return loaded;
  }
  auto read = read_file(files, std::string(path), largest_pem);
  if (!read) return fail(read.error().with_context(fmt::format("the {} for TLS", what)));
  loaded.text = std::move(*read);
  return loaded;
}

bio_ptr reader_of(const pem_text& p) {
  return bio_ptr(BIO_new_mem_buf(p.text.data(), static_cast<int>(p.text.size())));
}

tl::unexpected<error> bad(std::string message) {
  ERR_clear_error();
  return fail(errc::invalid_argument, std::move(message));
}

result<> trust(SSL_CTX* context, const tls_options& o, file_system& files) {
  if (o.ca_file.empty() && o.ca_pem.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return {};
    return fail(errc::io, fmt::format("cannot load the system's authorities: {}", openssl_reason()));
  }
  auto pem = load("authorities", o.ca_pem, o.ca_file, files);
  if (!pem) return fail(pem.error());
  const auto in = reader_of(*pem);
  auto* store = SSL_CTX_get_cert_store(context);
  int count = 0;
  while (const x509_ptr one{PEM_read_bio_X509_AUX(in.get(), nullptr, nullptr, nullptr)}) {
    if (X509_STORE_add_cert(store, one.get()) != 1)
      return bad(fmt::format("an authority in {} cannot be used: {}", pem->where, openssl_reason()));
    ++count;
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (count == 0) return bad(fmt::format("there is no certificate of an authority in {} (PEM)", pem->where));
  if (!at_end) return bad(fmt::format("a certificate in {} is damaged: {}", pem->where, openssl_reason()));
  ERR_clear_error();
  return {};
}

struct password_source {
  std::string_view password;
  bool asked = false;
};

int give_password(char* out, int size, int, void* context) {
  auto& source = *static_cast<password_source*>(context);
  source.asked = true;
  if (source.password.empty() || source.password.size() > static_cast<std::size_t>(size)) return -1;
  std::memcpy(out, source.password.data(), source.password.size());
  return static_cast<int>(source.password.size());
}

result<> use_key(SSL_CTX* context, const tls_options& o, const pem_text& certificate, file_system& files) {
  pem_text own;
  const bool separate = !o.key_file.empty() || !o.key_pem.empty();
  if (separate) {
    auto loaded = load("private key", o.key_pem, o.key_file, files);
    if (!loaded) return fail(loaded.error());
    own = std::move(*loaded);
  }
  const pem_text& pem = separate ? own : certificate;
  const auto in = reader_of(pem);
  password_source source{.password = o.key_password};
  const pkey_ptr key(PEM_read_bio_PrivateKey(in.get(), nullptr, give_password, &source));
  if (key == nullptr) {
    if (source.asked && o.key_password.empty())
      return bad(
          fmt::format("the private key in {} is encrypted, and ssl.key.password is not set", pem.where));
    if (source.asked)
      return bad(fmt::format("ssl.key.password does not open the private key in {}", pem.where));
    return bad(fmt::format("there is no private key in {} that can be read (PEM)", pem.where));
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1)
    return bad(fmt::format("the private key in {} does not belong to the certificate in {}", pem.where,
                           certificate.where));
  return {};
}

result<> identify(SSL_CTX* context, const tls_options& o, file_system& files) {
  if (o.certificate_file.empty() && o.certificate_pem.empty()) {
    if (o.key_file.empty() && o.key_pem.empty()) return {};
    return bad("a private key for TLS is given, but no certificate (ssl.certificate.location)");
  }
  auto pem = load("certificate", o.certificate_pem, o.certificate_file, files);
  if (!pem) return fail(pem.error());
  const auto in = reader_of(*pem);
  const x509_ptr own(PEM_read_bio_X509_AUX(in.get(), nullptr, nullptr, nullptr));
  if (own == nullptr) return bad(fmt::format("there is no certificate in {} (PEM)", pem->where));
  if (SSL_CTX_use_certificate(context, own.get()) != 1)
    return bad(fmt::format("the certificate in {} cannot be used: {}", pem->where, openssl_reason()));
  while (x509_ptr next{PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)}) {
    if (SSL_CTX_add0_chain_cert(context, next.get()) != 1)
      return bad(fmt::format("the chain in {} cannot be used: {}", pem->where, openssl_reason()));
    static_cast<void>(next.release());  // the context has it now
  }
  ERR_clear_error();
  return use_key(context, o, *pem, files);
}

result<ssl_ctx_ptr> common(const SSL_METHOD* method, const tls_options& o, file_system& files) {
  ERR_clear_error();
  ssl_ctx_ptr context(SSL_CTX_new(method));
  if (context == nullptr)
    return fail(errc::io, fmt::format("OpenSSL cannot be set up: {}", openssl_reason()));
  SSL_CTX_set_min_proto_version(context.get(), o.tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
  // Frames have their lengths: one that is cut short is noticed without a closing alert.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_default_read_buffer_len(context.get(), read_ahead_bytes);
  if (!o.cipher_suites.empty() &&
      SSL_CTX_set_cipher_list(context.get(), std::string(o.cipher_suites).c_str()) != 1)
    return bad(fmt::format("ssl.cipher.suites '{}' names no cipher that OpenSSL knows", o.cipher_suites));
  if (auto identified = identify(context.get(), o, files); !identified) return fail(identified.error());
  return context;
}

}  // namespace

tls_context::tls_context(std::unique_ptr<impl> i) noexcept : impl_(std::move(i)) {}
tls_context::~tls_context() = default;

result<std::shared_ptr<const tls_context>> tls_context::client(const tls_options& o, file_system& files) {
  auto context = common(TLS_client_method(), o, files);
  if (!context) return fail(context.error());
  if (auto trusted = trust(context->get(), o, files); !trusted) return fail(trusted.error());
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
  auto made = std::make_unique<impl>(impl{std::move(*context), o.verify_host_name});
  return std::shared_ptr<const tls_context>(new tls_context(std::move(made)));
}

result<std::shared_ptr<const tls_context>> tls_context::server(const tls_options& o, file_system& files) {
  if (o.certificate_file.empty() && o.certificate_pem.empty())
    return bad("a TLS server needs a certificate and its private key");
  auto context = common(TLS_server_method(), o, files);
  if (!context) return fail(context.error());
  if (o.require_certificate) {
    if (auto trusted = trust(context->get(), o, files); !trusted) return fail(trusted.error());
    SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  auto made = std::make_unique<impl>(impl{std::move(*context), false});
  return std::shared_ptr<const tls_context>(new tls_context(std::move(made)));
}

}  // namespace penstock::io
