// SPDX-License-Identifier: Apache-2.0
// Joins of two keyed streams: S9, S10; as-of and table joins, deduplication, suppression.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

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
using testing::topic;
using ::testing::UnorderedElementsAre;

const auto both = [](const std::string& a, const std::string& b) { return a + " + " + b; };
const auto maybe_right = [](const std::string& a, const std::string* b) {
  return a + " + " + (b ? *b : "-");
};
const auto maybe_left = [](const std::string* a, const std::string& b) { return (a ? *a : "-") + " + " + b; };
const auto maybe_either = [](const std::string* a, const std::string* b) {
  return (a ? *a : "-") + " + " + (b ? *b : "-");
};

constexpr auto left_input = "a 1 @10; b 2 @20; a 3 @30; c 4 @40";
constexpr auto right_input = "a x @5; a y @20; b z @31; d w @9; a v @31";

TEST(S9_interval_join, pairs_with_both_bounds_included) {
  golden::check_two(left_input, right_input, {"a 1 + a x", "a 1 + a y", "a 3 + a v"},
                    [](auto a, auto b, auto out) {
                      a.key_by(pick_key)
                          .interval_join(b.key_by(pick_key), between{-5ms, 10ms})
                          .join("join", both)
                          .for_each("out", out);
                    });
}

TEST(S9_interval_join, outer_rows_come_for_what_has_no_partner) {
  golden::check_two(left_input, right_input, {"a 1 + a x", "a 1 + a y", "a 3 + a v", "b 2 + -", "c 4 + -"},
                    [](auto a, auto b, auto out) {
                      a.key_by(pick_key)
                          .interval_join(b.key_by(pick_key), between{-5ms, 10ms})
                          .left_join("join", maybe_right)
                          .for_each("out", out);
                    });
  golden::check_two(left_input, right_input, {"a 1 + a x", "a 1 + a y", "a 3 + a v", "- + b z", "- + d w"},
                    [](auto a, auto b, auto out) {
                      a.key_by(pick_key)
                          .interval_join(b.key_by(pick_key), between{-5ms, 10ms})
                          .right_join("join", maybe_left)
                          .for_each("out", out);
                    });
  golden::check_two(left_input, right_input,
                    {"a 1 + a x", "a 1 + a y", "a 3 + a v", "b 2 + -", "c 4 + -", "- + b z", "- + d w"},
                    [](auto a, auto b, auto out) {
                      a.key_by(pick_key)
                          .interval_join(b.key_by(pick_key), between{-5ms, 10ms})
                          .full_join("join", maybe_either)
                          .for_each("out", out);
                    });
}

struct two_open {
  topic a{"a"}, b{"b"};
  auto source(topic& t) {
    auto s = t.source();
    s.poll_size = 1;
    s.bounded = false;
    return s;
  }
};

TEST(S9_interval_join, late_is_behind_the_watermark_and_the_time_is_the_larger) {
  two_open in;
  topology topo("t");
  collector<std::string> out, late;
  auto joined =
      topo.read("a", in.source(in.a), text)
          .key_by(pick_key)
          .interval_join(topo.read("b", in.source(in.b), text).key_by(pick_key), between{-50ms, 50ms})
          .join("join", both);
  joined.for_each("out", out);
  joined.late_left().for_each("late", late);
  driver d(topo);
  in.a.append(at("k 1", 101));
  in.b.append(at("k x", 101));
  ASSERT_EQ(problem(d.run()), "");  // watermark 100
  in.a.append(at("k 2", 100)).append(at("k 3", 99));
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(out.with_timestamps(), ElementsAre(std::pair("k 1 + k x", 101), std::pair("k 2 + k x", 101)));
  EXPECT_THAT(late.values(), ElementsAre("k 3"));
  EXPECT_EQ(d.metrics("join").late, 1u);
}

TEST(S12_grace, joins_records_that_are_behind_the_watermark_by_less) {
  two_open in;
  topology topo("t");
  collector<std::string> out;
  topo.read("a", in.source(in.a), text)
      .key_by(pick_key)
      .interval_join(topo.read("b", in.source(in.b), text).key_by(pick_key),
                     between{.lower = -10ms, .upper = 10ms, .grace = 20ms})
      .left_join("join", maybe_right)
      .for_each("out", out);
  driver d(topo);
  in.a.append(at("k 1", 100));
  in.b.append(at("other x", 131));
  in.a.append(at("other 2", 131));
  ASSERT_EQ(problem(d.run()), "");  // watermark 130: 110 + 20 is not behind it
  in.b.append(at("k y", 110)).append(at("k z", 109));
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(out.values(), UnorderedElementsAre("other 2 + other x", "k 1 + k y"));
}

TEST(S9_interval_join, random_ones_are_what_all_pairs_give) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto lower = static_cast<std::int64_t>(random() % 40) - 25,
               upper = lower + static_cast<std::int64_t>(random() % 30);
    std::string scripts[2];
    std::vector<std::pair<std::string, std::int64_t>> all[2];
    for (int side = 0; side < 2; ++side) {
      for (int i = 0; i < 60; ++i) {
        const std::string line = fmt::format("k{} {}{}", random() % 3, side == 0 ? "l" : "r", i);
        const auto ts = static_cast<std::int64_t>(random() % 300);
        scripts[side] += fmt::format("{} @{};", line, ts);
        all[side].emplace_back(line, ts);
      }
    }
    std::vector<std::string> expected;
    std::vector<bool> met(60);
    for (const auto& [a, at_a] : all[0]) {
      bool matched = false;
      for (std::size_t i = 0; i < 60; ++i) {
        const auto& [b, at_b] = all[1][i];
        if (pick_key(a) != pick_key(b) || at_b < at_a + lower || at_b > at_a + upper) continue;
        expected.push_back(a + " + " + b);
        matched = met[i] = true;
      }
      if (!matched) expected.push_back(a + " + -");
    }
    for (std::size_t i = 0; i < 60; ++i) {
      if (!met[i]) expected.push_back("- + " + all[1][i].first);
    }
    golden::check_two(scripts[0], scripts[1], expected, [&](auto a, auto b, auto out) {
      a.key_by(pick_key)
          .interval_join(b.key_by(pick_key),
                         between{std::chrono::milliseconds(lower), std::chrono::milliseconds(upper)})
          .full_join("join", maybe_either)
          .for_each("out", out);
    });
  }
}

TEST(S10_window_join, gives_every_pair_of_a_key_and_window) {
  golden::check_two("a 1 @0; a 2 @9; b 3 @3; a 4 @12", "a x @5; a y @8; c z @3; a w @19",
                    {"a 1 + a x", "a 1 + a y", "a 2 + a x", "a 2 + a y", "a 4 + a w"},
                    [](auto a, auto b, auto out) {
                      a.key_by(pick_key)
                          .co_group(b.key_by(pick_key))
                          .window(tumbling{.size = 10ms})
                          .join("join", both)
                          .for_each("out", out);
                    });
}

TEST(S10_window_join, has_the_windows_last_millisecond_as_its_time) {
  topic a = golden::input("k 1 @3", "a"), b = golden::input("k 2 @4", "b");
  topology topo("t");
  collector<std::string> out;
  topo.read("a", a.source(), text)
      .key_by(pick_key)
      .co_group(topo.read("b", b.source(), text).key_by(pick_key))
      .window(tumbling{.size = 10ms})
      .join("join", both)
      .for_each("out", out);
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.with_timestamps(), ElementsAre(std::pair("k 1 + k 2", 9)));
}

TEST(co_group, gives_both_sides_of_a_session) {
  golden::check_two(
      "a 1 @0; a 2 @40", "a x @10; b y @3", {"a: 1 left 1 right", "a: 1 left 0 right", "b: 0 left 1 right"},
      [](auto a, auto b, auto out) {
        a.key_by(pick_key)
            .co_group(b.key_by(pick_key))
            .window(session{.gap = 15ms})
            .template process<std::string>(
                "sides",
                [](const std::string& key, const time_window&, const std::vector<std::string>& l,
                   const std::vector<std::string>& r,
                   auto emit) { emit(fmt::format("{}: {} left {} right", key, l.size(), r.size())); })
            .for_each("out", out);
      });
}

TEST(temporal_join, meets_the_version_of_its_time) {
  const auto rates = "eur 1 @10; eur 2 @20; usd 7 @15; eur 3 @40";
  const auto orders = "eur a @5; eur b @10; eur c @19; eur d @35; usd e @99; eur f @40";
  golden::check_two(orders, rates,
                    {"eur b + eur 1", "eur c + eur 1", "eur d + eur 2", "usd e + usd 7", "eur f + eur 3"},
                    [](auto o, auto r, auto out) {
                      o.key_by(pick_key).temporal_join("rate", r.key_by(pick_key), both).for_each("out", out);
                    });
  golden::check_two(
      orders, rates,
      {"eur a + -", "eur b + eur 1", "eur c + eur 1", "eur d + eur 2", "usd e + usd 7", "eur f + eur 3"},
      [](auto o, auto r, auto out) {
        o.key_by(pick_key).left_temporal_join("rate", r.key_by(pick_key), maybe_right).for_each("out", out);
      });
}

TEST(table_join, gives_the_rows_as_they_are_after_each_change) {
  two_open in;
  topology topo("t");
  collector<std::string> inner, left, full;
  auto a = topo.read("a", in.source(in.a), text).key_by(pick_key);
  auto b = topo.read("b", in.source(in.b), text).key_by(pick_key);
  a.table_join("inner", b, both).for_each("i", inner);
  a.left_table_join("left", b, maybe_right).for_each("l", left);
  a.full_table_join("full", b, maybe_either).for_each("f", full);
  driver d(topo);
  in.a.append(at("k 1", 1));
  ASSERT_EQ(problem(d.run()), "");
  in.b.append(at("k x", 1)).append(at("m y", 1));
  ASSERT_EQ(problem(d.run()), "");
  in.a.append(at("k 2", 1));
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(inner.values(), ElementsAre("k 1 + k x", "k 2 + k x"));
  EXPECT_THAT(left.values(), ElementsAre("k 1 + -", "k 1 + k x", "k 2 + k x"));
  EXPECT_THAT(full.values(), ElementsAre("k 1 + -", "k 1 + k x", "- + m y", "k 2 + k x"));
}

TEST(S12_foreign_key_join, follows_both_sides_and_the_reference) {
  for (unsigned lanes = 1; lanes <= 3; ++lanes) {
    two_open in;
    topology topo("t");
    collector<std::string> out;
    // Orders "o1 customer text" refer to customers "customer text".
    topo.read("a", in.source(in.a), text)
        .key_by(pick_key)
        .foreign_key_join(
            "order-customer", topo.read("b", in.source(in.b), text).key_by(pick_key),
            [](const std::string& order) { return golden::split(order, ' ')[1]; }, both)
        .for_each("out", out);
    driver d(topo, {.lanes = lanes});
    const auto after = [&](topic& t, const std::string& row) {
      out.clear();
      t.append(at(row, 1));
      EXPECT_EQ(problem(d.run()), "");
      return out.values();
    };
    EXPECT_THAT(after(in.a, "o1 ann x"), ElementsAre());
    EXPECT_THAT(after(in.b, "ann 1"), ElementsAre("o1 ann x + ann 1"));
    EXPECT_THAT(after(in.a, "o2 ann y"), ElementsAre("o2 ann y + ann 1"));
    EXPECT_THAT(after(in.b, "ann 2"), UnorderedElementsAre("o1 ann x + ann 2", "o2 ann y + ann 2"));
    EXPECT_THAT(after(in.b, "bob 1"), ElementsAre());
    EXPECT_THAT(after(in.a, "o1 bob z"), ElementsAre("o1 bob z + bob 1"));
    EXPECT_THAT(after(in.b, "ann 3"), ElementsAre("o2 ann y + ann 3"));
  }
}

TEST(deduplicate, drops_what_came_within_the_time) {
  golden::check(
      "a 1 @0; a 2 @99; b 3 @99; a 4 @100; a 5 @150; a 6 @201", {"a 1", "b 3", "a 4", "a 6"},
      [](auto lines, auto out) { lines.key_by(pick_key).deduplicate("once", 100ms).for_each("out", out); });
}

TEST(suppress, gives_the_newest_of_an_interval) {
  topic in("in");
  auto source = in.source();
  source.poll_size = 1;
  topology topo("t");
  collector<std::string> out;
  topo.read("in", source, text).key_by(pick_key).suppress("calm", 50ms).for_each("out", out);
  for (const std::int64_t ts : {0, 10, 30, 60, 61, 200}) in.append(at(fmt::format("a {}", ts), ts));
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.with_timestamps(), ElementsAre(std::pair("a 60", 60), std::pair("a 200", 200)));
}

}  // namespace
}  // namespace penstock
