// SPDX-License-Identifier: Apache-2.0
// The example's topology as a test would run it: no broker, no threads.
#include "word_count.h"

#include <gtest/gtest.h>
#include <penstock/testing.h>

namespace {

TEST(word_count, counts_every_word_as_it_comes) {
  for (const unsigned lanes : {1u, 2u, 3u}) {
    const penstock::topology topo = word_count({"To be,", "or not to be."});
    penstock::testing::driver d(topo, {.lanes = lanes});
    ::testing::internal::CaptureStdout();
    ASSERT_TRUE(d.finish());
    const std::string printed = ::testing::internal::GetCapturedStdout();
    EXPECT_EQ(d.metrics("counts").records_in, 6u);
    // Words go to lanes by their key, so only the order of a word's own counts is certain.
    EXPECT_LT(printed.find("(be, 1)"), printed.find("(be, 2)"));
    EXPECT_LT(printed.find("(to, 1)"), printed.find("(to, 2)"));
    EXPECT_NE(printed.find("(not, 1)"), std::string::npos);
    EXPECT_EQ(printed.find("(not, 2)"), std::string::npos);
  }
}

}  // namespace
