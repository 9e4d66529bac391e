// SPDX-License-Identifier: Apache-2.0
// The peer of `penstock perf consume`: the same work with librdkafka, set up for throughput (batch consume,
// large fetches, CRCs on as Penstock has them). Prints the same JSON line.
//
//     rdkafka_consume BROKERS TOPIC PARTITIONS RECORDS
#include <librdkafka/rdkafka.h>
#include <sys/resource.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

double seconds(clockid_t which) {
  timespec t{};
  clock_gettime(which, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void set(rd_kafka_conf_t* conf, const char* name, const char* value) {
  char why[256];
  if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
    std::fprintf(stderr, "%s: %s\n", name, why);
    std::exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: rdkafka_consume BROKERS TOPIC PARTITIONS RECORDS\n");
    return 2;
  }
  const int partitions = std::atoi(argv[3]);
  const long long wanted = std::atoll(argv[4]);

  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", argv[1]);
  set(conf, "group.id", "bench");
  set(conf, "enable.auto.commit", "false");
  set(conf, "queued.min.messages", "1000000");
  set(conf, "queued.max.messages.kbytes", "262144");
  set(conf, "fetch.message.max.bytes", "10485760");
  set(conf, "check.crcs", "true");
  char why[256];
  rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
  if (consumer == nullptr) {
    std::fprintf(stderr, "%s\n", why);
    return 1;
  }
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(consumer);
  rd_kafka_topic_partition_list_t* all = rd_kafka_topic_partition_list_new(partitions);
  for (int p = 0; p < partitions; ++p) rd_kafka_topic_partition_list_add(all, argv[2], p)->offset = 0;

  const double began = seconds(CLOCK_MONOTONIC);
  rd_kafka_assign(consumer, all);
  std::vector<rd_kafka_message_t*> batch(10'000);
  long long records = 0, bytes = 0;
  while (records < wanted && seconds(CLOCK_MONOTONIC) - began < 300) {
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
  const double took = seconds(CLOCK_MONOTONIC) - began;
  const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"records\":%lld,\"bytes\":%lld,\"seconds\":%.3f,\"records_per_second\":%.0f,\"megabytes_per_"
      "second\":%.1f,"
      "\"cpu_ns_per_record\":%.1f,\"max_rss_kib\":%ld}\n",
      records, bytes, took, static_cast<double>(records) / took, static_cast<double>(bytes) / took / 1e6,
      cpu * 1e9 / static_cast<double>(records > 0 ? records : 1), usage.ru_maxrss);
  // No orderly close: it would be part of nobody's measurement and takes seconds.
  std::fflush(stdout);
  std::_Exit(records >= wanted ? 0 : 1);
}
