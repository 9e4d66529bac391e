// SPDX-License-Identifier: Apache-2.0
#include "engine/spsc_ring.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace penstock {
namespace {

TEST(spsc_ring, hands_over_in_order_between_two_threads) {
  engine::spsc_ring<std::unique_ptr<int>, 8> ring;
  constexpr int n = 20'000;
  std::thread producer([&] {
    for (int i = 0; i < n; ++i) {
      auto p = std::make_unique<int>(i);
      while (!ring.push(p)) std::this_thread::yield();
    }
  });
  for (int i = 0; i < n; ++i) {
    std::unique_ptr<int> p;
    while (!ring.pop(p)) std::this_thread::yield();
    ASSERT_EQ(*p, i);
  }
  producer.join();
}

}  // namespace
}  // namespace penstock
