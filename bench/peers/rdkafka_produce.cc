// SPDX-License-Identifier: Apache-2.0
// The peer of `penstock perf produce`: the same records with librdkafka, idempotent as Penstock's producer
// is, with the same batches and linger, handed over in runs. Prints the same JSON line.
//
//     rdkafka_produce BROKERS TOPIC RECORDS SIZE CODEC
#include <random>
#include <string>

#include "figures.h"
#include "rdkafka.h"

namespace {

long long delivered = 0, failed = 0;

void on_events(rd_kafka_queue_t* queue, int wait_ms) {
  rd_kafka_event_t* e = rd_kafka_queue_poll(queue, wait_ms);
  if (e == nullptr) return;
  while (const rd_kafka_message_t* m = rd_kafka_event_message_next(e)) ++(m->err == 0 ? delivered : failed);
  rd_kafka_event_destroy(e);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: rdkafka_produce BROKERS TOPIC RECORDS SIZE CODEC\n");
    return 2;
  }
  const long long wanted = std::atoll(argv[3]);
  const auto size = static_cast<std::size_t>(std::atoll(argv[4]));
  std::mt19937 random(2013);
  std::vector<std::string> values(1024, std::string(size, 'a'));
  for (auto& v : values)
    for (auto& c : v) c = static_cast<char>('a' + random() % 26);

  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
  char why[256];
  for (const auto& [name, value] : {std::pair{"bootstrap.servers", argv[1]},
                                    {"enable.idempotence", const_cast<char*>("true")},
                                    {"linger.ms", const_cast<char*>("5")},
                                    {"batch.size", const_cast<char*>("262144")},
                                    {"batch.num.messages", const_cast<char*>("10000")},
                                    {"queue.buffering.max.messages", const_cast<char*>("1000000")},
                                    {"queue.buffering.max.kbytes", const_cast<char*>("1048576")},
                                    {"compression.codec", argv[5]}}) {
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
      std::fprintf(stderr, "%s: %s\n", name, why);
      return 1;
    }
  }
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  rd_kafka_queue_t* events = rd_kafka_queue_get_main(producer);
  rd_kafka_topic_t* topic = rd_kafka_topic_new(producer, argv[2], nullptr);

  const double began = peers::now();
  std::vector<rd_kafka_message_t> run(256);
  long long sent = 0, bytes = 0;
  while (sent < wanted) {
    const auto n = static_cast<std::size_t>(std::min<long long>(256, wanted - sent));
    for (std::size_t i = 0; i < n; ++i) {
      auto& v = values[static_cast<std::size_t>(sent + static_cast<long long>(i)) % values.size()];
      run[i] = {};
      run[i].payload = v.data();
      run[i].len = v.size();
    }
    std::size_t first = 0;
    while (first < n) {
      const int taken = rd_kafka_produce_batch(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                               run.data() + first, static_cast<int>(n - first));
      // A full queue refuses the rest of the run, in order.
      first += static_cast<std::size_t>(taken);
      if (first < n) on_events(events, 10);
    }
    sent += static_cast<long long>(n);
    bytes += static_cast<long long>(n * size);
    on_events(events, 0);
  }
  while (delivered + failed < wanted && peers::now() - began < 300) on_events(events, 100);
  peers::print_throughput(delivered, bytes, peers::now() - began);
  std::_Exit(delivered == wanted ? 0 : 1);
}
