// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <penstock/statistics.h>

#include <numeric>
#include <random>
#include <set>

namespace penstock {
namespace {

const auto itself = [](const double& v) { return v; };
const auto number = [](const std::int64_t& v) { return v; };

template <typename T, typename A>
auto over(const A& aggregator, const std::vector<T>& values, std::size_t parts) {
  std::vector<detail::accumulator_t<A, T>> all(parts);
  for (std::size_t i = 0; i < values.size(); ++i) aggregator.add(all[i * parts / values.size()], values[i]);
  for (std::size_t i = 1; i < parts; ++i) aggregator.merge(all[0], all[i]);
  return aggregator.result(all[0]);
}

TEST(statistics, variance_is_what_two_passes_give) {
  std::mt19937_64 random(1);
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) values.push_back(1e6 + static_cast<double>(random() % 1000));
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / 1000;
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  for (const std::size_t parts : {1u, 7u}) {
    EXPECT_NEAR(*over(variance(itself), values, parts), squares / 1000, 1e-6 * squares / 1000);
    EXPECT_NEAR(*over(sample_variance(itself), values, parts), squares / 999, 1e-6 * squares / 999);
  }
  EXPECT_EQ(over(sample_variance(itself), std::vector<double>{4}, 1), std::nullopt);
  EXPECT_EQ(over(variance(itself), std::vector<double>{4}, 1), 0.0);
}

TEST(statistics, top_keeps_the_largest_and_of_equals_the_earlier) {
  using item = std::pair<int, char>;
  const auto best = top<item>(2, &item::first);
  const std::vector<item> items{{1, 'a'}, {5, 'b'}, {3, 'c'}, {5, 'd'}, {5, 'e'}};
  EXPECT_EQ(over(best, items, 1), (std::vector<item>{{5, 'b'}, {5, 'd'}}));
  EXPECT_EQ(over(best, items, 3), (std::vector<item>{{5, 'b'}, {5, 'd'}}));
}

TEST(statistics, distinct_counts_values_once) {
  std::mt19937_64 random(2);
  for (const std::int64_t range : {10, 64, 1000, 50'000}) {
    std::vector<std::int64_t> values;
    for (int i = 0; i < 100'000; ++i) values.push_back(static_cast<std::int64_t>(random()) % range);
    const auto exact = static_cast<std::int64_t>(std::set<std::int64_t>(values.begin(), values.end()).size());
    for (const std::size_t parts : {1u, 5u}) {
      EXPECT_EQ(over(distinct(number), values, parts), exact);
      const auto about = over(approximate_distinct(number), values, parts);
      if (exact <= 64) {
        EXPECT_EQ(about, exact);
      }
      EXPECT_NEAR(static_cast<double>(about), static_cast<double>(exact), 0.05 * static_cast<double>(exact));
    }
  }
}

TEST(statistics, quantiles_are_near_in_rank) {
  std::mt19937_64 random(3);
  std::vector<double> values;
  for (int i = 0; i < 20'000; ++i) values.push_back(std::pow(static_cast<double>(random() % 1'000'000), 1.5));
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const std::vector<double> at{0, 0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
  for (const std::size_t parts : {1u, 9u}) {
    const auto found = over(quantiles(itself, at), values, parts);
    for (std::size_t i = 0; i < at.size(); ++i) {
      const auto rank =
          static_cast<double>(std::lower_bound(sorted.begin(), sorted.end(), *found[i]) - sorted.begin());
      EXPECT_NEAR(rank / 20'000, at[i], 0.01 * std::sqrt(at[i] * (1 - at[i])) + 1e-3) << at[i];
    }
    EXPECT_EQ(*found.front(), sorted.front());
    EXPECT_EQ(*found.back(), sorted.back());
  }
  EXPECT_EQ(over(quantiles(itself, {0.5}), std::vector<double>{}, 1).front(), std::nullopt);
}

}  // namespace
}  // namespace penstock
