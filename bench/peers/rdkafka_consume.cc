// SPDX-License-Identifier: Apache-2.0
// The peer of `penstock perf consume`: the same work with librdkafka, set up for throughput (batch consume,
// large fetches, CRCs on as Penstock has them). Prints the same JSON line.
//
//     rdkafka_consume BROKERS TOPIC PARTITIONS RECORDS [NAME=VALUE...]
#include "figures.h"
#include "rdkafka.h"

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: rdkafka_consume BROKERS TOPIC PARTITIONS RECORDS [NAME=VALUE...]\n");
    return 2;
  }
  const long long wanted = std::atoll(argv[4]);
  rd_kafka_t* consumer =
      peers::open(RD_KAFKA_CONSUMER, peers::configure({{"bootstrap.servers", argv[1]},
                                                       {"group.id", "bench"},
                                                       {"enable.auto.commit", "false"},
                                                       {"queued.min.messages", "1000000"},
                                                       {"queued.max.messages.kbytes", "262144"},
                                                       {"fetch.message.max.bytes", "10485760"},
                                                       {"check.crcs", "true"}},
                                                      argv + 5));
  rd_kafka_topic_t* topic = rd_kafka_topic_new(consumer, argv[2], nullptr);
  peers::reach(consumer, topic);
  const peers::measurement measured;
  rd_kafka_queue_t* queue = peers::assign(consumer, argv[2], std::atoi(argv[3]), 0);
  std::vector<rd_kafka_message_t*> batch(10'000);
  long long records = 0, bytes = 0;
  while (records < wanted && measured.seconds() < 300) {
    const ssize_t n = rd_kafka_consume_batch_queue(queue, 1000, batch.data(), batch.size());
    for (ssize_t i = 0; i < n; ++i) {
      rd_kafka_message_t* m = batch[static_cast<std::size_t>(i)];
      if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ++records;
        bytes += static_cast<long long>(m->len + m->key_len);
      }
      rd_kafka_message_destroy(m);
    }
  }
  measured.print(records, bytes);
  // No orderly close: it would be part of nobody's measurement and takes seconds.
  std::_Exit(records >= wanted ? 0 : 1);
}
