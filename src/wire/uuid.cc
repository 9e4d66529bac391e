// SPDX-License-Identifier: Apache-2.0
#include "wire/uuid.h"

#include <fmt/format.h>

namespace penstock::wire {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t text_size = 22;  // 21 characters carry 6 bits each, the last one the remaining 2

}  // namespace

std::string uuid::to_string() const {
  std::string text(text_size, '\0');
  unsigned __int128 bits = (static_cast<unsigned __int128>(high) << 64) | low;
  text[text_size - 1] = alphabet[static_cast<std::size_t>(bits & 3) << 4];
  bits >>= 2;
  for (std::size_t i = text_size - 1; i-- > 0; bits >>= 6)
    text[i] = alphabet[static_cast<std::size_t>(bits & 63)];
  return text;
}

result<uuid> uuid::parse(std::string_view text) {
  const auto refuse = [&] {
    return fail(errc::invalid_argument, fmt::format("\"{}\" is not an id of 22 base64 characters", text));
  };
  if (text.size() != text_size) return refuse();
  unsigned __int128 bits = 0;
  for (std::size_t i = 0; i < text_size; ++i) {
    const std::size_t digit = alphabet.find(text[i]);
    if (digit == alphabet.npos) return refuse();
    if (i + 1 < text_size) {
      bits = (bits << 6) | digit;
    } else {
      if ((digit & 15) != 0) return refuse();  // bits beyond the 128th
      bits = (bits << 2) | (digit >> 4);
    }
  }
  return uuid{static_cast<std::uint64_t>(bits >> 64), static_cast<std::uint64_t>(bits)};
}

}  // namespace penstock::wire
