// SPDX-License-Identifier: Apache-2.0
// Watermark generators of the user's, and sources that keep together (S8).
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
using ::testing::IsEmpty;
using testing::topic;

/// Each record with the watermark that it found.
struct found_at {
  using output = std::string;
  void process(const std::string& s, auto& ctx) {
    ctx.emit(
        fmt::format("{} {}", s, ctx.watermark() == min_watermark ? "none" : std::to_string(ctx.watermark())));
  }
};

/// Event time is what records of the kind "mark" say.
struct marks {
  std::int64_t newest = min_watermark;
  void on_event(const std::string& s, std::int64_t ts) {
    if (s == "mark") newest = ts;
  }
  std::int64_t watermark() const { return newest; }
};

testing::topic_source stepwise(const topic& t, watermark_options w = {}) {
  auto s = t.source(w);
  s.poll_size = 1;
  s.bounded = false;
  return s;
}

TEST(watermark_generator, punctuated) {
  topic in("in");
  topology topo("t");
  collector<std::string> out;
  topo.read("in", stepwise(in), text).assign_watermarks(marks{}).process<found_at>("f").for_each("out", out);
  in.append(at("a", 50)).append(at("mark", 20)).append(at("b", 60)).append(at("mark", 10)).append(at("c", 5));
  driver d(topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(out.values(), ElementsAre("a none", "mark none", "b 20", "mark 20", "c 20"));  // never back
}

TEST(watermark_generator, one_a_partition) {
  topic in("in", 2);
  topology topo("t");
  collector<std::string> out;
  topo.read("in", stepwise(in), text).assign_watermarks(marks{}).process<found_at>("f").for_each("out", out);
  driver d(topo);
  const auto step = [&](const char* what, std::int64_t ts, std::uint32_t partition) {
    in.append(at(what, ts), partition);
    ASSERT_EQ(problem(d.run()), "");
  };
  step("mark", 20, 0);
  step("a", 1, 0);
  step("mark", 15, 1);
  step("b", 1, 0);
  EXPECT_THAT(out.values(), ElementsAre("mark none", "a none", "mark none", "b 15"));
}

/// The clock moves event time on, even if no records come.
struct clock_driven {
  void on_event(const std::string&, std::int64_t) {}
  std::int64_t watermark(std::int64_t processing_time_ms) const {
    return processing_time_ms - 1'700'000'000'000;
  }
};

TEST(watermark_generator, periodic_by_the_clock_that_a_test_holds) {
  topic in("in");
  topology topo("t");
  collector<std::string> out;
  topo.read("in", stepwise(in), text)
      .assign_timestamps([](const std::string&) { return 70; })
      .assign_watermarks(clock_driven{})
      .key_by(pick_key)
      .window(tumbling{.size = 100ms})
      .aggregate("n", count())
      .map([](const auto& r) { return fmt::format("{} {}", r.key, r.value); })
      .for_each("out", out);
  in.append(at("a", 0)).append(at("a", 0));
  driver d(topo);
  ASSERT_EQ(problem(d.advance(98ms)), "");
  EXPECT_THAT(out.values(), IsEmpty());
  ASSERT_EQ(problem(d.advance(1ms)), "");
  EXPECT_THAT(out.values(), ElementsAre("a 2"));
}

TEST(test_driver, moves_event_time_without_a_record) {
  for (const unsigned lanes : {1u, 2u, 3u}) {
    topic in("in", 3);
    topology topo("t");
    collector<std::string> out;
    auto source = in.source();
    source.bounded = false;
    auto windows = topo.read("in", source, text)
                       .key_by(pick_key)
                       .window(tumbling{.size = 100ms})
                       .aggregate("n", count());
    windows.map([](const auto& r) { return fmt::format("{} {}", r.key, r.value); }).for_each("out", out);
    windows.late().for_each("late", out);
    in.append(at("a", 10), 0).append(at("a", 20), 1);
    driver d(topo, {.lanes = lanes});
    ASSERT_EQ(problem(d.run()), "");
    EXPECT_THAT(out.values(), IsEmpty());
    ASSERT_EQ(problem(d.advance_watermark(98)), "");
    EXPECT_THAT(out.values(), IsEmpty());
    ASSERT_EQ(problem(d.advance_watermark(99)), "");
    EXPECT_THAT(out.values(), ElementsAre("a 2"));
    in.append(at("a late", 50), 2);
    ASSERT_EQ(problem(d.run()), "");
    EXPECT_THAT(out.values(), ElementsAre("a 2", "a late"));
  }
}

struct aligned_job {
  topic fast{"fast", 2}, slow{"slow"};
  collector<std::string> out;
  topology topo{"t"};
  explicit aligned_job(watermark_options w) {
    topo.read("fast", stepwise(fast, w), text).for_each("fast-out", out);
    topo.read("slow", stepwise(slow, w), text).for_each("slow-out", out);
    for (int i = 0; i <= 20; ++i) fast.append(at(fmt::format("f{}", i * 10), i * 10), 0);
  }
  std::int64_t newest_of_fast() const {
    std::int64_t newest = -1;
    for (const auto& [text, ts] : out.with_timestamps()) {
      if (text[0] == 'f') newest = std::max(newest, ts);
    }
    return newest;
  }
};

TEST(S8_alignment, a_partition_that_is_ahead_waits_for_the_slowest) {
  for (const unsigned lanes : {1u, 2u, 3u}) {
    aligned_job job({.align_with = "group", .max_drift = 50ms});
    job.slow.append(at("s", 0));
    driver d(job.topo, {.lanes = lanes});
    ASSERT_EQ(problem(d.run()), "");
    // A watermark is a millisecond behind its record: -1 + 50 is the limit, which the record of 60 passes.
    EXPECT_LE(job.newest_of_fast(), 60) << lanes;
    job.slow.append(at("s", 100));
    ASSERT_EQ(problem(d.run()), "");
    EXPECT_EQ(job.newest_of_fast(), 160) << lanes;
    job.slow.append(at("s", 1000));
    ASSERT_EQ(problem(d.run()), "");
    EXPECT_EQ(job.newest_of_fast(), 200) << lanes;
    // The slow one is ahead now, and waits.
    job.slow.append(at("s", 1001));
    ASSERT_EQ(problem(d.run()), "");
    EXPECT_EQ(job.out.values().size(), 21u + 3u);
    ASSERT_EQ(problem(d.stop()), "");
  }
}

TEST(S8_alignment, other_partitions_of_the_source_go_on) {
  aligned_job job({.align_with = "group", .max_drift = 50ms});
  job.slow.append(at("s", 0));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  job.fast.append(at("f5", 5), 1).append(at("f30", 30), 1);
  ASSERT_EQ(problem(d.run()), "");
  const auto values = job.out.values();
  EXPECT_EQ(std::count(values.begin(), values.end(), "f5"), 1);
  EXPECT_EQ(std::count(values.begin(), values.end(), "f30"), 2);
}

TEST(S8_alignment, idle_splits_hold_nobody_back_and_groups_are_apart) {
  aligned_job job({.idle_after = 10s, .align_with = "group", .max_drift = 50ms});
  job.slow.append(at("s", 0));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_LE(job.newest_of_fast(), 60);
  ASSERT_EQ(problem(d.advance(11s)), "");
  EXPECT_EQ(job.newest_of_fast(), 200);

  aligned_job alone({});
  alone.slow.append(at("s", 0));
  driver e(alone.topo);
  ASSERT_EQ(problem(e.run()), "");
  EXPECT_EQ(alone.newest_of_fast(), 200);
}

}  // namespace
}  // namespace penstock
