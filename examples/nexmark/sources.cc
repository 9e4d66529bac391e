// SPDX-License-Identifier: Apache-2.0
#include "sources.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "query.h"

namespace nexmark {
namespace {

/// The first time in an event's line, if it can be read without parsing all of it.
std::optional<std::int64_t> time_in(std::string_view line) {
  constexpr std::string_view name = "\"dateTime\"";
  std::size_t at = line.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  at = line.find_first_not_of(" :", at + name.size());
  if (at == std::string_view::npos) return std::nullopt;
  line.remove_prefix(at);
  if (line.front() == '"') {
    line.remove_prefix(1);
    timestamp t;
    return parse(line.substr(0, line.find('"')), t) ? std::optional(t.ms) : std::nullopt;
  }
  std::int64_t ms = 0;
  const bool number = std::from_chars(line.data(), line.data() + line.size(), ms).ec == std::errc{};
  return number ? std::optional(ms) : std::nullopt;
}

}  // namespace

penstock::files::source ndjson_file(std::string path) {
  return {.paths = {std::move(path)}, .watermarks = disorder, .time_of = time_in};
}

const event& events_in_memory::operator()(std::int64_t index) {
  std::int64_t number = index;
  if (splits > 1) {
    const std::int64_t each = count / splits;
    number = index % each * splits + index / each;
  }
  if (list) return (*list)[static_cast<std::size_t>(number)];
  made.make(number, scratch);
  return scratch;
}

std::unique_ptr<penstock::source_connector> event_input::make_source() const {
  if (const auto* file = std::get_if<penstock::files::source>(&from)) return file->make_source();
  if (const auto* topic = std::get_if<penstock::kafka::source>(&from)) return topic->make_source();
  return nullptr;  // never asked: see over_events
}

}  // namespace nexmark
