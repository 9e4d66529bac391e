// SPDX-License-Identifier: Apache-2.0
// Jobs on threads: the same answers as on one, clean stops, errors from any lane. Worth running under the
// thread sanitizer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/job.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

#include <algorithm>
#include <stdexcept>
#include <thread>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

struct event {
  std::int64_t key;
  std::int64_t ts;
};
using result_row = std::tuple<std::int64_t, std::int64_t, std::int64_t>;

std::vector<result_row> count_by_window(unsigned lanes, std::uint32_t splits, std::int64_t records) {
  topology topo("t");
  testing::collector<window_result<std::int64_t, std::int64_t>> out;
  topo.generate(
          "events", records,
          [](std::int64_t i) {
            return event{(i * 7919) % 101, i};
          },
          splits)
      .assign_timestamps(&event::ts)
      .key_by(&event::key)
      .window(tumbling{.size = 10s})
      .aggregate("count", count())
      .for_each("out", out);
  auto j = job::start(topo, {.lanes = lanes, .commit_interval = 1ms});
  EXPECT_TRUE(j);
  const auto r = (*j)->wait();
  EXPECT_TRUE(r) << r.error().message();
  EXPECT_EQ((*j)->progress().records_read, static_cast<std::uint64_t>(records));
  EXPECT_EQ((*j)->progress().records_total, static_cast<std::uint64_t>(records));
  std::vector<result_row> rows;
  for (const auto& w : out.values()) rows.emplace_back(w.start_ms, w.key, w.value);
  std::sort(rows.begin(), rows.end());
  return rows;
}

TEST(job, gives_the_same_answer_with_any_number_of_lanes) {
  const auto one = count_by_window(1, 1, 200'000);
  EXPECT_EQ(one.size(), 20u * 101u);
  EXPECT_EQ(count_by_window(2, 3, 200'000), one);
  EXPECT_EQ(count_by_window(3, 2, 200'000), one);
}

TEST(job, holds_back_the_source_when_an_exchange_is_full) {
  // Each record becomes a thousand, all for one lane: far more than the rings hold.
  topology topo("t");
  testing::collector<std::pair<int, std::int64_t>> out;
  topo.generate(
          "in", 2000, [](std::int64_t i) { return i; }, 2)
      .flat_map([](std::int64_t i) { return std::vector<std::int64_t>(1000, i); })
      .key_by([](std::int64_t) { return 1; })
      .aggregate("count", count())
      .filter([](const std::pair<int, std::int64_t>& p) { return p.second == 2'000'000; })
      .for_each("out", out);
  auto j = job::start(topo, {.lanes = 2});
  ASSERT_TRUE(j);
  ASSERT_TRUE((*j)->wait());
  EXPECT_THAT(out.values(), ::testing::ElementsAre(std::pair(1, 2'000'000)));
}

TEST(job, stops_when_asked_and_commits_what_it_did) {
  testing::topic in("in", 3), out("out");
  auto source = in.source();
  source.bounded = false;
  topology topo("t");
  topo.read("in", source, text).write("out", out.sink(), text);
  for (std::uint32_t p = 0; p < 3; ++p) in.append_values({"a", "b", "c"}, p);
  auto j = job::start(topo, {.lanes = 2, .commit_interval = 1h});
  ASSERT_TRUE(j);
  while (out.values().size() < 9) std::this_thread::yield();
  EXPECT_FALSE((*j)->wait_for(0ms));
  (*j)->stop();
  ASSERT_TRUE((*j)->wait());
  for (std::uint32_t p = 0; p < 3; ++p) EXPECT_EQ(in.committed(p), 3);
}

TEST(job, follows_what_is_appended_and_commits_at_its_interval) {
  testing::topic in("in"), out("out");
  auto source = in.source();
  source.bounded = false;
  topology topo("t");
  topo.read("in", source, text).write("out", out.sink(), text);
  auto j = job::start(topo, {.lanes = 1, .commit_interval = 1ms});
  ASSERT_TRUE(j);
  in.append_values({"a"});
  while (in.committed() != 1) std::this_thread::yield();
  in.append_values({"b"});
  while (in.committed() != 2) std::this_thread::yield();
  EXPECT_THAT(out.values(), ::testing::ElementsAre("a", "b"));
}

TEST(job, gives_up_a_stop_that_a_sink_does_not_let_end) {
  testing::topic in("in"), out("out");
  auto source = in.source();
  source.bounded = false;
  auto sink = out.sink();
  sink.accept = false;
  topology topo("t");
  topo.read("in", source, text).write("out", sink, text);
  auto j = job::start(topo, {.lanes = 1, .stop_timeout = 20ms});
  ASSERT_TRUE(j);
  (*j)->stop();
  const auto r = (*j)->wait();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind(), errc::timeout);
}

TEST(job, ends_with_the_error_of_any_lane) {
  topology topo("t");
  topo.generate(
          "in", 1'000'000, [](std::int64_t i) { return i; }, 2)
      .key_by([](std::int64_t i) { return i; })
      .reduce("r", [](std::int64_t a, std::int64_t) { return a; })
      .for_each("out", [](std::int64_t i) {
        if (i == 999'999) throw std::runtime_error("the last one");
      });
  auto j = job::start(topo, {.lanes = 2});
  ASSERT_TRUE(j);
  const auto r = (*j)->wait();
  ASSERT_FALSE(r);
  EXPECT_THAT(r.error().message(), HasSubstr("the last one"));
}

TEST(job, destroying_it_stops_it) {
  testing::topic in("in");
  auto source = in.source();
  source.bounded = false;
  topology topo("t");
  testing::collector<std::string> out;
  topo.read("in", source, text).for_each("out", out);
  auto j = job::start(topo, {.lanes = 2});
  ASSERT_TRUE(j);
}

}  // namespace
}  // namespace penstock
