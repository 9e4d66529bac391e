// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::base {

/// CRC-32C (Castagnoli), the checksum of a record batch. Continue over several pieces by passing the sum so
/// far:
///     crc32c(b, crc32c(a)) == crc32c(a + b)
/// Uses the processor's instruction where it has one (three streams at a time), tables otherwise.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t so_far = 0) noexcept;

namespace detail {
/// The table version, for machines without the instruction and for the test that compares both.
std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t so_far) noexcept;
}  // namespace detail

}  // namespace penstock::base
