// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace penstock::wire {

/// How a message is laid out: its version, and whether that version is a flexible one (compact lengths,
/// tagged fields; KIP-482).
struct layout {
  std::int16_t version = 0;
  bool flexible = false;
};

/// The `flexible_from` of a message without flexible versions.
inline constexpr std::int16_t never_flexible = 0x7fff;

}  // namespace penstock::wire
