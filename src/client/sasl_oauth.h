// SPDX-License-Identifier: Apache-2.0
// SASL OAUTHBEARER (RFC 7628) and where its tokens come from (KIP-255, KIP-768).
#pragma once

#include <penstock/kafka/security.h>
#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_function.h"
#include "client/backoff.h"
#include "io/background.h"
#include "io/event_loop.h"
#include "io/http_fetch.h"
#include "io/random.h"

namespace penstock::client {

/// What a client says first; errc::invalid_argument when the token or an extension could be taken for
/// something else.
result<kafka::secret> oauth_first_message(const kafka::oauth_token& token);
/// The status of a broker's refusal, "invalid_token" for example; empty when it has none.
std::string oauth_refusal(std::string_view challenge);

/// The `exp` of a JWT, in milliseconds since 1970, unverified: the broker verifies. Nothing when there is
/// none.
std::optional<std::int64_t> jwt_expiry_ms(std::string_view token);
/// The `sub` of a JWT, for messages; empty when there is none.
std::string jwt_subject(std::string_view token);
/// A token endpoint's answer (RFC 6749, 5.1 and 5.2). Errors name status and error code, not the body.
result<kafka::oauth_token> parse_token_answer(unsigned status, std::string_view body, std::int64_t now_ms);
/// A bearer token as it stands, whose expiry is in itself.
result<kafka::oauth_token> token_of_jwt(std::string_view text);
/// The body that asks for a token.
std::string token_request_body(const kafka::oauth_settings& o);

/// When to get the next token, from now; by the rules of KIP-255.
std::chrono::milliseconds refresh_after(const kafka::oauth_settings& o, std::chrono::milliseconds life,
                                        double jitter);

/// The token of one client, renewed before it expires.
class oauth_tokens {
 public:
  static result<std::unique_ptr<oauth_tokens>> create(io::event_loop& loop, const kafka::security_settings& s,
                                                      io::random_source& random);
  /// Calls `done` at once if there is a token, else when there is one or an attempt failed.
  void get(unique_function<void(result<kafka::oauth_token>)> done);
  /// Forgets the token, which a broker did not want.
  void reject();
  /// The latest one, so that it can be kept out of messages.
  const kafka::secret& token_in_use() const noexcept { return latest_; }
  const kafka::oauth_settings& settings() const noexcept { return settings_; }

 private:
  oauth_tokens(io::event_loop& loop, const kafka::oauth_settings& s, io::random_source& random);
  void fetch();
  void ask_provider();
  void ask_endpoint();
  void read_token_file();
  void arrived(result<kafka::oauth_token> token);
  std::chrono::milliseconds life_of(const kafka::oauth_token& t) const;

  io::event_loop& loop_;
  kafka::oauth_settings settings_;
  io::random_source& random_;
  io::http_url endpoint_;
  std::shared_ptr<const io::tls_context> tls_;
  std::optional<kafka::oauth_token> current_;
  kafka::secret latest_;
  std::vector<unique_function<void(result<kafka::oauth_token>)>> waiting_;
  bool fetching_ = false;
  backoff wait_{std::chrono::milliseconds(100), std::chrono::milliseconds(10'000)};
  io::timer refresh_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
  io::background background_;  // last: it goes first
};

}  // namespace penstock::client
