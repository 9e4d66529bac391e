// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/changelog_rows.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "io/random.h"

namespace penstock::connectors {
namespace {

std::map<std::string, std::string> rows_of(const changelog_rows& rows) {
  std::map<std::string, std::string> all;
  rows.for_each([&](std::string_view key, std::string_view value) {
    EXPECT_TRUE(all.emplace(key, value).second) << "twice: " << key;
    return true;
  });
  return all;
}

TEST(changelog_rows, says_what_a_map_says) {
  io::seeded_random random(6);
  changelog_rows rows;
  std::map<std::string, std::string> expected;
  for (int i = 0; i < 200'000; ++i) {
    const std::string key(random.next() % 3, 'k');
    const std::string name = key + std::to_string(random.next() % 5000);
    if (random.next() % 4 == 0) {
      rows.apply(name, {});
      expected.erase(name);
    } else {
      const std::string value(random.next() % 40, static_cast<char>('a' + i % 26));
      rows.apply(name, value);
      expected[name] = value;
    }
  }
  EXPECT_EQ(rows.size(), expected.size());
  EXPECT_EQ(rows_of(rows), expected);
}

TEST(changelog_rows, keeps_empty_values_and_rows_larger_than_a_block) {
  changelog_rows rows;
  const std::string large(3u << 20, 'v');
  rows.apply("large", "small first");
  rows.apply("large", large);
  rows.apply("empty", "");
  rows.apply("", "a row without a name");
  const std::map<std::string, std::string> expected{
      {"large", large}, {"empty", ""}, {"", "a row without a name"}};
  EXPECT_EQ(rows_of(rows), expected);
  rows.apply("large", {});
  EXPECT_EQ(rows.size(), 2u);
  rows.apply("large", "again");
  EXPECT_EQ(rows_of(rows).at("large"), "again");
}

TEST(changelog_rows, stops_where_it_is_told) {
  changelog_rows rows;
  for (int i = 0; i < 10; ++i) rows.apply(std::to_string(i), "v");
  int seen = 0;
  EXPECT_FALSE(rows.for_each([&](auto, auto) { return ++seen < 4; }));
  EXPECT_EQ(seen, 4);
}

}  // namespace
}  // namespace penstock::connectors
