// SPDX-License-Identifier: Apache-2.0
// Certificates and OpenSSL's errors in words.
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>

#include "io/openssl.h"

namespace penstock::io::detail {
namespace {

constexpr std::size_t longest_name = 300;

std::string text_of(const BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(const_cast<BIO*>(memory), &data);
  std::string text(data, size > 0 ? static_cast<std::size_t>(size) : 0);
  if (text.size() > longest_name) text.replace(longest_name, std::string::npos, "...");
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == 127) c = '?';  // the peer chose it
  return text;
}

std::string in_words(const X509_NAME* name) {
  const bio_ptr out(BIO_new(BIO_s_mem()));
  if (out == nullptr || name == nullptr) return "?";
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  auto text = text_of(out.get());
  return text.empty() ? "without a subject" : text;
}

void append_name(const GENERAL_NAME* name, std::string& all) {
  int type = 0;
  const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &type));
  std::string text;
  if (type == GEN_DNS) {
    text = "DNS:";
    text.append(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                static_cast<std::size_t>(ASN1_STRING_length(value)));
  } else if (type == GEN_IPADD && ASN1_STRING_length(value) == 4) {
    text = "IP:";
    for (int i = 0; i < 4; ++i) text += (i > 0 ? "." : "") + std::to_string(ASN1_STRING_get0_data(value)[i]);
  } else if (type == GEN_IPADD) {
    text = "an IPv6 address";
  } else {
    return;
  }
  all += (all.empty() ? "" : ", ") + text;
}

}  // namespace

std::string openssl_reason() {
  const auto first = ERR_peek_error();
  const auto last = ERR_peek_last_error();
  ERR_clear_error();
  // The first is the cause; what follows says where it came through. A system error has no text of its own.
  for (const auto code : {first, last}) {
    if (code == 0) continue;
    if (const char* reason = ERR_reason_error_string(code)) return reason;
    std::array<char, 256> text{};
    ERR_error_string_n(code, text.data(), text.size());
    return text.data();
  }
  return "no reason given";
}

std::string subject_of(const X509* certificate) { return in_words(X509_get_subject_name(certificate)); }
std::string issuer_of(const X509* certificate) { return in_words(X509_get_issuer_name(certificate)); }

std::string names_of(const X509* certificate) {
  using names_ptr = openssl_ptr<GENERAL_NAMES, GENERAL_NAMES_free>;
  const names_ptr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  std::string all;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()) && all.size() < longest_name; ++i)
    append_name(sk_GENERAL_NAME_value(names.get(), i), all);
  for (char& c : all)
    if (static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) > 126) c = '?';
  return all.empty() ? subject_of(certificate) : all;
}

}  // namespace penstock::io::detail
