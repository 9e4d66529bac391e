// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/kafka/security.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <ostream>

namespace penstock::kafka {
namespace {

constexpr std::array protocol_names{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};

char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

// All of the string's memory: a short text lies within it, a longer one leaves its end behind when it
// shrinks.
void wipe(std::string& text) noexcept {
  ::explicit_bzero(text.data(), text.capacity());
  text.clear();
}

}  // namespace

secret::secret(secret&& other) noexcept : text_(std::move(other.text_)) { wipe(other.text_); }

secret& secret::operator=(secret other) noexcept {
  text_.swap(other.text_);
  return *this;
}

secret::~secret() { wipe(text_); }

std::string_view to_string(const secret& s) noexcept { return s.empty() ? "" : "<hidden>"; }

std::ostream& operator<<(std::ostream& out, const secret& s) { return out << to_string(s); }

std::string_view to_string(security_protocol p) noexcept {
  return protocol_names[static_cast<std::size_t>(p) % protocol_names.size()];
}

result<security_protocol> parse_security_protocol(std::string_view text) {
  for (std::size_t i = 0; i < protocol_names.size(); ++i) {
    const std::string_view name = protocol_names[i];
    if (std::equal(name.begin(), name.end(), text.begin(), text.end(),
                   [](char a, char b) { return a == upper(b); }))
      return static_cast<security_protocol>(i);
  }
  return fail(
      errc::invalid_argument,
      fmt::format("security.protocol is '{}'; it is one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", text));
}

}  // namespace penstock::kafka
