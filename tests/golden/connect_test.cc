// SPDX-License-Identifier: Apache-2.0
// Several streams into one, one over the lanes: union, connect, broadcast, rebalance, shuffle, partition_by.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

#include <map>
#include <set>
#include <stdexcept>

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

TEST(S6_union, time_is_that_of_the_slowest_input) {
  topic a("a"), b("b");
  auto from_a = a.source(), from_b = b.source();
  from_a.bounded = from_b.bounded = false;
  topology topo("t");
  collector<window_result<std::string, std::int64_t>> out;
  topo.read("a", from_a, text)
      .union_with(topo.read("b", from_b, text))
      .key_by([](const std::string& s) { return s; })
      .window(tumbling{.size = 10ms})
      .aggregate("count", count())
      .for_each("out", out);
  driver d(topo);
  a.append(at("k", 1)).append(at("k", 100));
  ASSERT_EQ(problem(d.run()), "");
  b.append(at("k", 5));
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_TRUE(out.values().empty());  // b is at 4
  b.append(at("k", 10));
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(out.values(), ElementsAre(window_result<std::string, std::int64_t>{"k", 0, 10, 2}));
}

TEST(unions, of_a_stream_with_parts_of_itself) {
  topology topo("t");
  collector<int> out;
  stream<int> all = topo.read_elements("in", {1, 2, 3, 4});
  all.union_with(all.filter([](int i) { return i > 2; }), all).for_each("out", out);
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.values(), UnorderedElementsAre(1, 2, 3, 4, 3, 4, 1, 2, 3, 4));
}

TEST(unions, commit_only_what_has_come_through_all_inputs) {
  // Barriers of both inputs meet in the union, behind an exchange.
  topic a("a", 2), b("b"), out("out");
  auto from_a = a.source(), from_b = b.source();
  from_a.bounded = from_b.bounded = false;
  topology topo("t");
  topo.read("a", from_a, text)
      .rebalance()
      .union_with(topo.read("b", from_b, text))
      .key_by([](const std::string& s) { return s; })
      .reduce("last", [](const std::string&, const std::string& s) { return s; })
      .union_with(topo.read_elements("more", {"x"}))
      .write("out", out.sink(), text);
  a.append_values({"a", "b"}, 0).append_values({"c"}, 1);
  b.append_values({"d", "e"});
  driver d(topo, {.lanes = 3, .seed = 7});
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(problem(d.run_rounds(3)), "");
    ASSERT_EQ(problem(d.commit_now()), "");
  }
  ASSERT_EQ(problem(d.stop()), "");
  EXPECT_THAT(out.values(), UnorderedElementsAre("a", "b", "c", "d", "e", "x"));
}

/// Orders wait for their payment.
struct match {
  using output = std::string;
  value_state<std::string> order;
  value_state<int> paid;
  explicit match(auto& state) : order(state, "order"), paid(state, "paid") {}
  void process_first(const std::string& line, auto& ctx) {
    order.set(line);
    ctx.set_event_timer(ctx.timestamp() + 100);
    check(ctx);
  }
  void process_second(const std::string&, auto& ctx) {
    paid.set(1);
    check(ctx);
  }
  void on_timer(const timer&, auto& ctx) {
    if (order.get() != nullptr) ctx.emit(ctx.key() + " unpaid");
  }
  void check(auto& ctx) {
    if (order.get() == nullptr || paid.get() == nullptr) return;
    ctx.emit(ctx.key() + " paid");
    order.clear();
    paid.clear();
  }
};

TEST(golden_connect, two_keyed_streams_share_state) {
  golden::check_two("a x @1; b y @2; c z @3", "a pay @50; c pay @1; d pay @9",
                    {"a paid", "c paid", "b unpaid"}, [](auto orders, auto payments, auto out) {
                      orders.key_by(pick_key)
                          .connect(payments.key_by(pick_key))
                          .template process<match>("match")
                          .for_each("out", out);
                    });
}

struct tag_both {
  using output = std::string;
  void process_first(const std::string& s, auto& ctx) { ctx.emit("first " + s); }
  void process_second(const int& i, auto& ctx) { ctx.emit(fmt::format("second {}", i)); }
};

TEST(connect, takes_streams_of_two_types) {
  topology topo("t");
  collector<std::string> out;
  topo.read_elements("words", {"a"})
      .connect(topo.read_elements("numbers", {1, 2}))
      .process<tag_both>("tag")
      .for_each("out", out);
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.values(), UnorderedElementsAre("first a", "second 1", "second 2"));
}

/// Keeps what passes the newest limit.
struct limits {
  using output = std::string;
  broadcast_state<std::string, int> limit;
  explicit limits(auto& state) : limit(state, "limit") {}
  void process(const std::string& line, auto& ctx) {
    const int* least = limit.get("least");
    if (least == nullptr || std::stoi(golden::split(line, ' ')[1]) >= *least) ctx.emit(line);
    if (line == "wrong 0") limit.put("least", 0);
  }
  void process_broadcast(const int& least, auto& ctx) {
    limit.put("least", least);
    if (least == 99) ctx.emit("seen");
  }
};

TEST(broadcast, state_reaches_every_lane) {
  for (unsigned lanes = 1; lanes <= 3; ++lanes) {
    topic in("in"), rules("rules", 2);
    auto records = in.source(), changes = rules.source();
    records.bounded = changes.bounded = false;
    topology topo("t");
    collector<std::string> out;
    topo.read("in", records, text)
        .key_by(pick_key)
        .connect(topo.read("rules", changes, decimal<int>).broadcast())
        .process<limits>("limits")
        .for_each("out", out);
    driver d(topo, {.lanes = lanes});
    for (int i = 0; i < 9; ++i) in.append(at(fmt::format("k{} 5", i), i));
    ASSERT_EQ(problem(d.run()), "");
    EXPECT_EQ(out.values().size(), 9u);
    out.clear();
    rules.append(at("7", 1), 1);
    ASSERT_EQ(problem(d.run()), "");
    for (int i = 0; i < 9; ++i) in.append(at(fmt::format("k{} {}", i, i), i));
    rules.append(at("99", 1));
    ASSERT_EQ(problem(d.run()), "");
    // Whether 99 came before the last records is open; every lane has seen it once.
    const auto values = out.values();
    EXPECT_EQ(std::count(values.begin(), values.end(), "seen"), static_cast<int>(lanes));
    in.append(at("wrong 0", 1));
    EXPECT_EQ(problem(d.run()),
              "limits (process): the broadcast state 'limit' is written outside of process_broadcast");
  }
}

template <typename Spread>
std::map<std::size_t, int> by_lane(Spread spread) {
  // A map after the exchange runs on the lane that the record was sent to: each copy of it counts for itself.
  struct probe {
    std::shared_ptr<std::vector<std::shared_ptr<int>>> all =
        std::make_shared<std::vector<std::shared_ptr<int>>>();
    std::shared_ptr<int> mine;
    probe() = default;
    probe(const probe& other) : all(other.all) {}
    probe(probe&&) = default;
    void operator()(int) {
      if (mine == nullptr) all->push_back(mine = std::make_shared<int>(0));
      ++*mine;
    }
  };
  topology topo("t");
  probe p;
  const auto counts = p.all;
  spread(topo.generate("in", 90, [](std::int64_t i) {
    return static_cast<int>(i);
  })).for_each("out", std::move(p));
  EXPECT_EQ(problem(driver(topo, {.lanes = 3}).finish()), "");
  std::map<std::size_t, int> result;
  for (const auto& n : *counts) result[result.size()] = *n;
  return result;
}

TEST(routing, rebalance_gives_each_lane_as_much) {
  EXPECT_THAT(by_lane([](auto s) { return s.rebalance(); }),
              ElementsAre(std::pair(0u, 30), std::pair(1u, 30), std::pair(2u, 30)));
}

TEST(routing, shuffle_gives_each_lane_something) {
  const auto lanes = by_lane([](auto s) { return s.shuffle(); });
  ASSERT_EQ(lanes.size(), 3u);
  int all = 0;
  for (const auto& [lane, n] : lanes) {
    EXPECT_GT(n, 10);
    all += n;
  }
  EXPECT_EQ(all, 90);
}

TEST(routing, partition_by_sends_where_it_is_told) {
  EXPECT_THAT(by_lane([](auto s) { return s.partition_by([](int i, std::size_t) { return i % 2; }); }),
              UnorderedElementsAre(std::pair(0u, 45), std::pair(1u, 45)));
}

TEST(S20_dead_letter, carries_the_record_its_origin_and_the_error) {
  for (unsigned lanes = 1; lanes <= 2; ++lanes) {
    topic in("in"), dead("dead");
    in.append({.key = "k", .value = "12", .timestamp_ms = 5})
        .append({.key = "k", .value = "x1", .timestamp_ms = 6});
    in.append({.value = "13", .timestamp_ms = 7});
    topology topo("t");
    collector<int> out;
    topo.dead_letters("dlq", dead.sink()).on_error(error_policy::dead_letter);
    topo.read("numbers", in.source(), decimal<int>)
        .key_by([](int i) { return i; })
        .reduce("same", [](int, int b) { return b; })
        .map([](int i) {
          if (i == 13) throw std::runtime_error("unlucky");
          return i;
        })
        .for_each("out", out);
    driver d(topo, {.lanes = lanes});
    ASSERT_EQ(problem(d.finish()), "");
    EXPECT_THAT(out.values(), ElementsAre(12));
    const auto letters = dead.records();
    ASSERT_EQ(letters.size(), 2u);
    const auto& first = letters[letters[0].key ? 0 : 1];
    EXPECT_EQ(first.key, "k");
    EXPECT_EQ(first.value, "x1");
    EXPECT_EQ(first.timestamp_ms, 6);
    std::map<std::string, std::string> headers(first.headers.begin(), first.headers.end());
    EXPECT_EQ(headers["penstock.operator"], "numbers");
    EXPECT_EQ(headers["penstock.topic"], "in");
    EXPECT_EQ(headers["penstock.partition"], "0");
    EXPECT_EQ(headers["penstock.offset"], "1");
    EXPECT_FALSE(headers["penstock.error"].empty());
    const auto& second = letters[letters[0].key ? 1 : 0];
    headers = {second.headers.begin(), second.headers.end()};
    EXPECT_EQ(headers["penstock.error"], "unlucky");
    EXPECT_EQ(d.metrics("numbers").skipped, 1u);
  }
}

TEST(S20_dead_letter, is_flushed_before_the_position_is_committed) {
  topic in("in"), dead("dead");
  auto source = in.source();
  source.bounded = false;
  auto sink = dead.sink();
  sink.accept = false;
  topology topo("t");
  collector<int> out;
  topo.dead_letters("dlq", sink).on_error(error_policy::dead_letter);
  topo.read("numbers", source, decimal<int>).for_each("out", out);
  in.append({.value = "x", .timestamp_ms = 5});
  driver d(topo);
  EXPECT_FALSE(d.commit());
  EXPECT_EQ(in.committed(), std::nullopt);
}

TEST(apply, is_a_part_with_a_name) {
  const auto only_even = [](const auto& numbers) { return numbers.filter([](int i) { return i % 2 == 0; }); };
  topology topo("t");
  collector<int> out;
  topo.read_elements("in", {1, 2, 4}).apply(only_even).for_each("out", out);
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.values(), ElementsAre(2, 4));
}

}  // namespace
}  // namespace penstock
