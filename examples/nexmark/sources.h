// SPDX-License-Identifier: Apache-2.0
// Where events come from: memory, a file of JSON lines, a Kafka topic.
#pragma once

#include <penstock/files.h>
#include <penstock/kafka/source.h>
#include <penstock/source.h>

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "events.h"
#include "generator.h"

namespace nexmark {

inline std::int64_t event_ms(const event& e) { return time_of(e).ms; }

/// Events 0 to `count` - 1, out of `list` if there is one, else made by the generator as they are asked for.
/// With several splits (of which the count must be a multiple) each has every so-manieth event, so that they
/// share their event time.
struct events_in_memory {
  std::int64_t count = 0;
  generator made;
  std::shared_ptr<const std::vector<event>> list{};
  std::uint32_t splits = 1;

  event scratch{};  ///< the last one made

  const event& operator()(std::int64_t index);
};

/// A file with one event a line. Ends where the file does.
penstock::files::source ndjson_file(std::string path);

struct event_input {
  std::variant<events_in_memory, penstock::files::source, penstock::kafka::source> from;
  /// For what is not in memory: options of a source, as topology::read wants them.
  std::unique_ptr<penstock::source_connector> make_source() const;
};

}  // namespace nexmark
