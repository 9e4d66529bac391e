// SPDX-License-Identifier: Apache-2.0
#include "state/epoch_ledger.h"

#include <gtest/gtest.h>

namespace penstock::state {
namespace {

TEST(epoch_ledger, knows_where_each_epoch_began) {
  epoch_ledger ledger(1, {0, 0});
  ledger.seal(1, {10, 0});
  ledger.seal(2, {20, 5});
  EXPECT_EQ(ledger.begin_of(1), (epoch_ledger::positions{0, 0}));
  EXPECT_EQ(ledger.begin_of(2), (epoch_ledger::positions{10, 0}));
  EXPECT_EQ(ledger.begin_of(3), (epoch_ledger::positions{20, 5}));
}

TEST(epoch_ledger, forgets_what_nobody_needs_but_the_epoch_asked_for) {
  epoch_ledger ledger(1, {0});
  for (std::uint64_t e = 1; e <= 10; ++e) ledger.seal(e, {static_cast<std::int64_t>(e) * 10});
  ledger.forget_before(6);
  EXPECT_EQ(ledger.begin_of(6), (epoch_ledger::positions{50}));
  EXPECT_EQ(ledger.size(), 6u);
}

TEST(epoch_ledger, keeps_no_entry_for_an_epoch_without_records) {
  epoch_ledger ledger(1, {0});
  ledger.seal(1, {10});
  for (std::uint64_t e = 2; e <= 1000; ++e) ledger.seal(e, {10});
  EXPECT_EQ(ledger.size(), 2u);
  EXPECT_EQ(ledger.begin_of(700), (epoch_ledger::positions{10}));
  ledger.seal(1001, {11});
  EXPECT_EQ(ledger.begin_of(1001), (epoch_ledger::positions{10}));
  EXPECT_EQ(ledger.begin_of(1002), (epoch_ledger::positions{11}));
}

TEST(epoch_ledger, stays_small_and_never_answers_later_than_the_truth) {
  epoch_ledger ledger(1, {0});
  for (std::uint64_t e = 1; e <= 100'000; ++e) ledger.seal(e, {static_cast<std::int64_t>(e)});
  EXPECT_LE(ledger.size(), 4096u);
  for (std::uint64_t e = 1; e <= 100'001; e += 97)
    EXPECT_LE(ledger.begin_of(e)[0], static_cast<std::int64_t>(e) - 1);
  EXPECT_EQ(ledger.begin_of(100'001)[0], 100'000);
}

}  // namespace
}  // namespace penstock::state
