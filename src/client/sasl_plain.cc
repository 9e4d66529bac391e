// SPDX-License-Identifier: Apache-2.0
// SASL PLAIN (RFC 4616): the password as it is. Over a connection without TLS anybody on the way reads it.
#include "client/sasl.h"

namespace penstock::client {
namespace {

class plain_exchange final : public sasl_exchange {
 public:
  explicit plain_exchange(kafka::secret token) : token_(std::move(token)) {}
  void next(std::string_view, sasl_handler done) override {
    // The broker's answer is empty, whatever it says besides.
    done(std::exchange(sent_, true) ? sasl_token() : sasl_token(token_));
  }

 private:
  kafka::secret token_;
  bool sent_ = false;
};

class plain_login final : public sasl_login {
 public:
  explicit plain_login(const kafka::security_settings& s)
      : token_('\0' + s.sasl_username + '\0' + s.sasl_password.reveal()), password_(s.sasl_password) {}
  std::string_view mechanism() const noexcept override { return "PLAIN"; }
  std::unique_ptr<sasl_exchange> begin(const std::string&) override {
    return std::make_unique<plain_exchange>(token_);
  }
  std::string clean(std::string text) const override { return without(std::move(text), password_); }

 private:
  kafka::secret token_, password_;
};

}  // namespace

std::unique_ptr<sasl_login> make_plain_login(const kafka::security_settings& s) {
  return std::make_unique<plain_login>(s);
}

}  // namespace penstock::client
