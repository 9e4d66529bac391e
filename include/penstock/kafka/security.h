// SPDX-License-Identifier: Apache-2.0
// How a client proves who it is and checks who it talks to: TLS and SASL. Each field says Kafka's name for it
// (and librdkafka's, where Kafka has none).
//
//     kafka::connection_settings c;
//     c.security = {.protocol = kafka::security_protocol::sasl_ssl,
//                   .sasl_mechanism = "SCRAM-SHA-512",
//                   .sasl_username = "board",
//                   .sasl_password = password_from_somewhere(),
//                   .ca_file = "/etc/ssl/kafka-ca.pem"};
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace penstock::kafka {

/// Text that is never shown: printing it says "<hidden>", and its memory is wiped when it goes. What it holds
/// comes out through reveal() alone.
class secret {
 public:
  secret() = default;
  secret(std::string text) : text_(std::move(text)) {}
  secret(std::string_view text) : text_(text) {}
  secret(const char* text) : text_(text) {}
  secret(const secret&) = default;
  secret(secret&& other) noexcept;
  secret& operator=(secret other) noexcept;
  ~secret();

  const std::string& reveal() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }
  friend bool operator==(const secret&, const secret&) = default;
  friend std::ostream& operator<<(std::ostream& out, const secret& s);

 private:
  std::string text_{};
};

/// "<hidden>", or "" when there is nothing to hide.
std::string_view to_string(const secret& s) noexcept;

/// Kafka: security.protocol.
enum class security_protocol : std::uint8_t {
  plaintext,       ///< PLAINTEXT: neither encrypted nor authenticated
  ssl,             ///< SSL: TLS, with a client certificate if one is given
  sasl_plaintext,  ///< SASL_PLAINTEXT: authenticated, not encrypted
  sasl_ssl,        ///< SASL_SSL: both
};
std::string_view to_string(security_protocol p) noexcept;
/// Kafka's names, in any case; errc::invalid_argument for another.
result<security_protocol> parse_security_protocol(std::string_view text);

/// A bearer token as an authorization server gave it out.
struct oauth_token {
  secret value{};                                   ///< a JWT, as it goes to the broker
  std::chrono::system_clock::time_point expires{};  ///< by the wall clock; it is renewed before
  std::string principal{};                          ///< for messages only
  std::map<std::string, std::string> extensions{};  ///< SASL extensions (KIP-342)
};

/// Where tokens come from when a program has a way of its own. Called on a thread that the client keeps for
/// it, one call at a time, at first use and each time before a token expires; it may block, and closing the
/// client waits for it. An error fails the connections that wait for the token, and is tried again.
using oauth_token_provider = std::function<result<oauth_token>()>;

/// SASL OAUTHBEARER (RFC 7628): either `provider`, or an authorization server's token endpoint that is asked
/// with the grant "client_credentials" (KIP-768).
struct oauth_settings {
  oauth_token_provider provider{};
  /// sasl.oauthbearer.token.endpoint.url: https://..., http://..., or file:///path of a file with a token
  /// (read again at each login).
  std::string token_endpoint{};
  std::string client_id{};  ///< sasl.oauthbearer.client.credentials.client.id (or ...client.id)
  secret client_secret{};   ///< sasl.oauthbearer.client.credentials.client.secret (or ...client.secret)
  std::string scope{};      ///< sasl.oauthbearer.scope
  std::map<std::string, std::string> extensions{};    ///< sasl.oauthbearer.extensions: k=v,k=v
  std::string ca_file{};                              ///< https.ca.location; empty: as for the brokers
  std::chrono::milliseconds connect_timeout{10'000};  ///< sasl.login.connect.timeout.ms
  std::chrono::milliseconds read_timeout{10'000};     ///< sasl.login.read.timeout.ms
  double refresh_window_factor = 0.8;   ///< sasl.login.refresh.window.factor: of a token's life, 0.5 to 1
  double refresh_window_jitter = 0.05;  ///< sasl.login.refresh.window.jitter: at most 0.25, added at random
  std::chrono::seconds refresh_min_period{60};  ///< sasl.login.refresh.min.period.seconds: between two
  std::chrono::seconds refresh_buffer{300};     ///< sasl.login.refresh.buffer.seconds: before it expires
};

/// SASL GSSAPI: Kerberos 5, by what the machine has (krb5.conf, a ticket cache or a keytab).
struct kerberos_settings {
  std::string service_name = "kafka";  ///< sasl.kerberos.service.name: the first part of brokers' principals
  std::string principal{};             ///< sasl.kerberos.principal; empty: the default of cache or keytab
  std::string keytab{};  ///< sasl.kerberos.keytab: a file; empty: the ticket cache, as kinit fills it
};

/// Certificates, names and secrets. Nothing secret of it is ever in a log or an error message.
struct security_settings {
  security_protocol protocol = security_protocol::plaintext;  ///< security.protocol
  /// sasl.mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI. Needed with SASL.
  std::string sasl_mechanism{};
  std::string sasl_username{};  ///< sasl.username: PLAIN and SCRAM
  secret sasl_password{};       ///< sasl.password: PLAIN and SCRAM
  oauth_settings oauth{};
  kerberos_settings kerberos{};

  /// ssl.ca.location (ssl.truststore.location with type PEM): authorities to trust, in PEM. Empty, and
  /// `ca_pem` too: the system's.
  std::string ca_file{};
  std::string ca_pem{};            ///< ssl.truststore.certificates (ssl.ca.pem): the same as text
  std::string certificate_file{};  ///< ssl.certificate.location: our own, with its chain behind it, in PEM
  std::string certificate_pem{};   ///< ssl.keystore.certificate.chain (ssl.certificate.pem)
  std::string key_file{};          ///< ssl.key.location: the private key in PEM; empty: in certificate_file
  secret key_pem{};                ///< ssl.keystore.key (ssl.key.pem)
  secret key_password{};           ///< ssl.key.password: of an encrypted private key
  std::string cipher_suites{};  ///< ssl.cipher.suites: OpenSSL's names for TLS 1.2, by colons; empty: its own
  bool tls13_only = false;      ///< ssl.enabled.protocols=TLSv1.3; else TLS 1.2 too, never less
  /// ssl.endpoint.identification.algorithm: true for `https`, false for an empty one. Off, anybody with a
  /// certificate of these authorities may pose as the broker.
  bool verify_host_name = true;
};

}  // namespace penstock::kafka
