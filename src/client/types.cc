// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/kafka/types.h>

namespace penstock::kafka {

std::string to_string(const topic_partition& tp) { return fmt::format("{}-{}", tp.topic, tp.partition); }

}  // namespace penstock::kafka
