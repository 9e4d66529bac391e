// SPDX-License-Identifier: Apache-2.0
// Windows: S1, S2, S4, S5.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/testing.h>
#include <penstock/topology.h>
#include <penstock/windows.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <random>
#include <ranges>
#include <utility>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::driver;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

using counts = std::vector<std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t>>;

/// "key@ts": records as text, so that a test reads like a table.
testing::record at(const std::string& key, std::int64_t ts) {
  return {.key = key, .value = key, .timestamp_ms = ts};
}

/// Counts a key and window over a topic whose watermark follows every record.
template <typename Window>
struct counting {
  testing::topic in{"in"};
  testing::collector<window_result<std::string, std::int64_t>> out;
  testing::collector<std::string> late;
  topology topo{"counting"};

  explicit counting(Window w, watermark_options watermarks = {}, bool bounded = true) {
    auto source = in.source(watermarks);
    source.poll_size = 1;
    source.bounded = bounded;
    auto results = topo.read("in", source, text)
                       .key_by([](const std::string& s) { return s; })
                       .window(w)
                       .aggregate("count", count());
    results.for_each("out", out);
    results.late().for_each("late", late);
  }
  counts results() const {
    counts all;
    for (const auto& r : out.values()) all.emplace_back(r.key, r.start_ms, r.end_ms, r.value);
    return all;
  }
};

TEST(S1_tumbling, a_window_is_closed_at_its_start_and_open_at_its_end) {
  counting job(tumbling{.size = 10ms});
  job.in.append(at("a", 0)).append(at("a", 9)).append(at("a", 10)).append(at("a", 19)).append(at("a", 20));
  ASSERT_TRUE(driver(job.topo).finish());
  EXPECT_THAT(job.results(),
              ElementsAre(std::tuple("a", 0, 10, 2), std::tuple("a", 10, 20, 2), std::tuple("a", 20, 30, 1)));
}

TEST(S1_tumbling, negative_timestamps_and_offsets_count_by_the_formula) {
  const auto start = [](std::int64_t ts, std::int64_t offset, std::int64_t size) {
    const std::int64_t r = (ts - offset) % size;
    return r < 0 ? ts - (r + size) : ts - r;
  };
  EXPECT_EQ(detail::window_start(-1, 0, 10), -10);
  EXPECT_EQ(detail::window_start(-10, 0, 10), -10);
  EXPECT_EQ(detail::window_start(-11, 0, 10), -20);
  EXPECT_EQ(detail::window_start(4, 5, 10), -5);
  EXPECT_EQ(detail::window_start(5, 5, 10), 5);
  EXPECT_EQ(detail::window_start(5, -5, 10), 5);
  // The numbers end in ...5807 and -...5808; what begins before them begins with them.
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(detail::window_start(least + 9, 3, 10), least + 1);
  EXPECT_EQ(detail::window_start(least + 11, 3, 10), least + 11);
  EXPECT_EQ(detail::window_start(least + 1, 3, 1000), least);
  EXPECT_EQ(detail::window_start(most, -3, 10), most);
  EXPECT_EQ(detail::window_start(most - 1, -3, 10), most - 10);
  EXPECT_EQ(detail::window_start(least + 5, most, most), least + 1);
  std::mt19937_64 random(7);
  for (int i = 0; i < 10'000; ++i) {
    const auto ts = static_cast<std::int64_t>(random()) / 1024;
    const auto size = static_cast<std::int64_t>(random() % 100'000) + 1;
    const auto offset = static_cast<std::int64_t>(random() % 200'000) - 100'000;
    const std::int64_t s = detail::window_start(ts, offset, size);
    EXPECT_EQ(s, start(ts, offset, size));
    EXPECT_LE(s, ts);
    EXPECT_GT(s + size, ts);
  }
}

TEST(S1_tumbling, a_result_carries_the_windows_last_millisecond) {
  counting job(tumbling{.size = 10ms, .offset = 3ms});
  job.in.append(at("a", 5));
  ASSERT_TRUE(driver(job.topo).finish());
  EXPECT_THAT(job.results(), ElementsAre(std::tuple("a", 3, 13, 1)));
  EXPECT_EQ(job.out.with_timestamps().front().second, 12);
}

TEST(S1_tumbling, the_ends_of_time_do_not_overflow) {
  const detail::window_shape shape = detail::shape_of(tumbling{.size = 1h, .allowed_lateness = 1h});
  EXPECT_EQ(shape.expiry(max_watermark - 5), max_watermark);
  std::int64_t start = 0;
  shape.assign(min_watermark + 1, [&](std::int64_t s) { start = s; });
  EXPECT_LE(start, min_watermark + 1);
}

TEST(S2_hopping, a_record_is_in_every_window_that_holds_it_from_the_last_one_down) {
  std::vector<std::int64_t> starts;
  detail::shape_of(hopping{.size = 30ms, .slide = 10ms}).assign(25, [&](std::int64_t s) {
    starts.push_back(s);
  });
  EXPECT_THAT(starts, ElementsAre(20, 10, 0));
  starts.clear();
  detail::shape_of(hopping{.size = 30ms, .slide = 10ms}).assign(-1, [&](std::int64_t s) {
    starts.push_back(s);
  });
  EXPECT_THAT(starts, ElementsAre(-10, -20, -30));
  starts.clear();
  detail::shape_of(hopping{.size = 25ms, .slide = 10ms}).assign(9, [&](std::int64_t s) {
    starts.push_back(s);
  });
  EXPECT_THAT(starts, ElementsAre(0, -10));  // [-20, 5) does not hold 9
}

TEST(S2_hopping, counts_overlap) {
  counting job(hopping{.size = 20ms, .slide = 10ms});
  job.in.append(at("a", 5)).append(at("b", 5)).append(at("a", 15)).append(at("a", 25));
  ASSERT_TRUE(driver(job.topo).finish());
  EXPECT_THAT(job.results(), UnorderedElementsAre(std::tuple("a", -10, 10, 1), std::tuple("b", -10, 10, 1),
                                                  std::tuple("a", 0, 20, 2), std::tuple("b", 0, 20, 1),
                                                  std::tuple("a", 10, 30, 2), std::tuple("a", 20, 40, 1)));
}

TEST(S4_late, a_window_is_late_when_the_watermark_reaches_its_last_millisecond) {
  counting job(tumbling{.size = 10ms});
  // The watermark is the newest timestamp - 1: 10 gives 9, which is the last of [0, 10).
  job.in.append(at("a", 1)).append(at("a", 9)).append(at("a", 10)).append(at("late", 9)).append(at("a", 11));
  driver d(job.topo);
  ASSERT_TRUE(d.finish());
  EXPECT_THAT(job.results(), ElementsAre(std::tuple("a", 0, 10, 2), std::tuple("a", 10, 20, 2)));
  EXPECT_THAT(job.late.values(), ElementsAre("late"));
  EXPECT_EQ(d.metrics("count").late, 1u);
}

TEST(S4_late, allowed_lateness_keeps_a_window_to_the_millisecond) {
  counting job(tumbling{.size = 10ms, .allowed_lateness = 5ms});
  // [0, 10) is late from watermark 14 on, so from timestamp 15.
  job.in.append(at("a", 1)).append(at("x", 14)).append(at("a", 2)).append(at("x", 15)).append(at("a", 3));
  driver d(job.topo);
  ASSERT_TRUE(d.finish());
  EXPECT_THAT(job.results(),
              ElementsAre(std::tuple("a", 0, 10, 1), std::tuple("a", 0, 10, 2), std::tuple("x", 10, 20, 2)));
  EXPECT_EQ(d.metrics("count").late, 1u);
  EXPECT_THAT(job.late.values(), ElementsAre("a"));
}

TEST(S4_late, a_record_is_counted_even_when_it_is_not_far_enough_behind_for_the_late_output) {
  // Hopping with a gap: [0, 5) and [10, 15) cannot be declared (slide <= size), so a window that is late
  // while the record itself is not needs lateness: ts 8 in [0, 10) with lateness 5 and watermark 14: 8 + 5
  // <= 14.
  counting job(tumbling{.size = 10ms, .allowed_lateness = 5ms});
  job.in.append(at("x", 15)).append(at("a", 9));  // watermark 14; 9 + 5 = 14 <= 14: late
  driver d(job.topo);
  ASSERT_TRUE(d.finish());
  EXPECT_EQ(d.metrics("count").late, 1u);
  EXPECT_THAT(job.late.values(), ElementsAre("a"));
}

TEST(S5_trigger, a_window_fires_when_the_watermark_reaches_its_last_millisecond_and_not_before) {
  counting job(tumbling{.size = 10ms}, {}, false);
  driver d(job.topo);
  job.in.append(at("a", 1)).append(at("a", 9));
  ASSERT_TRUE(d.run());
  EXPECT_TRUE(job.results().empty());
  job.in.append(at("b", 10));  // watermark 9
  ASSERT_TRUE(d.run());
  EXPECT_THAT(job.results(), ElementsAre(std::tuple("a", 0, 10, 2)));
}

TEST(S5_trigger, a_late_record_within_the_allowed_lateness_fires_at_once) {
  counting job(tumbling{.size = 10ms, .allowed_lateness = 100ms}, {}, false);
  driver d(job.topo);
  job.in.append(at("a", 1)).append(at("x", 50));
  ASSERT_TRUE(d.run());
  job.in.append(at("a", 2)).append(at("new", 3));
  ASSERT_TRUE(d.run());
  EXPECT_THAT(job.results(),
              ElementsAre(std::tuple("a", 0, 10, 1), std::tuple("a", 0, 10, 2), std::tuple("new", 0, 10, 1)));
}

TEST(S5_trigger, windows_fire_in_the_order_of_their_ends) {
  counting job(tumbling{.size = 10ms}, {.max_lag = 1000ms});
  job.in.append(at("c", 25)).append(at("a", 5)).append(at("d", 31)).append(at("b", 15));
  ASSERT_TRUE(driver(job.topo).finish());
  EXPECT_THAT(job.results(), ElementsAre(std::tuple("a", 0, 10, 1), std::tuple("b", 10, 20, 1),
                                         std::tuple("c", 20, 30, 1), std::tuple("d", 30, 40, 1)));
}

TEST(windows, a_record_without_event_time_is_an_error_that_says_what_to_do) {
  for (const unsigned lanes : {1u, 2u}) {
    topology topo("t");
    topo.read_elements("in", {1, 2})
        .key_by([](int i) { return i; })
        .window(tumbling{.size = 1s})
        .aggregate("count", count())
        .print("out");
    const auto r = driver(topo, {.lanes = lanes}).finish();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().message(), "count: a record has no event time; give it one with assign_timestamps");
  }
}

TEST(windows, give_the_same_however_many_lanes_take_part_in_them) {
  struct click {
    std::int64_t user, ts;
  };
  // Ten to a millisecond, and for a third of the time some from windows before, late ones too.
  const auto number = [](std::int64_t i) {
    const auto r = static_cast<std::int64_t>(static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15 >> 40);
    return click{r % 97, i / 10 - (i / 2'000 % 3 == 0 && r % 50 == 0 ? r % 3'000 : 0)};
  };
  using counted = window_result<std::int64_t, std::int64_t>;
  std::vector<std::vector<counted>> on_one_lane;
  for (const unsigned lanes : {1u, 2u, 3u}) {
    topology topo("t");
    testing::collector<counted> tumblings, hoppings, sums, patient;
    auto by_user = topo.generate("clicks", 60'000, number, 1)
                       .assign_timestamps(&click::ts, watermark_options{.max_lag = 1s})
                       .key_by(&click::user);
    by_user.window(tumbling{.size = 700ms, .offset = 100ms})
        .aggregate("tumbling", count())
        .for_each("t", tumblings);
    by_user.window(hopping{.size = 1500ms, .slide = 600ms, .offset = 100ms})
        .aggregate("hopping", count())
        .for_each("h", hoppings);
    by_user.window(tumbling{.size = 1s, .offset = 100ms})
        .aggregate("sum", sum(&click::ts))
        .for_each("s", sums);
    by_user.window(hopping{.size = 1s, .slide = 500ms, .offset = 100ms, .allowed_lateness = 10s})
        .aggregate("patient", count())
        .for_each("p", patient);
    driver d(topo, {.lanes = lanes});
    ASSERT_TRUE(d.finish());
    std::vector<std::vector<counted>> seen;
    for (const auto* results : {&tumblings, &hoppings, &sums, &patient}) {
      auto& sorted = seen.emplace_back(results->values());
      EXPECT_GT(sorted.size(), 500u);
      std::sort(sorted.begin(), sorted.end(), [](const counted& a, const counted& b) {
        return std::tie(a.start_ms, a.end_ms, a.key, a.value) <
               std::tie(b.start_ms, b.end_ms, b.key, b.value);
      });
    }
    if (lanes == 1) on_one_lane = seen;
    EXPECT_EQ(seen, on_one_lane) << lanes << " lanes";
  }
}

TEST(windows, late_records_come_as_they_were_sent_on_any_number_of_lanes) {
  struct click {
    std::int64_t user, ts;
  };
  const auto number = [](std::int64_t i) {
    return click{i % 97, i / 10 - (i / 2'000 % 3 == 0 && i % 7 == 0 ? 2'500 : 0)};
  };
  const auto expect_late = [&](auto window) {
    for (const unsigned lanes : {1u, 2u}) {
      SCOPED_TRACE(lanes);
      topology topo("t");
      auto counts = topo.generate("clicks", 60'000, number, 1)
                        .assign_timestamps(&click::ts, watermark_options{.max_lag = 1s})
                        .key_by(&click::user)
                        .window(window)
                        .aggregate("count", count());
      testing::collector<window_result<std::int64_t, std::int64_t>> in_time;
      std::vector<click> late;
      counts.for_each("in time", in_time);
      counts.late().for_each("late", [&](const click& c, std::int64_t ts) {
        EXPECT_EQ(c.ts, ts);
        late.push_back(c);
      });
      ASSERT_TRUE(driver(topo, {.lanes = lanes}).finish());
      EXPECT_GT(late.size(), 1'000u);
      for (const click& c : late) {
        const std::int64_t i = (c.ts + 2'500) * 10;  // of the ten of that millisecond, the first
        const bool sent = std::ranges::any_of(std::views::iota(i, i + 10), [&](std::int64_t at) {
          return number(at).user == c.user && number(at).ts == c.ts;
        });
        ASSERT_TRUE(sent) << c.user << "@" << c.ts;
      }
    }
  };
  expect_late(tumbling{.size = 700ms});
  expect_late(hopping{.size = 1200ms, .slide = 600ms});
}

TEST(windows, aggregators_give_what_they_say) {
  struct reading {
    std::int64_t ts;
    int sensor;
    double value;
    std::optional<int> code;
  };
  topology topo("t");
  using result = std::tuple<std::int64_t, std::int64_t, double, double, double, std::optional<double>,
                            std::optional<int>, std::int64_t>;
  testing::collector<window_result<int, result>> out;
  topo.read_elements(
          "in",
          std::vector<reading>{{1, 7, 1.5, 3}, {2, 7, -2.5, std::nullopt}, {3, 7, 4.0, 8}, {4, 9, 1.0, {}}})
      .assign_timestamps(&reading::ts)
      .key_by(&reading::sensor)
      .window(tumbling{.size = 1s})
      .aggregate("all", all_of(count(), count_if([](const reading& r) { return r.value > 0; }),
                               mean(&reading::value), min(&reading::value), max(&reading::value),
                               mean(&reading::code), max(&reading::code), sum(&reading::code)))
      .for_each("out", out);
  ASSERT_TRUE(driver(topo).finish());
  const auto values = out.values();
  ASSERT_EQ(values.size(), 2u);
  const auto& seven = values[values[0].key == 7 ? 0 : 1].value;
  const auto& nine = values[values[0].key == 7 ? 1 : 0].value;
  EXPECT_EQ(seven, result(3, 2, 1.0, -2.5, 4.0, 5.5, 8, 11));
  EXPECT_EQ(nine, result(1, 1, 1.0, 1.0, 1.0, std::nullopt, std::nullopt, 0));
}

TEST(windows, reduce_and_own_aggregators_work_on_windows) {
  struct longest {
    using accumulator = std::string;
    void add(std::string& a, const std::string& s) const {
      if (s.size() > a.size()) a = s;
    }
    std::size_t result(const std::string& a) const { return a.size(); }
  };
  topology topo("t");
  testing::collector<window_result<char, std::size_t>> lengths;
  testing::collector<window_result<char, std::string>> joined;
  auto words = topo.read_elements("in", {"a", "ab", "b", "abc"})
                   .assign_timestamps([](const std::string&) { return 1; })
                   .key_by([](const std::string& s) { return s.front(); });
  words.window(tumbling{.size = 1s}).aggregate("longest", longest{}).for_each("lengths", lengths);
  words.window(tumbling{.size = 1s})
      .reduce("joined", [](const std::string& a, const std::string& b) { return a + "+" + b; })
      .for_each("texts", joined);
  ASSERT_TRUE(driver(topo).finish());
  EXPECT_THAT(lengths.values(), UnorderedElementsAre(window_result<char, std::size_t>{'a', 0, 1000, 3},
                                                     window_result<char, std::size_t>{'b', 0, 1000, 1}));
  EXPECT_THAT(joined.values(),
              UnorderedElementsAre(window_result<char, std::string>{'a', 0, 1000, "a+ab+abc"},
                                   window_result<char, std::string>{'b', 0, 1000, "b"}));
}

/// Counts how often one is made from another.
struct carried {
  explicit carried(int n) : number(n) {}
  carried(const carried& other) : number(other.number) { ++times; }
  carried(carried&& other) noexcept : number(other.number) { ++times; }
  carried& operator=(const carried&) = default;
  carried& operator=(carried&&) = default;
  ~carried() = default;
  int number;
  static inline std::atomic<int> times{0};
};

/// Of 3,000 records of three keys, how many are handed on by what `consume` builds behind key_by.
template <typename Consume>
int records_carried(unsigned lanes, Consume consume) {
  topology topo("t");
  auto keyed = topo.generate("numbers", 3000, [](std::int64_t i) { return static_cast<int>(i); })
                   .map([](int n) { return carried(n); })
                   .assign_timestamps([](const carried& c) { return c.number; })
                   .key_by([](const carried& c) { return std::to_string(c.number % 3); });
  consume(keyed);
  carried::times = 0;
  EXPECT_TRUE(driver(topo, {.lanes = lanes}).finish());
  return carried::times;
}

TEST(windows, a_count_has_no_records_carried_to_it) {
  for (const unsigned lanes : {1u, 2u, 3u}) {
    SCOPED_TRACE(lanes);
    testing::collector<window_result<std::string, std::int64_t>> counts, hops;
    testing::collector<std::pair<std::string, std::int64_t>> so_far;
    EXPECT_EQ(records_carried(
                  lanes,
                  [&](const auto& keyed) {
                    keyed.window(tumbling{.size = 1s}).aggregate("count", count()).for_each("counts", counts);
                    keyed.window(hopping{.size = 2s, .slide = 1s})
                        .aggregate("hops", count())
                        .for_each("hops out", hops);
                    keyed.aggregate("so far", count()).for_each("so far out", so_far);
                  }),
              0);
    const auto total = [](const auto& results) {
      std::int64_t sum = 0;
      for (const auto& r : results.values()) sum += r.value;
      return sum;
    };
    EXPECT_EQ(total(counts), 3000);
    EXPECT_EQ(total(hops), 6000);
    EXPECT_EQ(so_far.values().size(), 3000u);
  }
}

TEST(windows, records_are_carried_to_whom_they_matter) {
  const auto windowed = [](const auto& keyed) {
    return keyed.window(tumbling{.size = 1s}).aggregate("count", count());
  };
  for (const unsigned lanes : {1u, 3u}) {
    SCOPED_TRACE(lanes);
    testing::collector<window_result<std::string, std::int64_t>> counts;
    testing::collector<window_result<std::string, std::int64_t>> sums;
    EXPECT_GE(records_carried(lanes,
                              [&](const auto& keyed) {
                                windowed(keyed).for_each("counts", counts);
                                keyed.window(tumbling{.size = 3s})
                                    .aggregate("sum", sum(&carried::number))
                                    .for_each("sums", sums);
                              }),
              3000);
    std::map<std::string, std::int64_t> by_key;
    for (const auto& r : sums.values()) by_key[r.key] += r.value;
    EXPECT_THAT(by_key,
                ElementsAre(std::pair("0", 1498500), std::pair("1", 1499500), std::pair("2", 1500500)));
    testing::collector<carried> late;
    EXPECT_GE(records_carried(lanes,
                              [&](const auto& keyed) {
                                auto results = windowed(keyed);
                                results.for_each("counts", counts);
                                results.late().for_each("late", late);
                              }),
              3000);
  }
}

}  // namespace
}  // namespace penstock
