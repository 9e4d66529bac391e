// SPDX-License-Identifier: Apache-2.0
#include "io/recent_clock.h"

#include <chrono>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace penstock::io {
namespace {

constexpr std::int64_t ns_a_ms = 1'000'000;

// Whether the counter goes on at one speed, asleep or awake (CPUID 0x80000007, EDX bit 8).
bool counts_steadily() noexcept {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0;
#else
  return false;
#endif
}

}  // namespace

std::int64_t recent_wall_clock::look(std::uint64_t ticks) noexcept {
  static const bool steady = counts_steadily();
  if (!steady) return clock::system().wall_ms();
  const std::int64_t ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                              std::chrono::system_clock::now().time_since_epoch())
                              .count();
  ms_ = ns / ns_a_ms;
  left_ = static_cast<std::uint64_t>(ns_a_ms - ns % ns_a_ms);  // at one tick a nanosecond
  looked_at_ = ticks;                                          // from before the look
  return ms_;
}

}  // namespace penstock::io
