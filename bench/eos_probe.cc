// SPDX-License-Identifier: Apache-2.0
// What bench/eos.py looks at jobs with from outside.
//
//     eos_probe feed BROKERS TOPIC RECORDS KEYS
//         keyed records of 100 bytes, 1,000 a millisecond of event time
//     eos_probe pace BROKERS TOPIC RATE SECONDS KEYS
//         so many keyed records a second
//     eos_probe sum BROKERS TOPIC
//         committed records, and the sum of their values in decimal
//     eos_probe latency BROKERS IN OUT RATE SECONDS
//         from produce to read_committed consume, through a job
//     eos_probe watch BROKERS TOPIC MARK
//         when the first committed record with the header run=MARK came
//
// Each prints one line of JSON; `watch` one more, "watching", once it is at the end of the topic.
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "peers/figures.h"

namespace ps = penstock;
namespace kafka = penstock::kafka;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t run_length = 250;
constexpr double patience_seconds = 120;

[[noreturn]] void fail(std::string_view why) {
  std::fprintf(stderr, "eos_probe: %.*s\n", static_cast<int>(why.size()), why.data());
  std::exit(1);
}
template <typename T>
T get(ps::result<T> r) {
  if (!r) fail(r.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

std::vector<std::string> make_keys(std::size_t n) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < n; ++i) keys.push_back("k" + std::to_string(i));
  return keys;
}

/// Keys come mixed, each equally often. Values fill the record up to 100 bytes.
void feed(const char* brokers, const std::string& topic, std::size_t records, std::size_t keys_count) {
  constexpr std::int64_t began_ms = 1'700'000'000'000;
  const auto keys = make_keys(keys_count);
  const std::string filling(100, 'x');
  auto producer = get(kafka::producer::create({.bootstrap_servers = brokers, .batch_size = 256u << 10}));
  get(producer.partitions_of(topic));
  const peers::measurement measured;
  std::vector<kafka::record_to_send> run(run_length);
  for (std::size_t sent = 0; sent < records;) {
    const std::size_t n = std::min(run_length, records - sent);
    for (std::size_t i = 0; i < n; ++i) {
      const std::string& key = keys[(sent + i) * 7919 % keys.size()];
      run[i] = {.topic = topic,
                .key = key,
                .value = std::string_view(filling).substr(key.size()),
                .timestamp_ms = began_ms + static_cast<std::int64_t>((sent + i) / 1000)};
    }
    get(producer.send(std::span(run).first(n)));
    sent += n;
  }
  get(producer.flush(2min));
  measured.print(static_cast<long long>(records), static_cast<long long>(records) * 100);
}

/// Calls send(i) at the rate, in ticks of a millisecond.
void at_rate(std::size_t rate, double seconds, const std::atomic<bool>& stop,
             const std::function<void(std::size_t)>& send) {
  const auto began = std::chrono::steady_clock::now();
  const auto wanted = static_cast<std::size_t>(static_cast<double>(rate) * seconds);
  for (std::size_t sent = 0, tick = 1; sent < wanted && !stop; ++tick) {
    for (const std::size_t due = std::min(wanted, tick * rate / 1000); sent < due; ++sent) send(sent);
    std::this_thread::sleep_until(began + std::chrono::milliseconds(tick));  // the pace of the load
  }
}

void pace(const char* brokers, const std::string& topic, std::size_t rate, double seconds,
          std::size_t keys_count) {
  const auto keys = make_keys(keys_count);
  const std::string filling(90, 'x');
  auto producer = get(kafka::producer::create({.bootstrap_servers = brokers, .linger = 1ms}));
  const peers::measurement measured;
  std::size_t sent = 0;
  at_rate(rate, seconds, false, [&](std::size_t i) {
    get(producer.send({.topic = topic, .key = keys[i * 7919 % keys.size()], .value = filling}));
    ++sent;
  });
  get(producer.flush(2min));
  measured.print(static_cast<long long>(sent), static_cast<long long>(sent) * 100);
}

/// A consumer of all partitions of a topic.
kafka::consumer consumer_of(const char* brokers, const std::string& topic, std::int64_t from,
                            kafka::isolation_level isolation = kafka::isolation_level::read_committed) {
  auto consumer = get(kafka::consumer::create({.bootstrap_servers = brokers, .isolation_level = isolation}));
  std::vector<kafka::start_position> starts;
  for (const auto& tp : get(consumer.partitions_of(topic))) starts.push_back({tp, from});
  get(consumer.assign(std::move(starts)));
  return consumer;
}

void sum(const char* brokers, const std::string& topic) {
  auto consumer = consumer_of(brokers, topic, kafka::earliest_offset);
  const auto partitions = consumer.assignment();
  // The ends of the logs: what is committed may become visible a little later.
  auto all = consumer_of(brokers, topic, kafka::earliest_offset, kafka::isolation_level::read_uncommitted);
  const auto ends = get(all.end_offsets(partitions));
  long long records = 0, total = 0;
  const double began = peers::now();
  const auto at_end = [&] {
    for (std::size_t i = 0; i < partitions.size(); ++i) {
      const auto at = consumer.position(partitions[i]);
      if (ends[i] > 0 && (!at || *at < ends[i])) return false;
    }
    return true;
  };
  while (!at_end()) {
    if (peers::now() - began > patience_seconds) fail(topic + " could not be read to its end");
    for (const auto& batch : get(consumer.poll(100ms))) {
      for (const auto& r : batch.records()) {
        ++records;
        long long value = 0;
        std::from_chars(r.value.data(), r.value.data() + r.value.size(), value);
        total += value;
      }
    }
  }
  std::printf("{\"records\":%lld,\"sum\":%lld}\n", records, total);
}

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

/// The value of a record is the time of its sending. The first two seconds are not counted: connections are
/// made, and compilers get warm.
void latency(const char* brokers, const std::string& in, const std::string& out, std::size_t rate,
             double seconds) {
  constexpr double warm_up = 2;
  auto consumer = consumer_of(brokers, out, kafka::latest_offset);
  get(consumer.poll(500ms));  // it has found its place
  auto producer = get(kafka::producer::create({.bootstrap_servers = brokers, .linger = 0ms}));
  get(producer.partitions_of(in));
  const auto keys = make_keys(1000);
  std::atomic<bool> stop{false};
  std::thread sending([&] {
    at_rate(rate, warm_up + seconds, stop, [&](std::size_t i) {
      char value[100] = {};
      const std::int64_t sent = now_ns();
      std::memcpy(value, &sent, sizeof sent);
      get(producer.send({.topic = in, .key = keys[i % keys.size()], .value = {value, sizeof value}}));
    });
  });
  const auto skipped = static_cast<std::size_t>(warm_up * static_cast<double>(rate));
  const auto wanted = skipped + static_cast<std::size_t>(seconds * static_cast<double>(rate));
  std::vector<std::int64_t> times;
  const double began = peers::now();
  std::size_t seen = 0;
  while (seen < wanted && peers::now() - began < patience_seconds) {
    for (const auto& batch : get(consumer.poll(1s))) {
      for (const auto& r : batch.records()) {
        if (++seen <= skipped) continue;
        std::int64_t sent = 0;
        std::memcpy(&sent, r.value.data(), sizeof sent);
        times.push_back(now_ns() - sent);
      }
    }
  }
  stop = true;
  sending.join();
  if (seen != wanted) fail(std::to_string(wanted - seen) + " records did not come out of the job");
  peers::print_latency(std::move(times));
}

void watch(const char* brokers, const std::string& topic, std::string_view mark) {
  auto consumer = consumer_of(brokers, topic, kafka::latest_offset);
  get(consumer.poll(500ms));
  std::printf("watching\n");
  std::fflush(stdout);
  const double began = peers::now();
  while (peers::now() - began < patience_seconds) {
    for (const auto& batch : get(consumer.poll(1s))) {
      for (const auto& r : batch.records()) {
        if (r.headers.find("run") != mark) continue;
        std::printf("{\"monotonic_ns\":%lld}\n", static_cast<long long>(now_ns()));
        return;
      }
    }
  }
  fail("no record with that mark came");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  const auto number = [&](int i) { return static_cast<std::size_t>(std::atoll(argv[i])); };
  if (verb == "feed" && argc == 6) {
    feed(argv[2], argv[3], number(4), number(5));
  } else if (verb == "pace" && argc == 7) {
    pace(argv[2], argv[3], number(4), std::atof(argv[5]), number(6));
  } else if (verb == "sum" && argc == 4) {
    sum(argv[2], argv[3]);
  } else if (verb == "latency" && argc == 7) {
    latency(argv[2], argv[3], argv[4], number(5), std::atof(argv[6]));
  } else if (verb == "watch" && argc == 5) {
    watch(argv[2], argv[3], argv[4]);
  } else {
    std::fprintf(
        stderr,
        "usage: eos_probe feed|pace|sum|latency|watch BROKERS TOPIC ... (see the head of its source)\n");
    return 2;
  }
  return 0;
}
