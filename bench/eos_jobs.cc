// SPDX-License-Identifier: Apache-2.0
// The exactly-once jobs that bench/eos.py measures beside Flink's and Kafka Streams', and kills.
//
//     eos_jobs copy --brokers B --in T --out T --app A --commit-interval 1000 --bounded
//
//     copy     every record as it is
//     window   records of each key and second of event time, counted: value in decimal
//     count    records of each key so far, counted: one record out for each in
//
// With --bounded it ends where the input ends now, and prints a line of JSON: from the start of the job to
// the end of its last transaction, or, with --from-first-record, from the first record that it has read (CPU
// time is of all of it). What it says of restoring goes to standard output too, as it comes.
#include <penstock/penstock.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "peers/figures.h"

namespace ps = penstock;
using namespace std::chrono_literals;

namespace {

struct options {
  std::string job, in, out, mark;
  bool bounded = false, from_first_record = false;
  ps::application_options run;
};

ps::kafka::source source_of(const options& o) {
  ps::kafka::source s{.topics = {o.in}, .watermarks = {.max_lag = 1s}};
  if (o.bounded) s.stop = ps::kafka::stop_at::latest();
  return s;
}
ps::kafka::sink sink_of(const options& o) {
  return {.topic = o.out, .create = ps::kafka::create_topic{.partitions = 4}};
}

struct arrival {
  std::string key;
};
struct arrival_format {
  using value_type = arrival;
  ps::result<> decode(const ps::raw& record, arrival& into) const {
    into.key.assign(record.key);
    return {};
  }
};

using counted = ps::window_result<std::string, std::int64_t>;
struct counted_format {
  bool encode_key(const counted& c, std::string& out) const {
    out += c.key;
    return true;
  }
  void encode(const counted& c, std::string& out) const { ps::decimal<std::int64_t>.encode(c.value, out); }
};

struct running {
  std::string key;
  std::int64_t count = 0;
};
/// `mark` tells one start of the job from another.
struct running_format {
  std::string mark;
  bool encode_key(const running& r, std::string& out) const {
    out += r.key;
    return true;
  }
  void encode(const running& r, std::string& out) const { ps::decimal<std::int64_t>.encode(r.count, out); }
  void encode_headers(const running&, ps::header_writer& out) const {
    if (!mark.empty()) out.add("run", mark);
  }
};
struct counter {
  using output = running;
  ps::value_state<std::int64_t> count;
  explicit counter(auto& state) : count(state, "count") {}
  void process(const arrival& a, auto& ctx) {
    const std::int64_t n = count.value_or(0) + 1;
    count.set(n);
    ctx.emit({a.key, n});
  }
};

/// When the first record came by, on any lane; 0: none has.
std::atomic<double> first_record_at{0};

/// Lets all records by.
struct note_first {
  bool noted = false;
  bool operator()(const ps::raw&) {
    if (!noted) {
      double none = 0;
      first_record_at.compare_exchange_strong(none, peers::now());
      noted = true;
    }
    return true;
  }
};

ps::topology make_job(const options& o) {
  ps::topology topo("eos-" + o.job);
  if (o.job == "copy" && o.from_first_record) {
    topo.read("in", source_of(o)).filter(note_first{}).write("out", sink_of(o), ps::unchanged);
  } else if (o.job == "copy") {
    topo.read("in", source_of(o)).write("out", sink_of(o), ps::unchanged);
  } else if (o.job == "window") {
    topo.read("in", source_of(o), arrival_format{})
        .key_by(&arrival::key)
        .window(ps::tumbling{.size = 1s})
        .aggregate("count", ps::count())
        .write("out", sink_of(o), counted_format{});
  } else {
    topo.read("in", source_of(o), arrival_format{})
        .key_by(&arrival::key)
        .process<counter>("count")
        .write("out", sink_of(o), running_format{o.mark});
  }
  return topo;
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  std::string brokers;
  std::int64_t interval_ms = 100, records = 0;
  CLI::App app("Runs a job exactly once, to be measured.");
  app.add_option("job", o.job)->required()->check(CLI::IsMember({"copy", "window", "count"}));
  app.add_option("--brokers", brokers)->required();
  app.add_option("--in", o.in)->required();
  app.add_option("--out", o.out)->required();
  app.add_option("--app", o.run.run.application)->required();
  app.add_option("--commit-interval", interval_ms, "Milliseconds")->check(CLI::Range(5, 180'000));
  app.add_option("--lanes", o.run.run.lanes);
  app.add_option("--mark", o.mark, "Header `run` of each record that count writes");
  app.add_option("--records", records, "In the input, for the figures");
  auto* bounded = app.add_flag("--bounded", o.bounded, "End where the input ends now");
  app.add_flag("--from-first-record", o.from_first_record, "Of copy: without the start of the job")
      ->needs(bounded);
  CLI11_PARSE(app, argc, argv);
  o.run.run.settings["bootstrap.servers"] = brokers;
  o.run.run.commit_interval = std::chrono::milliseconds(interval_ms);
  o.run.run.delivery = ps::guarantee::exactly_once;
  o.run.run.tell = [](const std::string& what) {
    std::printf("%s\n", what.c_str());
    std::fflush(stdout);
  };
  o.run.progress = false;
  const ps::topology topo = make_job(o);
  const peers::measurement measured;
  if (auto done = ps::run(topo, o.run); !done) {
    std::fprintf(stderr, "eos_jobs: %s\n", std::string(done.error().message()).c_str());
    return 1;
  }
  if (o.bounded) measured.print(records, records * 100, first_record_at);
  return 0;
}
