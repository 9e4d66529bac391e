// SPDX-License-Identifier: Apache-2.0
// The Kafka client alone: sends three records and reads them back.
//
//     kafka_client client.properties orders        # bootstrap.servers=..., and whatever else the cluster
//     wants
#include <penstock/kafka/admin.h>
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>
#include <penstock/kafka/properties.h>

#include <chrono>
#include <iostream>

namespace {

using namespace penstock;
using namespace std::chrono_literals;

result<> make_topic(const kafka::properties& given, const std::string& topic) {
  auto settings = kafka::admin_settings::from_properties(given);
  if (!settings) return fail(settings.error());
  auto admin = kafka::admin::create(*settings);
  if (!admin) return fail(admin.error());
  const auto made = admin->create_topics({{.name = topic, .partitions = 2, .replication_factor = 1}});
  if (!made && made.error().kind() != errc::already_exists) return made;
  return admin->await_topics({topic}, 10s);
}

result<> write(const kafka::properties& given, const std::string& topic) {
  auto settings = kafka::producer_settings::from_properties(given);
  if (!settings) return fail(settings.error());
  auto producer = kafka::producer::create(*settings);
  if (!producer) return fail(producer.error());
  for (const std::string_view key : {"one", "two", "three"}) {
    if (auto taken = producer->send({.topic = topic, .key = key, .value = "hello"}); !taken) return taken;
  }
  return producer->close(30s);
}

result<> read(const kafka::properties& given, const std::string& topic) {
  auto settings = kafka::consumer_settings::from_properties(given);
  if (!settings) return fail(settings.error());
  auto consumer = kafka::consumer::create(*settings);
  if (!consumer) return fail(consumer.error());
  const auto partitions = consumer->partitions_of(topic);
  if (!partitions) return fail(partitions.error());
  std::vector<kafka::start_position> from;
  for (const auto& tp : *partitions) from.push_back({tp, kafka::earliest_offset});
  if (auto assigned = consumer->assign(from); !assigned) return assigned;
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  for (int seen = 0; seen < 3;) {
    if (std::chrono::steady_clock::now() > deadline)
      return fail(errc::timeout, "the records did not come back");
    const auto batches = consumer->poll(100ms);
    if (!batches) return fail(batches.error());
    for (const auto& batch : *batches) {
      for (const auto& r : batch.records()) {
        std::cout << r.key << " = " << r.value << '\n';
        ++seen;
      }
    }
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: kafka_client FILE.properties TOPIC\n";
    return 2;
  }
  const auto given = penstock::kafka::properties::read(argv[1]);
  penstock::result<> done;
  if (!given) done = penstock::fail(given.error());
  if (done) done = make_topic(*given, argv[2]);
  if (done) done = write(*given, argv[2]);
  if (done) done = read(*given, argv[2]);
  if (done) return 0;
  std::cerr << "kafka_client: " << done.error().message() << '\n';
  return 1;
}
