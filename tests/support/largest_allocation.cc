// SPDX-License-Identifier: Apache-2.0
// Replaces operator new: a file of its own, so that the compiler does not see both sides of a pair.
#include "largest_allocation.h"

#include <cstdlib>
#include <new>

namespace penstock::testing {

std::atomic<std::size_t>& largest_allocation() noexcept {
  static std::atomic<std::size_t> largest{0};
  return largest;
}
std::atomic<std::size_t>& allocations() noexcept {
  static std::atomic<std::size_t> count{0};
  return count;
}

}  // namespace penstock::testing

#ifndef __SANITIZE_ADDRESS__
void* operator new(std::size_t size) {
  penstock::testing::allocations().fetch_add(1, std::memory_order_relaxed);
  auto& largest = penstock::testing::largest_allocation();
  for (auto seen = largest.load(); size > seen && !largest.compare_exchange_weak(seen, size);) {
  }
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif
