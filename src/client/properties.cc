// SPDX-License-Identifier: Apache-2.0
// Java's .properties syntax: https://docs.oracle.com/javase/8/docs/api/java/util/Properties.html#load
#include <fmt/format.h>
#include <penstock/kafka/properties.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "io/file.h"

namespace penstock::kafka {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\f'; }
bool is_line_end(char c) { return c == '\n' || c == '\r'; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto byte = [&](std::uint32_t b) { out.push_back(static_cast<char>(b)); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xc0 | c >> 6);
    byte(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    byte(0xe0 | c >> 12);
    byte(0x80 | (c >> 6 & 0x3f));
    byte(0x80 | (c & 0x3f));
  } else {
    byte(0xf0 | c >> 18);
    byte(0x80 | (c >> 12 & 0x3f));
    byte(0x80 | (c >> 6 & 0x3f));
    byte(0x80 | (c & 0x3f));
  }
}

class parser {
 public:
  parser(std::string_view text, std::string_view origin) : rest_(text), origin_(origin) {}

  result<properties> run() {
    properties found;
    while (next_line()) {
      const auto line = first_line_;
      auto name = unescape(take_name());
      auto value = unescape(logical_);
      if (!name || !value)
        return fail(
            errc::invalid_argument,
            fmt::format("{}: \\u wants four hexadecimal digits that stand for a character", at(line)));
      if (name->empty())
        return fail(errc::invalid_argument, fmt::format("{}: there is no name before the value", at(line)));
      found.set(std::move(*name), std::move(*value), at(line));
    }
    return found;
  }

 private:
  std::string at(std::size_t line) const { return fmt::format("{}, line {}", origin_, line); }

  std::string_view natural_line() {
    const auto end = std::find_if(rest_.begin(), rest_.end(), is_line_end) - rest_.begin();
    const auto line = rest_.substr(0, static_cast<std::size_t>(end));
    rest_.remove_prefix(line.size());
    if (rest_.starts_with("\r\n"))
      rest_.remove_prefix(2);
    else if (!rest_.empty())
      rest_.remove_prefix(1);
    ++line_;
    auto from = line.begin();
    while (from != line.end() && is_blank(*from)) ++from;
    return line.substr(static_cast<std::size_t>(from - line.begin()));
  }

  // An odd number of backslashes at its end: the last one joins the next line.
  static bool goes_on(std::string_view line) {
    const auto last = line.find_last_not_of('\\');
    return (line.size() - (last == line.npos ? 0 : last + 1)) % 2 == 1;
  }

  // The next line that says something, joined from as many as it goes over.
  bool next_line() {
    logical_store_.clear();
    while (!rest_.empty()) {
      auto line = natural_line();
      if (line.empty() || line.front() == '#' || line.front() == '!') continue;
      first_line_ = line_;
      while (goes_on(line)) {
        logical_store_ += line.substr(0, line.size() - 1);
        if (rest_.empty()) {
          line = {};
          break;
        }
        line = natural_line();
      }
      logical_store_ += line;
      logical_ = logical_store_;
      if (logical_.empty()) continue;
      return true;
    }
    return false;
  }

  // Cuts the name off and what parts it from the value.
  std::string_view take_name() {
    std::size_t end = 0;
    while (end < logical_.size() && !is_blank(logical_[end]) && logical_[end] != '=' && logical_[end] != ':')
      end += logical_[end] == '\\' ? 2 : 1;
    end = std::min(end, logical_.size());
    const auto name = logical_.substr(0, end);
    logical_.remove_prefix(end);
    skip_blanks();
    if (logical_.starts_with('=') || logical_.starts_with(':')) logical_.remove_prefix(1);
    skip_blanks();
    return name;
  }

  void skip_blanks() {
    while (!logical_.empty() && is_blank(logical_.front())) logical_.remove_prefix(1);
  }

  // The four digits at `i`, or nothing.
  static std::optional<std::uint32_t> code_unit(std::string_view text, std::size_t i) {
    if (text.size() < i + 4) return std::nullopt;
    std::uint32_t unit = 0;
    for (const char c : text.substr(i, 4)) {
      const int digit = hex_digit(c);
      if (digit < 0) return std::nullopt;
      unit = unit * 16 + static_cast<std::uint32_t>(digit);
    }
    return unit;
  }

  // Nothing when \u is not followed by a character's number. Characters above 0xffff are two of them, as in
  // UTF-16.
  static std::optional<std::string> unescape(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        out.push_back(text[i]);
        continue;
      }
      if (++i == text.size()) break;
      switch (text[i]) {
        case 't': out.push_back('\t'); break;
        case 'n': out.push_back('\n'); break;
        case 'r': out.push_back('\r'); break;
        case 'f': out.push_back('\f'); break;
        case 'u': {
          auto c = code_unit(text, i + 1);
          if (!c) return std::nullopt;
          i += 4;
          if (*c >= 0xd800 && *c < 0xe000) {
            const auto low = text.substr(std::min(i + 1, text.size())).starts_with("\\u")
                                 ? code_unit(text, i + 3)
                                 : std::nullopt;
            if (*c >= 0xdc00 || !low || *low < 0xdc00 || *low >= 0xe000) return std::nullopt;
            c = 0x10000 + ((*c - 0xd800) << 10) + (*low - 0xdc00);
            i += 6;
          }
          append_utf8(out, *c);
          break;
        }
        default: out.push_back(text[i]);
      }
    }
    return out;
  }

  std::string_view rest_;
  std::string_view origin_;
  std::size_t line_ = 0;
  std::size_t first_line_ = 0;
  std::string logical_store_;
  std::string_view logical_;
};

}  // namespace

result<properties> properties::parse(std::string_view text, std::string_view origin) {
  if (text.size() > max_bytes)
    return fail(errc::exhausted,
                fmt::format("{} has {} bytes; at most {} are read", origin, text.size(), max_bytes));
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  auto found = parser(text, origin).run();
  if (found)
    for (auto& e : found->entries_) e.shared = true;
  return found;
}

result<properties> properties::read(const std::string& path) {
  const auto text = io::read_file(io::file_system::system(), path, max_bytes);
  if (!text) return fail(text.error());
  return parse(*text, path);
}

properties& properties::set(std::string name, std::string value, std::string origin) {
  entries_.push_back({std::move(name), std::move(value), std::move(origin)});
  return *this;
}

result<> properties::set_pair(std::string_view pair, std::string origin) {
  const auto equals = pair.find('=');
  // What stands there may be a secret with its name forgotten, so it is not repeated.
  if (equals == pair.npos || equals == 0)
    return fail(errc::invalid_argument,
                fmt::format("{}a setting is given as name=value", origin.empty() ? "" : origin + ": "));
  set(std::string(pair.substr(0, equals)), std::string(pair.substr(equals + 1)), std::move(origin));
  return {};
}

properties& properties::add(const properties& others) {
  entries_.insert(entries_.end(), others.entries_.begin(), others.entries_.end());
  return *this;
}

const std::string* properties::find(std::string_view name) const noexcept {
  for (auto it = entries_.rbegin(); it != entries_.rend(); ++it)
    if (it->name == name) return &it->value;
  return nullptr;
}

}  // namespace penstock::kafka
