// SPDX-License-Identifier: Apache-2.0
// Sessions, count and global windows, triggers, evictors, window functions, windows of processing time: S3,
// S4, S5.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

#include <map>
#include <random>

#include "golden.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using golden::at;
using golden::pick_key;
using golden::problem;
using testing::collector;
using testing::driver;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::topic;
using ::testing::UnorderedElementsAre;

std::int64_t number(const std::string& line) { return std::stoll(golden::split(line, ' ')[1]); }
std::string show(const window_result<std::string, std::int64_t>& r) {
  return fmt::format("{} [{}, {}) {}", r.key, r.start_ms, r.end_ms, r.value);
}

/// Sums the numbers of a key and window of a topic whose watermark follows every record.
struct summing {
  topic in{"in"};
  collector<std::string> out, late;
  topology topo{"t"};
  driver* running = nullptr;

  auto source() {
    auto s = in.source();
    s.poll_size = 1;
    s.bounded = false;
    return s;
  }
  template <typename MakeWindow>
  explicit summing(MakeWindow make) {
    auto results = make(topo.read("in", source(), text).key_by(pick_key)).aggregate("sum", sum(number));
    results.map(show).for_each("out", out);
    results.late().for_each("late", late);
  }
};
template <typename Window>
summing sums_in(Window w) {
  return summing([w](auto keyed) { return keyed.window(w); });
}

TEST(S3_session, records_one_gap_apart_are_one_session) {
  auto job = sums_in(session{.gap = 10ms});
  job.in.append(at("a 1", 0)).append(at("a 2", 10)).append(at("a 4", 21)).append(at("x 0", 100));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a [0, 20) 3", "a [21, 31) 4"));
}

TEST(S3_session, a_record_between_two_makes_them_one) {
  summing job([](auto keyed) { return keyed.window(session{.gap = 10ms, .allowed_lateness = 1000ms}); });
  job.in.append(at("a 1", 0)).append(at("a 2", 20)).append(at("a 4", 10)).append(at("x 0", 500));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  // [0, 10) has fired when the watermark came to 19; what is merged later fires again, whole.
  EXPECT_THAT(job.out.values(), ElementsAre("a [0, 10) 1", "a [0, 30) 7"));
}

TEST(S3_session, lateness_is_judged_after_merging) {
  auto job = sums_in(session{.gap = 10ms});
  // Watermark 29: [15, 25) is over, [24, 34) is not. 15 alone would be late, but it reaches the live session.
  job.in.append(at("x 0", 30)).append(at("a 1", 25)).append(at("a 2", 15)).append(at("b 4", 15));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.late.values(), ElementsAre("b 4"));
  EXPECT_EQ(d.metrics("sum").late, 1u);
  ASSERT_EQ(problem(d.stop()), "");
  job.in.append(at("x 0", 200));
  driver again(job.topo);
  ASSERT_EQ(problem(again.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a [15, 35) 3", "x [30, 40) 0"));
}

TEST(S3_session, a_gap_may_depend_on_the_record) {
  summing job([](auto keyed) {
    return keyed.window(
        session_by{[](const std::string& line) { return std::chrono::milliseconds(number(line)); }});
  });
  job.in.append(at("a 50", 0)).append(at("a 5", 40)).append(at("a 7", 60)).append(at("x 1", 500));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a [0, 50) 55", "a [60, 67) 7"));
}

TEST(S3_session, random_ones_are_what_sorting_gives) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::vector<std::pair<std::uint32_t, testing::record>> records;
    std::map<std::string, std::vector<std::int64_t>> all;
    for (int i = 0; i < 200; ++i) {
      const std::string key = fmt::format("k{}", random() % 4);
      const auto ts = static_cast<std::int64_t>(random() % 2000);
      records.emplace_back(static_cast<std::uint32_t>(random() % 2), at(key + " 1", ts));
      all[key].push_back(ts);
    }
    std::vector<std::string> expected;
    for (auto& [key, times] : all) {
      std::sort(times.begin(), times.end());
      for (std::size_t i = 0; i < times.size();) {
        std::size_t j = i + 1;
        while (j < times.size() && times[j] - times[j - 1] <= 15) ++j;
        expected.push_back(fmt::format("{} [{}, {}) {}", key, times[i], times[j - 1] + 15, j - i));
        i = j;
      }
    }
    std::sort(expected.begin(), expected.end());
    for (unsigned lanes = 1; lanes <= 3; ++lanes) {
      topic in("in", 2);
      for (const auto& [partition, r] : records) in.append(r, partition);
      auto source = in.source({.max_lag = 2s});
      source.poll_size = 1 + random() % 9;
      topology topo("t");
      collector<std::string> out;
      topo.read("in", source, text)
          .key_by(pick_key)
          .window(session{.gap = 15ms})
          .aggregate("sum", sum(number))
          .map(show)
          .for_each("out", out);
      ASSERT_EQ(problem(driver(topo, {.lanes = lanes, .seed = seed}).finish()), "");
      auto values = out.values();
      std::sort(values.begin(), values.end());
      ASSERT_EQ(values, expected);
    }
  }
}

TEST(S3_session, of_a_crashed_job_come_back) {
  topic in("in");
  auto source = in.source();
  source.bounded = false;
  topology topo("t");
  topic out("out");
  topo.read("in", source, text)
      .key_by(pick_key)
      .window(session{.gap = 10ms})
      .aggregate("sum", sum(number))
      .map(show)
      .write("out", out.sink(), text);
  driver d(topo);
  in.append(at("a 1", 0)).append(at("b 2", 5));
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(in.committed(), 0);
  in.append(at("c 3", 100));
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(in.committed(), 2);  // the sessions of a and b have fired
  ASSERT_EQ(problem(d.crash_and_restore(2)), "");
  in.append(at("c 4", 105)).append(at("x 0", 300));
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_THAT(out.values(), UnorderedElementsAre("a [0, 10) 1", "b [5, 15) 2", "c [100, 115) 7"));
}

/// Windows one by one, as S1, S2 and S4 say, with the watermark after every record.
template <typename Add>
std::vector<std::string> hopping_by_hand(const std::vector<std::pair<std::string, std::int64_t>>& records,
                                         std::int64_t size, std::int64_t slide, std::int64_t lag, Add add) {
  std::map<std::pair<std::int64_t, std::string>, std::int64_t> open;
  std::int64_t watermark = min_watermark;
  for (const auto& [line, ts] : records) {
    for (std::int64_t s = detail::window_start(ts, 0, slide); s > ts - size; s -= slide) {
      if (s + size - 1 > watermark) add(open[{s, pick_key(line)}], number(line));
    }
    watermark = std::max(watermark, ts - lag - 1);
  }
  std::vector<std::string> all;
  for (const auto& [at, n] : open)
    all.push_back(fmt::format("{} [{}, {}) {}", at.second, at.first, at.first + size, n));
  std::sort(all.begin(), all.end());
  return all;
}

TEST(S2_hopping, from_slices_is_what_window_by_window_gives) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto slide = 1 + static_cast<std::int64_t>(random() % 6);
    const auto size =
        slide + static_cast<std::int64_t>(random() % 30);  // also where slide does not divide it
    const auto lag = static_cast<std::int64_t>(random() % 12);
    std::vector<std::pair<std::string, std::int64_t>> records;
    topic in("in");
    std::int64_t now = 30;
    for (int i = 0; i < 150; ++i) {
      now += static_cast<std::int64_t>(random() % 3);
      if (random() % 40 == 0) now += 100;  // gaps
      const std::string line = fmt::format("k{} {}", random() % 3, 1 + random() % 9);
      const auto ts =
          now - static_cast<std::int64_t>(random() % 25);  // some of it late for some windows, some for all
      in.append(at(line, ts));
      records.emplace_back(line, ts);
    }
    auto source = in.source({.max_lag = std::chrono::milliseconds(lag)});
    source.poll_size = 1;
    const auto lanes = 1 + static_cast<unsigned>(seed % 3);
    topology topo("t");
    collector<std::string> sums, most;
    auto windows = topo.read("in", source, text)
                       .key_by(pick_key)
                       .window(hopping{.size = std::chrono::milliseconds(size),
                                       .slide = std::chrono::milliseconds(slide)});
    windows.aggregate("sum", sum(number)).map(show).for_each("sums", sums);
    windows.aggregate("most", max(number)).map(show).for_each("maxima", most);
    ASSERT_EQ(problem(driver(topo, {.lanes = lanes}).finish()), "");
    auto values = sums.values();
    std::sort(values.begin(), values.end());
    if (lanes ==
        1) {  // one lane: there the watermark is behind each record, and late means what it does by hand
      ASSERT_EQ(values, hopping_by_hand(records, size, slide, lag, [](auto& n, std::int64_t v) { n += v; }));
      values = most.values();
      std::sort(values.begin(), values.end());
      ASSERT_EQ(values, hopping_by_hand(records, size, slide, lag,
                                        [](auto& n, std::int64_t v) { n = std::max(n, v); }));
    }
  }
}

TEST(count_windows, give_every_n_records_of_a_key) {
  auto job = sums_in(count_window{.size = 2});
  job.in.append(at("a 1", 1))
      .append(at("b 2", 2))
      .append(at("a 4", 3))
      .append(at("a 8", 4))
      .append(at("a 16", 5));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a [1, 4) 5", "a [4, 6) 24"));
}

TEST(count_windows, that_are_full_hold_no_commit_back) {
  auto job = sums_in(count_window{.size = 2});
  driver d(job.topo);
  job.in.append(at("a 1", 1)).append(at("a 2", 2));
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(job.in.committed(), 2);
  job.in.append(at("b 1", 3));
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(job.in.committed(), 2);
}

TEST(count_windows, slide) {
  auto job = sums_in(sliding_count{.size = 3, .slide = 2});
  for (int i = 1; i <= 6; ++i) job.in.append(at(fmt::format("a {}", i), i));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a [1, 3) 3", "a [1, 5) 9", "a [1, 7) 15"));
}

TEST(triggers, fire_every_so_often_and_at_the_end) {
  summing job([](auto keyed) {
    return keyed.window(tumbling{.size = 100ms}).trigger(triggers::every_event_time{20ms});
  });
  job.in.append(at("a 1", 5))
      .append(at("a 2", 25))
      .append(at("a 4", 30))
      .append(at("a 8", 61))
      .append(at("x 0", 150));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a [0, 100) 3",    // at 20, when 25 has come
                                            "a [0, 100) 15",   // at 40
                                            "a [0, 100) 15",   // at 60
                                            "a [0, 100) 15",   // at 80
                                            "a [0, 100) 15"))  // at 99
      << "the watermark comes after the record that moved it";
}

TEST(triggers, purge_what_they_have_fired) {
  summing job([](auto keyed) {
    return keyed.window(tumbling{.size = 100ms}).trigger(triggers::purging{triggers::count{2}});
  });
  job.in.append(at("a 1", 5)).append(at("a 2", 25)).append(at("a 4", 30)).append(at("x 0", 150));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a [0, 100) 3"));
}

/// Fires when a record says so.
struct when_told {
  template <typename S>
  trigger_result on_record(const std::string& line, std::int64_t, const time_window&, S&,
                           trigger_context&) const {
    return number(line) == 0 ? trigger_result::fire_and_purge : trigger_result::wait;
  }
};

TEST(triggers, may_be_ones_own) {
  summing job([](auto keyed) { return keyed.window(global_window{}).trigger(when_told{}); });
  job.in.append(at("a 1", 5))
      .append(at("a 2", 25))
      .append(at("a 0", 30))
      .append(at("a 5", 31))
      .append(at("a 0", 40));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a [5, 31) 3", "a [31, 41) 5"));
}

TEST(triggers, a_global_window_needs_one) {
  topology topo("t");
  topo.read_elements("in", {"a 1"})
      .key_by(pick_key)
      .window(global_window{})
      .aggregate("sum", sum(number))
      .print("out");
  ASSERT_FALSE(topo.validate().empty());
  EXPECT_THAT(topo.validate().front(), HasSubstr("sum: a global window never fires without a trigger"));
}

TEST(clock_windows, fire_when_the_clock_is_there) {
  auto job = sums_in(processing_time(tumbling{.size = 100ms}));
  driver d(job.topo);  // the clock begins at a multiple of 100 ms
  job.in.append(at("a 1", 5)).append(at("a 2", 100'000));
  ASSERT_EQ(problem(d.run()), "");
  ASSERT_EQ(problem(d.advance(98ms)), "");
  EXPECT_TRUE(job.out.values().empty());
  ASSERT_EQ(problem(d.advance(1ms)), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a [1700000000000, 1700000000100) 3"));
  job.in.append(at("a 4", 5));
  ASSERT_EQ(problem(d.run()), "");  // after it has fired, in its last millisecond
  ASSERT_EQ(problem(d.advance(1ms)), "");
  job.in.append(at("a 8", 5));
  ASSERT_EQ(problem(d.run()), "");
  ASSERT_EQ(problem(d.advance(1h)), "");
  EXPECT_EQ(job.out.values().back(), "a [1700000000100, 1700000000200) 8");
}

TEST(clock_windows, fire_at_the_end_of_the_input) {
  topic in("in");
  in.append(at("a 1", 5)).append(at("a 2", 6));
  topology topo("t");
  collector<std::string> out;
  topo.read("in", in.source(), text)
      .key_by(pick_key)
      .window(processing_time(session{.gap = 1h}))
      .aggregate("sum", sum(number))
      .map(show)
      .for_each("out", out);
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.values(), ElementsAre("a [1700000000000, 1700003600000) 3"));
}

TEST(evictors, keep_the_last_or_the_newest) {
  summing job([](auto keyed) { return keyed.window(tumbling{.size = 100ms}).evict(evictors::count{2}); });
  job.in.append(at("a 1", 5)).append(at("a 2", 6)).append(at("a 4", 7)).append(at("x 0", 150));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a [0, 100) 6"));
  summing other([](auto keyed) { return keyed.window(tumbling{.size = 100ms}).evict(evictors::time{10ms}); });
  other.in.append(at("a 1", 5)).append(at("a 2", 16)).append(at("a 4", 15)).append(at("x 0", 150));
  driver e(other.topo);
  ASSERT_EQ(problem(e.run()), "");
  EXPECT_THAT(other.out.values(), ElementsAre("a [0, 100) 6"));
}

TEST(window_functions, see_the_whole_window) {
  golden::check("a 1 @5; a 2 @7; b 3 @9; a 4 @12", {"a [0, 10): 1 2", "b [0, 10): 3", "a [10, 20): 4"},
                [](auto lines, auto out) {
                  lines.key_by(pick_key)
                      .window(tumbling{.size = 10ms})
                      .template process<std::string>(
                          "all",
                          [](const std::string& key, const time_window& w,
                             const std::vector<stamped<std::string>>& records, auto emit) {
                            std::string text = fmt::format("{} [{}, {}):", key, w.start_ms, w.end_ms);
                            for (const auto& r : records) text += fmt::format(" {}", number(r.value));
                            emit(text);
                          })
                      .for_each("out", out);
                });
}

TEST(window_all, is_one_window_for_all_keys) {
  golden::check("a 1 @5; b 2 @7; c 3 @19", {"[0, 10) 3", "[10, 20) 3"}, [](auto lines, auto out) {
    lines.window_all(tumbling{.size = 10ms})
        .aggregate("sum", sum(number))
        .map([](const auto& r) { return fmt::format("[{}, {}) {}", r.start_ms, r.end_ms, r.value); })
        .for_each("out", out);
  });
}

TEST(windows, follow_the_policy_of_their_expression) {
  topology topo("t");
  collector<std::string> out;
  topo.read_elements("in", {"a 1", "a x", "a 2"})
      .assign_timestamps([](const std::string&) { return 1; })
      .on_error(error_policy::skip_and_count)
      .key_by(pick_key)
      .window(session{.gap = 10ms})
      .aggregate("sum", sum(number))
      .map(show)
      .for_each("out", out);
  driver d(topo);
  ASSERT_EQ(problem(d.finish()), "");
  EXPECT_THAT(out.values(), ElementsAre("a [1, 11) 3"));
  EXPECT_EQ(d.metrics("sum").skipped, 1u);
}

}  // namespace
}  // namespace penstock
