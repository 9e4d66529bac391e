// SPDX-License-Identifier: Apache-2.0
// Exactly once: crashed at random moments and started again with other numbers of lanes, a job gives what one
// uninterrupted run gives, each record once. On topics in memory, so that thousands of crashes take seconds
// (E6, E8, E11, E12).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

#include <random>

#include "golden.h"
#include "pipelines.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using golden::event_format;
using golden::jobs;
using golden::problem;
using testing::driver;
using testing::topic;

topic random_events(std::uint64_t seed, std::uint32_t partitions, int records) {
  std::mt19937_64 random(seed);
  topic in("in", partitions);
  for (int i = 0; i < records; ++i) {
    const auto ts = 1000 + std::int64_t{i} * 7 - static_cast<std::int64_t>(random() % 50);
    const auto key = random() % 5;
    // A key's records stay in one partition, as a producer would have it.
    in.append({.value = fmt::format("k{}:{}:{}", key, random() % 100, ts), .timestamp_ms = ts},
              static_cast<std::uint32_t>(key % partitions));
  }
  return in;
}

using build_job = golden::build_job<testing::topic_sink>;

void build(topology& topo, const build_job& job, const topic& in, const topic& out, std::size_t poll_size) {
  auto source = in.source({.max_lag = 50ms});
  source.poll_size = poll_size;
  job(topo.read("in", source, event_format{}).key_by(&golden::event::key), out.sink());
}

std::vector<std::string> sorted(std::vector<std::string> v) {
  std::sort(v.begin(), v.end());
  return v;
}

class exactly_once : public ::testing::TestWithParam<std::string> {};

TEST_P(exactly_once, crashes_anywhere_leave_no_trace) {
  const build_job& job = jobs<testing::topic_sink>().at(GetParam());
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937_64 random(seed);
    const auto partitions = 1 + static_cast<std::uint32_t>(seed % 3);
    const topic unread = random_events(seed, partitions, 400);
    const topic in = random_events(seed, partitions, 400);

    topic expected("expected");
    topology straight("job");
    build(straight, job, unread, expected, 1);
    ASSERT_EQ(problem(driver(straight).finish()), "");

    topic out("out");
    topology topo("job");
    build(topo, job, in, out, 1 + random() % 20);
    driver d(topo, {.lanes = 1 + static_cast<unsigned>(random() % 3), .exactly_once = true, .seed = seed});
    const int crashes = 1 + static_cast<int>(random() % 6);
    for (int i = 0; i < crashes; ++i) {
      for (auto commits = random() % 4; commits > 0; --commits) {
        ASSERT_EQ(problem(d.run_rounds(random() % 60)), "");
        if (d.over()) break;
        ASSERT_EQ(problem(d.commit_now()), "");
      }
      ASSERT_EQ(problem(d.run_rounds(random() % 60)), "");
      ASSERT_EQ(problem(d.crash_and_restore(1 + static_cast<unsigned>(random() % 4))), "");
    }
    ASSERT_EQ(problem(d.finish()), "");
    EXPECT_EQ(sorted(out.values()), sorted(expected.values()));
  }
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& [name, job] : jobs<testing::topic_sink>()) all.push_back(name);
  return all;
}
INSTANTIATE_TEST_SUITE_P(jobs, exactly_once, ::testing::ValuesIn(names()),
                         [](const auto& i) { return i.param; });

}  // namespace
}  // namespace penstock
