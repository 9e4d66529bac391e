// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "io/clock.h"

namespace penstock::io {

/// The wall clock of the machine in milliseconds, for who asks millions of times a second: the same answers
/// as clock::system().wall_ms(), for half of its cost where the processor counts time steadily.
///
/// After a look at the clock it is known how much of the millisecond is left. Until the processor's counter
/// has gone on by that, were it as slow as 1 GHz (none is slower, and the faster ones only look again
/// earlier), it is still the same millisecond. A clock that is set meanwhile is seen within a millisecond.
///
/// One thread at a time.
class recent_wall_clock {
 public:
  std::int64_t ms() noexcept {
#if defined(__x86_64__)
    const std::uint64_t ticks = __rdtsc();
    if (ticks - looked_at_ < left_) [[likely]]
      return ms_;  // a counter that went back, on another core, counts as far ahead
    return look(ticks);
#else
    return clock::system().wall_ms();
#endif
  }

 private:
  std::int64_t look(std::uint64_t ticks) noexcept;

  std::uint64_t looked_at_ = 0;
  std::uint64_t left_ = 0;
  std::int64_t ms_ = 0;
};

}  // namespace penstock::io
