// SPDX-License-Identifier: Apache-2.0
// The peer of latency_probe: librdkafka's producer and consumer in one process, without linger, at a fixed
// rate. The value of a record is the time of its sending. The records of the first second are not counted: in
// it connections are made. Nagle's algorithm is off, which librdkafka leaves on unless told.
//
//     rdkafka_latency BROKERS TOPIC RECORDS RATE
#include <cstring>
#include <thread>

#include "figures.h"
#include "rdkafka.h"

namespace {

std::int64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: rdkafka_latency BROKERS TOPIC RECORDS RATE\n");
    return 2;
  }
  const long long wanted = std::atoll(argv[3]);
  const long long rate = std::atoll(argv[4]);
  const long long every_ns = 1'000'000'000 / rate;
  rd_kafka_t* consumer = peers::open(RD_KAFKA_CONSUMER, peers::configure({{"bootstrap.servers", argv[1]},
                                                                          {"group.id", "latency"},
                                                                          {"enable.auto.commit", "false"},
                                                                          {"socket.nagle.disable", "true"},
                                                                          {"fetch.wait.max.ms", "500"}}));
  rd_kafka_queue_t* queue = peers::assign(consumer, argv[2], 1, RD_KAFKA_OFFSET_BEGINNING);
  rd_kafka_t* producer = peers::open(RD_KAFKA_PRODUCER, peers::configure({{"bootstrap.servers", argv[1]},
                                                                          {"enable.idempotence", "true"},
                                                                          {"socket.nagle.disable", "true"},
                                                                          {"linger.ms", "0"}}));
  std::thread sending([&] {
    const std::int64_t began = now_ns();
    for (long long i = 0; i < wanted + rate; ++i) {
      const std::int64_t due = began + i * every_ns;
      timespec t{due / 1'000'000'000, due % 1'000'000'000};
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);  // the pace of the load
      char value[100] = {};
      const std::int64_t sent = now_ns();
      std::memcpy(value, &sent, sizeof sent);
      rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(argv[2]), RD_KAFKA_V_PARTITION(0),
                        RD_KAFKA_V_VALUE(value, sizeof value), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                        RD_KAFKA_V_END);
      rd_kafka_poll(producer, 0);
    }
  });
  std::vector<std::int64_t> times;
  const double began = peers::now();
  long long seen = 0;
  while (static_cast<long long>(times.size()) < wanted && peers::now() - began < 120) {
    rd_kafka_message_t* m = rd_kafka_consume_queue(queue, 1000);
    if (m == nullptr) continue;
    if (m->err == 0 && m->len >= sizeof(std::int64_t) && ++seen > rate) {
      std::int64_t sent = 0;
      std::memcpy(&sent, m->payload, sizeof sent);
      times.push_back(now_ns() - sent);
    }
    rd_kafka_message_destroy(m);
  }
  sending.join();
  const bool all = static_cast<long long>(times.size()) == wanted;
  if (!times.empty()) peers::print_latency(std::move(times));
  std::_Exit(all ? 0 : 1);
}
