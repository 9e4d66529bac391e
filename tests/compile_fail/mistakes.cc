// SPDX-License-Identifier: Apache-2.0
// The commonest mistakes, one a number, each with a part of the sentence that the compiler must say to it.
// CASE 0 is correct: it shows that nothing else here keeps the file from compiling. check.py compiles them
// all.
#include <penstock/avro.h>
#include <penstock/csv.h>
#include <penstock/json.h>
#include <penstock/testing.h>
#include <penstock/topology.h>

#include <chrono>
#include <memory>
#include <string>

namespace ps = penstock;
using namespace std::chrono_literals;

struct flight {
  std::string origin;
  int delay = 0;
};
BOOST_DESCRIBE_STRUCT(flight, (), (origin, delay))
struct bare {
  int x = 0;
};

struct no_output {
  void process(const int&, auto&) {}
};
struct wrong_record {
  using output = int;
  void process(const std::string&, auto&) {}
};
struct wrong_timer {
  using output = int;
  void process(const int&, auto&) {}
  void on_timer(std::string, auto&) {}
};
struct needs_more {
  using output = int;
  needs_more(auto& state, int);
  void process(const int&, auto&) {}
};

struct changes_the_record {
  using output = int;
  void process(int&, auto&) {}
};
struct modifies_another_type {
  using output = int;
  ps::value_state<int> last;
  explicit modifies_another_type(auto& state) : last(state, "last") {}
  void process(int, auto&) {
    last.modify([](std::string&) {});
  }
};
struct keeps_a_pointer {
  using output = int;
  ps::value_state<const char*> last;
  explicit keeps_a_pointer(auto& state) : last(state, "last") {}
  void process(int, auto&) {}
};
struct cannot_merge {
  using accumulator = int;
  void add(int& n, const int&) const { ++n; }
  int result(const int& n) const { return n; }
};

void build(ps::topology& topo) {
  auto numbers = topo.read_elements("numbers", {1, 2, 3});
  auto flights = topo.read_elements("flights", std::vector<flight>{});
  auto bares = topo.read_elements("bares", std::vector<bare>{});
#if CASE == 0
  numbers.map([](int i) { return i + 1; }).print("out");
  flights.key_by(&flight::origin)
      .window(ps::tumbling{.size = 1h})
      .aggregate("mean", ps::mean(&flight::delay))
      .print("m");
  bares.map(&bare::x).print("x");
#elif CASE == 1
  // says: map(f): f must take the stream's records, as f(const T&)
  numbers.map([](const std::string& s) { return s; }).filter([](int) { return true; }).print("out");
#elif CASE == 2
  // says: map(f): f must take the stream's records, as f(const T&)
  numbers.map([](int& i) { return ++i; })
      .key_by([](int i) { return i; })
      .aggregate("count", ps::count())
      .print("out");
#elif CASE == 3
  // says: map(f): f must return a value; for side effects there is for_each
  numbers.map([](int) {}).print("out");
#elif CASE == 4
  // says: filter(f): f must take the stream's records, as f(const T&), and return bool
  numbers.filter([](const std::string& s) { return s.empty(); }).print("out");
#elif CASE == 5
  // says: flat_map(f): f must take the stream's records, as f(const T&), and return a range
  numbers.flat_map([](int i) { return i; }).print("out");
#elif CASE == 6
  // says: flat_map<Out>(f): f must be callable as f(const T&, emit), with `auto emit`
  numbers.flat_map<int>([](int i) { return i; }).print("out");
#elif CASE == 7
  // says: assign_timestamps(f): f must take the stream's records, as f(const T&), and return
  flights.assign_timestamps(&flight::origin).print("out");
#elif CASE == 8
  // says: assign_timestamps: watermarks begin at a source
  ps::stream<int> named = numbers;
  named.assign_timestamps([](int i) { return i; }).print("out");
#elif CASE == 9
  // says: key_by(f): f must return a key: an integer, std::string
  flights.key_by([](const flight& f) { return f.delay * 0.5; }).aggregate("count", ps::count()).print("out");
#elif CASE == 10
  // says: key_by(f): f must take the stream's records, as f(const T&)
  numbers.key_by(&flight::origin)
      .window(ps::tumbling{.size = 1h})
      .aggregate("count", ps::count())
      .print("out");
#elif CASE == 11
  // says: aggregate(name, a): a must be an aggregator of the stream's type
  flights.key_by(&flight::origin)
      .window(ps::tumbling{.size = 1h})
      .aggregate("sum", ps::sum(&bare::x))
      .print("out");
#elif CASE == 12
  // says: aggregate(name, a): a must be an aggregator of the stream's type
  flights.key_by(&flight::origin).aggregate("sum", [](int a, int b) { return a + b; }).print("out");
#elif CASE == 13
  // says: reduce(name, f): f must be callable as T f(const T&, const T&)
  flights.key_by(&flight::origin)
      .reduce("sum", [](const flight& a, int b) { return a.delay + b; })
      .print("out");
#elif CASE == 14
  // says: print(name): shows text, numbers, pairs, tuples, optionals and window results
  bares.print("out");
#elif CASE == 15
  // says: write(name, sink, format): the format cannot encode the stream's type
  bares.write("out", ps::console{}, ps::as_json);
#elif CASE == 16
  // says: write(name, sink, format): the second argument must be the options of a sink
  numbers.write("out", "topic", ps::decimal<int>);
#elif CASE == 17
  // says: json<T>: T must be a described struct (BOOST_DESCRIBE_STRUCT)
  (void)ps::json<bare>;
#elif CASE == 18
  // says: user functions are copied to every lane
  numbers.map([p = std::make_unique<int>(1)](int i) { return i + *p; }).print("out");
#elif CASE == 19
  // says: for_each(name, f): f must take the stream's records, as f(const T&)
  numbers.for_each("out", [](const std::string&) {});
#elif CASE == 20
  // says: generate(name, count, f): f must take an index, as f(std::int64_t)
  topo.generate("more", 10, [] { return 1; });
#elif CASE == 21
  // says: process<F>(name, args...): F must say what it emits, as using output = ...
  numbers.process<no_output>("f").print("out");
#elif CASE == 22
  // says: process<F>(name, args...): F must have process(const T&, ctx), or T&&, or T, with `auto& ctx`
  numbers.key_by([](int i) { return i; }).process<wrong_record>("f").print("out");
#elif CASE == 23
  // says: on_timer must be callable as on_timer(const penstock::timer&, ctx)
  numbers.key_by([](int i) { return i; }).process<wrong_timer>("f").print("out");
#elif CASE == 24
  // says: F must be made from the arguments, as F(auto& state, args...) or F(args...)
  numbers.key_by([](int i) { return i; }).process<needs_more>("f").print("out");
#elif CASE == 25
  // says: union_with(others...): the streams must have the same type; map them to one first
  numbers.union_with(flights).print("out");
#elif CASE == 26
  // says: connect(other): other must be keyed by the same type, or be broadcast(): key it first
  numbers.key_by([](int i) { return i; }).connect(flights.key_by(&flight::origin)).process<wrong_timer>("f");
#elif CASE == 27
  // says: partition_by(f): f must choose a lane, as std::size_t f(const T&, std::size_t lanes)
  numbers.partition_by([](int i) { return i; }).print("out");
#elif CASE == 28
  // says: aggregate(name, a): session windows merge, so a must have merge(accumulator&, const accumulator&)
  numbers.key_by([](int i) { return i; })
      .window(ps::session{.gap = 1s})
      .aggregate("n", cannot_merge{})
      .print("o");
#elif CASE == 29
  // says: window(w): w must be tumbling, hopping, sliding, session, session_by with a duration for each
  // record
  numbers.key_by([](int i) { return i; }).window(5).aggregate("n", ps::count()).print("out");
#elif CASE == 30
  // says: trigger(t): t must have trigger_result on_record(
  numbers.key_by([](int i) { return i; })
      .window(ps::tumbling{.size = 1h})
      .trigger(5)
      .aggregate("n", ps::count());
#elif CASE == 31
  // says: interval_join(...).join(name, f): f must be callable as f(const A&, const B&)
  auto by_value = numbers.key_by([](int i) { return i; });
  by_value.interval_join(by_value, ps::between{-1s, 1s}).join("j", [](int a) { return a; }).print("out");
#elif CASE == 32
  // says: async_map<Out>(name, f): f must be callable as f(const T&, penstock::async_result<Out>)
  numbers.async_map<int>("ask", [](int i) { return i; }).print("out");
#elif CASE == 33
  // says: assign_watermarks(g): g must have on_event(const T&, std::int64_t timestamp_ms) and
  numbers.assign_watermarks([](int i) { return i; }).print("out");
#elif CASE == 34
  // says: suppress(name, until_window_closes{...}): the records must be results of windows
  numbers.key_by([](int i) { return i; }).suppress("last", ps::until_window_closes{}).print("out");
#elif CASE == 35
  // says: csv<T>: T must be a struct that describes itself (BOOST_DESCRIBE_STRUCT)
  (void)ps::csv<bare>;
#elif CASE == 36
  // says: avro: a member must be a bool, number, std::string
  (void)ps::avro_schema_of<std::vector<bare>>();
#elif CASE == 37
  // says: connect(...).process<F>: F must have process_first(const A&, ctx) and process_second(const B&, ctx)
  numbers.connect(flights).process<wrong_record>("f").print("out");
#elif CASE == 38
  // says: key_by: raw records and string_views borrow their bytes
  topo.read("raws", ps::testing::topic("t").source())
      .key_by([](const ps::raw& r) { return std::string(r.key); })
      .aggregate("count", ps::count())
      .print("out");
#elif CASE == 39
  // says: this type is used as state and cannot be kept
  numbers.key_by([](int i) { return i; }).process<keeps_a_pointer>("p").print("out");
#elif CASE == 40
  // says: process<F>(name, args...): F must have process(const T&, ctx), or T&&, or T, with `auto& ctx`
  numbers.key_by([](int i) { return i; }).process<changes_the_record>("p").print("out");
#elif CASE == 41
  // says: modify(f): f must be callable as f(V&)
  numbers.key_by([](int i) { return i; }).process<modifies_another_type>("p").print("out");
#endif
}
