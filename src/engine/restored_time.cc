// SPDX-License-Identifier: Apache-2.0
#include "engine/restored_time.h"

#include <charconv>
#include <system_error>

namespace penstock::engine {
namespace {
constexpr std::string_view prefix = "penstock/1 watermark=";
constexpr std::string_view idle_mark = " idle";
}  // namespace

std::string encode_time(restored_time t) {
  if (t.watermark == min_watermark) return {};
  std::string s(prefix);
  s += std::to_string(t.watermark);
  if (t.idle) s += idle_mark;
  return s;
}

std::optional<restored_time> decode_time(std::string_view metadata) {
  if (!metadata.starts_with(prefix)) return std::nullopt;
  metadata.remove_prefix(prefix.size());
  restored_time t;
  const char* end = metadata.data() + metadata.size();
  const auto r = std::from_chars(metadata.data(), end, t.watermark);
  if (r.ec != std::errc{}) return std::nullopt;
  const std::string_view rest(r.ptr, static_cast<std::size_t>(end - r.ptr));
  if (!rest.empty() && rest != idle_mark) return std::nullopt;
  t.idle = !rest.empty();
  return t;
}

}  // namespace penstock::engine
