// SPDX-License-Identifier: Apache-2.0
#include "proxy_rules.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <vector>

namespace penstock::testing {
namespace {

constexpr std::array<std::string_view, 12> names = {
    "none",       "delay-request", "delay-answer",     "cut-before", "cut-inside", "cut-after",
    "cut-answer", "blackhole",     "blackhole-answer", "replay",     "garble",     "late"};

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(' ', at), text.size());
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

template <typename Number>
bool read_number(std::string_view text, Number& into) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), into);
  return failure == std::errc() && end == text.data() + text.size();
}

// "5" or "5-9".
template <typename Number>
bool read_range(std::string_view text, Number& low, Number& high) {
  const auto dash = text.find('-');
  if (dash == text.npos) return read_number(text, low) && (high = low, true);
  return read_number(text.substr(0, dash), low) && read_number(text.substr(dash + 1), high) && low <= high;
}

bool read_delay(std::string_view text, fault_rule& rule) {
  std::int64_t low = 0, high = 0;
  if (!read_range(text, low, high) || low < 0) return false;
  rule.after = std::chrono::milliseconds(low);
  rule.after_at_most = std::chrono::milliseconds(high);
  return true;
}

bool read_api(std::string_view text, fault_rule& rule) {
  if (text == "*") return true;
  for (const auto& api : wire::api_table)
    if (api.name == text) rule.api = api.key;
  return rule.api.has_value();
}

bool read_setting(std::string_view name, std::string_view value, fault_rule& rule) {
  if (name == "api") return read_api(value, rule);
  if (name == "version") return read_range(value, rule.min_version, rule.max_version);
  if (name == "client") return rule.client = value, true;
  if (name == "skip") return read_number(value, rule.skip) && rule.skip >= 0;
  if (name == "times") return read_number(value, rule.times) && rule.times >= 0;
  if (name == "chance") return read_number(value, rule.chance) && rule.chance >= 0 && rule.chance <= 1;
  if (name == "ms") return read_delay(value, rule);
  return false;
}

}  // namespace

std::string_view to_string(fault f) noexcept { return names[static_cast<std::size_t>(f)]; }

result<fault_rule> parse_rule(std::string_view text) {
  const auto words = words_of(text);
  fault_rule rule;
  for (std::size_t i = 1; i < names.size() && !words.empty(); ++i)
    if (names[i] == words[0]) rule.what = static_cast<fault>(i);
  if (rule.what == fault::none)
    return fail(errc::invalid_argument,
                fmt::format("a rule begins with one of {}", fmt::join(names.begin() + 1, names.end(), ", ")));
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto equals = words[i].find('=');
    if (equals == words[i].npos ||
        !read_setting(words[i].substr(0, equals), words[i].substr(equals + 1), rule))
      return fail(errc::invalid_argument, fmt::format("{} is not understood in a rule", words[i]));
  }
  if ((rule.what == fault::delay_request || rule.what == fault::delay_answer) && !rule.after)
    return fail(errc::invalid_argument, fmt::format("{} wants ms=N or ms=N-M", words[0]));
  return rule;
}

std::optional<request_info> read_request_info(bytes_view frame) {
  wire::reader in(frame);
  request_info info;
  const auto* api = wire::find_api(in.integer<std::int16_t>());
  info.version = in.integer<std::int16_t>();
  info.correlation_id = in.integer<std::int32_t>();
  const auto client = in.nullable_string(false);
  if (api == nullptr || !in.ok() || info.version < 0 || info.version > api->max_version) return std::nullopt;
  info.key = api->key;
  info.client = client.value_or("");
  return info;
}

}  // namespace penstock::testing
