// SPDX-License-Identifier: Apache-2.0
#include "publish.h"

#include <penstock/kafka/admin.h>
#include <penstock/kafka/producer.h>
#include <penstock/progress.h>

#include <algorithm>
#include <chrono>

namespace ps = penstock;
using namespace std::chrono_literals;

namespace nexmark {
namespace {

ps::result<> create_if_missing(const event_topic& to) {
  auto admin = ps::kafka::admin::create({.bootstrap_servers = to.brokers});
  if (!admin) return ps::fail(admin.error());
  const auto there = admin->list_topics();
  if (!there) return ps::fail(there.error());
  if (std::find(there->begin(), there->end(), to.topic) != there->end()) return {};
  // The events are of 2015, and a broker deletes by the events' own time: keep them for good.
  const auto made = admin->create_topics(
      {{.name = to.topic, .partitions = to.partitions, .configs = {{"retention.ms", "-1"}}}});
  if (!made) return ps::fail(made.error());
  return admin->await_topics({to.topic}, 10s);
}

}  // namespace

ps::result<> publish(const generator& make, std::int64_t count, const event_topic& to) {
  if (auto there = create_if_missing(to); !there) return there;
  auto producer =
      ps::kafka::producer::create({.bootstrap_servers = to.brokers, .batch_size = 256 << 10, .linger = 20ms});
  if (!producer) return ps::fail(producer.error());
  const auto partitions = producer->partitions_of(to.topic);
  if (!partitions) return ps::fail(partitions.error());
  ps::progress shown("publishing");
  event e;
  std::string value;
  for (std::int64_t i = 0; i < count; ++i) {
    make.make(i, e);
    value.clear();
    event_format{}.encode(e, value);
    auto sent = producer->send({.topic = to.topic,
                                .value = value,
                                .partition = static_cast<std::int32_t>(i % *partitions),
                                .timestamp_ms = time_of(e).ms});
    if (!sent) return sent;
    if (i % 4096 == 0) shown.update(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(count));
  }
  return producer->close(60s);
}

}  // namespace nexmark
