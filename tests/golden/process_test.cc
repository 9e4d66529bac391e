// SPDX-License-Identifier: Apache-2.0
// Functions with state, timers and side outputs: S6, S7, S11, S14.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

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

const auto itself = [](const std::string& s) { return s; };

/// A topic whose watermark follows every record, until it is told to end.
struct open_topic {
  topic in{"in"};
  testing::topic_source source(watermark_options w = {}) const {
    auto s = in.source(w);
    s.poll_size = 1;
    s.bounded = false;
    return s;
  }
};

/// Says what happens, and obeys: "k set 50", "k unset 50", "k ptimer 50".
struct obedient {
  using output = std::string;
  value_state<int> calls;
  explicit obedient(auto& state) : calls(state, "calls") {}
  void process(const std::string& line, auto& ctx) {
    const auto words = golden::split(line, ' ');
    calls.set(calls.value_or(0) + 1);
    if (words[1] == "set") ctx.set_event_timer(std::stoll(words[2]));
    if (words[1] == "unset") ctx.delete_event_timer(std::stoll(words[2]));
    if (words[1] == "pset") ctx.set_processing_timer(ctx.processing_time() + std::stoll(words[2]));
    if (words[1] == "punset") ctx.delete_processing_timer(ctx.processing_time() + std::stoll(words[2]));
    if (words[1] == "count") ctx.emit(fmt::format("{} {}", ctx.key(), *calls.get()));
    if (words[1] == "clear") calls.clear();
  }
  void on_timer(const timer& due, auto& ctx) {
    ctx.emit(fmt::format("{} {} {} wm {}", ctx.key(),
                         due.domain == time_domain::event ? "event" : "processing",
                         due.domain == time_domain::event ? due.timestamp_ms : 0,
                         ctx.watermark() == max_watermark ? "end" : std::to_string(ctx.watermark())));
  }
};

struct obedient_job : open_topic {
  topology topo{"t"};
  collector<std::string> out;
  explicit obedient_job(watermark_options w = {}) {
    topo.read("in", source(w), text).key_by(pick_key).process<obedient>("f").for_each("out", out);
  }
};

TEST(S11_timers, are_a_set_of_key_time_and_domain) {
  obedient_job job;
  job.in.append(at("a set 50", 1)).append(at("a set 50", 2)).append(at("b set 50", 3));
  job.in.append(at("x count", 51));  // watermark 50
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), UnorderedElementsAre("x 1", "a event 50 wm 50", "b event 50 wm 50"));
  EXPECT_EQ(job.out.with_timestamps().back().second, 50);
}

TEST(S11_timers, of_event_time_fire_in_the_order_of_time_when_the_watermark_reaches_them) {
  obedient_job job;
  job.in.append(at("a set 30", 1)).append(at("b set 10", 2)).append(at("a set 20", 3));
  job.in.append(at("x count", 10));  // watermark 9
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("x 1"));
  job.in.append(at("x count", 100));
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(),
              ElementsAre("x 1", "x 2", "b event 10 wm 99", "a event 20 wm 99", "a event 30 wm 99"));
}

TEST(S11_timers, that_were_deleted_do_not_fire_and_may_be_set_again) {
  obedient_job job;
  job.in.append(at("a set 50", 1)).append(at("a unset 50", 2)).append(at("b set 50", 3));
  job.in.append(at("b unset 50", 4)).append(at("b set 50", 5)).append(at("c unset 50", 5));
  job.in.append(at("x count", 60));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("x 1", "b event 50 wm 59"));
}

TEST(S11_timers, of_processing_time_fire_when_the_clock_has_reached_them) {
  obedient_job job;
  driver d(job.topo);
  job.in.append(at("a pset 100", 1)).append(at("b pset 50", 2)).append(at("c pset 70", 3));
  job.in.append(at("c punset 70", 3));
  ASSERT_EQ(problem(d.run()), "");
  ASSERT_EQ(problem(d.advance(49ms)), "");
  EXPECT_TRUE(job.out.values().empty());
  ASSERT_EQ(problem(d.advance(1ms)), "");
  EXPECT_THAT(job.out.values(), ElementsAre("b processing 0 wm 2"));
  ASSERT_EQ(problem(d.advance(1h)), "");
  EXPECT_THAT(job.out.values(), ElementsAre("b processing 0 wm 2", "a processing 0 wm 2"));
}

TEST(S7_end_of_input, every_timer_fires_those_of_event_time_first) {
  topic in("in");
  in.append(at("a pset 1000", 1)).append(at("a set 70", 2)).append(at("b set 60", 3));
  topology topo("t");
  collector<std::string> out;
  topo.read("in", in.source(), text).key_by(pick_key).process<obedient>("f").for_each("out", out);
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.values(), ElementsAre("b event 60 wm end", "a event 70 wm end", "a processing 0 wm end"));
}

TEST(process, state_belongs_to_a_key_and_goes_when_it_is_cleared) {
  obedient_job job;
  job.in.append(at("a count", 1)).append(at("b count", 2)).append(at("a count", 3)).append(at("a clear", 4));
  job.in.append(at("a count", 5));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a 1", "b 1", "a 2", "a 1"));
}

TEST(process, commits_move_on_once_no_key_has_state) {
  obedient_job job;
  job.in.append(at("a set 50", 1)).append(at("a clear", 2));
  driver d(job.topo);
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(job.in.committed(), 0);  // the timer is state
  job.in.append(at("b clear", 51));
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(job.in.committed(), 3);
}

const auto itself_int = [](const int& i) { return i; };

/// "k add v", "k shift v", "k drain", "k put m v", "k erase m", "k show": all kinds of state.
struct every_kind {
  using output = std::string;
  list_state<std::string> list;
  map_state<std::string, int> map;
  reducing_state<int> longest;
  aggregating_state<int, decltype(sum(itself_int))> total;
  every_kind(auto& state, state_options o)
      : list(state, "list", o),
        map(state, "map", o),
        longest(
            state, "longest", [](const int& a, const int& b) { return std::max(a, b); }, o),
        total(state, "total", sum(itself_int), o) {}
  void process(const std::string& line, auto& ctx) {
    const auto words = golden::split(line, ' ');
    if (words[1] == "add") {
      list.add(words[2]);
      longest.add(static_cast<int>(words[2].size()));
      total.add(static_cast<int>(words[2].size()));
    }
    if (words[1] == "shift")
      list.modify([&](std::vector<std::string>& all) {
        if (!all.empty()) all.erase(all.begin());
        if (words.size() > 2) all.push_back(words[2]);
        if (all.back() == "bad") throw std::runtime_error("no");
      });
    if (words[1] == "drain") list.modify([](std::vector<std::string>& all) { all.clear(); });
    if (words[1] == "put") map.put(words[2], std::stoi(words[3]));
    if (words[1] == "erase") map.erase(words[2]);
    if (words[1] != "show") return;
    std::string text = words[0] + ":";
    for (const auto& v : list.get()) text += " " + v;
    map.for_each([&](const std::string& k, int v) { text += fmt::format(" {}={}", k, v); });
    if (longest.get() != nullptr) text += fmt::format(" longest {}", *longest.get());
    if (const auto t = total.get()) text += fmt::format(" total {}", *t);
    ctx.emit(text);
  }
};

struct every_kind_job : open_topic {
  topology topo{"t"};
  collector<std::string> out;
  explicit every_kind_job(state_options o) {
    topo.read("in", source(), text).key_by(pick_key).process<every_kind>("f", o).for_each("out", out);
  }
};

TEST(process, has_lists_maps_reducing_and_aggregating_state) {
  every_kind_job job({});
  job.in.append(at("a add xx", 1))
      .append(at("a add y", 2))
      .append(at("a put n 2", 3))
      .append(at("a put m 1", 4));
  job.in.append(at("a show", 5)).append(at("b show", 6)).append(at("a erase n", 7)).append(at("a show", 8));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(),
              ElementsAre("a: xx y m=1 n=2 longest 2 total 3", "b:", "a: xx y m=1 longest 2 total 3"));
}

TEST(process, changes_lists_where_they_are) {
  every_kind_job job({.ttl = 100ms});
  job.topo.on_error(error_policy::skip_and_count);
  driver d(job.topo, {.exactly_once = true});
  const auto shown = [&](std::initializer_list<const char*> lines) {
    for (const char* l : lines) job.in.append(at(l, 1));
    for (const char* k : {"a show", "b show", "c show"}) job.in.append(at(k, 1));
    job.out.clear();
    EXPECT_EQ(problem(d.run()), "");
    return job.out.values();
  };
  EXPECT_THAT(shown({"a add x", "a add y", "a shift z", "b shift q", "c shift bad"}),
              ElementsAre("a: y z longest 1 total 2", "b: q", "c:"));
  ASSERT_EQ(problem(d.advance(60ms)), "");
  EXPECT_THAT(shown({"a shift bad", "b drain"}), ElementsAre("a: z bad longest 1 total 2", "b:", "c:"));
  ASSERT_EQ(problem(d.commit()), "");
  ASSERT_EQ(problem(d.crash_and_restore()), "");
  EXPECT_THAT(shown({}), ElementsAre("a: z bad longest 1 total 2", "b:", "c:"));
  ASSERT_EQ(problem(d.advance(60ms)), "");  // what was changed lives on, the rest is over
  EXPECT_THAT(shown({}), ElementsAre("a: z bad", "b:", "c:"));
  ASSERT_EQ(problem(d.advance(60ms)), "");
  EXPECT_THAT(shown({}), ElementsAre("a:", "b:", "c:"));
}

TEST(S14_ttl, in_processing_time_entries_expire_one_by_one) {
  every_kind_job job({.ttl = 100ms});
  driver d(job.topo);
  job.in.append(at("a add old", 1)).append(at("a put o 1", 1));
  ASSERT_EQ(problem(d.run()), "");
  ASSERT_EQ(problem(d.advance(60ms)), "");
  job.in.append(at("a add new", 1)).append(at("a put n 1", 1));
  ASSERT_EQ(problem(d.run()), "");
  ASSERT_EQ(problem(d.advance(39ms)), "");
  job.in.append(at("a show", 1));
  ASSERT_EQ(problem(d.advance(1ms)), "");
  job.in.append(at("a show", 1));
  ASSERT_EQ(problem(d.run()), "");
  ASSERT_EQ(problem(d.advance(100ms)), "");
  job.in.append(at("a show", 1));
  ASSERT_EQ(problem(d.run()), "");
  // The values (longest, total) were written with "new", so they live as long.
  EXPECT_THAT(job.out.values(),
              ElementsAre("a: new n=1 longest 3 total 6", "a: new n=1 longest 3 total 6", "a:"));
}

TEST(S14_ttl, in_event_time_follows_the_watermark) {
  every_kind_job job({.ttl = 100ms, .ttl_time = time_domain::event});
  driver d(job.topo);
  job.in.append(at("a add old", 0)).append(at("a put o 1", 50)).append(at("a show", 99));
  job.in.append(at("x show", 101))
      .append(at("a show", 101))
      .append(at("x show", 151))
      .append(at("a show", 151));
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_EQ(problem(d.advance(1000h)), "");  // the clock has no say
  EXPECT_THAT(job.out.values(), ElementsAre("a: old o=1 longest 3 total 3", "x:", "a: o=1", "x:", "a:"));
}

TEST(S14_ttl, what_has_expired_leaves_the_memory_too) {
  every_kind_job job({.ttl = 100ms});
  driver d(job.topo);
  for (int i = 0; i < 200; ++i) job.in.append(at(fmt::format("k{} add x", i), 1));
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(job.in.committed(), 0);
  ASSERT_EQ(problem(d.advance(1h)), "");
  for (int i = 0; i < 40; ++i) job.in.append(at("other show", 1));
  ASSERT_EQ(problem(d.commit()), "");
  EXPECT_EQ(job.in.committed(), 240);  // no state is left
}

const side_output<int> lengths{"lengths"};
const side_output<std::string> shouts{"shouts"};

struct splitter {
  using output = std::string;
  void process(const std::string& s, auto& ctx) {
    if (s == "bad") throw std::runtime_error("a bad one");
    ctx.emit(lengths, static_cast<int>(s.size()));
    if (s.back() == '!') return ctx.emit(shouts, s, 77);
    ctx.emit(s + "?", ctx.timestamp() + 1);
  }
};

TEST(process, without_a_key_splits_a_stream_by_side_outputs) {
  topic in("in");
  in.append(at("one", 1)).append(at("two!", 2));
  topology topo("t");
  collector<std::string> out, loud;
  collector<int> sizes;
  auto parts = topo.read("in", in.source(), text).process<splitter>("split");
  parts.for_each("out", out);
  parts.side(lengths).for_each("sizes", sizes);
  parts.side(shouts).for_each("loud", loud);
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.with_timestamps(), ElementsAre(std::pair("one?", 2)));
  EXPECT_THAT(sizes.with_timestamps(), ElementsAre(std::pair(3, 1), std::pair(4, 2)));
  EXPECT_THAT(loud.with_timestamps(), ElementsAre(std::pair("two!", 77)));
}

TEST(process, side_outputs_that_nobody_reads_are_dropped) {
  topology topo("t");
  collector<std::string> out;
  topo.read_elements("in", {"one", "two!"}).process<splitter>("split").for_each("out", out);
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.values(), ElementsAre("one?"));
}

TEST(process, two_side_outputs_of_one_name_and_different_types_are_a_problem) {
  topology topo("t");
  auto parts = topo.read_elements("in", {"one"}).process<splitter>("split");
  parts.side(lengths).print("a");
  parts.side(side_output<double>{"lengths"}).print("b");
  ASSERT_FALSE(topo.validate().empty());
  EXPECT_THAT(
      topo.validate().front(),
      HasSubstr("split: two side outputs of different types have the name 'lengths' (process_test.cc:"));
}

TEST(process, user_errors_meet_the_policy) {
  for (const error_policy policy : {error_policy::fail, error_policy::skip_and_count}) {
    topology topo("t");
    collector<std::string> out;
    topo.on_error(policy);
    topo.read_elements("in", {"one", "bad", "two"}).process<splitter>("split").for_each("out", out);
    driver d(topo);
    const auto r = d.finish();
    if (policy == error_policy::fail) {
      EXPECT_EQ(problem(r), "split (process): a bad one");
    } else {
      EXPECT_EQ(problem(r), "");
      EXPECT_THAT(out.values(), ElementsAre("one?", "two?"));
      EXPECT_EQ(d.metrics("split").skipped, 1u);
    }
  }
}

struct twice_named {
  using output = int;
  value_state<int> a, b;
  explicit twice_named(auto& state) : a(state, "n"), b(state, "n") {}
  void process(const std::string&, auto&) {}
};

TEST(process, two_states_of_one_name_are_an_error) {
  topology topo("t");
  topo.read_elements("in", {"one"}).key_by(itself).process<twice_named>("f").print("out");
  EXPECT_EQ(problem(driver(topo).finish()), "f: two states have the name 'n'");
}

/// Sums a key's numbers until it has been quiet for 30 ms.
struct quiet_sum {
  using output = std::string;
  value_state<std::int64_t> sum, last;
  explicit quiet_sum(auto& state) : sum(state, "sum"), last(state, "last") {}
  void process(const std::string& line, auto& ctx) {
    sum.set(sum.value_or(0) + std::stoll(golden::split(line, ' ')[1]));
    if (last.get() != nullptr && *last.get() >= ctx.timestamp()) return;
    if (last.get() != nullptr) ctx.delete_event_timer(*last.get() + 30);
    last.set(ctx.timestamp());
    ctx.set_event_timer(ctx.timestamp() + 30);
  }
  void on_timer(const timer& due, auto& ctx) {
    ctx.emit(fmt::format("{} {} at {}", ctx.key(), *sum.get(), due.timestamp_ms));
    sum.clear();
    last.clear();
  }
};

TEST(golden_process, gives_the_same_on_any_number_of_lanes) {
  golden::check("a 1 @0; b 2 @10; a 4 @29; a 8 @80; b 16 @41; c 32 @200",
                {"a 13 at 110", "b 18 at 71", "c 32 at 230"}, [](auto lines, auto out) {
                  lines.key_by(pick_key).template process<quiet_sum>("f").for_each("out", out);
                });
}

struct soon {
  using output = int;
  void process(const std::string&, auto& ctx) { ctx.set_processing_timer(ctx.processing_time() + 5); }
  void on_timer(const timer&, auto& ctx) { ctx.emit(1); }
};

TEST(job, fires_timers_of_processing_time_on_the_wall_clock) {
  open_topic t;
  t.in.append(at("a", 1)).append(at("b", 1));
  topology topo("t");
  collector<int> out;
  topo.read("in", t.source(), text).key_by(itself).process<soon>("f").for_each("out", out);
  auto j = job::start(topo, {.lanes = 2});
  ASSERT_TRUE(j);
  while (out.values().size() < 2 && !(*j)->wait_for(1ms)) {
  }
  EXPECT_EQ(out.values().size(), 2u);
}

/// Everything that a function can keep, changed in place where that goes.
struct keeper {
  using output = std::string;
  value_state<std::string> text;
  list_state<std::string> words;
  map_state<std::string, int> counts;
  aggregating_state<std::string, decltype(count())> all;
  value_state<int> fading;
  explicit keeper(auto& state)
      : text(state, "text"),
        words(state, "words"),
        counts(state, "counts"),
        all(state, "all", count()),
        fading(state, "fading", {.ttl = 10ms, .ttl_time = time_domain::event}) {}
  void process(const std::string& line, auto& ctx) {
    const std::string word = golden::split(line, ' ')[1];
    const char* const before = text.get() == nullptr ? nullptr : text.get()->data();
    text.modify([&](std::string& t) {
      t.reserve(100);
      t += word;
    });
    if (before != nullptr && before != text.get()->data()) ctx.emit("copied");
    words.add(word);
    counts.modify(word, [](int& n) { ++n; });
    all.add(line);
    fading.set(1);
    if (word != "bad") return;
    text.modify([](std::string&) { throw std::runtime_error("no"); });
  }
};

TEST(test_driver, shows_what_functions_keep) {
  open_topic source;
  collector<std::string> out;
  topology topo("t");
  topo.on_error(error_policy::skip_and_count);
  topo.read("in", source.source(), text).key_by(pick_key).process<keeper>("keeper").for_each("out", out);
  source.in.append(at("a x", 1)).append(at("b y", 2)).append(at("a z", 3)).append(at("a x", 4));
  driver d(topo, {.lanes = 2});
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_EQ(d.value<std::string>("keeper", "text", "a"), "xzx");
  EXPECT_EQ(d.value<std::string>("keeper", "text", "b"), "y");
  EXPECT_EQ(d.value<std::string>("keeper", "text", "c"), std::nullopt);
  EXPECT_THAT(d.list<std::string>("keeper", "words", "a"), ElementsAre("x", "z", "x"));
  EXPECT_THAT(d.list<std::string>("keeper", "words", "c"), ElementsAre());
  EXPECT_EQ((d.map<std::string, int>("keeper", "counts", "a")),
            (std::map<std::string, int>{{"x", 2}, {"z", 1}}));
  EXPECT_EQ(d.value<std::int64_t>("keeper", "all", "a"), 3);
  EXPECT_EQ(d.value<int>("keeper", "fading", "a"), 1);
  ASSERT_EQ(problem(d.advance_watermark(20)), "");
  EXPECT_EQ(d.value<int>("keeper", "fading", "a"), std::nullopt);
  EXPECT_THROW(d.value<int>("nobody", "text", "a"), std::invalid_argument);
  EXPECT_THROW(d.value<int>("keeper", "nothing", "a"), std::invalid_argument);
  EXPECT_THROW(d.value<double>("keeper", "all", "a"), std::invalid_argument);
  EXPECT_THAT(out.values(), ElementsAre());
  ASSERT_EQ(problem(d.crash_and_restore(1)), "");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_EQ(d.value<std::string>("keeper", "text", "a"), "xzx");
}

TEST(value_state, keeps_what_a_modify_that_throws_has_left) {
  open_topic source;
  topology topo("t");
  topo.on_error(error_policy::skip_and_count);
  topo.read("in", source.source(), text)
      .key_by(pick_key)
      .process<keeper>("keeper")
      .for_each("out", collector<std::string>());
  source.in.append(at("a bad", 1)).append(at("a x", 2));
  driver d(topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_EQ(d.value<std::string>("keeper", "text", "a"), "badx");
  EXPECT_EQ(d.metrics("keeper").skipped, 1u);
}

/// Takes its records: by T&&, or by value.
struct taker {
  using output = std::string;
  void process(std::string&& line, auto& ctx) { ctx.emit(std::move(line)); }
};
struct value_taker {
  using output = std::string;
  void process(std::string line, auto& ctx) { ctx.emit(std::move(line)); }
};

TEST(functions_that_take_their_records, are_given_them_or_copies) {
  const std::string text_of_20 = "a text of some length, not kept in place";
  topology topo("t");
  std::vector<const char*> seen;
  collector<std::string> all, others;
  stream<std::string> in =
      topo.read_elements("in", std::vector<std::string>(3, text_of_20)).map([&](const std::string& s) {
        return s + "!";
      });
  const auto note = [&seen](std::string s) {
    seen.push_back(s.data());
    return s;
  };
  stream<std::string> one = in.map([&seen](std::string&& s) {
    seen.push_back(s.data());
    return std::move(s);
  });
  one.map(note)
      .key_by([](const std::string&) { return 1; })
      .process<taker>("taker")
      .process<value_taker>("more")
      .for_each("all", [&](const std::string& s) {
        seen.push_back(s.data());
        all(s, 0);
      });
  in.for_each("others", others);  // keeps the first map from taking what is this one's too
  driver d(topo);
  ASSERT_EQ(problem(d.finish()), "");
  EXPECT_THAT(all.values(), ElementsAre(text_of_20 + "!", text_of_20 + "!", text_of_20 + "!"));
  EXPECT_EQ(all.values(), others.values());
  // From the first map on it was always the same memory.
  ASSERT_EQ(seen.size(), 9u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(seen[i], seen[i + 3]);
    EXPECT_EQ(seen[i], seen[i + 6]);
  }
}

}  // namespace
}  // namespace penstock
