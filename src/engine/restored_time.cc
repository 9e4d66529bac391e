// SPDX-License-Identifier: Apache-2.0
#include "engine/restored_time.h"

#include <charconv>
#include <system_error>

namespace penstock::engine {
namespace {
constexpr std::string_view prefix = "penstock/1 watermark=";
constexpr std::string_view idle_mark = " idle";
constexpr std::string_view split_mark = " split=";

/// A number at the front of `text`, taken off.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t value = 0;
  const auto r = std::from_chars(text.data(), text.data() + text.size(), value);
  if (r.ec != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(r.ptr - text.data()));
  return value;
}
}  // namespace

std::string encode_time(restored_time t) {
  if (t.watermark == min_watermark && t.split == min_watermark) return {};
  std::string s(prefix);
  s += std::to_string(t.watermark);
  if (t.idle) s += idle_mark;
  if (t.split != min_watermark) s.append(split_mark) += std::to_string(t.split);
  return s;
}

std::optional<restored_time> decode_time(std::string_view metadata) {
  if (!metadata.starts_with(prefix)) return std::nullopt;
  metadata.remove_prefix(prefix.size());
  restored_time t;
  const auto watermark = take_number(metadata);
  if (!watermark) return std::nullopt;
  t.watermark = *watermark;
  t.idle = metadata.starts_with(idle_mark);
  if (t.idle) metadata.remove_prefix(idle_mark.size());
  if (metadata.starts_with(split_mark)) {
    metadata.remove_prefix(split_mark.size());
    const auto split = take_number(metadata);
    if (!split) return std::nullopt;
    t.split = *split;
  }
  if (!metadata.empty()) return std::nullopt;
  return t;
}

}  // namespace penstock::engine
