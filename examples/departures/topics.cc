// SPDX-License-Identifier: Apache-2.0
#include "topics.h"

#include <penstock/json.h>
#include <penstock/kafka/admin.h>
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>
#include <penstock/progress.h>

#include <algorithm>
#include <chrono>

namespace ps = penstock;
using namespace std::chrono_literals;

namespace departures {
namespace {

constexpr auto patience = 60s;

}  // namespace

ps::result<> create_topics(const std::string& brokers) {
  auto admin = ps::kafka::admin::create({.bootstrap_servers = brokers});
  if (!admin) return ps::fail(admin.error());
  // The records are of 2013, and a broker deletes by the records' own time: keep them for good.
  const std::map<std::string, std::string> keep{{"retention.ms", "-1"}};
  return admin->create_topics({
      {.name = "departures", .partitions = 4, .configs = keep},
      {.name = "airlines", .partitions = 1, .configs = {{"cleanup.policy", "compact"}}},
      {.name = "board", .partitions = 1, .configs = keep},
      {.name = "carriers", .partitions = 1, .configs = keep},
  });
}

ps::result<> publish(const std::string& brokers, std::vector<flight> flights,
                     const std::vector<airline>& airlines) {
  std::stable_sort(flights.begin(), flights.end(),
                   [](const flight& a, const flight& b) { return a.scheduled_ms < b.scheduled_ms; });
  auto producer =
      ps::kafka::producer::create({.bootstrap_servers = brokers, .batch_size = 256 << 10, .linger = 20ms});
  if (!producer) return ps::fail(producer.error());

  std::string value;
  for (const airline& a : airlines) {
    value.clear();
    ps::as_json.encode(a, value);
    if (auto sent = producer->send({.topic = "airlines", .key = a.carrier, .value = value}); !sent)
      return sent;
  }
  ps::progress shown("publishing");
  for (std::size_t i = 0; i < flights.size(); ++i) {
    const flight& f = flights[i];
    value.clear();
    ps::as_json.encode(f, value);
    auto sent = producer->send(
        {.topic = "departures", .key = f.origin, .value = value, .timestamp_ms = f.scheduled_ms});
    if (!sent) return sent;
    if (i % 1024 == 0) shown.update(i, flights.size());
  }
  return producer->close(patience);
}

ps::result<std::vector<std::string>> read_topic(const std::string& brokers, const std::string& topic) {
  auto consumer = ps::kafka::consumer::create({.bootstrap_servers = brokers, .enable_auto_commit = false});
  if (!consumer) return ps::fail(consumer.error());
  auto partitions = consumer->partitions_of(topic);
  if (!partitions) return ps::fail(partitions.error());
  auto ends = consumer->end_offsets(*partitions);
  if (!ends) return ps::fail(ends.error());
  std::vector<ps::kafka::start_position> starts;
  for (const auto& p : *partitions) starts.push_back({p, 0});
  if (auto assigned = consumer->assign(starts); !assigned) return ps::fail(assigned.error());

  std::vector<std::string> values;
  const auto at_end = [&] {
    for (std::size_t i = 0; i < partitions->size(); ++i) {
      const auto position = consumer->position((*partitions)[i]);
      if (!position || *position < (*ends)[i]) return false;
    }
    return true;
  };
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!at_end()) {
    if (std::chrono::steady_clock::now() > deadline)
      return ps::fail(ps::errc::timeout, "topic " + topic + " could not be read to its end");
    auto batches = consumer->poll(100ms);
    if (!batches) return ps::fail(batches.error());
    for (const auto& batch : *batches)
      for (const auto& record : batch.records()) values.emplace_back(record.value);
  }
  return values;
}

}  // namespace departures
