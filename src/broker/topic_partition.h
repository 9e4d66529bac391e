// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace penstock::broker {

using topic_partition = std::pair<std::string, std::int32_t>;

}  // namespace penstock::broker
