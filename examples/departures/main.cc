// SPDX-License-Identifier: Apache-2.0
// The demo: a real year of departures, from file to board. A broker in this process, a job that reads and
// writes it over TCP as it would any Kafka, and the judge: SQLite over the same files.
#include <fmt/format.h>
#include <penstock/broker.h>
#include <penstock/json.h>
#include <penstock/run.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "batch_answer.h"
#include "job.h"
#include "topics.h"

namespace ps = penstock;

namespace departures {
namespace {

struct demo_options {
  std::string data = DEPARTURES_DATA;
  std::string directory = DEPARTURES_DIRECTORY;
  std::string json;
  unsigned lanes = 0;
  bool keep = false;
};

class stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

std::string rate(std::size_t records, double seconds) {
  return fmt::format("{} records in {:.2f} s, {:.0f}/s", records, seconds,
                     static_cast<double>(records) / seconds);
}

template <typename Row>
ps::result<std::vector<Row>> decode_rows(const std::vector<std::string>& values) {
  std::vector<Row> rows;
  for (const std::string& v : values) {
    ps::raw record;
    record.value = v;
    auto decoded = ps::decode_with(ps::json<Row>, record, rows.emplace_back());
    if (!decoded) return ps::fail(decoded.error().with_context(v));
  }
  return rows;
}

void print_worst_hours(std::vector<board_row> rows) {
  constexpr std::int64_t enough_departures = 10;
  constexpr std::ptrdiff_t shown = 10;
  std::erase_if(rows, [](const board_row& r) { return r.departures < enough_departures; });
  const auto last = rows.begin() + std::min(shown, std::ssize(rows));
  std::partial_sort(rows.begin(), last, rows.end(),
                    [](const board_row& a, const board_row& b) { return *a.mean_delay > *b.mean_delay; });
  fmt::print(
      "\nThe ten worst hours of the year (mean delay in minutes, of hours with at least {} departures)\n\n",
      enough_departures);
  fmt::print("  {:<6}  {:<20}  {:>10}  {:>10}  {:>7}  {:>9}\n", "origin", "hour (UTC)", "departures",
             "mean delay", "largest", "cancelled");
  for (auto r = rows.begin(); r != last; ++r)
    fmt::print("  {:<6}  {:<20}  {:>10}  {:>10.1f}  {:>7}  {:>9}\n", r->origin, r->hour, r->departures,
               *r->mean_delay, *r->max_delay, r->cancelled);
  fmt::print("\n");
}

ps::result<> write_lines(const std::filesystem::path& path, const std::vector<std::string>& lines) {
  std::ofstream out(path);
  for (const std::string& line : lines) out << line << '\n';
  out.flush();
  if (!out) return ps::fail(ps::errc::io, "cannot write " + path.string());
  return {};
}

void print_ways_to_look(const std::string& brokers, const std::string& directory) {
  fmt::print(
      "\nThe broker stays up; its data is in {1}. To look at it:\n"
      "  kcat -b {0} -L\n"
      "  kcat -b {0} -C -t board -e -q\n"
      "  kcat -b {0} -C -t departures -p 0 -o 0 -c 3 -f '%k at %T: %s\\n'\n"
      "Ctrl-C stops it.\n",
      brokers, directory);
  std::fflush(stdout);
}

// True when every row equals the batch answer.
ps::result<bool> demo(const demo_options& options) {
  auto flights_csv = read_data(options.data + "/flights.csv.zst");
  if (!flights_csv) return ps::fail(flights_csv.error());
  auto airlines_csv = read_data(options.data + "/airlines.csv");
  if (!airlines_csv) return ps::fail(airlines_csv.error());
  auto flights = parse_flights(*flights_csv);
  if (!flights) return ps::fail(flights.error());
  auto airlines = parse_airlines(*airlines_csv);
  if (!airlines) return ps::fail(airlines.error());
  const std::size_t count = flights->size();

  const std::string directory = options.directory + "/broker";
  std::filesystem::remove_all(directory);  // an earlier run's
  auto broker = ps::embedded_broker::start({.directory = directory});
  if (!broker) return ps::fail(broker.error());
  const std::string brokers = broker->bootstrap_servers();
  fmt::print("broker     {} in {}\n", brokers, directory);

  const stopwatch publishing;
  if (auto made = create_topics(brokers); !made) return ps::fail(made.error());
  if (auto sent = publish(brokers, std::move(*flights), *airlines); !sent) return ps::fail(sent.error());
  fmt::print("published  departures: {}\n", rate(count, publishing.seconds()));
  std::fflush(stdout);

  const stopwatch processing;
  auto ran = ps::run(
      departure_board(),
      {.run = {.lanes = options.lanes, .settings = {{"bootstrap.servers", brokers}}}, .progress = {}});
  if (!ran) return ps::fail(ran.error());
  fmt::print("processed  departure-board: {}\n", rate(count, processing.seconds()));
  std::fflush(stdout);

  auto board = read_topic(brokers, "board");
  if (!board) return ps::fail(board.error());
  auto carriers = read_topic(brokers, "carriers");
  if (!carriers) return ps::fail(carriers.error());
  if (!options.json.empty()) {
    std::filesystem::create_directories(options.json);
    for (const auto& [name, lines] :
         {std::pair{"board.ndjson", &*board}, std::pair{"carriers.ndjson", &*carriers}})
      if (auto wrote = write_lines(std::filesystem::path(options.json) / name, *lines); !wrote)
        return ps::fail(wrote.error());
  }
  auto board_rows = decode_rows<board_row>(*board);
  if (!board_rows) return ps::fail(board_rows.error());
  auto carrier_rows = decode_rows<carrier_row>(*carriers);
  if (!carrier_rows) return ps::fail(carrier_rows.error());
  print_worst_hours(*board_rows);

  auto expected = batch_answer(*flights_csv, *airlines_csv);
  if (!expected) return ps::fail(expected.error());
  const auto wrong = differences({std::move(*board_rows), std::move(*carrier_rows)}, *expected);
  for (const std::string& difference : wrong) fmt::print("{}\n", difference);
  if (wrong.empty()) {
    fmt::print("verified: {} board rows and {} carrier rows equal the batch answer\n", board->size(),
               carriers->size());
  } else {
    fmt::print("{} rows differ from the batch answer\n", wrong.size());
  }
  std::fflush(stdout);
  if (options.keep) {
    print_ways_to_look(brokers, directory);
    ps::wait_for_stop_signal();
  }
  auto stopped = broker->stop();
  if (!stopped) return ps::fail(stopped.error());
  if (!options.keep) std::filesystem::remove_all(directory);
  return wrong.empty();
}

}  // namespace
}  // namespace departures

int main(int argc, char** argv) {
  departures::demo_options options;
  CLI::App app(
      "A real year of departures, from file to board: publishes the flights of 2013, runs the job "
      "departure-board over them, and compares every row with SQLite.");
  app.add_option("--json", options.json, "Leave board.ndjson and carriers.ndjson in this directory");
  app.add_flag("--keep", options.keep, "Leave broker and data up afterwards, until Ctrl-C");
  app.add_option("--lanes", options.lanes, "Threads of the job (default: one a core)");
  app.add_option("--data", options.data, "Directory of the input files")->capture_default_str();
  app.add_option("--dir", options.directory,
                 "The broker keeps its data in DIR/broker, which is emptied first")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    auto equal = departures::demo(options);
    if (equal) return *equal ? 0 : 1;
    fmt::print(stderr, "departures: {}\n", equal.error().message());
  } catch (const std::exception& e) {  // std::filesystem, memory
    fmt::print(stderr, "departures: {}\n", e.what());
  }
  return 1;
}
