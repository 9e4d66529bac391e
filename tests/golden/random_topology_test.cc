// SPDX-License-Identifier: Apache-2.0
// Random topologies over random inputs against a naive interpreter that has all records at once. A failure
// names its seed: PENSTOCK_SEED=n tries that one alone.
#include <cstdlib>
#include <map>
#include <set>

#include "golden.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using golden::problem;

struct event {
  std::int64_t key = 0, value = 0, ts = 0;
  friend auto operator<=>(const event&, const event&) = default;
  friend std::ostream& operator<<(std::ostream& out, const event& e) {
    return out << e.key << "/" << e.value << "@" << e.ts;
  }
};
using events = std::vector<event>;
using by_key = std::map<std::int64_t, events>;

constexpr std::int64_t modulus = 1009;  // values stay small

/// A stream, and what it must be.
struct flow {
  stream<event> records;
  events expected;
};

by_key grouped(const events& all) {
  by_key groups;
  for (const event& e : all) groups[e.key].push_back(e);
  return groups;
}
std::int64_t total(const events& all) {
  std::int64_t sum = 0;
  for (const event& e : all) sum += e.value;
  return sum % modulus;
}
std::int64_t floor_to(std::int64_t ts, std::int64_t size) { return ts - ((ts % size) + size) % size; }
std::chrono::milliseconds ms(std::int64_t n) { return std::chrono::milliseconds(n); }

const auto key_of = &event::key;
const auto result_event = [](const auto& w) { return event{w.key, w.value % modulus, w.end_ms - 1}; };
auto sum_values() { return sum(&event::value); }

class world {
 public:
  world(std::uint64_t seed, topology& topo) : random_(seed), topo_(topo) {}

  flow source() {
    const auto partitions = static_cast<std::uint32_t>(below(3) + 1);
    testing::topic in(name("in"), partitions);
    events all;
    for (std::int64_t n = below(40) + 5; n > 0; --n) {
      const event e{below(5), below(modulus), below(600) - 100};
      all.push_back(e);
      in.append({.value = fmt::format("{} {} {}", e.key, e.value, e.ts), .timestamp_ms = -1},
                static_cast<std::uint32_t>(below(partitions)));
    }
    auto from = in.source();
    from.poll_size = static_cast<std::size_t>(below(9) + 1);
    stream<event> records =
        topo_.read(in.name(), from, text)
            .map([](const std::string& line) {
              const auto words = golden::split(line, ' ');
              return event{std::stoll(words[0]), std::stoll(words[1]), std::stoll(words[2])};
            })
            .assign_timestamps(&event::ts, watermark_options{.max_lag = 1h});
    return {records, all};
  }

  flow apply(const flow& f, const flow& other) {
    switch (below(13)) {
      case 0: return map(f);
      case 1: return filter(f);
      case 2: return repeat(f);
      case 3: return {f.records.rebalance(), f.expected};
      case 4: return {f.records.shuffle(), f.expected};
      case 5: return unite(f, other);
      case 6: return tumble(f);
      case 7: return hop(f);
      case 8: return sessions(f);
      case 9: return slide(f);
      case 10: return interval(f, other);
      case 11: return window_join(f, other);
      default: return ask(f);
    }
  }
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(n));
  }

 private:
  std::string name(const char* what) { return fmt::format("{}-{}", what, ++names_); }

  flow map(const flow& f) {
    const std::int64_t by = below(7) + 1, keys = below(4) + 1;
    const auto change = [by, keys](const event& e) {
      return event{(e.key + by) % keys, e.value * by % modulus, e.ts};
    };
    flow to{f.records.map(change), {}};
    for (const event& e : f.expected) to.expected.push_back(change(e));
    return to;
  }
  flow filter(const flow& f) {
    const std::int64_t by = below(4) + 2;
    flow to{f.records.filter([by](const event& e) { return e.value % by != 0; }), {}};
    for (const event& e : f.expected) {
      if (e.value % by != 0) to.expected.push_back(e);
    }
    return to;
  }
  flow repeat(const flow& f) {
    const auto copies = [](const event& e) {
      return std::vector<event>(static_cast<std::size_t>(e.value % 3), e);
    };
    flow to{f.records.flat_map(copies), {}};
    for (const event& e : f.expected) {
      for (const event& c : copies(e)) to.expected.push_back(c);
    }
    return to;
  }
  flow unite(const flow& f, const flow& other) {
    flow to{f.records.union_with(other.records), f.expected};
    to.expected.insert(to.expected.end(), other.expected.begin(), other.expected.end());
    return to;
  }
  flow ask(const flow& f) {
    const auto answer = [](const event& e, const async_result<event>& done) { done.complete(e); };
    if (below(2) == 0)
      return {f.records.key_by(key_of).async_map<event>(name("ask"), answer, {.capacity = 3}), f.expected};
    return {f.records.async_map<event>(name("ask"), answer, {.order = async_order::unordered, .capacity = 3}),
            f.expected};
  }

  flow tumble(const flow& f) {
    const std::int64_t size = below(200) + 1;
    flow to{f.records.key_by(key_of)
                .window(tumbling{.size = ms(size)})
                .aggregate(name("tumble"), sum_values())
                .map(result_event),
            {}};
    panes(f.expected, size, size, to.expected);
    return to;
  }
  flow hop(const flow& f) {
    const std::int64_t slide = below(60) + 1, size = slide * (below(4) + 1) + below(2) * below(slide);
    flow to{f.records.key_by(key_of)
                .window(hopping{.size = ms(size), .slide = ms(slide)})
                .aggregate(name("hop"), sum_values())
                .map(result_event),
            {}};
    panes(f.expected, size, slide, to.expected);
    return to;
  }
  static void panes(const events& in, std::int64_t size, std::int64_t slide, events& out) {
    for (const auto& [key, all] : grouped(in)) {
      std::map<std::int64_t, events> windows;
      for (const event& e : all) {
        for (std::int64_t s = floor_to(e.ts, slide); s > e.ts - size; s -= slide) windows[s].push_back(e);
      }
      for (const auto& [start, inside] : windows) out.push_back({key, total(inside), start + size - 1});
    }
  }
  flow sessions(const flow& f) {
    const std::int64_t gap = below(60) + 1;
    flow to{f.records.key_by(key_of)
                .window(session{.gap = ms(gap)})
                .aggregate(name("session"), sum_values())
                .map(result_event),
            {}};
    for (auto& [key, all] : grouped(f.expected)) {
      std::sort(all.begin(), all.end(), [](const event& a, const event& b) { return a.ts < b.ts; });
      events open;
      const auto close = [&, k = key] {
        if (!open.empty()) to.expected.push_back({k, total(open), open.back().ts + gap - 1});
        open.clear();
      };
      for (const event& e : all) {
        if (!open.empty() && e.ts > open.back().ts + gap) close();
        open.push_back(e);
      }
      close();
    }
    return to;
  }
  flow slide(const flow& f) {
    const std::int64_t difference = below(50);
    flow to{f.records.key_by(key_of)
                .window(sliding{.difference = ms(difference)})
                .aggregate(name("slide"), sum_values())
                .map(result_event),
            {}};
    for (const auto& [key, all] : grouped(f.expected)) {
      std::set<std::int64_t> ends;
      for (const event& e : all) ends.insert({e.ts, e.ts + 1 + difference});
      for (const std::int64_t end : ends) {
        events inside;
        for (const event& e : all) {
          if (e.ts >= end - difference && e.ts <= end) inside.push_back(e);
        }
        if (!inside.empty()) to.expected.push_back({key, total(inside), end});
      }
    }
    return to;
  }

  /// Pairs that `together` accepts; nothing when there are more than a test should bear.
  template <typename Together>
  static std::optional<events> pairs(const flow& f, const flow& other, Together together) {
    if (f.expected.size() * other.expected.size() > 20'000) return std::nullopt;
    events all;
    for (const event& a : f.expected) {
      for (const event& b : other.expected) {
        if (a.key != b.key) continue;
        if (const auto ts = together(a, b)) all.push_back({a.key, (a.value * 3 + b.value) % modulus, *ts});
      }
    }
    if (all.size() > 500) return std::nullopt;
    return all;
  }
  flow interval(const flow& f, const flow& other) {
    const std::int64_t lower = below(80) - 60, upper = lower + below(60);
    auto expected = pairs(f, other, [&](const event& a, const event& b) -> std::optional<std::int64_t> {
      if (b.ts < a.ts + lower || b.ts > a.ts + upper) return std::nullopt;
      return std::max(a.ts, b.ts);
    });
    if (!expected) return f;
    return {f.records.key_by(key_of)
                .interval_join(other.records.key_by(key_of), between{ms(lower), ms(upper)})
                .join(name("interval"),
                      [](const event& a, const event& b) {
                        return event{a.key, (a.value * 3 + b.value) % modulus, std::max(a.ts, b.ts)};
                      }),
            *expected};
  }
  flow window_join(const flow& f, const flow& other) {
    const std::int64_t size = below(100) + 1;
    auto expected = pairs(f, other, [&](const event& a, const event& b) -> std::optional<std::int64_t> {
      if (floor_to(a.ts, size) != floor_to(b.ts, size)) return std::nullopt;
      return floor_to(a.ts, size) + size - 1;
    });
    if (!expected) return f;
    return {
        f.records.key_by(key_of)
            .co_group(other.records.key_by(key_of))
            .window(tumbling{.size = ms(size)})
            .join(name("join"),
                  [size](const event& a, const event& b) {
                    return event{a.key, (a.value * 3 + b.value) % modulus, floor_to(a.ts, size) + size - 1};
                  }),
        *expected};
  }

  std::mt19937_64 random_;
  topology& topo_;
  int names_ = 0;
};

void try_seed(std::uint64_t seed) {
  SCOPED_TRACE(fmt::format("PENSTOCK_SEED={}", seed));
  topology topo("random");
  world w(seed, topo);
  std::vector<flow> flows;
  for (std::int64_t n = w.below(2) + 2; n > 0; --n) flows.push_back(w.source());
  const auto any = [&]() -> const flow& {
    return flows[static_cast<std::size_t>(w.below(static_cast<std::int64_t>(flows.size())))];
  };
  for (std::int64_t n = w.below(6) + 1; n > 0; --n) {
    flow next = w.apply(any(), any());
    if (next.expected.size() <= 2000) {
      flows.push_back(std::move(next));
    } else {
      next.records.for_each(fmt::format("unread-{}", n), [](const event&) {});
    }
  }
  std::vector<testing::collector<event>> out(flows.size());
  for (std::size_t i = 0; i < flows.size(); ++i) flows[i].records.for_each(fmt::format("out-{}", i), out[i]);
  const auto lanes = static_cast<unsigned>(w.below(3) + 1);
  testing::driver d(topo, {.lanes = lanes, .seed = seed + 1});
  ASSERT_EQ(problem(d.finish()), "") << topo.describe();
  for (std::size_t i = 0; i < flows.size(); ++i) {
    events found;
    for (const auto& [e, ts] : out[i].with_timestamps()) {
      EXPECT_EQ(e.ts, ts);
      found.push_back(e);
    }
    std::sort(found.begin(), found.end());
    std::sort(flows[i].expected.begin(), flows[i].expected.end());
    ASSERT_EQ(found, flows[i].expected) << "out-" << i << " on " << lanes << " lanes of\n" << topo.describe();
  }
}

TEST(random_topologies, give_what_a_naive_interpreter_gives) {
  if (const char* one = std::getenv("PENSTOCK_SEED"); one != nullptr) return try_seed(std::stoull(one));
  for (std::uint64_t seed = 1; seed <= 150 && !::testing::Test::HasFatalFailure(); ++seed) try_seed(seed);
}

}  // namespace
}  // namespace penstock
