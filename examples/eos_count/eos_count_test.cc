// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <penstock/testing.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "job.h"

namespace pt = penstock::testing;

namespace {

std::string outcome(const penstock::result<>& r) { return r ? "" : r.error().message(); }

// Crashed wherever it is: afterwards each record has been counted once, and each key's counts are 1, 2, 3 ...
TEST(eos_count, counts_every_record_once_whatever_happens) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    pt::topic in("in", 3), out("out", 2);
    for (int i = 0; i < 300; ++i)
      in.append({.key = "key-" + std::to_string(i % 7), .value = "v"}, static_cast<std::uint32_t>(i % 3));
    auto source = in.source();
    source.bounded = false;
    const auto topo = eos_count::count_job(source, out.sink());
    pt::driver driver(topo, {.lanes = 2, .exactly_once = true, .seed = seed});
    for (unsigned round = 1; round <= 3; ++round) {
      ASSERT_EQ(outcome(driver.run_rounds(2 * round + seed)), "");
      if (round == 2) {
        ASSERT_EQ(outcome(driver.commit_now()), "");
      }
      ASSERT_EQ(outcome(driver.crash_and_restore(round % 2 + 1)), "");
    }
    ASSERT_EQ(outcome(driver.commit()), "");
    EXPECT_EQ(driver.value<std::int64_t>("count", "count", "key-0"), 43);

    std::map<std::string, std::int64_t> counted;
    std::set<std::string> seen;
    for (const pt::record& r : out.records()) {
      EXPECT_EQ(*r.value, std::to_string(++counted[*r.key])) << *r.key;
      ASSERT_EQ(r.headers.size(), 1u);
      EXPECT_TRUE(seen.insert(r.headers[0].second).second) << "twice: " << r.headers[0].second;
    }
    EXPECT_EQ(seen.size(), 300u);
  }
}

}  // namespace
