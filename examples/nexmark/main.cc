// SPDX-License-Identifier: Apache-2.0
// Runs a query of the Nexmark benchmark, or makes its events.
#include <fmt/format.h>
#include <penstock/job.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "publish.h"
#include "query.h"

namespace ps = penstock;

namespace nexmark {
namespace {

struct options {
  std::string query;
  std::string input, output;
  std::int64_t generate = 0;
  std::string brokers, topic = "nexmark";
  std::int32_t partitions = 4;
  generator_options events;
  unsigned lanes = 1;
  bool preload = false, json = false, describe = false;
};

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

ps::result<> write_events(const generator& make, std::int64_t count, const std::string& path) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  event e;
  std::string lines;
  for (std::int64_t i = 0; i < count; ++i) {
    make.make(i, e);
    event_format{}.encode(e, lines);
    lines.push_back('\n');
    if (lines.size() < 1 << 20 && i + 1 < count) continue;
    file << lines;
    lines.clear();
  }
  file.close();
  if (!file) return ps::fail(ps::errc::io, "cannot write " + path);
  return {};
}

event_input input_of(const options& o) {
  if (!o.input.empty()) return {ndjson_file(o.input)};
  if (!o.brokers.empty()) {
    return {ps::kafka::source{.topics = {o.topic},
                              .brokers = o.brokers,
                              .watermarks = disorder,
                              .start = ps::kafka::start_at::earliest(),
                              .stop = ps::kafka::stop_at::latest()}};
  }
  events_in_memory memory{.count = o.generate, .made = generator(o.events)};
  if (o.generate % o.lanes == 0) memory.splits = o.lanes;
  if (o.preload) {
    auto list = std::make_shared<std::vector<event>>(static_cast<std::size_t>(o.generate));
    for (std::int64_t i = 0; i < o.generate; ++i) memory.made.make(i, (*list)[static_cast<std::size_t>(i)]);
    memory.list = std::move(list);
  }
  return {std::move(memory)};
}

ps::result<> run_query(const options& o) {
  auto out = rows::to(o.output);
  if (!out) return ps::fail(out.error());
  const ps::topology topo = query_named(o.query)(input_of(o), *out);
  if (o.describe) {
    fmt::print("{}", topo.describe());
    return {};
  }
  const auto began = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  // A new application each time: the topic is read from its beginning.
  const std::string application = fmt::format("nexmark-{}-{}", o.query, began.time_since_epoch().count());
  auto job = ps::job::start(topo, {.application = application, .lanes = o.lanes});
  if (!job) return ps::fail(job.error());
  if (auto end = (*job)->wait(); !end) return end;
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - began;
  const double used = cpu_seconds() - cpu;
  if (auto closed = out->close(); !closed) return closed;

  const auto events = (*job)->progress().records_read;
  const double rate = static_cast<double>(events) / wall.count();
  const double cpu_ns = events == 0 ? 0 : used * 1e9 / static_cast<double>(events);
  if (o.json) {
    fmt::print(
        "{{\"query\":\"{}\",\"lanes\":{},\"events\":{},\"rows\":{},\"seconds\":{:.6f},\"records_per_second\":"
        "{:.0f},"
        "\"cpu_ns_per_record\":{:.2f}}}\n",
        o.query, o.lanes, events, out->count(), wall.count(), rate, cpu_ns);
  } else {
    fmt::print("{}: {} events, {} rows, {:.3f} s, {:.3f} M events/s, {:.1f} ns CPU an event\n", o.query,
               events, out->count(), wall.count(), rate / 1e6, cpu_ns);
  }
  return {};
}

ps::result<> run(const options& o) {
  if (o.generate > 0 && !o.brokers.empty()) {
    auto sent = publish(generator(o.events), o.generate, {o.brokers, o.topic, o.partitions});
    if (!sent || o.query.empty()) return sent;
  }
  if (!o.query.empty()) return run_query(o);
  return write_events(generator(o.events), o.generate, o.output);
}

/// What is wrong with the options together, or nothing.
std::string problem(const options& o) {
  if (o.query.empty() && o.generate == 0) return "say what to do: --query qN, or --generate N for events";
  if (o.query.empty() && o.brokers.empty() && o.output.empty())
    return "say where the events go: --output FILE or --brokers B";
  if (!o.input.empty() && (o.generate > 0 || !o.brokers.empty()))
    return "--input excludes --generate and --brokers: events come from one place";
  if (!o.query.empty() && o.input.empty() && o.generate == 0 && o.brokers.empty())
    return "say where the events come from: --input FILE, --generate N or --brokers B";
  return {};
}

}  // namespace
}  // namespace nexmark

int main(int argc, char** argv) {
  nexmark::options o;
  CLI::App app(
      "The Nexmark benchmark: queries over an auction's events. Events come from a file (--input), a topic "
      "(--brokers) or the generator (--generate); rows go to a file (--output) or are counted only. Without "
      "--query the events of --generate are written to --output or published to --brokers.");
  std::vector<std::string> names;
  for (const auto& [name, maker] : nexmark::queries()) names.emplace_back(name);
  app.add_option("--query", o.query, "The query: q0-q5, q7-q9, q11, q12, q15-q20, q22")
      ->check(CLI::IsMember(names));
  app.add_option("--input", o.input, "Read the events from this file, one JSON object a line");
  app.add_option("--output", o.output, "Write the rows to this file, one JSON object a line");
  app.add_option("--generate", o.generate, "Make so many events")->check(CLI::PositiveNumber);
  app.add_option("--brokers", o.brokers,
                 "Kafka (host:port,...): read the events from a topic; with --generate, fill it first");
  app.add_option("--topic", o.topic, "The topic of the events")->capture_default_str();
  app.add_option("--partitions", o.partitions, "Of the topic, when it is made")->capture_default_str();
  app.add_option("--lanes", o.lanes, "Threads of the query")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1024u));
  app.add_option("--seed", o.events.seed, "Of the generator")->capture_default_str();
  app.add_option("--rate", o.events.events_per_second, "Events in a second of event time")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option_function<std::string>(
         "--start",
         [&o](const std::string& text) {
           nexmark::timestamp t;
           if (!nexmark::parse(text, t)) throw CLI::ValidationError("--start", "not a time: " + text);
           o.events.first_ms = t.ms;
         },
         "The time of the first event")
      ->default_str("2015-07-15 00:00:00");
  app.add_option("--out-of-order", o.events.out_of_order, "Shuffle the times of so many events on end")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_flag("--preload", o.preload, "Make all events of --generate before the clock starts");
  app.add_flag("--json", o.json, "Print the figures as JSON");
  app.add_flag("--describe", o.describe, "Show the query's topology and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (const std::string wrong = nexmark::problem(o); !wrong.empty()) {
    fmt::print(stderr, "nexmark: {}\n", wrong);
    return 2;
  }
  try {
    const auto done = nexmark::run(o);
    if (done) return 0;
    fmt::print(stderr, "nexmark: {}\n", done.error().message());
  } catch (const std::exception& e) {
    fmt::print(stderr, "nexmark: {}\n", e.what());
  }
  return 1;
}
