// SPDX-License-Identifier: Apache-2.0
#include "sources.h"

namespace nexmark {

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
  if (const auto* file = std::get_if<ndjson_file>(&from)) return file->make_source();
  if (const auto* topic = std::get_if<penstock::kafka::source>(&from)) return topic->make_source();
  return nullptr;  // never asked: see over_events
}

}  // namespace nexmark
