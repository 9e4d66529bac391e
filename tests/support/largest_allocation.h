// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>

namespace penstock::testing {

/// The largest single allocation by operator new in this program since it was last set to 0. Stays 0 under
/// AddressSanitizer, which has operators of its own.
std::atomic<std::size_t>& largest_allocation() noexcept;
/// How many there were; stays 0 likewise.
std::atomic<std::size_t>& allocations() noexcept;

}  // namespace penstock::testing
