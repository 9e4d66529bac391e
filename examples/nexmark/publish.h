// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <string>

#include "generator.h"

namespace nexmark {

struct event_topic {
  std::string brokers;
  std::string topic;
  std::int32_t partitions;
};

/// Makes the topic if it is not there and sends events 0 to count - 1 to it, as JSON, in turns to its
/// partitions. Returns when all are acknowledged.
penstock::result<> publish(const generator& make, std::int64_t count, const event_topic& to);

}  // namespace nexmark
