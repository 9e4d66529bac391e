// SPDX-License-Identifier: Apache-2.0
// What Kafka lets a topic be called.
#pragma once

#include <cstddef>

namespace penstock::wire {

inline constexpr std::size_t longest_topic_name = 249;

/// ASCII letters and digits, '.', '_' and '-'.
constexpr bool legal_in_topic_name(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

}  // namespace penstock::wire
