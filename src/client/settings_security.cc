// SPDX-License-Identifier: Apache-2.0
// The settings of TLS and SASL. How to add one: src/client/README.md, "Settings".
#include <fmt/format.h>

#include <charconv>

#include "client/jaas.h"
#include "client/setting.h"

namespace penstock::client {

using kafka::kerberos_settings;
using kafka::oauth_settings;
using kafka::security_settings;

namespace {

// Java's trust and key stores: of their types only PEM is read.
setting store_type(std::string_view name, std::string_view instead) {
  setting row{.name = name, .type = "one of", .range = "PEM"};
  row.text = "Of the types that Java knows only PEM is read.";
  row.set = [instead](settings_view&, std::string_view given) -> complaint {
    if (equal_ignoring_case(given, "PEM")) return std::nullopt;
    return fmt::format("must be PEM: convert the store to PEM and give it with {}", instead);
  };
  row.get = [](const settings_view&) { return "PEM"; };
  return row;
}

setting protocols() {
  setting row{.name = "ssl.enabled.protocols", .type = "list", .range = "TLSv1.2, TLSv1.3"};
  row.text = "The versions of TLS: both, or TLSv1.3 alone.";
  row.set = [](settings_view& s, std::string_view given) -> complaint {
    bool with_12 = false, with_13 = false;
    for (const auto version : split_list(given)) {
      if (!equal_ignoring_case(version, "TLSv1.2") && !equal_ignoring_case(version, "TLSv1.3"))
        return "has another version than TLSv1.2 and TLSv1.3; older ones are not safe";
      (equal_ignoring_case(version, "TLSv1.2") ? with_12 : with_13) = true;
    }
    if (!with_13) return "must name TLSv1.3, alone or with TLSv1.2";
    s.connection->security.tls13_only = !with_12;
    return std::nullopt;
  };
  row.get = [](const settings_view& s) {
    return s.connection->security.tls13_only ? "TLSv1.3" : "TLSv1.2,TLSv1.3";
  };
  return row;
}

// A number with a point.
setting fraction(std::string_view name, double oauth_settings::*field, double low, double high,
                 std::string_view text) {
  setting row{.name = name, .type = "number", .range = fmt::format("{} to {}", low, high), .text = text};
  const auto outside = [low, high](double value) -> complaint {
    if (value >= low && value <= high) return std::nullopt;
    return fmt::format("is {}; it must be {} to {}", value, low, high);
  };
  row.set = [field, outside](settings_view& s, std::string_view given) -> complaint {
    double value = 0;
    const auto parsed = std::from_chars(given.data(), given.data() + given.size(), value);
    if (parsed.ec != std::errc{} || parsed.ptr != given.data() + given.size())
      return std::string("is not a number");
    if (auto wrong = outside(value)) return wrong;
    part<oauth_settings>(s).*field = value;
    return std::nullopt;
  };
  row.get = [field](const settings_view& s) { return fmt::format("{}", part<oauth_settings>(s).*field); };
  row.check = [field, outside](const settings_view& s) { return outside(part<oauth_settings>(s).*field); };
  return row;
}

setting extensions() {
  setting row{.name = "sasl.oauthbearer.extensions", .type = "list", .range = "name=value"};
  row.text = "SASL extensions sent along with the token (KIP-342).";
  row.set = [](settings_view& s, std::string_view given) -> complaint {
    std::map<std::string, std::string> all;
    for (const auto pair : split_list(given)) {
      const auto equals = pair.find('=');
      if (equals == pair.npos || equals == 0) return "must be name=value, more with commas between";
      all[std::string(pair.substr(0, equals))] = pair.substr(equals + 1);
    }
    s.connection->security.oauth.extensions = std::move(all);
    return std::nullopt;
  };
  row.get = [](const settings_view& s) {
    std::string text;
    for (const auto& [name, value] : s.connection->security.oauth.extensions)
      text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, value);
    return text;
  };
  return row;
}

setting jaas() {
  setting row{
      .name = "sasl.jaas.config", .type = "text", .range = "...LoginModule required name=\"value\" ...;"};
  row.secret = true;
  row.text =
      "As Kafka's Java clients have it: of its options username, password, clientId, clientSecret, scope, "
      "keyTab, "
      "principal and serviceName are taken.";
  row.set = [](settings_view& s, std::string_view given) {
    return apply_jaas(given, s.connection->security);
  };
  row.get = [](const settings_view&) { return ""; };
  return row;
}

void add_tls_settings(std::vector<setting>& rows) {
  rows.push_back(
      also(text("ssl.ca.location", &security_settings::ca_file,
                "A file with the certificates (PEM) of the authorities to trust; empty: the system's."),
           {"ssl.truststore.location"}));
  rows.push_back(also(text("ssl.truststore.certificates", &security_settings::ca_pem,
                           "The authorities to trust as PEM text."),
                      {"ssl.ca.pem"}));
  rows.push_back(store_type("ssl.truststore.type", "ssl.ca.location"));
  rows.push_back(also(text("ssl.certificate.location", &security_settings::certificate_file,
                           "A file with this client's certificate (PEM) and its chain behind it."),
                      {"ssl.keystore.location"}));
  rows.push_back(also(text("ssl.keystore.certificate.chain", &security_settings::certificate_pem,
                           "This client's certificate and its chain as PEM text."),
                      {"ssl.certificate.pem"}));
  rows.push_back(store_type("ssl.keystore.type", "ssl.certificate.location and ssl.key.location"));
  rows.push_back(text("ssl.key.location", &security_settings::key_file,
                      "A file with the private key (PEM); empty: it stands in ssl.certificate.location."));
  rows.push_back(also(hidden("ssl.keystore.key", &security_settings::key_pem, "The private key as PEM text."),
                      {"ssl.key.pem"}));
  rows.push_back(hidden("ssl.key.password", &security_settings::key_password,
                        "The password of an encrypted private key."));
  rows.push_back(
      text("ssl.cipher.suites", &security_settings::cipher_suites,
           "Cipher suites for TLS 1.2 by OpenSSL's names, with colons between; empty: OpenSSL's own."));
  rows.push_back(protocols());
  rows.push_back(one_of(
      "ssl.endpoint.identification.algorithm", &security_settings::verify_host_name,
      {{"https", true}, {"", false}, {"none", false}},
      "Whether a broker's certificate must be made out to the host that was asked for: https, or empty."));
}

void add_oauth_settings(std::vector<setting>& rows) {
  rows.push_back(
      text("sasl.oauthbearer.token.endpoint.url", &oauth_settings::token_endpoint,
           "Where OAUTHBEARER gets its tokens: https://, http://, or file:// of a file with a token."));
  rows.push_back(also(text("sasl.oauthbearer.client.credentials.client.id", &oauth_settings::client_id,
                           "Who asks for tokens (grant client_credentials, KIP-768)."),
                      {"sasl.oauthbearer.client.id"}));
  rows.push_back(also(hidden("sasl.oauthbearer.client.credentials.client.secret",
                             &oauth_settings::client_secret, "The secret of who asks for tokens."),
                      {"sasl.oauthbearer.client.secret"}));
  rows.push_back(
      text("sasl.oauthbearer.scope", &oauth_settings::scope, "The scope that tokens are asked for."));
  rows.push_back(extensions());
  rows.push_back(text("https.ca.location", &oauth_settings::ca_file,
                      "The authorities (PEM) to trust for the token endpoint; empty: as for the brokers."));
  rows.push_back(number("sasl.login.connect.timeout.ms", &oauth_settings::connect_timeout,
                        {.low = 1, .high = day_ms}, "How long connecting to the token endpoint may take."));
  rows.push_back(number("sasl.login.read.timeout.ms", &oauth_settings::read_timeout,
                        {.low = 1, .high = day_ms}, "How long the token endpoint may take for its answer."));
  rows.push_back(fraction("sasl.login.refresh.window.factor", &oauth_settings::refresh_window_factor, 0.5, 1,
                          "After which part of its life a token is renewed."));
  rows.push_back(fraction("sasl.login.refresh.window.jitter", &oauth_settings::refresh_window_jitter, 0, 0.25,
                          "The part of its life that is added at random before a token is renewed."));
  rows.push_back(number("sasl.login.refresh.min.period.seconds", &oauth_settings::refresh_min_period,
                        {.low = 0, .high = 900}, "The shortest time between two renewals of a token."));
  rows.push_back(number("sasl.login.refresh.buffer.seconds", &oauth_settings::refresh_buffer,
                        {.low = 0, .high = 3600},
                        "How long before it expires a token is renewed at the latest."));
}

}  // namespace

void add_security_settings(std::vector<setting>& rows) {
  rows.push_back(
      one_of("security.protocol", &security_settings::protocol,
             {{"PLAINTEXT", kafka::security_protocol::plaintext},
              {"SSL", kafka::security_protocol::ssl},
              {"SASL_PLAINTEXT", kafka::security_protocol::sasl_plaintext},
              {"SASL_SSL", kafka::security_protocol::sasl_ssl}},
             "How brokers are talked to: in the clear or with TLS, and whether to log in with SASL."));
  rows.push_back(also(text("sasl.mechanism", &security_settings::sasl_mechanism,
                           "How to log in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI."),
                      {"sasl.mechanisms"}));
  rows.push_back(
      text("sasl.username", &security_settings::sasl_username, "Who logs in, with PLAIN and SCRAM."));
  rows.push_back(
      hidden("sasl.password", &security_settings::sasl_password, "The password of sasl.username."));
  rows.push_back(jaas());
  rows.push_back(text("sasl.kerberos.service.name", &kerberos_settings::service_name,
                      "The first part of the brokers' Kerberos principals."));
  rows.push_back(text("sasl.kerberos.principal", &kerberos_settings::principal,
                      "Who logs in, with GSSAPI; empty: the default of the ticket cache or keytab."));
  rows.push_back(text("sasl.kerberos.keytab", &kerberos_settings::keytab,
                      "A keytab file; empty: the ticket cache, as kinit fills it."));
  add_tls_settings(rows);
  add_oauth_settings(rows);
}

}  // namespace penstock::client
