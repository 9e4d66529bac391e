// SPDX-License-Identifier: Apache-2.0
// Record-level sliding windows, the last word of a window, tables whose rows go (S12).
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

std::string joined(const std::vector<std::string>& all) { return fmt::format("{}", fmt::join(all, "")); }

/// Puts the values of its records one after the other.
struct text_of {
  using accumulator = std::vector<std::string>;
  void add(accumulator& a, const std::string& line) const { a.push_back(line.substr(line.find(' ') + 1)); }
  std::string result(accumulator a) const {
    std::sort(a.begin(), a.end());
    return joined(a);
  }
};
const auto show = [](const auto& r) {
  return fmt::format("{} [{}, {}) {}", r.key, r.start_ms, r.end_ms, r.value);
};

// Records a at 10, b at 15, c at 25, difference 10. By Kafka Streams' rule a window ends with each record:
// [0,10] a, [5,15] ab, [15,25] bc; and one begins after each that others follow: [11,21] b (after a), [16,26]
// c (after b). After c comes nothing.
const std::vector<std::string> five{"k [0, 11) a", "k [5, 16) ab", "k [11, 22) b", "k [15, 26) bc",
                                    "k [16, 27) c"};

TEST(S12_sliding_windows, end_with_each_record_and_begin_after_it) {
  golden::check("k a @10; k b @15; k c @25; l x @100",
                {five[0], five[1], five[2], five[3], five[4], "l [90, 101) x"}, [](auto lines, auto& out) {
                  lines.key_by(pick_key)
                      .window(sliding{.difference = 10ms})
                      .aggregate("windows", text_of{})
                      .map(show)
                      .for_each("out", out);
                });
}

TEST(S12_sliding_windows, the_order_of_the_input_changes_nothing) {
  golden::check("k c @25; k a @10; k b @15", five, [](auto lines, auto& out) {
    lines.key_by(pick_key)
        .window(sliding{.difference = 10ms})
        .aggregate("windows", text_of{})
        .map(show)
        .for_each("out", out);
  });
}

TEST(S12_sliding_windows, records_of_one_time_share_their_windows) {
  golden::check("k a @10; k b @10; k c @11", {"k [5, 11) ab", "k [6, 12) abc", "k [11, 17) c"},
                [](auto lines, auto& out) {
                  lines.key_by(pick_key)
                      .window(sliding{.difference = 5ms})
                      .aggregate("windows", text_of{})
                      .map(show)
                      .for_each("out", out);
                });
}

TEST(S12_sliding_windows, grace_and_late_records) {
  topic in("in");
  topology topo("t");
  collector<std::string> out, late;
  auto source = in.source();
  source.poll_size = 1;
  source.bounded = false;
  auto windows = topo.read("in", source, text)
                     .key_by(pick_key)
                     .window(sliding{.difference = 10ms, .grace = 5ms})
                     .aggregate("windows", text_of{});
  windows.map(show).for_each("out", out);
  windows.late().for_each("late", late);
  driver d(topo);
  in.append(at("k a", 10)).append(at("x -", 15));  // watermark 14
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(out.values(), IsEmpty());
  in.append(at("k b", 9)).append(at("x -", 16));  // watermark 15: [0, 10] closes, [-1, 9] had
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(out.values(), ElementsAre("k [0, 11) ab"));
  in.append(at("x -", 41));                        // watermark 40
  in.append(at("k c", 25)).append(at("k d", 24));  // [26, 36] is open, [25, 35] is closed
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(late.values(), ElementsAre("k d"));
}

TEST(suppress, gives_the_last_result_of_a_window_when_it_closes) {
  topic in("in");
  topology topo("t");
  collector<std::string> out;
  auto source = in.source();
  source.poll_size = 1;
  source.bounded = false;
  topo.read("in", source, text)
      .key_by(pick_key)
      .window(tumbling{.size = 10ms, .allowed_lateness = 20ms})
      .aggregate("windows", text_of{})
      .key_by([](const auto& r) { return r.key; })
      .suppress("last", until_window_closes{.allowed_lateness = 20ms})
      .map(show)
      .for_each("out", out);
  driver d(topo);
  in.append(at("k a", 5)).append(at("x -", 15)).append(at("k b", 6)).append(at("k c", 7));
  in.append(at("x -", 29));  // watermark 28
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(out.values(), IsEmpty());
  in.append(at("x -", 30));
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(out.values(), ElementsAre("k [0, 10) abc"));
  EXPECT_EQ(out.with_timestamps()[0].second, 9);
}

using change = table_change<std::string, std::string>;
const auto changes = table_changes(text, text);

testing::record put(std::string key, std::string value, std::int64_t ts = 0) {
  return {.key = std::move(key), .value = std::move(value), .timestamp_ms = ts};
}
testing::record gone(std::string key, std::int64_t ts = 0) {
  return {.key = std::move(key), .value = std::nullopt, .timestamp_ms = ts};
}

/// Two compacted topics joined into a third.
struct tables {
  topic a{"a"}, b{"b"}, out{"out"};
  topology topo{"t"};
  auto table(topic& t) {
    auto source = t.source();
    source.bounded = false;
    return topo.read(t.name(), source, changes).key_by(&change::key);
  }
  std::vector<std::string> seen() const {
    std::vector<std::string> all;
    for (const testing::record& r : out.records()) all.push_back(*r.key + "=" + r.value.value_or("(gone)"));
    return all;
  }
};

TEST(S12_tables, a_deleted_row_takes_the_result_away) {
  tables t;
  t.table(t.a)
      .table_join("join", t.table(t.b), [](const std::string& l, const std::string& r) { return l + r; })
      .write("out", t.out.sink(), changes);
  driver d(t.topo);
  const auto step = [&](topic& where, testing::record r) {
    where.append(std::move(r));
    EXPECT_EQ(problem(d.run()), "");
  };
  step(t.a, gone("k"));  // nothing was there
  step(t.a, put("k", "1"));
  step(t.b, put("k", "x"));
  step(t.b, put("k", "y"));
  step(t.a, gone("k"));
  step(t.b, gone("k"));  // the result is gone already
  step(t.b, put("k", "z"));
  step(t.a, put("k", "2"));
  EXPECT_THAT(t.seen(), ElementsAre("k=1x", "k=1y", "k=(gone)", "k=2z"));
}

TEST(S12_tables, outer_joins_keep_the_row_while_one_side_is_there) {
  tables t;
  t.table(t.a)
      .full_table_join("join", t.table(t.b),
                       [](const std::string* l, const std::string* r) {
                         return (l == nullptr ? "-" : *l) + (r == nullptr ? "-" : *r);
                       })
      .write("out", t.out.sink(), changes);
  driver d(t.topo);
  for (auto* step : {&t.a, &t.b}) {
    step->append(put("k", "1"));
    ASSERT_EQ(problem(d.run()), "");
  }
  for (auto* step : {&t.a, &t.b}) {
    step->append(gone("k"));
    ASSERT_EQ(problem(d.run()), "");
  }
  EXPECT_THAT(t.seen(), ElementsAre("k=1-", "k=11", "k=-1", "k=(gone)"));
}

TEST(S12_tables, a_foreign_key_join_follows_deletions_on_both_sides) {
  tables t;
  // Rows of a are keys of b.
  t.table(t.a)
      .foreign_key_join(
          "join", t.table(t.b), [](const std::string& row) { return row; },
          [](const std::string& l, const std::string& r) { return l + r; })
      .write("out", t.out.sink(), changes);
  driver d(t.topo, {.lanes = 2});
  const auto step = [&](topic& where, testing::record r) {
    where.append(std::move(r));
    EXPECT_EQ(problem(d.run()), "");
  };
  step(t.a, put("k", "x"));  // no x yet
  step(t.b, put("x", "1"));
  step(t.b, put("y", "2"));
  step(t.a, put("k", "y"));
  step(t.b, put("x", "3"));  // k refers to y now
  step(t.a, put("k", "z"));  // there is no z
  step(t.b, put("z", "4"));
  step(t.b, gone("z"));
  step(t.b, put("z", "5"));
  step(t.a, gone("k"));
  step(t.b, put("z", "6"));
  step(t.a, put("k", "y"));
  EXPECT_THAT(t.seen(),
              ElementsAre("k=x1", "k=y2", "k=(gone)", "k=z4", "k=(gone)", "k=z5", "k=(gone)", "k=y2"));
}

TEST(S12_tables, a_deleted_version_matches_nothing) {
  topic in("in"), versions("versions");
  topology topo("t");
  collector<std::string> out;
  versions.append(put("k", "old", 10)).append(gone("k", 20)).append(put("k", "new", 30));
  for (const std::int64_t ts : {5, 10, 19, 20, 29, 30}) in.append(at(fmt::format("k {}", ts), ts));
  topo.read("in", in.source(), text)
      .key_by(pick_key)
      .left_temporal_join(
          "join", topo.read("versions", versions.source(), changes).key_by(&change::key),
          [](const std::string& l, const std::string* v) { return l + " " + (v == nullptr ? "none" : *v); })
      .for_each("out", out);
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.values(),
              ElementsAre("k 5 none", "k 10 old", "k 19 old", "k 20 none", "k 29 none", "k 30 new"));
}

}  // namespace
}  // namespace penstock
