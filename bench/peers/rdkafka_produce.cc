// SPDX-License-Identifier: Apache-2.0
// The peer of `penstock perf produce`: the same records with librdkafka, idempotent as Penstock's producer
// is, copied as there, and counted by their delivery reports. Settings and the use of the API are the fastest
// that were found (docs/performance.md says what was tried). Prints the same JSON line.
//
//     rdkafka_produce BROKERS TOPIC PARTITIONS RECORDS SIZE CODEC WAY [NAME=VALUE...]
//
// WAY: `dealt`, runs of records handed over in one call (rd_kafka_produce_batch), the runs dealt to the
// partitions in turn by the program; `batches`, the same without naming a partition; `records`, one call a
// record (rd_kafka_produce), dealt in turn; `keyed`, the same with a key in each record, 100,000 different
// ones, and delivery reports by callback, which is how the library's own examples use it. NAME=VALUE: more
// settings.
#include <charconv>
#include <random>
#include <string>
#include <string_view>

#include "figures.h"
#include "rdkafka.h"

namespace {

constexpr std::size_t run_length = 256;
constexpr long long different_keys = 100'000;

struct load {
  rd_kafka_t* producer = nullptr;
  rd_kafka_topic_t* topic = nullptr;
  rd_kafka_queue_t* events = nullptr;  // without it, reports come by callback
  int partitions = 1;
  long long wanted = 0;
  std::vector<std::string> values{};
  long long delivered = 0, failed = 0, bytes = 0;

  void take_reports(int wait_ms) {
    if (events == nullptr) {
      rd_kafka_poll(producer, wait_ms);
      return;
    }
    rd_kafka_event_t* e = rd_kafka_queue_poll(events, wait_ms);
    if (e == nullptr) return;
    while (const rd_kafka_message_t* m = rd_kafka_event_message_next(e)) ++(m->err == 0 ? delivered : failed);
    rd_kafka_event_destroy(e);
  }
  std::string& value(long long number) { return values[static_cast<std::size_t>(number) % values.size()]; }

  void send_runs(bool dealt) {
    std::vector<rd_kafka_message_t> run(run_length);
    int turn = 0;
    for (long long sent = 0; sent < wanted;) {
      const auto n = static_cast<std::size_t>(std::min<long long>(run_length, wanted - sent));
      for (std::size_t i = 0; i < n; ++i) {
        auto& v = value(sent + static_cast<long long>(i));
        run[i] = {};
        run[i].payload = v.data();
        run[i].len = v.size();
        bytes += static_cast<long long>(v.size());
      }
      const std::int32_t partition = dealt ? turn++ % partitions : RD_KAFKA_PARTITION_UA;
      std::size_t first = 0;
      while (first < n) {
        const int taken = rd_kafka_produce_batch(topic, partition, RD_KAFKA_MSG_F_COPY, run.data() + first,
                                                 static_cast<int>(n - first));
        // A full queue refuses the rest of the run, in order.
        first += static_cast<std::size_t>(taken);
        if (first < n) take_reports(10);
      }
      sent += static_cast<long long>(n);
      take_reports(0);
    }
  }
  static void reported(rd_kafka_t*, const rd_kafka_message_t* m, void* self) {
    auto& all = *static_cast<load*>(self);
    ++(m->err == 0 ? all.delivered : all.failed);
  }
  void send_records(bool keyed) {
    char key[16] = {'k'};
    for (long long sent = 0; sent < wanted; ++sent) {
      auto& v = value(sent);
      std::size_t key_size = 0;
      if (keyed)
        key_size = static_cast<std::size_t>(
            std::to_chars(key + 1, key + sizeof key, sent * 7919 % different_keys).ptr - key);
      while (rd_kafka_produce(topic, static_cast<std::int32_t>(sent % partitions), RD_KAFKA_MSG_F_COPY,
                              v.data(), v.size(), keyed ? key : nullptr, key_size, nullptr) != 0)
        take_reports(10);
      bytes += static_cast<long long>(v.size() + key_size);
      if (sent % 1024 == 0) take_reports(0);
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view way = argc > 7 ? argv[7] : "";
  if (way != "dealt" && way != "batches" && way != "records" && way != "keyed") {
    std::fprintf(stderr,
                 "usage: rdkafka_produce BROKERS TOPIC PARTITIONS RECORDS SIZE CODEC "
                 "dealt|batches|records|keyed [NAME=VALUE...]\n");
    return 2;
  }
  load all{.partitions = std::atoi(argv[3]), .wanted = std::atoll(argv[4])};
  std::mt19937 random(2013);
  all.values.assign(1024, std::string(static_cast<std::size_t>(std::atoll(argv[5])), 'a'));
  for (auto& v : all.values)
    for (auto& c : v) c = static_cast<char>('a' + random() % 26);

  rd_kafka_conf_t* conf = peers::configure({{"bootstrap.servers", argv[1]},
                                            {"enable.idempotence", "true"},
                                            {"linger.ms", "20"},
                                            {"batch.size", "1000000"},
                                            {"batch.num.messages", "100000"},
                                            {"queue.buffering.max.messages", "2000000"},
                                            {"queue.buffering.max.kbytes", "1048576"},
                                            {"compression.codec", argv[6]}},
                                           argv + 8);
  const bool keyed = way == "keyed";
  if (keyed) {
    rd_kafka_conf_set_opaque(conf, &all);
    rd_kafka_conf_set_dr_msg_cb(conf, load::reported);
  } else {
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
  }
  all.producer = peers::open(RD_KAFKA_PRODUCER, conf);
  if (!keyed) all.events = rd_kafka_queue_get_main(all.producer);
  all.topic = rd_kafka_topic_new(all.producer, argv[2], nullptr);
  peers::reach(all.producer, all.topic);

  const peers::measurement measured;
  if (way == "records" || keyed)
    all.send_records(keyed);
  else
    all.send_runs(way == "dealt");
  while (all.delivered + all.failed < all.wanted && measured.seconds() < 300) all.take_reports(100);
  measured.print(all.delivered, all.bytes);
  std::_Exit(all.delivered == all.wanted ? 0 : 1);
}
