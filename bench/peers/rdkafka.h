// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <utility>

namespace peers {

[[noreturn]] inline void complain(const char* name, const char* why) {
  std::fprintf(stderr, "%s: %s\n", name, why);
  std::exit(1);
}

/// The settings, then those of the command line: NAME=VALUE each, up to a null pointer.
inline rd_kafka_conf_t* configure(std::initializer_list<std::pair<const char*, const char*>> settings,
                                  char** more = nullptr) {
  char why[256];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  const auto set = [&](const char* name, const char* value) {
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) complain(name, why);
  };
  for (const auto& [name, value] : settings) set(name, value);
  for (; more != nullptr && *more != nullptr; ++more) {
    const std::string given = *more;
    const auto equals = given.find('=');
    if (equals == std::string::npos) complain(*more, "is not NAME=VALUE");
    set(given.substr(0, equals).c_str(), given.c_str() + equals + 1);
  }
  return conf;
}

inline rd_kafka_t* open(rd_kafka_type_t type, rd_kafka_conf_t* conf) {
  char why[256];
  rd_kafka_t* client = rd_kafka_new(type, conf, why, sizeof why);
  if (client == nullptr) complain("librdkafka", why);
  return client;
}

/// Waits for the topic's metadata, so that connecting is not measured.
inline void reach(rd_kafka_t* client, rd_kafka_topic_t* topic) {
  const struct rd_kafka_metadata* found = nullptr;  // a function has the name too
  const auto failed = rd_kafka_metadata(client, 0, topic, &found, 30'000);
  if (failed != RD_KAFKA_RESP_ERR_NO_ERROR) complain("metadata", rd_kafka_err2str(failed));
  rd_kafka_metadata_destroy(found);
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
