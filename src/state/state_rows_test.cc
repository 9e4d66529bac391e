// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <penstock/detail/state_columns.h>

#include <map>
#include <random>
#include <set>
#include <string>

namespace penstock::detail {
namespace {

TEST(timer_set, behaves_as_a_set_in_order_of_time) {
  std::mt19937_64 random(3);
  timer_set timers;
  std::set<std::pair<std::int64_t, row_id>> model;
  for (int i = 0; i < 20'000; ++i) {
    const auto at = static_cast<std::int64_t>(random() % 200);
    const auto row = static_cast<row_id>(random() % 5);
    switch (random() % 4) {
      case 0:
      case 1: EXPECT_EQ(timers.add(at, row), model.emplace(at, row).second); break;
      case 2: EXPECT_EQ(timers.remove(at, row), model.erase({at, row}) == 1); break;
      default: {
        timer_id taken{};
        const auto limit = static_cast<std::int64_t>(random() % 20);
        const bool due = !model.empty() && model.begin()->first <= limit;
        ASSERT_EQ(timers.take(limit, taken), due);
        if (!due) break;
        EXPECT_EQ(*model.begin(), std::pair(taken.at, taken.row));
        model.erase(model.begin());
      }
    }
    ASSERT_EQ(timers.size(), model.size());
  }
}

TEST(timer_set, does_not_keep_what_was_removed) {
  timer_set timers;
  timers.add(0, 0);
  EXPECT_LE(timers.next(), 0);
  for (std::int64_t i = 1; i < 10'000; ++i) {
    timers.add(i, 1);
    timers.remove(i, 1);
  }
  timer_id taken{};
  EXPECT_TRUE(timers.take(max_watermark, taken));
  EXPECT_FALSE(timers.take(max_watermark, taken));
  EXPECT_EQ(timers.next(), max_watermark);
}

TEST(state_rows, behave_as_a_map_of_what_is_set) {
  std::mt19937_64 random(5);
  keyed_rows<std::string> rows;
  auto& numbers = rows.add_column("n", std::make_unique<value_column<int>>(rows, state_options{}), false);
  auto& lists = rows.add_column("l", std::make_unique<list_column<int>>(rows, state_options{}), false);
  std::map<std::string, std::pair<std::optional<int>, std::vector<int>>> model;
  for (int i = 0; i < 50'000; ++i) {
    const std::string key = "key-" + std::to_string(random() % 3000);
    rows.select(key, key_traits<std::string>::hash(key));
    auto& expected = model[key];
    ASSERT_EQ(numbers.get() != nullptr, expected.first.has_value());
    if (expected.first) {
      ASSERT_EQ(*numbers.get(), *expected.first);
    }
    ASSERT_EQ(lists.get(), expected.second);
    switch (random() % 5) {
      case 0:
        numbers.set(i);
        expected.first = i;
        break;
      case 1:
        lists.add(i);
        expected.second.push_back(i);
        break;
      case 2:
        numbers.clear();
        expected.first.reset();
        break;
      case 3:
        lists.clear();
        expected.second.clear();
        break;
      default: break;
    }
    rows.done();
    if (!expected.first && expected.second.empty()) model.erase(key);
    ASSERT_EQ(rows.size(), model.size());
  }
}

TEST(flat_table, behaves_as_a_map_when_entries_go) {
  std::mt19937_64 random(9);
  flat_table<std::int64_t, int> table;
  std::map<std::int64_t, int> model;
  for (int i = 0; i < 100'000; ++i) {
    // Few keys that differ in low bits: long runs, and many moves.
    const auto key = static_cast<std::int64_t>(random() % 64);
    const auto hash = key_traits<std::int64_t>::hash(key);
    if (random() % 2 == 0) {
      table.at(hash, key, [] { return 0; }) = i;
      model[key] = i;
    } else {
      ASSERT_EQ(table.erase(hash, key), model.erase(key) == 1);
    }
    const auto other = static_cast<std::int64_t>(random() % 64);
    const int* found = table.find(key_traits<std::int64_t>::hash(other), other);
    const auto at = model.find(other);
    ASSERT_EQ(found != nullptr, at != model.end());
    if (found != nullptr) {
      ASSERT_EQ(*found, at->second);
    }
    ASSERT_EQ(table.size(), model.size());
  }
}

}  // namespace
}  // namespace penstock::detail
