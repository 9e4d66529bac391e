// SPDX-License-Identifier: Apache-2.0
// Expressions, keyed streams, joins with global tables, error policies.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

#include <stdexcept>

namespace penstock {
namespace {

using testing::collector;
using ::testing::ContainsRegex;
using testing::driver;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

TEST(stream, map_filter_and_flat_map_fuse_into_one_operator) {
  topology topo("t");
  collector<int> out;
  topo.read_elements("in", {1, 2, 3, 4})
      .map([](int i) { return i * 10; })
      .filter([](int i) { return i != 20; })
      .flat_map([](int i) {
        return std::vector<int>{i, i + 1};
      })
      .flat_map<int>([](int i, auto emit) {
        if (i % 2 == 1) emit(i), emit(-i);
      })
      .for_each("out", out);
  EXPECT_EQ(topo.internals().nodes.size(), 1u);
  EXPECT_EQ(topo.internals().nodes[0].label, "map > filter > flat_map > flat_map > for_each");
  ASSERT_TRUE(driver(topo).finish());
  EXPECT_THAT(out.values(), ElementsAre(11, -11, 31, -31, 41, -41));
}

TEST(stream, member_pointers_and_booleans_are_values_like_any_other) {
  struct point {
    int x;
    bool flag;
  };
  topology topo("t");
  collector<bool> flags;
  stream<bool> s = topo.read_elements("in", std::vector<point>{{1, true}, {2, false}}).map(&point::flag);
  s.for_each("out", flags);
  ASSERT_TRUE(driver(topo).finish());
  EXPECT_THAT(flags.values(), ElementsAre(true, false));
}

TEST(stream, a_named_stream_may_be_used_several_times) {
  topology topo("t");
  collector<std::string> all, longer;
  collector<std::pair<std::string, std::int64_t>> counted;
  stream<std::string> words = topo.read_elements("in", {"a", "bb", "a", "ccc"});
  words.for_each("all", all);
  words.filter([](const std::string& s) { return s.size() > 1; }).for_each("longer", longer);
  words.key_by([](const std::string& s) { return s; })
      .aggregate("count", count())
      .for_each("counted", counted);
  ASSERT_TRUE(driver(topo).finish());
  EXPECT_THAT(all.values(), ElementsAre("a", "bb", "a", "ccc"));
  EXPECT_THAT(longer.values(), ElementsAre("bb", "ccc"));
  EXPECT_THAT(counted.values(),
              ElementsAre(std::pair("a", 1), std::pair("bb", 1), std::pair("a", 2), std::pair("ccc", 1)));
}

TEST(stream, a_running_reduce_keeps_one_value_a_key) {
  topology topo("t");
  collector<std::pair<std::string, int>> out;
  using item = std::pair<std::string, int>;
  topo.read_elements("in", std::vector<item>{{"a", 1}, {"b", 10}, {"a", 2}, {"a", 3}})
      .key_by(&item::first)
      .reduce("sum",
              [](const item& a, const item& b) {
                return item{a.first, a.second + b.second};
              })
      .for_each("out", out);
  ASSERT_TRUE(driver(topo).finish());
  EXPECT_THAT(out.values(), ElementsAre(item{"a", 1}, item{"b", 10}, item{"a", 3}, item{"a", 6}));
}

TEST(stream, timestamps_come_from_the_record_or_from_a_function) {
  topology topo("t");
  testing::topic in("in");
  in.append({.value = "x", .timestamp_ms = 42});
  collector<std::string> own, given;
  topo.read("a", in.source(), text).for_each("own", own);
  topo.read("b", in.source(), text)
      .assign_timestamps(
          [](const std::string&) { return std::chrono::sys_days(std::chrono::year(2013) / 1 / 1); })
      .for_each("given", given);
  ASSERT_TRUE(driver(topo).finish());
  EXPECT_THAT(own.with_timestamps(), ElementsAre(std::pair("x", 42)));
  EXPECT_THAT(given.with_timestamps(), ElementsAre(std::pair("x", 1'356'998'400'000)));
}

TEST(stream, keys_and_values_pass_through_sinks_and_sources) {
  topology topo("t");
  testing::topic middle("middle", 3);
  using item = std::pair<std::string, int>;
  topo.read_elements("in", std::vector<item>{{"hello", 1}, {"world", 2}})
      .write("to", middle.sink(), key_value(text, decimal<int>));
  ASSERT_TRUE(driver(topo).finish());

  topology back("back");
  collector<item> out;
  back.read("from", middle.source(), key_value(text, decimal<int>)).for_each("out", out);
  ASSERT_TRUE(driver(back).finish());
  EXPECT_THAT(out.values(), UnorderedElementsAre(item{"hello", 1}, item{"world", 2}));
}

TEST(stream, raw_records_show_where_they_come_from) {
  topology topo("t");
  testing::topic in("in", 2);
  in.append({.key = "k", .value = "v", .timestamp_ms = 1}, 1);
  collector<std::string> out;
  topo.read("in", in.source())
      .map([](const raw& r) {
        return std::string(r.topic()) + "/" + std::to_string(r.partition()) + "@" + std::to_string(r.offset) +
               " " + std::string(r.key) + "=" + std::string(r.value);
      })
      .for_each("out", out);
  ASSERT_TRUE(driver(topo).finish());
  EXPECT_THAT(out.values(), ElementsAre("in/1@0 k=v"));
}

TEST(global_table, is_read_to_its_end_before_the_stream_begins) {
  for (const unsigned lanes : {1u, 3u}) {
    testing::topic rows("rows", 2), in("in", 2), out("out");
    for (int i = 0; i < 1000; ++i)
      rows.append({.key = fmt::format("k{}", i % 10), .value = fmt::format("v{}", i)},
                  static_cast<std::uint32_t>(i % 2));
    rows.append({.key = "k9"}, 1);  // a tombstone
    for (int i = 0; i < 11; ++i)
      in.append({.value = fmt::format("k{}", i)}, static_cast<std::uint32_t>(i % 2));
    topology topo("t");
    const auto names = topo.global_table("rows", rows.source(), text, text);
    collector<std::string> inner, outer;
    stream<std::string> keys = topo.read("in", in.source(), text);
    const auto self = [](const std::string& k) { return k; };
    keys.join("inner", names, self, [](const std::string& k, const std::string& v) { return k + ":" + v; })
        .for_each("matches", inner);
    keys.left_join("outer", names, self,
                   [](const std::string& k, const std::string* v) { return v != nullptr ? *v : "no " + k; })
        .for_each("all", outer);
    ASSERT_TRUE(driver(topo, {.lanes = lanes}).finish());
    EXPECT_THAT(inner.values(), UnorderedElementsAre("k0:v990", "k1:v991", "k2:v992", "k3:v993", "k4:v994",
                                                     "k5:v995", "k6:v996", "k7:v997", "k8:v998"));
    EXPECT_THAT(outer.values(), UnorderedElementsAre("v990", "v991", "v992", "v993", "v994", "v995", "v996",
                                                     "v997", "v998", "no k9", "no k10"));
  }
}

TEST(global_table, follows_its_source_while_the_stream_runs) {
  testing::topic rows("rows"), in("in");
  topology topo("t");
  auto endless_rows = rows.source();
  endless_rows.bounded = false;
  auto endless = in.source();
  endless.bounded = false;
  const auto names =
      topo.global_table("rows", endless_rows, text, [](const std::string& v) { return v.substr(0, 1); });
  collector<std::string> out;
  topo.read("in", endless, text)
      .join(
          "j", names, [](const std::string& k) { return k; },
          [](const std::string&, const std::string& v) { return v; })
      .for_each("out", out);
  rows.append({.value = "a1"});
  driver d(topo);
  in.append({.value = "a"});
  ASSERT_TRUE(d.run());
  rows.append({.value = "a2"});
  ASSERT_TRUE(d.run());
  in.append({.value = "a"});
  ASSERT_TRUE(d.run());
  EXPECT_THAT(out.values(), ElementsAre("a1", "a2"));
}

TEST(unchanged, writes_records_as_they_were_read) {
  testing::topic in("in"), out("out");
  const std::vector<testing::record> records{
      {.key = "k", .value = "v", .timestamp_ms = 7},
      {.value = "no key", .timestamp_ms = 8, .headers = {{"first", "1"}, {"second", ""}}},
      {.key = "gone", .timestamp_ms = 9},
      {.key = "", .value = "", .timestamp_ms = 10, .headers = {{"third", "3"}}}};
  for (const auto& r : records) in.append(r);
  in.append({.value = "left out", .timestamp_ms = 11, .headers = {{"x", "y"}}});
  for (int i = 0; i < 1000; ++i) in.append({.key = "many", .value = std::to_string(i), .timestamp_ms = 12});
  topology topo("t");
  topo.read("in", in.source())
      .filter([](const raw& r) { return r.timestamp_ms != 11; })
      .write("out", out.sink(), unchanged);
  ASSERT_TRUE(driver(topo).finish());
  const auto written = out.records();
  ASSERT_EQ(written.size(), records.size() + 1000);
  for (std::size_t i = 0; i < records.size(); ++i) EXPECT_EQ(written[i], records[i]) << i;
  EXPECT_EQ(written.back(), (testing::record{.key = "many", .value = "999", .timestamp_ms = 12}));
}

TEST(S20_bad_record, fails_the_job_naming_operator_topic_partition_and_offset) {
  testing::topic in("in", 2), out("out");
  in.append({.value = "1"}, 1).append({.value = "x"}, 1);
  topology topo("t");
  topo.read("numbers", in.source(), decimal<int>).write("out", out.sink(), decimal<int>);
  const auto r = driver(topo).finish();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(),
            "out (decode), topic in, partition 1, offset 1: the value is not an integer in decimal: x");
  EXPECT_EQ(r.error().kind(), errc::user);
}

TEST(S20_bad_record, is_skipped_and_counted_when_that_is_the_policy) {
  testing::topic in("in"), out("out");
  in.append_values({"1", "x", "3", "", "5"});
  topology topo("t");
  topo.read("numbers", in.source(), decimal<int>)
      .on_error(error_policy::skip_and_count)
      .write("out", out.sink(), decimal<int>);
  driver d(topo);
  ASSERT_TRUE(d.finish());
  EXPECT_THAT(out.values(), ElementsAre("1", "3", "5"));
  EXPECT_EQ(d.metrics("out").skipped, 2u);
}

TEST(S20_user_code, that_throws_meets_the_policy_wherever_it_stands) {
  const auto explode = [](int i) {
    if (i == 3) throw std::runtime_error("three");
    return i;
  };
  struct picky {
    using accumulator = int;
    void add(int& a, int v) const {
      if (v == 5) throw std::runtime_error("five");
      a += v;
    }
    int result(const int& a) const { return a; }
  };
  const auto build = [&](topology& topo, collector<std::pair<int, int>>& out) {
    topo.read_elements("in", {1, 2, 3, 4, 5, 6})
        .filter([](int) { return true; })
        .map(explode)
        .key_by([](int i) {
          if (i == 4) throw 4;
          return i % 2;
        })
        .aggregate("sum", picky{})
        .for_each("out", out);
  };
  {
    topology topo("t");
    collector<std::pair<int, int>> out;
    build(topo, out);
    const auto r = driver(topo).finish();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().message(), "in (map), topic in, partition 0, offset 2: three");
  }
  {
    topology topo("t");
    topo.on_error(error_policy::skip_and_count);
    collector<std::pair<int, int>> out;
    build(topo, out);
    driver d(topo);
    ASSERT_TRUE(d.finish());
    EXPECT_THAT(out.values(), ElementsAre(std::pair(1, 1), std::pair(0, 2), std::pair(0, 8)));
    EXPECT_EQ(d.metrics("in").skipped, 2u);
    EXPECT_EQ(d.metrics("sum").skipped, 1u);
  }
}

TEST(topology, validate_names_every_problem_at_once) {
  testing::topic in("in");
  topology topo("t");
  auto source = in.source();
  source.poll_size = 0;
  topo.read("unused", in.source(), text);
  auto twice = topo.read("twice", source, text);
  twice.print("a");
  twice.print("a");
  topo.read_elements("numbers", {1})
      .on_error(error_policy::dead_letter)
      .key_by([](int i) { return i; })
      .window(hopping{.size = std::chrono::seconds(1), .slide = std::chrono::seconds(2)})
      .aggregate("", count());
  const auto problems = topo.validate();
  std::string all;
  for (const auto& p : problems) all += p + "\n";
  EXPECT_THAT(all, HasSubstr("unused: it is read, but nothing uses its records (stream_test.cc:"));
  EXPECT_THAT(all, ContainsRegex("twice: poll_size must be at least 1 \\(stream_test.cc:[0-9]+\\)\n"));
  EXPECT_THAT(all, ContainsRegex("numbers: the error policy [^\n]*\\(stream_test.cc:[0-9]+\\)\n"));
  EXPECT_THAT(all, HasSubstr("twice: the expression that reads it is used twice"));
  EXPECT_THAT(all, HasSubstr("the name 'a' is used twice (stream_test.cc:"));
  EXPECT_THAT(all, HasSubstr("a window's slide must not exceed its size"));
  EXPECT_THAT(all, HasSubstr("a name is empty"));
  EXPECT_THAT(all, HasSubstr("nothing uses what it gives"));
  EXPECT_THAT(
      all,
      HasSubstr("numbers: the error policy dead_letter needs a sink: topology.dead_letters(name, sink)"));
  EXPECT_FALSE(job::start(topo));
}

TEST(topology, describes_itself_as_text_json_and_dot) {
  testing::topic in("in"), out("out");
  topology topo("copy");
  topo.read("from", in.source(), text)
      .filter([](const std::string& s) { return !s.empty(); })
      .write("to", out.sink(), text);
  EXPECT_EQ(topo.describe(),
            "topology copy\n"
            "   0 to: decode > filter > write\n"
            "       from topic in in memory (from)\n"
            "       to topic out in memory\n");
  EXPECT_EQ(
      topo.describe(describe_as::json),
      R"({"name":"copy","operators":[{"id":0,"name":"to","does":"decode > filter > write",)"
      R"("source":{"name":"from","is":"topic in in memory"},"sink":"topic out in memory","inputs":[],"keeps_state":false}]})");
  EXPECT_EQ(topo.describe(describe_as::dot),
            "digraph \"copy\" {\n  rankdir=LR;\n  node [shape=box];\n"
            "  n0 [label=\"to\\ndecode > filter > write\"];\n"
            "  in0 [shape=ellipse, label=\"from\\ntopic in in memory\"];\n"
            "  in0 -> n0;\n"
            "  out0 [shape=ellipse, label=\"topic out in memory\"];\n"
            "  n0 -> out0;\n"
            "}\n");
}

TEST(key_traits, keep_composite_keys_apart) {
  const auto bytes = [](const auto& k) {
    std::string out;
    key_traits<std::decay_t<decltype(k)>>::append(k, out);
    return out;
  };
  EXPECT_NE(bytes(std::pair<std::string, std::string>("a", "bc")),
            bytes(std::pair<std::string, std::string>("ab", "c")));
  EXPECT_EQ(bytes(std::int32_t{1}), std::string("\0\0\0\1", 4));
  EXPECT_EQ(bytes(std::int64_t{-2}), std::string("\xff\xff\xff\xff\xff\xff\xff\xfe", 8));
}

}  // namespace
}  // namespace penstock
