// SPDX-License-Identifier: Apache-2.0
#include "engine/exchange.h"

#include <gtest/gtest.h>

namespace penstock::engine {
namespace {

// A lane that is not woken sleeps for its 50 ms: jobs give the same answers then, only late.
TEST(exchange, wakes_a_sender_when_half_of_a_full_ring_is_free_and_when_all_is_taken) {
  int woken = 0;
  lane_signal from([&] { ++woken; });
  lane_signal to([] {});
  exchange_channel channel(from, to);
  std::size_t sent = 0;
  for (; !channel.blocked(); ++sent) channel.send(watermark{static_cast<std::int64_t>(sent), false});
  const std::size_t ring = sent - 1;  // the last one is kept back
  parcel p;
  from.about_to_sleep();
  for (std::size_t i = 1; i < ring / 2; ++i) ASSERT_TRUE(channel.pop(p));
  EXPECT_EQ(woken, 0) << "too little to be woken for";
  ASSERT_TRUE(channel.pop(p));
  EXPECT_EQ(woken, 1);
  ASSERT_TRUE(channel.flush());
  EXPECT_FALSE(channel.blocked());

  while (channel.pop(p)) {
  }
  EXPECT_EQ(p.time.timestamp, static_cast<std::int64_t>(sent) - 1);
  channel.send(watermark{0, false});
  ASSERT_TRUE(channel.pop(p));
  from.about_to_sleep();
  EXPECT_FALSE(channel.pop(p));
  EXPECT_EQ(woken, 2) << "there is nothing more to wait for";
  EXPECT_FALSE(channel.pop(p));
  EXPECT_EQ(woken, 2);
}

}  // namespace
}  // namespace penstock::engine
