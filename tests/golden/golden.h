// SPDX-License-Identifier: Apache-2.0
// Golden pipelines: input and expected output as text, one output for any number of lanes and any size of
// batches.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace penstock::golden {

inline std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back().push_back(c);
    }
  }
  return parts;
}

inline std::string trimmed(const std::string& s) {
  const auto from = s.find_first_not_of(' ');
  return from == std::string::npos ? "" : s.substr(from, s.find_last_not_of(' ') - from + 1);
}

/// The sentence of a failure, or nothing.
inline std::string problem(const result<>& r) { return r ? "" : r.error().message(); }

inline testing::record at(std::string value, std::int64_t ts) {
  return {.value = std::move(value), .timestamp_ms = ts};
}

/// The first word of a line.
inline const auto pick_key = [](const std::string& line) { return line.substr(0, line.find(' ')); };

/// "a 1 @0; b 2 @10": records with their timestamps, in one partition.
inline testing::topic input(const std::string& script, const std::string& name = "in") {
  testing::topic in(name);
  for (const std::string& part : split(script, ';')) {
    const std::string line = trimmed(part);
    if (line.empty()) continue;
    const auto mark = line.rfind('@');
    in.append({.value = trimmed(line.substr(0, mark)), .timestamp_ms = std::stoll(line.substr(mark + 1))});
  }
  return in;
}

struct run_shape {
  unsigned lanes;
  std::size_t poll_size;
  std::uint64_t seed;
};
inline std::vector<run_shape> shapes() {
  std::mt19937_64 random(20);
  std::vector<run_shape> all;
  for (unsigned lanes = 1; lanes <= 3; ++lanes) {
    for (int i = 0; i < 8; ++i) all.push_back({lanes, 1 + random() % 7, random() % 1000});
  }
  return all;
}

/// Builds `build(lines, out)` again and again; what it gives, sorted, must be `expected` every time. Nothing
/// is late: the watermark is an hour behind.
template <typename Build>
void check(const std::string& script, std::vector<std::string> expected, Build build) {
  std::sort(expected.begin(), expected.end());
  for (const run_shape& s : shapes()) {
    SCOPED_TRACE(fmt::format("{} lanes, polls of {}, seed {}", s.lanes, s.poll_size, s.seed));
    const testing::topic in = input(script);
    auto source = in.source({.max_lag = std::chrono::hours(1)});
    source.poll_size = s.poll_size;
    topology topo("golden");
    testing::collector<std::string> out;
    build(topo.read("in", source, text), out);
    testing::driver d(topo, {.lanes = s.lanes, .seed = s.seed});
    const auto r = d.finish();
    ASSERT_TRUE(r) << r.error().message();
    auto values = out.values();
    std::sort(values.begin(), values.end());
    EXPECT_EQ(values, expected);
  }
}

/// The same with two inputs: build(first, second, out).
template <typename Build>
void check_two(const std::string& first, const std::string& second, std::vector<std::string> expected,
               Build build) {
  std::sort(expected.begin(), expected.end());
  for (const run_shape& s : shapes()) {
    SCOPED_TRACE(fmt::format("{} lanes, polls of {}, seed {}", s.lanes, s.poll_size, s.seed));
    const testing::topic a = input(first, "a"), b = input(second, "b");
    auto from_a = a.source({.max_lag = std::chrono::hours(1)});
    auto from_b = b.source({.max_lag = std::chrono::hours(1)});
    from_a.poll_size = s.poll_size;
    from_b.poll_size = 1 + s.poll_size % 3;
    topology topo("golden");
    testing::collector<std::string> out;
    build(topo.read("a", from_a, text), topo.read("b", from_b, text), out);
    testing::driver d(topo, {.lanes = s.lanes, .seed = s.seed});
    const auto r = d.finish();
    ASSERT_TRUE(r) << r.error().message();
    auto values = out.values();
    std::sort(values.begin(), values.end());
    EXPECT_EQ(values, expected);
  }
}

}  // namespace penstock::golden
