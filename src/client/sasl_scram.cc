// SPDX-License-Identifier: Apache-2.0
#include "client/sasl_scram.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <charconv>
#include <cstring>
#include <optional>

#include "base/base64.h"
#include "client/sasl.h"

namespace penstock::client {
namespace {

constexpr std::size_t longest_message = 16'384;
constexpr std::size_t longest_salt = 1024;

const EVP_MD* digest_of(scram_hash h) { return h == scram_hash::sha256 ? EVP_sha256() : EVP_sha512(); }

const unsigned char* bytes_of(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }

std::string hmac(scram_hash h, std::string_view key, std::string_view data) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  HMAC(digest_of(h), key.data(), static_cast<int>(key.size()), bytes_of(data), data.size(),
       reinterpret_cast<unsigned char*>(out.data()), &size);
  out.resize(size);
  return out;
}

std::string digest(scram_hash h, std::string_view data) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(out.data()), &size, digest_of(h),
             nullptr);
  out.resize(size);
  return out;
}

void derive(scram_hash h, const kafka::secret& password, std::string_view salt, std::int32_t iterations,
            scram_keys& keys) {
  std::string salted(static_cast<std::size_t>(EVP_MD_get_size(digest_of(h))), '\0');
  const auto& word = password.reveal();
  PKCS5_PBKDF2_HMAC(word.data(), static_cast<int>(word.size()), bytes_of(salt), static_cast<int>(salt.size()),
                    iterations, digest_of(h), static_cast<int>(salted.size()),
                    reinterpret_cast<unsigned char*>(salted.data()));
  keys = {std::string(salt), iterations, hmac(h, salted, "Client Key"), hmac(h, salted, "Server Key")};
  OPENSSL_cleanse(salted.data(), salted.size());
}

tl::unexpected<error> broken(std::string_view why) {
  return fail(errc::authentication, fmt::format("SCRAM: the broker's message {}", why));
}

/// Takes "x=value" and the comma behind it off the front; nothing when it is not there.
std::optional<std::string_view> take(std::string_view& text, char name) {
  if (text.size() < 2 || text[0] != name || text[1] != '=') return std::nullopt;
  const auto comma = text.find(',');
  const auto value = text.substr(2, comma == std::string_view::npos ? comma : comma - 2);
  text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  return value;
}

/// RFC 5802's saslname: commas and equal signs are the syntax's own.
std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '=')
      out += "=3D";
    else if (c == ',')
      out += "=2C";
    else
      out += c;
  }
  return out;
}

}  // namespace

scram_client::scram_client(scram_hash hash, std::string user, kafka::secret password, std::string nonce,
                           scram_keys& cache)
    : hash_(hash),
      user_(std::move(user)),
      password_(std::move(password)),
      nonce_(std::move(nonce)),
      keys_(cache) {}

std::string scram_client::first() const { return fmt::format("n,,n={},r={}", escaped(user_), nonce_); }

result<kafka::secret> scram_client::answer(std::string_view server_first) {
  if (server_first.size() > longest_message) return broken("is too long");
  auto rest = server_first;
  if (take(rest, 'm')) return broken("demands an extension that nobody knows");
  const auto nonce = take(rest, 'r');
  if (!nonce) return broken("has no nonce");
  if (!nonce->starts_with(nonce_) || nonce->size() == nonce_.size())
    return broken("does not continue our nonce");
  const auto salt_text = take(rest, 's');
  const auto salt = salt_text ? base::base64_decode(*salt_text) : std::nullopt;
  if (!salt || salt->empty() || salt->size() > longest_salt) return broken("has no salt that can be used");
  const auto count_text = take(rest, 'i');
  if (!count_text) return broken("has no iteration count");
  std::int32_t iterations = 0;
  const auto* const end = count_text->data() + count_text->size();
  const auto parsed = std::from_chars(count_text->data(), end, iterations);
  if (parsed.ec != std::errc() || parsed.ptr != end) return broken("has no iteration count");
  if (iterations < scram_min_iterations || iterations > scram_max_iterations) {
    return broken(fmt::format("asks for {} iterations; from {} to {} are taken", iterations,
                              scram_min_iterations, scram_max_iterations));
  }

  if (keys_.iterations != iterations || keys_.salt != *salt)
    derive(hash_, password_, *salt, iterations, keys_);
  const auto without_proof = fmt::format("c=biws,r={}", *nonce);  // base64 of "n,,"
  const auto signed_text =
      fmt::format("n={},r={},{},{}", escaped(user_), nonce_, server_first, without_proof);
  const auto signature = hmac(hash_, digest(hash_, keys_.client_key.reveal()), signed_text);
  std::string proof = keys_.client_key.reveal();
  for (std::size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ signature[i]);
  expected_ = hmac(hash_, keys_.server_key.reveal(), signed_text);
  return kafka::secret(fmt::format("{},p={}", without_proof, base::base64_encode(proof)));
}

result<> scram_client::check(std::string_view server_final) const {
  if (server_final.size() > longest_message) return broken("is too long");
  auto rest = server_final;
  if (const auto refused = take(rest, 'e'))
    return fail(errc::authentication,
                fmt::format("SCRAM: the broker refuses: {}", without(std::string(*refused), password_)));
  const auto signature_text = take(rest, 'v');
  const auto signature = signature_text ? base::base64_decode(*signature_text) : std::nullopt;
  if (!signature) return broken("has no signature");
  if (expected_.empty() || signature->size() != expected_.size() ||
      CRYPTO_memcmp(signature->data(), expected_.data(), expected_.size()) != 0)
    return fail(errc::authentication,
                "SCRAM: the broker's signature is wrong: it does not know the password, so it is not the one "
                "that was meant");
  return {};
}

namespace {

class scram_login final : public sasl_login {
 public:
  scram_login(const kafka::security_settings& s, io::random_source& random)
      : hash_(s.sasl_mechanism == "SCRAM-SHA-256" ? scram_hash::sha256 : scram_hash::sha512),
        user_(s.sasl_username),
        password_(s.sasl_password),
        random_(random) {}

  std::string_view mechanism() const noexcept override {
    return hash_ == scram_hash::sha256 ? "SCRAM-SHA-256" : "SCRAM-SHA-512";
  }
  std::unique_ptr<sasl_exchange> begin(const std::string&) override;
  std::string clean(std::string text) const override { return without(std::move(text), password_); }

 private:
  scram_hash hash_;
  std::string user_;
  kafka::secret password_;
  io::random_source& random_;
  scram_keys keys_;
};

class scram_exchange final : public sasl_exchange {
 public:
  explicit scram_exchange(scram_client c) : client_(std::move(c)) {}
  void next(std::string_view token, sasl_handler done) override {
    switch (step_++) {
      case 0: return done(sasl_token(client_.first()));
      case 1: {
        auto answer = client_.answer(token);
        if (!answer) return done(fail(std::move(answer.error())));
        return done(sasl_token(std::move(*answer)));
      }
      default: {
        if (auto checked = client_.check(token); !checked) return done(fail(std::move(checked.error())));
        return done(sasl_token());
      }
    }
  }

 private:
  scram_client client_;
  int step_ = 0;
};

std::unique_ptr<sasl_exchange> scram_login::begin(const std::string&) {
  std::string nonce(24, '\0');
  for (std::size_t i = 0; i < nonce.size(); i += sizeof(std::uint64_t)) {
    const auto part = random_.next();
    std::memcpy(nonce.data() + i, &part, sizeof part);
  }
  return std::make_unique<scram_exchange>(
      scram_client(hash_, user_, password_, base::base64_encode(nonce), keys_));
}

}  // namespace

std::unique_ptr<sasl_login> make_scram_login(const kafka::security_settings& s, io::random_source& random) {
  return std::make_unique<scram_login>(s, random);
}

}  // namespace penstock::client
