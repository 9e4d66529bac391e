// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <penstock/testing.h>

#include "hello_kafka.h"

namespace pt = penstock::testing;

namespace {

TEST(hello_kafka, hears_what_it_said) {
  const pt::topic hello("hello");
  const auto say = hello::say(hello.sink());
  pt::driver speaker(say);
  ASSERT_TRUE(speaker.finish());
  EXPECT_EQ(hello.records().at(1), (pt::record{.key = "world", .value = "2"}));

  const auto hear = hello::hear(hello.source());
  pt::driver listener(hear);
  ::testing::internal::CaptureStdout();
  const auto done = listener.finish();
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "(hello, 1)\n(world, 2)\n");
  EXPECT_TRUE(done);
}

}  // namespace
