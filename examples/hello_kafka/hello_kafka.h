// SPDX-License-Identifier: Apache-2.0
// The two topologies. They take the connector to Kafka, so that the program gives them Kafka and the test
// memory.
#pragma once

#include <penstock/penstock.h>

#include <string>
#include <utility>
#include <vector>

namespace hello {

/// A pair as a record: the word is its key, the number, in decimal, its value.
inline constexpr auto greeting = penstock::key_value(penstock::text, penstock::decimal<int>);

/// ("hello", 1), ("world", 2) through a sink to a topic.
template <typename Sink>
penstock::topology say(Sink to_kafka) {
  penstock::topology topo("say-hello");
  topo.read_elements("greetings", std::vector<std::pair<std::string, int>>{{"hello", 1}, {"world", 2}})
      .write("to-kafka", std::move(to_kafka), greeting);
  return topo;
}

/// From a topic through a source to standard output.
template <typename Source>
penstock::topology hear(Source from_kafka) {
  penstock::topology topo("hear-hello");
  topo.read("from-kafka", std::move(from_kafka), greeting).print("out");
  return topo;
}

}  // namespace hello
