// SPDX-License-Identifier: Apache-2.0
// From send to poll: Penstock's producer and consumer in one process, without linger, at a fixed rate. The
// value of a record is the time of its sending. The records of the first second are not counted: in it
// connections are made. Prints one JSON line; bench/client.py runs it beside a peer.
//
//     latency_probe BROKERS TOPIC RECORDS RATE
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>

#include "peers/figures.h"

namespace kafka = penstock::kafka;
using namespace std::chrono_literals;

namespace {

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

int complain(const penstock::error& e) {
  std::fprintf(stderr, "latency_probe: %s\n", std::string(e.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: latency_probe BROKERS TOPIC RECORDS RATE\n");
    return 2;
  }
  const std::string topic = argv[2];
  const auto wanted = static_cast<std::size_t>(std::atoll(argv[3]));
  const auto rate = static_cast<std::size_t>(std::atoll(argv[4]));
  const auto every = std::chrono::nanoseconds(1'000'000'000 / rate);
  auto consumer = kafka::consumer::create({.bootstrap_servers = argv[1]});
  if (!consumer) return complain(consumer.error());
  if (auto r = consumer->assign({{{topic, 0}, kafka::earliest_offset}}); !r) return complain(r.error());
  auto producer = kafka::producer::create({.bootstrap_servers = argv[1], .linger = 0ms});
  if (!producer) return complain(producer.error());

  std::thread sending([&] {
    auto due = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < wanted + rate; ++i, due += every) {
      std::this_thread::sleep_until(due);  // the pace of the load
      char value[100] = {};
      const std::int64_t sent = now_ns();
      std::memcpy(value, &sent, sizeof sent);
      if (auto r = producer->send({.topic = topic, .value = {value, sizeof value}, .partition = 0}); !r) {
        complain(r.error());
        return;
      }
    }
  });
  std::vector<std::int64_t> times;
  const double began = peers::now();
  std::size_t seen = 0;
  while (times.size() < wanted && peers::now() - began < 120) {
    auto batches = consumer->poll(1s);
    if (!batches) {
      sending.join();
      return complain(batches.error());
    }
    for (auto& batch : *batches) {
      for (const auto& r : batch.records()) {
        if (++seen <= rate) continue;
        std::int64_t sent = 0;
        std::memcpy(&sent, r.value.data(), sizeof sent);
        times.push_back(now_ns() - sent);
      }
    }
  }
  sending.join();
  const bool all = times.size() == wanted;
  if (!times.empty()) peers::print_latency(std::move(times));
  return all ? 0 : 1;
}
