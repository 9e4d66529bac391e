// SPDX-License-Identifier: Apache-2.0
// What a hostile broker or token endpoint may say during an authentication. The first byte chooses.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/base64.h"
#include "client/sasl.h"
#include "client/sasl_oauth.h"
#include "client/sasl_scram.h"
#include "io/http_fetch.h"

namespace {

using namespace penstock;

constexpr const char* password = "a password that nobody may see";

void feed_scram(std::string_view bytes) {
  client::scram_keys keys;
  client::scram_client c(client::scram_hash::sha256, "user", password, "nonce", keys);
  const auto line = bytes.find('\n');
  const auto answer = c.answer(bytes.substr(0, line));
  if (!answer && answer.error().message().find(password) != std::string::npos) std::abort();
  const auto checked = c.check(line == std::string_view::npos ? std::string_view() : bytes.substr(line + 1));
  // Nobody can guess a signature.
  if (checked) std::abort();
  if (keys.iterations > client::scram_max_iterations) std::abort();
}

void feed_oauth(std::string_view bytes) {
  const auto line = bytes.find('\n');
  const auto status = bytes.empty() || bytes[0] % 2 == 0 ? 200u : 400u;
  for (const auto text : {bytes, bytes.substr(0, line)}) {
    if (auto token = client::parse_token_answer(status, text, 1'700'000'000'000)) {
      const auto message = client::oauth_first_message(*token);
      if (!message) std::abort();  // what was taken can be sent
    }
    static_cast<void>(client::jwt_expiry_ms(text));
    static_cast<void>(client::token_of_jwt(text));
    for (const char c : client::oauth_refusal(text) + client::jwt_subject(text))
      if (static_cast<unsigned char>(c) < ' ') std::abort();
  }
}

void feed_base64(std::string_view bytes) {
  if (base::base64_decode(base::base64_encode(bytes)) != bytes) std::abort();
  if (const auto decoded = base::base64_decode(bytes); decoded && decoded->size() > bytes.size())
    std::abort();
}

void feed_url(std::string_view bytes) {
  const auto url = io::parse_http_url(bytes);
  if (url && (url->at.host.empty() || url->target.find('\r') != std::string::npos)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: feed_scram(bytes); break;
    case 1: feed_oauth(bytes); break;
    case 2: feed_base64(bytes); break;
    default: feed_url(bytes);
  }
  return 0;
}
