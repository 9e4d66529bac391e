// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <utility>

namespace peers {

inline rd_kafka_t* open(rd_kafka_type_t type,
                        std::initializer_list<std::pair<const char*, const char*>> settings) {
  char why[256];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [name, value] : settings) {
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK) continue;
    std::fprintf(stderr, "%s: %s\n", name, why);
    std::exit(1);
  }
  rd_kafka_t* client = rd_kafka_new(type, conf, why, sizeof why);
  if (client != nullptr) return client;
  std::fprintf(stderr, "%s\n", why);
  std::exit(1);
}

/// A consumer's queue; the topic's partitions from `offset` on.
inline rd_kafka_queue_t* assign(rd_kafka_t* consumer, const char* topic, int partitions,
                                std::int64_t offset) {
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_topic_partition_list_t* all = rd_kafka_topic_partition_list_new(partitions);
  for (int p = 0; p < partitions; ++p) rd_kafka_topic_partition_list_add(all, topic, p)->offset = offset;
  rd_kafka_assign(consumer, all);
  rd_kafka_topic_partition_list_destroy(all);
  return rd_kafka_queue_get_consumer(consumer);
}

}  // namespace peers
