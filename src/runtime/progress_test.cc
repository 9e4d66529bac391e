// SPDX-License-Identifier: Apache-2.0
#include "runtime/progress.h"

#include <gtest/gtest.h>

#include <chrono>

namespace penstock::runtime {
namespace {

using namespace std::chrono_literals;

TEST(progress, tells_how_many_how_fast_and_how_long) {
  io::manual_clock clock;
  progress_text line("board", clock);
  EXPECT_EQ(line.update(0, 3'000'000), "board: 0 of 3,000,000 records, 0/s");
  clock.advance(2s);
  EXPECT_EQ(line.update(1'000'000, 3'000'000),
            "board: 1,000,000 of 3,000,000 records, 500,000/s, 4.0 s left");
}

TEST(progress, an_endless_source_has_no_time_left) {
  io::manual_clock clock;
  progress_text line("board", clock);
  line.update(0, std::nullopt);
  clock.advance(1s);
  EXPECT_EQ(line.update(42, std::nullopt), "board: 42 records, 42/s");
}

TEST(progress, texts) {
  EXPECT_EQ(with_thousands(0), "0");
  EXPECT_EQ(with_thousands(999), "999");
  EXPECT_EQ(with_thousands(1000), "1,000");
  EXPECT_EQ(with_thousands(336776), "336,776");
  EXPECT_EQ(duration_text(0.44), "0.4 s");
  EXPECT_EQ(duration_text(59.6), "1 min 0 s");
  EXPECT_EQ(duration_text(11'400), "3 h 10 min");
}

}  // namespace
}  // namespace penstock::runtime
