// SPDX-License-Identifier: Apache-2.0
// SASL as Kafka uses it (KIP-12, KIP-43, KIP-152): who we are, one exchange of tokens a connection.
#pragma once

#include <penstock/kafka/security.h>
#include <penstock/result.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_function.h"
#include "io/event_loop.h"
#include "io/random.h"
#include "io/tls.h"

namespace penstock::client {

/// What goes to the broker next; nothing when both sides have said all.
using sasl_token = std::optional<kafka::secret>;
using sasl_handler = unique_function<void(result<sasl_token>)>;

/// One mechanism's side of one authentication.
class sasl_exchange {
 public:
  virtual ~sasl_exchange() = default;
  /// Our answer to the broker's token; the first call is without one. `done` is called once, perhaps within
  /// the call, and not after the exchange or the login is gone. errc::authentication when the broker is not
  /// who it claims to be or breaks the mechanism's rules. Tokens of the broker may be anything.
  virtual void next(std::string_view token, sasl_handler done) = 0;
  /// What the mechanism knows of a refusal beyond the broker's words; may be empty.
  virtual std::string remark() const { return {}; }
};

/// The credentials of one client, and what is kept of them between connections (derived keys, a bearer
/// token). Belongs to the loop's thread; exchanges go before it.
class sasl_login {
 public:
  virtual ~sasl_login() = default;
  virtual std::string_view mechanism() const noexcept = 0;
  virtual std::unique_ptr<sasl_exchange> begin(const std::string& broker_host) = 0;
  /// `text` (a broker's words) without any secret of ours, without control characters, and not too long.
  virtual std::string clean(std::string text) const;
};

/// Checks the settings of the mechanism and makes the login; null when the protocol has no SASL. Errors are
/// errc::invalid_argument with the setting, or errc::unsupported for Kerberos in a build without it.
result<std::unique_ptr<sasl_login>> make_sasl_login(io::event_loop& loop, const kafka::security_settings& s,
                                                    io::random_source& random);
/// The checks alone.
result<> validate_sasl(const kafka::security_settings& s);

/// The TLS of the settings; null when the protocol has none.
result<std::shared_ptr<const io::tls_context>> make_tls(const kafka::security_settings& s);

/// Replaces each occurrence of `hidden` by "<hidden>", and control characters by '?'; cuts at 1,000 bytes.
std::string without(std::string text, const kafka::secret& hidden);

// The mechanisms.
std::unique_ptr<sasl_login> make_plain_login(const kafka::security_settings& s);
std::unique_ptr<sasl_login> make_scram_login(const kafka::security_settings& s, io::random_source& random);
result<std::unique_ptr<sasl_login>> make_oauth_login(io::event_loop& loop, const kafka::security_settings& s,
                                                     io::random_source& random);
result<std::unique_ptr<sasl_login>> make_kerberos_login(io::event_loop& loop,
                                                        const kafka::security_settings& s);

}  // namespace penstock::client
