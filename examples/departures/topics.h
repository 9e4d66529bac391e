// SPDX-License-Identifier: Apache-2.0
// What the demo puts into the broker and takes out of it again.
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <string>
#include <vector>

#include "flights.h"
#include "rows.h"

namespace departures {

/// Makes the topics: `departures` with four partitions, `airlines` compacted, `board` and `carriers`.
penstock::result<> create_topics(const std::string& brokers);

/// Publishes the flights in the order of their scheduled departure, keyed by origin, and the airlines, keyed
/// by carrier; returns when all are acknowledged. Shows its progress.
penstock::result<> publish(const std::string& brokers, std::vector<flight> flights,
                           const std::vector<airline>& airlines);

/// The values of all records of a topic, partition by partition.
penstock::result<std::vector<std::string>> read_topic(const std::string& brokers, const std::string& topic);

}  // namespace departures
