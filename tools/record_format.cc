// SPDX-License-Identifier: Apache-2.0
#include "record_format.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>

namespace penstock::tools {
namespace {

constexpr std::string_view fields = "tpoTkKsSh";

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

/// The character that the escape at the start of `text` (behind its backslash) stands for; removes it from
/// there.
std::optional<char> take_escape(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const char c = text.front();
  text.remove_prefix(1);
  switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case '0': return '\0';
    case '\\': return '\\';
    case 'x': break;
    default: return std::nullopt;
  }
  if (text.size() < 2) return std::nullopt;
  const auto high = hex_digit(text[0]), low = hex_digit(text[1]);
  if (!high || !low) return std::nullopt;
  text.remove_prefix(2);
  return static_cast<char>(*high * 16 + *low);
}

void append_number(std::string& out, std::int64_t n) {
  const fmt::format_int digits(n);
  out.append(digits.data(), digits.size());
}

void append_length(std::string& out, std::string_view bytes) {
  append_number(out, bytes.data() == nullptr ? -1 : static_cast<std::int64_t>(bytes.size()));
}

void append_headers(std::string& out, const header_list& headers) {
  bool first = true;
  for (const auto& h : headers) {
    if (!first) out += ',';
    first = false;
    out.append(h.key).append("=").append(h.value.data() == nullptr ? std::string_view("NULL") : h.value);
  }
}

}  // namespace

void record_format::add_text(char c) {
  if (parts_.empty() || parts_.back().field != 0) parts_.emplace_back();
  parts_.back().text += c;
}

result<record_format> record_format::parse(std::string_view text) {
  record_format format;
  while (!text.empty()) {
    const std::string_view rest = text;
    const char c = text.front();
    text.remove_prefix(1);
    if (c == '\\') {
      const auto escaped = take_escape(text);
      if (!escaped) {
        return fail(errc::invalid_argument,
                    fmt::format("the format has an unknown escape at \"{}\"", rest.substr(0, 4)));
      }
      format.add_text(*escaped);
    } else if (c == '%') {
      const char field = text.empty() ? '\0' : text.front();
      if (field != '%' && (field == '\0' || fields.find(field) == fields.npos)) {
        return fail(errc::invalid_argument,
                    fmt::format("the format has an unknown field at \"{}\"", rest.substr(0, 2)));
      }
      text.remove_prefix(1);
      if (field == '%') {
        format.add_text('%');
      } else {
        format.parts_.push_back({field, {}});
      }
    } else {
      format.add_text(c);
    }
  }
  return format;
}

void record_format::append(std::string& out, std::string_view topic, std::int32_t partition,
                           const record_view& r) const {
  for (const auto& p : parts_) {
    switch (p.field) {
      case 't': out.append(topic); break;
      case 'p': append_number(out, partition); break;
      case 'o': append_number(out, r.offset); break;
      case 'T': append_number(out, r.timestamp_ms); break;
      case 'k': out.append(r.key); break;
      case 'K': append_length(out, r.key); break;
      case 's': out.append(r.value); break;
      case 'S': append_length(out, r.value); break;
      case 'h': append_headers(out, r.headers); break;
      default: out.append(p.text); break;
    }
  }
}

}  // namespace penstock::tools
