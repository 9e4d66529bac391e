// SPDX-License-Identifier: Apache-2.0
// What the parts of the TLS implementation share.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "io/tls.h"

namespace penstock::io {

namespace detail {

template <auto Free>
struct openssl_delete {
  template <typename T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};
template <typename T, auto Free>
using openssl_ptr = std::unique_ptr<T, openssl_delete<Free>>;
using ssl_ptr = openssl_ptr<SSL, SSL_free>;
using ssl_ctx_ptr = openssl_ptr<SSL_CTX, SSL_CTX_free>;
using x509_ptr = openssl_ptr<X509, X509_free>;
using pkey_ptr = openssl_ptr<EVP_PKEY, EVP_PKEY_free>;
using bio_ptr = openssl_ptr<BIO, BIO_free_all>;

/// Why the latest OpenSSL call of this thread failed, in OpenSSL's words; empties its list of errors.
std::string openssl_reason();

/// "CN=localhost,O=Example" of a certificate, shortened when it is very long.
std::string subject_of(const X509* certificate);
std::string issuer_of(const X509* certificate);
/// "DNS:a.example, IP:127.0.0.1": whom a certificate is for; its subject when it has no alternative names.
std::string names_of(const X509* certificate);

}  // namespace detail

struct tls_context::impl {
  detail::ssl_ctx_ptr context;
  bool verify_host_name = true;
};

}  // namespace penstock::io
