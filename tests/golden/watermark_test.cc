// SPDX-License-Identifier: Apache-2.0
// Watermarks: S6, S7; and the ends of splits: S16.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

#include "engine/coordinator.h"
#include "engine/watermark_merge.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using engine::input_time;
using engine::merge_times;
using testing::driver;
using ::testing::ElementsAre;

detail::watermark merge(std::vector<input_time> inputs) {
  return merge_times(inputs, [](const input_time& t) { return t; });
}

TEST(S6_watermark, of_several_inputs_is_the_minimum) {
  EXPECT_EQ(merge({{5, false}, {3, false}, {9, false}}), (detail::watermark{3, false}));
}

TEST(S6_watermark, never_goes_back) {
  engine::monotonic_watermark w;
  EXPECT_TRUE(w.advance({10, false}));
  EXPECT_FALSE(w.advance({7, false}));
  EXPECT_EQ(w.current().timestamp, 10);
  EXPECT_TRUE(w.advance({7, true}));  // idleness is news, the time stays
  EXPECT_EQ(w.current(), (detail::watermark{10, true}));
}

TEST(S7_idle, inputs_leave_the_minimum) {
  EXPECT_EQ(merge({{5, false}, {3, true}, {9, false}}), (detail::watermark{5, false}));
}

TEST(S7_idle, when_all_are_idle_the_maximum_counts) {
  EXPECT_EQ(merge({{5, true}, {3, true}}), (detail::watermark{5, true}));
}

TEST(S7_idle, finished_is_not_idle_and_ends_the_stream_only_when_all_are) {
  EXPECT_EQ(merge({{max_watermark, false}, {3, false}}), (detail::watermark{3, false}));
  EXPECT_EQ(merge({{max_watermark, false}, {3, true}}), (detail::watermark{3, true}));
  EXPECT_EQ(merge({{max_watermark, false}, {max_watermark, false}}),
            (detail::watermark{max_watermark, false}));
}

struct watched {
  testing::topic in{"in", 2};
  testing::collector<window_result<std::int64_t, std::int64_t>> out;
  topology topo{"watched"};
  explicit watched(watermark_options w, bool bounded = false) {
    auto source = in.source(w);
    source.bounded = bounded;
    source.poll_size = 1;
    topo.read("in", source, text)
        .key_by([](const std::string&) { return std::int64_t{0}; })
        .window(tumbling{.size = 10ms})
        .aggregate("count", count())
        .for_each("out", out);
  }
  std::vector<std::int64_t> fired() const {
    std::vector<std::int64_t> ends;
    for (const auto& r : out.values()) ends.push_back(r.end_ms);
    return ends;
  }
  void add(std::int64_t ts, std::uint32_t partition) {
    in.append({.value = "x", .timestamp_ms = ts}, partition);
  }
};

TEST(S6_watermark, is_the_newest_timestamp_minus_the_bound_minus_one) {
  watched job({.max_lag = 100ms});
  driver d(job.topo);
  job.add(5, 0);
  job.add(500, 1);
  job.add(109, 0);  // watermark 8
  ASSERT_TRUE(d.run());
  EXPECT_TRUE(job.fired().empty());
  job.add(110, 0);  // watermark 9 = last of [0, 10)
  ASSERT_TRUE(d.run());
  EXPECT_THAT(job.fired(), ElementsAre(10));
}

TEST(S6_watermark, of_a_source_is_the_minimum_over_its_partitions) {
  for (const unsigned lanes : {1u, 2u, 3u}) {
    watched job({});
    driver d(job.topo, {.lanes = lanes});
    job.add(5, 0);
    job.add(1000, 0);
    ASSERT_TRUE(d.run());
    EXPECT_TRUE(job.fired().empty()) << "partition 1 has said nothing yet";
    job.add(10, 1);
    ASSERT_TRUE(d.run());
    EXPECT_THAT(job.fired(), ElementsAre(10)) << lanes;
  }
}

TEST(S7_idle, a_partition_without_records_holds_time_back_only_until_it_is_idle) {
  for (const unsigned lanes : {1u, 2u}) {
    watched job({.idle_after = 5s});
    driver d(job.topo, {.lanes = lanes});
    job.add(5, 0);
    job.add(20, 0);
    ASSERT_TRUE(d.run());
    ASSERT_TRUE(d.advance(4999ms));
    EXPECT_TRUE(job.fired().empty());
    job.add(21, 0);  // partition 0 stays active
    ASSERT_TRUE(d.run());
    ASSERT_TRUE(d.advance(1ms));
    EXPECT_THAT(job.fired(), ElementsAre(10)) << lanes;
  }
}

TEST(S7_idle, when_all_partitions_are_idle_their_maximum_is_the_time) {
  for (const unsigned lanes : {1u, 2u}) {
    watched job({.idle_after = 5s});
    driver d(job.topo, {.lanes = lanes});
    job.add(5, 0);
    job.add(7, 1);
    job.add(30, 1);
    ASSERT_TRUE(d.run());
    EXPECT_TRUE(job.fired().empty());
    ASSERT_TRUE(d.advance(5s));
    EXPECT_THAT(job.fired(), ElementsAre(10)) << lanes;
  }
}

TEST(S7_idle, a_partition_that_wakes_up_behind_the_time_does_not_turn_it_back) {
  watched job({.idle_after = 5s});
  driver d(job.topo);
  job.add(100, 0);
  ASSERT_TRUE(d.advance(5s));  // both idle: time 99
  job.add(5, 1);               // late
  job.add(101, 1);
  ASSERT_TRUE(d.run());
  EXPECT_TRUE(job.fired().empty());
  EXPECT_EQ(d.metrics("count").late, 1u);
}

TEST(S6_watermark, the_end_of_all_input_is_infinity) {
  for (const unsigned lanes : {1u, 2u, 3u}) {
    watched job({}, true);
    job.add(5, 0);
    job.add(15, 1);
    driver d(job.topo, {.lanes = lanes});
    ASSERT_TRUE(d.finish());
    EXPECT_THAT(job.fired(), ElementsAre(10, 20)) << lanes;
  }
}

TEST(S16_stop, an_empty_bounded_source_ends_at_once) {
  for (const unsigned lanes : {1u, 2u, 3u}) {
    watched job({}, true);
    driver d(job.topo, {.lanes = lanes});
    EXPECT_TRUE(d.finish());
    EXPECT_TRUE(job.fired().empty());
  }
}

TEST(S16_stop, a_bounded_source_reads_what_was_there_at_its_start_and_a_restored_one_still_ends) {
  testing::topic in("in"), out("out");
  topology topo("copy");
  topo.read("in", in.source(), text).write("out", out.sink(), text);
  in.append_values({"a", "b", "c"});
  driver d(topo);
  ASSERT_TRUE(d.finish());
  EXPECT_THAT(out.values(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(in.committed(), 3);
  ASSERT_TRUE(d.crash_and_restore());
  ASSERT_TRUE(d.finish());
  EXPECT_THAT(out.values(), ElementsAre("a", "b", "c"));
}

TEST(S17_commit, happens_with_the_epoch_and_not_before) {
  testing::topic in("in"), out("out");
  topology topo("copy");
  auto source = in.source();
  source.bounded = false;
  topo.read("in", source, text).write("out", out.sink(), text);
  in.append_values({"a", "b"});
  driver d(topo);
  ASSERT_TRUE(d.run());
  EXPECT_EQ(in.committed(), std::nullopt);
  ASSERT_TRUE(d.commit());
  EXPECT_EQ(in.committed(), 2);
}

TEST(restored_time, is_read_back_as_it_was_written) {
  for (const engine::restored_time t :
       {engine::restored_time{0, false}, {-5, true}, {1'700'000'000'000, false}}) {
    const auto back = engine::decode_time(engine::encode_time(t));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->watermark, t.watermark);
    EXPECT_EQ(back->idle, t.idle);
  }
  EXPECT_EQ(engine::encode_time({}), "");
  for (const char* other :
       {"", "x", "penstock/1 watermark=", "penstock/1 watermark=1x", "penstock/1 watermark=1 idle?"})
    EXPECT_FALSE(engine::decode_time(other)) << other;
}

}  // namespace
}  // namespace penstock
