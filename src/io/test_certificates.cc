// SPDX-License-Identifier: Apache-2.0
#include "io/test_certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdexcept>

#include "io/openssl.h"
#include "io/random.h"

namespace penstock::io::testing {
namespace {

using namespace io::detail;

void must(bool good) {
  if (!good) throw std::runtime_error("OpenSSL: " + openssl_reason());
}

pkey_ptr new_key() {
  pkey_ptr key(EVP_EC_gen("P-256"));
  must(key != nullptr);
  return key;
}

std::string written(const bio_ptr& out) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string pem_of(X509* c) {
  const bio_ptr out(BIO_new(BIO_s_mem()));
  must(PEM_write_bio_X509(out.get(), c) == 1);
  return written(out);
}

std::string pem_of(EVP_PKEY* key, const std::string* password) {
  const bio_ptr out(BIO_new(BIO_s_mem()));
  const auto* word = password == nullptr ? nullptr : password->data();
  must(PEM_write_bio_PKCS8PrivateKey(out.get(), key, password == nullptr ? nullptr : EVP_aes_256_cbc(), word,
                                     password == nullptr ? 0 : static_cast<int>(password->size()), nullptr,
                                     nullptr) == 1);
  return written(out);
}

void extend(X509* c, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, c, nullptr, nullptr, 0);
  const openssl_ptr<X509_EXTENSION, X509_EXTENSION_free> made(
      X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str()));
  must(made != nullptr && X509_add_ext(c, made.get(), -1) == 1);
}

x509_ptr blank(EVP_PKEY* key, const std::string& name, int from_hours, int to_hours) {
  x509_ptr c(X509_new());
  must(c != nullptr && X509_set_version(c.get(), 2) == 1 && X509_set_pubkey(c.get(), key) == 1);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(c.get()), random_source::system().next() >> 1);
  X509_gmtime_adj(X509_getm_notBefore(c.get()), from_hours * 3600L);
  X509_gmtime_adj(X509_getm_notAfter(c.get()), to_hours * 3600L);
  must(X509_NAME_add_entry_by_txt(X509_get_subject_name(c.get()), "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0) == 1);
  return c;
}

}  // namespace

struct authority::impl {
  pkey_ptr key;
  x509_ptr own;
};

authority::authority(const std::string& name) : impl_(std::make_unique<impl>()) {
  impl_->key = new_key();
  impl_->own = blank(impl_->key.get(), name, -24, 24);
  X509* const own = impl_->own.get();
  X509_set_issuer_name(own, X509_get_subject_name(own));
  extend(own, own, NID_basic_constraints, "critical,CA:TRUE");
  extend(own, own, NID_key_usage, "critical,keyCertSign,cRLSign");
  must(X509_sign(own, impl_->key.get(), EVP_sha256()) > 0);
}

authority::~authority() = default;

std::string authority::pem() const { return pem_of(impl_->own.get()); }

certificate authority::issue(const certificate_wish& wish) const {
  const auto key = new_key();
  const auto c = blank(key.get(), wish.name, wish.valid_from_hours, wish.valid_to_hours);
  X509_set_issuer_name(c.get(), X509_get_subject_name(impl_->own.get()));
  if (!wish.for_names.empty()) extend(c.get(), impl_->own.get(), NID_subject_alt_name, wish.for_names);
  must(X509_sign(c.get(), impl_->key.get(), EVP_sha256()) > 0);
  return {pem_of(c.get()), pem_of(key.get(), nullptr)};
}

std::string encrypt_key(const std::string& key_pem, const std::string& password) {
  const bio_ptr in(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  const pkey_ptr key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  must(key != nullptr);
  return pem_of(key.get(), &password);
}

}  // namespace penstock::io::testing
