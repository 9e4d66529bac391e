// SPDX-License-Identifier: Apache-2.0
// Exactly once: crashed at random moments and started again with other numbers of lanes, a job gives what one
// uninterrupted run gives, each record once. On topics in memory, so that thousands of crashes take seconds
// (E6, E8, E11, E12).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/joins.h>
#include <penstock/statistics.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

#include <functional>
#include <map>
#include <random>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::driver;
using testing::record;
using testing::topic;

struct event {
  std::string key;
  std::int64_t amount = 0;
  std::int64_t ts = 0;
};
struct event_format {
  using value_type = event;
  result<event> decode(std::string_view bytes) const {
    const auto a = bytes.find(':'), b = bytes.rfind(':');
    return event{std::string(bytes.substr(0, a)), std::stoll(std::string(bytes.substr(a + 1, b - a - 1))),
                 std::stoll(std::string(bytes.substr(b + 1)))};
  }
};

std::string problem(const result<>& r) { return r ? "" : r.error().message(); }

topic random_events(std::uint64_t seed, std::uint32_t partitions, int records) {
  std::mt19937_64 random(seed);
  topic in("in", partitions);
  for (int i = 0; i < records; ++i) {
    const auto ts = 1000 + std::int64_t{i} * 7 - static_cast<std::int64_t>(random() % 50);
    const auto key = random() % 5;
    // A key's records stay in one partition, as a producer would have it.
    in.append({.value = fmt::format("k{}:{}:{}", key, random() % 100, ts), .timestamp_ms = ts},
              static_cast<std::uint32_t>(key % partitions));
  }
  return in;
}

using events = keyed<std::string, event>;
using build_job = std::function<void(events, const topic& out)>;

template <typename K, typename V>
std::string shown(const window_result<K, V>& r) {
  return fmt::format("{} {} {} {}", r.key, r.start_ms, r.end_ms, r.value);
}

/// Something of everything that a function may keep.
struct bookkeeper {
  using output = std::string;
  value_state<std::int64_t> sum;
  list_state<std::string> recent;
  map_state<std::int64_t, std::int64_t> by_amount;
  aggregating_state<event, decltype(count())> seen;
  explicit bookkeeper(auto& state)
      : sum(state, "sum"),
        recent(state, "recent"),
        by_amount(state, "by amount"),
        seen(state, "seen", count()) {}
  void process(const event& e, auto& ctx) {
    sum.set(sum.value_or(0) + e.amount);
    recent.add(std::to_string(e.amount));
    if (recent.get().size() > 4) recent.clear();
    const auto* n = by_amount.get(e.amount % 7);
    if (e.amount % 11 == 0) {
      by_amount.erase(e.amount % 7);
    } else {
      by_amount.put(e.amount % 7, n == nullptr ? 1 : *n + 1);
    }
    seen.add(e);
    ctx.set_event_timer(e.ts + 90);
    if (e.amount % 3 == 0) ctx.delete_event_timer(e.ts + 90);
    if (e.amount % 13 == 0) sum.clear();
    std::string all;
    for (const auto& r : recent.get()) all += r + ",";
    by_amount.for_each([&](std::int64_t k, std::int64_t v) { all += fmt::format(" {}={}", k, v); });
    ctx.emit(fmt::format("{} {} {} {}", ctx.key(), sum.value_or(-1), *seen.get(), all));
  }
  void on_timer(const timer& t, auto& ctx) {
    ctx.emit(fmt::format("{} timer {}", ctx.key(), t.timestamp_ms));
  }
};

const std::map<std::string, build_job>& jobs() {
  static const std::map<std::string, build_job> all{
      {"running",
       [](events in, const topic& out) {
         in.aggregate("count", all_of(count(), sum(&event::amount)))
             .map([](const auto& r) {
               return fmt::format("{} {} {}", r.first, std::get<0>(r.second), std::get<1>(r.second));
             })
             .write("out", out.sink(), text);
       }},
      {"reduce",
       [](events in, const topic& out) {
         in.reduce("most", [](const event& a, const event& b) { return a.amount >= b.amount ? a : b; })
             .map([](const event& e) { return fmt::format("{} {}", e.key, e.amount); })
             .write("out", out.sink(), text);
       }},
      {"tumbling",
       [](events in, const topic& out) {
         in.window(tumbling{.size = 100ms})
             .aggregate("sum", sum(&event::amount))
             .map([](const auto& r) { return shown(r); })
             .write("out", out.sink(), text);
       }},
      {"hopping",
       [](events in, const topic& out) {
         in.window(hopping{.size = 300ms, .slide = 60ms})
             .aggregate("sum", sum(&event::amount))
             .map([](const auto& r) { return shown(r); })
             .write("out", out.sink(), text);
       }},
      {"hopping_unsliced",
       [](events in, const topic& out) {
         in.window(hopping{.size = 300ms, .slide = 100ms, .allowed_lateness = 1ms})
             .aggregate("max", max(&event::amount))
             .map([](const auto& r) { return shown(r); })
             .write("out", out.sink(), text);
       }},
      {"session",
       [](events in, const topic& out) {
         in.window(session{.gap = 40ms})
             .aggregate("count", count())
             .map([](const auto& r) { return shown(r); })
             .write("out", out.sink(), text);
       }},
      {"count_windows",
       [](events in, const topic& out) {
         in.window(global_window{})
             .trigger(triggers::count{3})
             .aggregate("sum", sum(&event::amount))
             .map([](const auto& r) { return shown(r); })
             .write("out", out.sink(), text);
       }},
      {"cascade",
       [](events in, const topic& out) {
         using first = window_result<std::string, std::int64_t>;
         in.window(tumbling{.size = 100ms})
             .aggregate("sum", sum(&event::amount))
             .key_by(&first::key)
             .window(tumbling{.size = 500ms})
             .aggregate("total", sum(&first::value))
             .map([](const auto& r) { return shown(r); })
             .write("out", out.sink(), text);
       }},
      {"function",
       [](events in, const topic& out) { in.process<bookkeeper>("books").write("out", out.sink(), text); }},
      {"deduplicate",
       [](events in, const topic& out) {
         in.deduplicate("once", 200ms, time_domain::event)
             .map([](const event& e) { return fmt::format("{} {}", e.key, e.ts); })
             .write("out", out.sink(), text);
       }},
      {"interval_join",
       [](events in, const topic& out) {
         in.interval_join(in, between{.lower = 1ms, .upper = 60ms})
             .left_join("pairs",
                        [](const event& a, const event* b) {
                          return fmt::format("{} {} {}", a.key, a.ts, b == nullptr ? -1 : b->ts);
                        })
             .write("out", out.sink(), text);
       }},
      {"sketches",
       [](events in, const topic& out) {
         in.window(tumbling{.size = 200ms})
             .aggregate("figures", all_of(approximate_distinct(&event::amount),
                                          quantiles(&event::amount, {0.5}), top<event>(2, &event::amount)))
             .map([](const auto& r) {
               return fmt::format("{} {} {} {} {}", r.key, r.start_ms, std::get<0>(r.value),
                                  std::get<1>(r.value)[0].value_or(-1), std::get<2>(r.value)[0].amount);
             })
             .write("out", out.sink(), text);
       }},
  };
  return all;
}

void build(topology& topo, const build_job& job, const topic& in, const topic& out, std::size_t poll_size) {
  auto source = in.source({.max_lag = 50ms});
  source.poll_size = poll_size;
  job(topo.read("in", source, event_format{}).key_by(&event::key), out);
}

std::vector<std::string> sorted(std::vector<std::string> v) {
  std::sort(v.begin(), v.end());
  return v;
}

class exactly_once : public ::testing::TestWithParam<std::string> {};

TEST_P(exactly_once, crashes_anywhere_leave_no_trace) {
  const build_job& job = jobs().at(GetParam());
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937_64 random(seed);
    const auto partitions = 1 + static_cast<std::uint32_t>(seed % 3);
    const topic unread = random_events(seed, partitions, 400);
    const topic in = random_events(seed, partitions, 400);

    topic expected("expected");
    topology straight("job");
    build(straight, job, unread, expected, 1);
    ASSERT_EQ(problem(driver(straight).finish()), "");

    topic out("out");
    topology topo("job");
    build(topo, job, in, out, 1 + random() % 20);
    driver d(topo, {.lanes = 1 + static_cast<unsigned>(random() % 3), .exactly_once = true, .seed = seed});
    const int crashes = 1 + static_cast<int>(random() % 6);
    for (int i = 0; i < crashes; ++i) {
      for (auto commits = random() % 4; commits > 0; --commits) {
        ASSERT_EQ(problem(d.run_rounds(random() % 60)), "");
        if (d.over()) break;
        ASSERT_EQ(problem(d.commit_now()), "");
      }
      ASSERT_EQ(problem(d.run_rounds(random() % 60)), "");
      ASSERT_EQ(problem(d.crash_and_restore(1 + static_cast<unsigned>(random() % 4))), "");
    }
    ASSERT_EQ(problem(d.finish()), "");
    EXPECT_EQ(sorted(out.values()), sorted(expected.values()));
  }
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& [name, job] : jobs()) all.push_back(name);
  return all;
}
INSTANTIATE_TEST_SUITE_P(jobs, exactly_once, ::testing::ValuesIn(names()),
                         [](const auto& i) { return i.param; });

}  // namespace
}  // namespace penstock
