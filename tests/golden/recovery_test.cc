// SPDX-License-Identifier: Apache-2.0
// At least once: after a crash anywhere, the last result of each key and window is what one uninterrupted run
// gives.
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
using golden::problem;
using testing::driver;
using testing::record;
using testing::topic;

struct payment {
  std::string key;
  std::int64_t amount = 0;
};
struct payment_format {
  using value_type = payment;
  result<payment> decode(std::string_view bytes) const {
    const auto at = bytes.find(':');
    return payment{std::string(bytes.substr(0, at)), std::stoll(std::string(bytes.substr(at + 1)))};
  }
};
struct result_format {
  void encode(const window_result<std::string, std::int64_t>& r, std::string& out) const {
    out += std::to_string(r.value);
  }
  bool encode_key(const window_result<std::string, std::int64_t>& r, std::string& out) const {
    out += r.key + "/" + std::to_string(r.start_ms);
    return true;
  }
};

std::map<std::string, std::string> last_values(const topic& t) {
  std::map<std::string, std::string> last;
  for (const record& r : t.records()) last[*r.key] = *r.value;
  return last;
}

topic random_events(std::uint64_t seed, std::uint32_t partitions, int records, std::int64_t disorder) {
  std::mt19937_64 random(seed);
  topic in("in", partitions);
  for (int i = 0; i < records; ++i) {
    const auto ts = 1000 + std::int64_t{i} * 7 -
                    static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(disorder));
    in.append({.value = fmt::format("k{}:{}", random() % 5, random() % 100), .timestamp_ms = ts},
              static_cast<std::uint32_t>(random() % partitions));
  }
  return in;
}

enum class shape : std::uint8_t { tumbling, lateness, hopping, cascade };

void build(topology& topo, shape what, const topic& in, const topic& out, std::size_t poll_size) {
  auto source = in.source({.max_lag = 50ms});
  source.poll_size = poll_size;
  auto keyed = topo.read("in", source, payment_format{}).key_by(&payment::key);
  if (what == shape::tumbling)
    keyed.window(tumbling{.size = 100ms})
        .aggregate("sum", sum(&payment::amount))
        .write("out", out.sink(), result_format{});
  if (what == shape::lateness)
    keyed.window(tumbling{.size = 100ms, .allowed_lateness = 300ms})
        .aggregate("sum", sum(&payment::amount))
        .write("out", out.sink(), result_format{});
  if (what == shape::hopping)
    keyed.window(hopping{.size = 300ms, .slide = 100ms})
        .aggregate("sum", sum(&payment::amount))
        .write("out", out.sink(), result_format{});
  if (what == shape::cascade) {
    using first = window_result<std::string, std::int64_t>;
    keyed.window(tumbling{.size = 100ms})
        .aggregate("sum", sum(&payment::amount))
        .key_by(&first::key)
        .window(tumbling{.size = 500ms})
        .aggregate("total", sum(&first::value))
        .write("out", out.sink(), result_format{});
  }
}

class crash : public ::testing::TestWithParam<std::tuple<shape, unsigned>> {};

TEST_P(crash, anywhere_loses_no_result_and_leaves_no_wrong_one) {
  const auto [what, lanes] = GetParam();
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937_64 random(seed);
    // Nothing is late in the uninterrupted run: the bound covers a partition's disorder, and time follows the
    // slowest partition.
    const auto partitions = 1 + static_cast<std::uint32_t>(seed % 3);
    const topic unread = random_events(seed, partitions, 400, 50);
    const topic in = random_events(seed, partitions, 400, 50);

    topic expected("expected");
    topology straight("job");
    build(straight, what, unread, expected, 256);
    ASSERT_EQ(problem(driver(straight).finish()), "");

    topic out("out");
    topology topo("job");
    build(topo, what, in, out, 1 + random() % 20);
    driver d(topo, {.lanes = lanes, .seed = seed});
    const int crashes = static_cast<int>(random() % 6);
    for (int i = 0; i < crashes; ++i) {
      for (auto commits = random() % 4; commits > 0; --commits) {
        ASSERT_EQ(problem(d.run_rounds(random() % 60)), "");
        if (d.progress().records_read < 400) (void)d.commit_now();
      }
      ASSERT_EQ(problem(d.run_rounds(random() % 60)), "");
      ASSERT_EQ(problem(d.crash_and_restore(1 + static_cast<unsigned>(random() % 3))), "");
    }
    ASSERT_EQ(problem(d.finish()), "");
    EXPECT_EQ(last_values(out), last_values(expected));
  }
}

INSTANTIATE_TEST_SUITE_P(shapes, crash,
                         ::testing::Combine(::testing::Values(shape::tumbling, shape::lateness,
                                                              shape::hopping, shape::cascade),
                                            ::testing::Values(1u, 2u)));

TEST(recovery, commits_stay_at_the_oldest_open_window) {
  topic in("in"), out("out");
  auto source = in.source();
  source.bounded = false;
  topology topo("job");
  topo.read("in", source, payment_format{})
      .key_by(&payment::key)
      .window(tumbling{.size = 100ms})
      .aggregate("sum", sum(&payment::amount))
      .write("out", out.sink(), result_format{});
  driver d(topo);
  in.append({.value = "a:1", .timestamp_ms = 10});
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(in.committed(), 0);  // [0, 100) is open since the first epoch
  in.append({.value = "a:2", .timestamp_ms = 20});
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(in.committed(), 0);
  in.append({.value = "a:4", .timestamp_ms = 150});  // closes it, opens [100, 200)
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(in.committed(), 2);
  EXPECT_EQ(in.committed_metadata(), "penstock/1 watermark=149");
  EXPECT_EQ(last_values(out), (std::map<std::string, std::string>{{"a/0", "3"}}));

  ASSERT_EQ(problem(d.crash_and_restore()), "");
  in.append({.value = "a:8", .timestamp_ms = 30});  // its window is done with: late, not a second result
  in.append({.value = "a:16", .timestamp_ms = 250});
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(last_values(out), (std::map<std::string, std::string>{{"a/0", "3"}, {"a/100", "4"}}));
  EXPECT_EQ(d.metrics("sum").late, 1u);
}

TEST(recovery, state_that_never_ends_holds_the_commit_at_its_first_record) {
  topic in("in"), out("out");
  auto source = in.source();
  source.bounded = false;
  topology topo("job");
  topo.read("in", source, text)
      .key_by([](const std::string& s) { return s; })
      .aggregate("count", count())
      .write("out", out.sink(), key_value(text, decimal<std::int64_t>));
  driver d(topo, {.lanes = 2});
  in.append_values({"a", "b", "a"});
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(in.committed(), 0);
  ASSERT_EQ(problem(d.crash_and_restore(3)), "");
  in.append_values({"a"});
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(last_values(out), (std::map<std::string, std::string>{{"a", "3"}, {"b", "1"}}));
}

TEST(recovery, a_commit_waits_for_the_sink) {
  topic in("in"), out("out");
  auto source = in.source();
  source.bounded = false;
  auto sink = out.sink();
  sink.accept = false;
  topology topo("job");
  topo.read("in", source, text).write("out", sink, text);
  in.append_values({"a"});
  driver d(topo);
  EXPECT_FALSE(d.commit());
  EXPECT_EQ(in.committed(), std::nullopt);
}

TEST(recovery, a_clean_stop_repeats_nothing_of_a_job_without_state) {
  topic in("in", 2), out("out");
  auto source = in.source();
  source.bounded = false;
  topology topo("job");
  topo.read("in", source, text).write("out", out.sink(), text);
  in.append_values({"a", "b"}, 0).append_values({"c"}, 1);
  {
    driver d(topo, {.lanes = 2});
    ASSERT_EQ(problem(d.run()), "");
    ASSERT_EQ(problem(d.stop()), "");
  }
  in.append_values({"d"}, 1);
  driver d(topo, {.lanes = 1});
  ASSERT_EQ(problem(d.run()), "");
  ASSERT_EQ(problem(d.stop()), "");
  EXPECT_THAT(out.values(), ::testing::UnorderedElementsAre("a", "b", "c", "d"));
}

TEST(recovery, more_input_after_a_bounded_run_is_not_late_because_the_run_had_ended) {
  topic in("in"), out("out");
  topology topo("job");
  build(topo, shape::tumbling, in, out, 256);
  in.append({.value = "a:1", .timestamp_ms = 10});
  ASSERT_EQ(problem(driver(topo).finish()), "");
  in.append({.value = "a:2", .timestamp_ms = 510});
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_EQ(last_values(out), (std::map<std::string, std::string>{{"a/0", "1"}, {"a/500", "2"}}));
}

}  // namespace
}  // namespace penstock
