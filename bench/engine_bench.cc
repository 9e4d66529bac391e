// SPDX-License-Identifier: Apache-2.0
// The engine in memory, without a broker: what one record costs.  engine_bench [NAME] [MILLIONS OF RECORDS]
// keys, groups and timers show what state costs while it grows: 3 to 8 GB.
#include <fmt/format.h>
#include <penstock/job.h>
#include <penstock/json.h>
#include <penstock/topology.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace ps = penstock;
using namespace std::chrono_literals;

namespace {

struct departure {
  std::string carrier, origin;
  std::int64_t scheduled_ms = 0;
  std::optional<int> delay_minutes;
};
BOOST_DESCRIBE_STRUCT(departure, (), (carrier, origin, scheduled_ms, delay_minutes))

constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

struct click {
  std::uint64_t user;
  std::int64_t ts;
};

/// What must come out, so that nothing is measured that is not done.
struct total {
  std::int64_t sum = 0;
  std::int64_t count = 0;
};

/// Sums in itself, and adds that to the total after every batch.
struct summing {
  total* into;
  total mine{};
  void operator()(std::int64_t v) {
    mine.sum += v;
    ++mine.count;
  }
  void flush() {
    into->sum += mine.sum;
    into->count += mine.count;
    mine = {};
  }
};

double cpu_seconds() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  const auto s = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return s(u.ru_utime) + s(u.ru_stime);
}

/// Runs the topology and prints a line; `check` says whether the answer is right.
void measure(std::string_view name, const ps::topology& topo, unsigned lanes, std::int64_t records,
             const std::function<bool()>& check) {
  const auto start = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  auto job = ps::job::start(topo, {.lanes = lanes});
  const ps::result<> end = job ? (*job)->wait() : ps::result<>(ps::fail(job.error()));
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  const double cpu_used = cpu_seconds() - cpu;
  const double n = static_cast<double>(records);
  fmt::print("{:<34} {} lane{} {:>8.1f} M records/s  {:>7.2f} ns CPU/record  {}\n", name, lanes,
             lanes == 1 ? " " : "s", n / wall.count() / 1e6, cpu_used / n * 1e9,
             !end      ? end.error().message()
             : check() ? "ok"
                       : "WRONG ANSWER");
  std::fflush(stdout);
}

/// What state costs while it grows: memory, and the longest time that the lane had for nothing else. That is
/// counted in CPU time, so that what other programs do to this one is not in it.
class growth {
 public:
  growth() : before_(resident_bytes()) {}
  /// Called for record after record by one lane.
  void step(std::int64_t record) {
    if (record % 256 != 0) return;
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    const double now = static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
    if (record != 0) longest_ms_ = std::max(longest_ms_, now - last_ms_);
    last_ms_ = now;
  }
  void print(std::int64_t things, const char* what) const {
    fmt::print("{:>34} {:.1f} bytes a {}, longest pause {:.1f} ms of CPU time\n", "",
               static_cast<double>(resident_bytes() - before_) / static_cast<double>(things), what,
               longest_ms_);
  }

 private:
  static std::int64_t resident_bytes() {
    std::int64_t pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return resident * 4096;
  }
  std::int64_t before_;
  double last_ms_ = 0, longest_ms_ = 0;
};

std::int64_t expected_sum(std::int64_t n) {
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t v = i * 3 + 1;
    if ((v & 7) != 0) sum += v ^ 0x5bd1e995;
  }
  return sum;
}

void map_filter_map(std::int64_t n) {
  total t;
  ps::topology topo("map-filter-map");
  topo.generate("numbers", n, [](std::int64_t i) { return i; })
      .map([](std::int64_t v) { return v * 3 + 1; })
      .filter([](std::int64_t v) { return (v & 7) != 0; })
      .map([](std::int64_t v) { return v ^ 0x5bd1e995; })
      .for_each("sum", summing{&t});
  measure("map/filter/map", topo, 1, n, [&] { return t.count == n - n / 8 && t.sum == expected_sum(n); });
}

/// Adds up the results of windows; each copy, on its lane, in a line of its own.
class adder {
 public:
  adder() = default;
  adder(const adder& other) : lines_(other.lines_), mine_(lines_->next.fetch_add(1) % lines_->sums.size()) {}
  template <typename R>
  void operator()(const R& r) const {
    lines_->sums[mine_].sum += r.value;
  }
  std::int64_t sum() const {
    std::int64_t all = 0;
    for (const line& l : lines_->sums) all += l.sum;
    return all;
  }

 private:
  struct alignas(128) line {  // two cache lines: the processor fetches the next one too
    std::int64_t sum = 0;
  };
  struct shared {
    std::atomic<std::size_t> next{0};
    std::array<line, 64> sums{};
  };
  std::shared_ptr<shared> lines_ = std::make_shared<shared>();
  std::size_t mine_ = 0;
};

/// Which record is number `i` of ranges for so many lanes that go through the same time side by side, as the
/// partitions of a topic do: one range after the other, each with every so-manieth record. Each lane has a
/// copy and asks for its range in order, so that no lane's records cost more than another's.
class side_by_side {
 public:
  side_by_side(std::int64_t records, unsigned lanes) : size_(records / lanes), lanes_(lanes) {}
  std::int64_t operator()(std::int64_t i) {
    if (i >= end_) [[unlikely]] {
      const std::int64_t range = i / size_;
      end_ = (range + 1) * size_;
      shift_ = range - range * size_ * lanes_;
    }
    return i * lanes_ + shift_;
  }

 private:
  std::int64_t size_, lanes_;
  std::int64_t end_ = 0, shift_ = 0;  // of the range that it is in
};

template <typename Key, typename Window>
void keyed_count(std::string_view name, std::int64_t n, unsigned lanes, Key key, Window window,
                 std::int64_t copies) {
  ps::topology topo("keyed-count");
  adder out;
  topo.generate(
          "clicks", n,
          [number = side_by_side(n, lanes)](std::int64_t i) mutable {
            const std::int64_t at = number(i);
            return click{mix(static_cast<std::uint64_t>(at)) % 100'000, at / 1000};
          },
          lanes)
      .assign_timestamps(&click::ts)
      .key_by(key)
      .window(window)
      .aggregate("count", ps::count())
      .for_each("out", out);
  measure(name, topo, lanes, n, [&] { return out.sum() == n * copies; });
}

/// Records of a key come about every 100 ms: what pairs and sessions are made of.
ps::keyed<std::uint64_t, click> clicks_of(ps::topology& topo, const char* name, std::int64_t n) {
  return topo
      .generate(name, n,
                [](std::int64_t i) {
                  return click{mix(static_cast<std::uint64_t>(i)) % 100'000, i / 1000};
                })
      .assign_timestamps(&click::ts)
      .key_by(&click::user);
}

void process_count(std::int64_t n) {
  struct running {
    using output = click;
    ps::value_state<std::int64_t> seen;
    explicit running(ps::keyed_state<std::uint64_t>& state) : seen(state, "seen") {}
    void process(const click& c, ps::keyed_context<std::uint64_t, click>& ctx) {
      const std::int64_t so_far = seen.value_or(0) + 1;
      seen.set(so_far);
      if (so_far % 1000 == 0) ctx.emit(c);
    }
  };
  total t;
  ps::topology topo("process");
  clicks_of(topo, "clicks", n).process<running>("running").for_each("out", [&t](const click&) { ++t.count; });
  measure("keyed process, one value state", topo, 1, n, [&] { return t.count <= n / 1000; });
}

/// 0, 1, 2 ..., watched while they come: at the last one what the state costs is printed, for so many things.
auto counted_up(ps::topology& topo, std::int64_t n, growth& g, std::int64_t things, const char* what) {
  return topo.generate("keys", n, [&g, n, things, what](std::int64_t i) {
    g.step(i);
    if (i == n - 1) g.print(things, what);
    return i;
  });
}

/// A key a record, each with a value, all of them live at the end.
void many_keys(std::int64_t n) {
  struct once {
    using output = std::int64_t;
    ps::value_state<std::int64_t> seen;
    explicit once(ps::keyed_state<std::int64_t>& state) : seen(state, "seen") {}
    void process(const std::int64_t& c, ps::keyed_context<std::int64_t, std::int64_t>&) { seen.set(c); }
  };
  growth g;
  ps::topology topo("many-keys");
  counted_up(topo, n, g, n, "key")
      .key_by([](std::int64_t i) { return i; })
      .process<once>("once")
      .for_each("out", [](std::int64_t) {});
  measure("keyed process, every key new", topo, 1, n, [] { return true; });
}

/// A running count of keys that are all new.
void many_groups(std::int64_t n) {
  growth g;
  total t;
  ps::topology topo("many-groups");
  counted_up(topo, n, g, n, "key")
      .key_by([](std::int64_t i) { return i; })
      .aggregate("count", ps::count())
      .for_each("out", [&t](const auto& r) { t.count += r.second; });
  measure("running count, every key new", topo, 1, n, [&] { return t.count == n; });
}

/// Two timers a key, five sixths of all of them live in the end; the others fire while those are set.
void many_timers(std::int64_t n) {
  static constexpr std::int64_t a_second = 500'000;  // records, so a million timers
  const std::int64_t ahead_ms = n * 5 / 6 / (a_second / 1000);
  struct waiting {
    using output = std::int64_t;
    std::int64_t ahead_ms;
    waiting(ps::keyed_state<std::int64_t>&, std::int64_t ahead) : ahead_ms(ahead) {}
    void process(const std::int64_t&, ps::keyed_context<std::int64_t, std::int64_t>& ctx) {
      ctx.set_event_timer(ctx.timestamp() + ahead_ms);
      ctx.set_event_timer(ctx.timestamp() + ahead_ms + 1 + ctx.timestamp() % 977);
    }
    void on_timer(const ps::timer&, ps::keyed_context<std::int64_t, std::int64_t>& ctx) { ctx.emit(1); }
  };
  growth g;
  total t;
  ps::topology topo("many-timers");
  counted_up(topo, n, g, n / 6 * 10, "live timer")
      .assign_timestamps([](std::int64_t i) { return i / (a_second / 1000); })
      .key_by([](std::int64_t i) { return i; })
      .process<waiting>("waiting", ahead_ms)
      .for_each("out", [&t](std::int64_t) { ++t.count; });
  measure("two event timers a record", topo, 1, n, [&] { return t.count == 2 * n; });
}

void interval_join(std::int64_t n) {
  total t;
  ps::topology topo("interval-join");
  clicks_of(topo, "left", n / 2)
      .interval_join(clicks_of(topo, "right", n / 2), ps::between{-100ms, 100ms})
      .join("join", [](const click& a, const click& b) { return a.ts + b.ts; })
      .for_each("out", [&t](std::int64_t) { ++t.count; });
  measure("interval join, +-100 ms", topo, 1, n, [&] { return t.count >= n / 2; });
}

void json_filter(std::int64_t n) {
  std::vector<std::string> lines;
  for (int i = 0; i < 1024; ++i)
    ps::as_json.encode(departure{"AA", i % 2 == 0 ? "JFK" : "EWR", 1'357'000'000'000 + i,
                                 i % 3 == 0 ? std::nullopt : std::optional(i)},
                       lines.emplace_back());
  total t;
  ps::topology topo("json");
  topo.generate("lines", n,
                [&lines](std::int64_t i) {
                  ps::raw r;
                  r.value = lines[static_cast<std::size_t>(i & 1023)];
                  return r;
                })
      .map([format = ps::json<departure>](const ps::raw& r) {
        departure d;
        if (!format.decode(r, d)) throw 1;
        return d;
      })
      .for_each("count", [&t](const departure& d) { t.count += d.scheduled_ms != 0; });
  measure("JSON decode, 4 fields", topo, 1, n, [&] { return t.count == n; });
}

/// How long a line of memory takes from one core to another and back, which is what the exchange lives by:
/// about 50 ns between two threads of one core, 120 within a cache that they share, 500 and more beyond.
void round_trip() {
  constexpr int trips = 300'000;
  struct alignas(128) line {  // two, as in adder
    std::atomic<int> number{0};
  };
  line there, back;
  std::thread other([&] {
    for (int i = 1; i <= trips; ++i) {
      while (there.number.load(std::memory_order_acquire) != i) {
      }
      back.number.store(i, std::memory_order_release);
    }
  });
  const auto start = std::chrono::steady_clock::now();
  for (int i = 1; i <= trips; ++i) {
    there.number.store(i, std::memory_order_release);
    while (back.number.load(std::memory_order_acquire) != i) {
    }
  }
  const std::chrono::duration<double, std::nano> all = std::chrono::steady_clock::now() - start;
  other.join();
  fmt::print("a line from core to core and back: {:.0f} ns\n", all.count() / trips);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view only = argc > 1 ? argv[1] : "";
  const std::int64_t millions = argc > 2 ? std::atoll(argv[2]) : 0;
  const auto wanted = [&](std::string_view name) { return only.empty() || only == name; };
  const auto size = [&](std::int64_t normal) { return (millions != 0 ? millions : normal) * 1'000'000; };
  const ps::tumbling second{.size = 1s};
  const auto text_key = [](const click& c) { return "user-" + std::to_string(c.user); };

  if (wanted("map")) map_filter_map(size(1000));
  if (wanted("window")) keyed_count("keyed 1 s count, 100k int keys", size(100), 1, &click::user, second, 1);
  if (wanted("window2")) keyed_count("keyed 1 s count, 100k int keys", size(100), 2, &click::user, second, 1);
  if (wanted("round_trip")) round_trip();
  if (wanted("text")) keyed_count("keyed 1 s count, 100k text keys", size(20), 1, text_key, second, 1);
  if (wanted("hopping"))
    keyed_count("keyed hopping count, 60 s / 1 s", size(100), 1, &click::user,
                ps::hopping{.size = 60s, .slide = 1s}, 60);
  if (wanted("session"))
    keyed_count("keyed session count, gap 50 ms", size(20), 1, &click::user, ps::session{.gap = 50ms}, 1);
  if (wanted("process")) process_count(size(20));
  // These need memory: not without being asked for.
  if (only == "keys") many_keys(size(50));
  if (only == "groups") many_groups(size(50));
  if (only == "timers") many_timers(size(60));
  if (wanted("interval")) interval_join(size(10));
  if (wanted("json")) json_filter(size(5));
}
