// SPDX-License-Identifier: Apache-2.0
#include "client/sasl.h"

#include <fmt/format.h>

#include <array>

#include "io/file.h"

namespace penstock::client {
namespace {

using kafka::security_protocol;

constexpr std::size_t longest_remark = 1000;

constexpr std::array mechanisms{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"};

bool has_sasl(security_protocol p) {
  return p == security_protocol::sasl_plaintext || p == security_protocol::sasl_ssl;
}
bool has_tls(security_protocol p) { return p == security_protocol::ssl || p == security_protocol::sasl_ssl; }

auto bad(std::string message) { return fail(errc::invalid_argument, std::move(message)); }

result<> validate_password(const kafka::security_settings& s) {
  if (s.sasl_username.empty()) return bad(fmt::format("sasl.username is needed for {}", s.sasl_mechanism));
  if (s.sasl_password.empty()) return bad(fmt::format("sasl.password is needed for {}", s.sasl_mechanism));
  if (s.sasl_username.find('\0') != std::string::npos ||
      s.sasl_password.reveal().find('\0') != std::string::npos)
    return bad("sasl.username and sasl.password must not hold a zero byte");
  return {};
}

result<> validate_oauth(const kafka::oauth_settings& o) {
  if (!o.provider && o.token_endpoint.empty())
    return bad("OAUTHBEARER needs sasl.oauthbearer.token.endpoint.url or a function that gives tokens");
  if (o.refresh_window_factor < 0.5 || o.refresh_window_factor > 1)
    return bad(fmt::format("sasl.login.refresh.window.factor is {}; it must be from 0.5 to 1",
                           o.refresh_window_factor));
  if (o.refresh_window_jitter < 0 || o.refresh_window_jitter > 0.25)
    return bad(fmt::format("sasl.login.refresh.window.jitter is {}; it must be from 0 to 0.25",
                           o.refresh_window_jitter));
  if (o.provider || o.token_endpoint.starts_with("file://")) return {};
  if (o.client_id.empty())
    return bad("sasl.oauthbearer.client.credentials.client.id is needed for the token endpoint");
  if (o.client_secret.empty())
    return bad("sasl.oauthbearer.client.credentials.client.secret is needed for the token endpoint");
  return {};
}

}  // namespace

std::string without(std::string text, const kafka::secret& hidden) {
  if (!hidden.empty()) {
    for (auto at = text.find(hidden.reveal()); at != std::string::npos;
         at = text.find(hidden.reveal(), at + 8))
      text.replace(at, hidden.reveal().size(), "<hidden>");
  }
  if (text.size() > longest_remark) text.replace(longest_remark, std::string::npos, "...");
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == 127) c = '?';
  return text;
}

std::string sasl_login::clean(std::string text) const { return without(std::move(text), {}); }

result<> validate_sasl(const kafka::security_settings& s) {
  if (!has_sasl(s.protocol)) {
    if (s.sasl_mechanism.empty()) return {};
    return bad(
        fmt::format("sasl.mechanism is {}, but security.protocol is {}: for SASL it is SASL_PLAINTEXT or "
                    "SASL_SSL",
                    s.sasl_mechanism, to_string(s.protocol)));
  }
  const std::string_view m = s.sasl_mechanism;
  if (m == "PLAIN" || m == "SCRAM-SHA-256" || m == "SCRAM-SHA-512") return validate_password(s);
  if (m == "OAUTHBEARER") return validate_oauth(s.oauth);
  if (m == "GSSAPI") {
    if (s.kerberos.service_name.empty()) return bad("sasl.kerberos.service.name is needed for GSSAPI");
    return {};
  }
  return bad(fmt::format("sasl.mechanism is '{}'; it is one of {}", m, fmt::join(mechanisms, ", ")));
}

result<std::unique_ptr<sasl_login>> make_sasl_login(io::event_loop& loop, const kafka::security_settings& s,
                                                    io::random_source& random) {
  if (auto valid = validate_sasl(s); !valid) return fail(valid.error());
  if (!has_sasl(s.protocol)) return nullptr;
  if (s.sasl_mechanism == "PLAIN") return make_plain_login(s);
  if (s.sasl_mechanism == "OAUTHBEARER") return make_oauth_login(loop, s, random);
  if (s.sasl_mechanism == "GSSAPI") return make_kerberos_login(loop, s);
  return make_scram_login(s, random);
}

result<std::shared_ptr<const io::tls_context>> make_tls(const kafka::security_settings& s) {
  if (!has_tls(s.protocol)) return nullptr;
  return io::tls_context::client({.ca_file = s.ca_file,
                                  .ca_pem = s.ca_pem,
                                  .certificate_file = s.certificate_file,
                                  .certificate_pem = s.certificate_pem,
                                  .key_file = s.key_file,
                                  .key_pem = s.key_pem.reveal(),
                                  .key_password = s.key_password.reveal(),
                                  .cipher_suites = s.cipher_suites,
                                  .tls13_only = s.tls13_only,
                                  .verify_host_name = s.verify_host_name},
                                 io::file_system::system());
}

}  // namespace penstock::client
