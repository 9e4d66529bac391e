// SPDX-License-Identifier: Apache-2.0
// What OAUTHBEARER and token endpoints say, in bytes.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "base/base64.h"
#include "client/sasl.h"
#include "client/sasl_oauth.h"

namespace penstock::client {
namespace {

constexpr std::size_t longest_token = 256u << 10;

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_token_character(char c) {
  return is_alpha(c) || (c >= '0' && c <= '9') ||
         std::string_view("-._~+/=").find(c) != std::string_view::npos;
}

// RFC 7628's kvpair values: printable, and white space.
bool is_value_character(char c) { return (c >= 0x20 && c <= 0x7e) || c == '\t' || c == '\r' || c == '\n'; }

/// The payload of a JWT as a JSON object; nothing when it is none.
std::optional<simdjson::dom::object> claims_of(std::string_view token, simdjson::dom::parser& parser,
                                               std::string& payload) {
  const auto first = token.find('.');
  if (first == std::string_view::npos || token.size() > longest_token) return std::nullopt;
  const auto second = token.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  auto decoded = base::base64_decode(token.substr(first + 1, second - first - 1));
  if (!decoded) return std::nullopt;
  payload = std::move(*decoded);
  simdjson::dom::object claims;
  if (parser.parse(payload).get_object().get(claims) != simdjson::SUCCESS) return std::nullopt;
  return claims;
}

std::string string_at(simdjson::dom::object object, std::string_view name) {
  std::string_view value;
  if (object[name].get_string().get(value) != simdjson::SUCCESS) return {};
  return without(std::string(value), {});
}

std::string form_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain =
        is_alpha(c) || (c >= '0' && c <= '9') || std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

result<> check_token(std::string_view text) {
  if (text.empty()) return fail(errc::authentication, "the bearer token is empty");
  if (text.size() > longest_token)
    return fail(errc::authentication, fmt::format("the bearer token has {} bytes; at most {} are sent",
                                                  text.size(), longest_token));
  if (!std::all_of(text.begin(), text.end(), is_token_character))
    return fail(errc::authentication, "the bearer token has a character that no token may have");
  return {};
}

}  // namespace

result<kafka::secret> oauth_first_message(const kafka::oauth_token& token) {
  if (auto valid = check_token(token.value.reveal()); !valid) return fail(valid.error());
  std::string text =
      "n,,\x01"
      "auth=Bearer " +
      token.value.reveal() + '\x01';
  for (const auto& [name, value] : token.extensions) {
    if (name.empty() || name == "auth" || !std::all_of(name.begin(), name.end(), is_alpha))
      return fail(
          errc::invalid_argument,
          fmt::format("sasl.oauthbearer.extensions: '{}' cannot be a name: it has letters only and is not "
                      "'auth'",
                      name));
    if (!std::all_of(value.begin(), value.end(), is_value_character))
      return fail(
          errc::invalid_argument,
          fmt::format("sasl.oauthbearer.extensions: the value of '{}' has a control character", name));
    text += name + '=' + value + '\x01';
  }
  text += '\x01';
  return kafka::secret(std::move(text));
}

std::string oauth_refusal(std::string_view challenge) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(std::string(challenge)).get_object().get(object) != simdjson::SUCCESS) return {};
  return string_at(object, "status");
}

std::optional<std::int64_t> jwt_expiry_ms(std::string_view token) {
  simdjson::dom::parser parser;
  std::string payload;
  const auto claims = claims_of(token, parser, payload);
  double seconds = 0;
  if (!claims || (*claims)["exp"].get_double().get(seconds) != simdjson::SUCCESS) return std::nullopt;
  if (!(seconds > 0) || seconds > 1e11) return std::nullopt;  // past the year 5000
  constexpr double longest = 9e9;                             // 2255: std::chrono's nanoseconds end in 2262
  return static_cast<std::int64_t>(std::min(seconds, longest) * 1000);
}

std::string jwt_subject(std::string_view token) {
  simdjson::dom::parser parser;
  std::string payload;
  const auto claims = claims_of(token, parser, payload);
  return claims ? string_at(*claims, "sub") : std::string();
}

result<kafka::oauth_token> token_of_jwt(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  if (auto valid = check_token(text); !valid) return fail(valid.error());
  const auto expires = jwt_expiry_ms(text);
  if (!expires)
    return fail(errc::authentication, "the bearer token does not say when it expires (exp of a JWT)");
  return kafka::oauth_token{
      .value = text,
      .expires = std::chrono::system_clock::time_point(std::chrono::milliseconds(*expires)),
      .principal = jwt_subject(text)};
}

result<kafka::oauth_token> parse_token_answer(unsigned status, std::string_view body, std::int64_t now_ms) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  const bool is_object = parser.parse(std::string(body)).get_object().get(object) == simdjson::SUCCESS;
  if (status != 200) {
    const auto passing = status >= 500 || status == 408 || status == 429;
    auto why = fmt::format("it answered {}", status);
    if (const auto code = is_object ? string_at(object, "error") : std::string(); !code.empty())
      why += fmt::format(" ({})", code);
    return fail(error(passing ? errc::io : errc::authentication, std::move(why),
                      passing ? recovery::retriable : recovery::fatal));
  }
  if (!is_object) return fail(errc::corrupt, "its answer is no JSON object");
  std::string_view value;
  if (object["access_token"].get_string().get(value) != simdjson::SUCCESS)
    return fail(errc::corrupt, "its answer has no access_token");
  if (auto valid = check_token(value); !valid) return fail(valid.error());
  auto expires = jwt_expiry_ms(value);
  if (double seconds = 0;
      !expires && object["expires_in"].get_double().get(seconds) == simdjson::SUCCESS && seconds > 0)
    expires = now_ms + static_cast<std::int64_t>(std::min(seconds, 1e9) * 1000);
  if (!expires) return fail(errc::corrupt, "its answer does not say when the token expires");
  return kafka::oauth_token{
      .value = value,
      .expires = std::chrono::system_clock::time_point(std::chrono::milliseconds(*expires)),
      .principal = jwt_subject(value)};
}

std::string token_request_body(const kafka::oauth_settings& o) {
  std::string body = "grant_type=client_credentials";
  if (!o.scope.empty()) body += "&scope=" + form_encoded(o.scope);
  return body;
}

std::chrono::milliseconds refresh_after(const kafka::oauth_settings& o, std::chrono::milliseconds life,
                                        double jitter) {
  using std::chrono::milliseconds;
  const double share = std::min(o.refresh_window_factor + jitter * o.refresh_window_jitter, 1.0);
  auto after = milliseconds(static_cast<std::int64_t>(static_cast<double>(life.count()) * share));
  if (life > o.refresh_buffer + o.refresh_min_period) {
    after = std::min<milliseconds>(after, life - o.refresh_buffer);
    after = std::max<milliseconds>(after, o.refresh_min_period);
  }
  return std::max(after, milliseconds(1));
}

}  // namespace penstock::client
