// SPDX-License-Identifier: Apache-2.0
#include "client/jaas.h"

namespace penstock::client {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Words, signs and quoted texts of a line; bounded by it.
class scanner {
 public:
  explicit scanner(std::string_view text) : rest_(text) {}

  bool at_end() {
    skip();
    return rest_.empty();
  }
  bool take(char c) {
    skip();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string word() {
    skip();
    std::size_t n = 0;
    while (n < rest_.size() && !is_blank(rest_[n]) && rest_[n] != '=' && rest_[n] != ';' && rest_[n] != '"')
      ++n;
    std::string found(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return found;
  }
  /// A word, or what stands in quotes (a backslash takes the next character as it is); nothing if a quote
  /// does not end.
  std::optional<std::string> value() {
    if (!take('"')) return word();
    std::string found;
    while (!rest_.empty() && rest_.front() != '"') {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      found += rest_.front();
      rest_.remove_prefix(1);
    }
    if (!take('"')) return std::nullopt;
    return found;
  }

 private:
  void skip() {
    while (!rest_.empty() && is_blank(rest_.front())) rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

void take_option(const std::string& name, std::string value, kafka::security_settings& s) {
  if (name == "username") s.sasl_username = std::move(value);
  if (name == "password") s.sasl_password = std::move(value);
  if (name == "clientId") s.oauth.client_id = std::move(value);
  if (name == "clientSecret") s.oauth.client_secret = std::move(value);
  if (name == "scope") s.oauth.scope = std::move(value);
  if (name == "principal") s.kerberos.principal = std::move(value);
  if (name == "keyTab") s.kerberos.keytab = std::move(value);
  if (name == "serviceName") s.kerberos.service_name = std::move(value);
}

}  // namespace

std::optional<std::string> apply_jaas(std::string_view text, kafka::security_settings& s) {
  scanner in(text);
  if (!in.word().ends_with("LoginModule"))
    return "must begin with the class of a login module, such as ...plain.PlainLoginModule";
  if (in.word() != "required") return "must have the word required behind the class of the login module";
  auto changed = s;
  while (!in.take(';')) {
    const auto name = in.word();
    if (name.empty() || !in.take('=')) return "must have options as name=\"value\" and end with a semicolon";
    auto value = in.value();
    if (!value) return "has a quote that does not end";
    take_option(name, std::move(*value), changed);
  }
  if (!in.at_end()) return "must have one login module and nothing behind its semicolon";
  s = std::move(changed);
  return std::nullopt;
}

}  // namespace penstock::client
