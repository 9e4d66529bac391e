// SPDX-License-Identifier: Apache-2.0
// penstock perf produce: sends records as fast as the cluster takes them, and waits until it has them all.
#include <penstock/kafka/producer.h>

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "command.h"
#include "interruption.h"
#include "io/random.h"
#include "output.h"
#include "perf_report.h"

namespace penstock::tools {
namespace {

struct options {
  bool metrics = false;
  cluster_options cluster;
  std::string topic;
  std::int64_t records = 0;
  std::int64_t size = 100;
  std::int64_t keys = 0;
  std::int64_t run_length = 256;
  std::string codec = "none";
  std::string acks = "all";
  std::int64_t batch_size = 256 * 1024;
  std::int64_t linger_ms = 5;
};

constexpr std::size_t distinct_values = 1024;

/// Lower-case letters at random, always the same: a codec finds something to do, and two runs send the same
/// bytes.
std::vector<std::string> make_values(std::size_t size) {
  io::seeded_random random(2013);
  std::vector<std::string> values(distinct_values, std::string(size, 'a'));
  for (auto& v : values) {
    for (auto& c : v) c = static_cast<char>('a' + random.next() % 26);
  }
  return values;
}

std::vector<std::string> make_keys(std::int64_t count) {
  std::vector<std::string> keys;
  keys.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) keys.push_back(fmt::format("k{}", i));
  return keys;
}

/// One call for all of them, or for each.
result<> hand_over(kafka::producer& producer, std::span<const kafka::record_to_send> run) {
  if (run.size() == 1) return producer.send(run.front());
  const auto taken = producer.send(run);
  if (!taken) return fail(taken.error());
  if (*taken < run.size())
    return fail(errc::internal, fmt::format("only {} of {} records were taken", *taken, run.size()));
  return {};
}

/// Sends them all; returns the bytes of keys and values.
result<std::int64_t> send_all(const options& o, kafka::producer& producer, const interruption& stop) {
  const auto values = make_values(static_cast<std::size_t>(o.size));
  const auto keys = make_keys(o.keys);
  std::vector<kafka::record_to_send> run(static_cast<std::size_t>(o.run_length));
  std::int64_t bytes = 0;
  for (std::int64_t sent = 0; sent < o.records;) {
    if (stop.asked()) return fail(errc::cancelled, fmt::format("stopped after {} records", sent));
    const auto n = static_cast<std::size_t>(std::min<std::int64_t>(o.run_length, o.records - sent));
    for (std::size_t i = 0; i < n; ++i) {
      const auto number = static_cast<std::size_t>(sent) + i;
      run[i] = {.topic = o.topic, .value = values[number % distinct_values]};
      // A stride with no common divisor: keys come mixed, each equally often.
      if (!keys.empty()) run[i].key = keys[number * 7919 % keys.size()];
      bytes += static_cast<std::int64_t>(run[i].key.size() + run[i].value.size());
    }
    if (const auto taken = hand_over(producer, std::span(run).first(n)); !taken) return fail(taken.error());
    sent += static_cast<std::int64_t>(n);
  }
  return bytes;
}

result<> run(const options& o) {
  const auto batch_size = static_cast<std::size_t>(o.batch_size);
  kafka::producer_settings settings{.acks = o.acks == "all" ? kafka::acks::all : kafka::acks::leader,
                                    .compression = *parse_compression(o.codec),
                                    .batch_size = batch_size,
                                    .linger = std::chrono::milliseconds(o.linger_ms),
                                    .max_request_size = std::max<std::size_t>(1'048'576, 2 * batch_size),
                                    .buffer_memory = std::size_t{64} << 20,
                                    .connection = patience()};
  if (const auto applied = o.cluster.apply(settings); !applied) return applied;
  auto producer = kafka::producer::create(std::move(settings));
  if (!producer) return fail(producer.error());
  const interruption stop;
  if (const auto known = producer->partitions_of(o.topic); !known) return fail(known.error());
  const measurement measured;
  const auto bytes = send_all(o, *producer, stop);
  if (!bytes) return fail(bytes.error());
  if (const auto flushed = producer->flush(std::chrono::minutes(2)); !flushed) return flushed;
  const auto line = measured.line(o.records, *bytes);
  const auto sums = producer->statistics();
  if (sums.acknowledged != static_cast<std::uint64_t>(o.records)) {
    return fail(errc::internal,
                fmt::format("{} of {} records were acknowledged", sums.acknowledged, o.records));
  }
  if (const auto printed = print(line); !printed || !o.metrics) return printed;
  return print(kafka::to_text(producer->metrics()));
}

}  // namespace

void add_perf_produce(command perf) {
  auto o = std::make_shared<options>();
  auto c = perf.add("produce", "Send records as fast as the cluster takes them");
  add_cluster_options(c, o->cluster);
  c.value("--topic,-t", o->topic, "").required();
  c.value("--records", o->records, "").required().between(1, any_amount);
  c.value("--size", o->size, "bytes of a value").between(0, 1 << 20).shows_default();
  c.value("--keys", o->keys, "so many different keys; 0: none").between(0, 100'000'000).shows_default();
  c.value("--run-length", o->run_length, "records handed over in one call; 1: each by a call of its own")
      .between(1, 100'000)
      .shows_default();
  c.value("--codec,-z", o->codec, "how batches are compressed").one_of(codec_names()).shows_default();
  c.value("--acks", o->acks, "all, or 1: the leader alone").one_of({"all", "1"}).shows_default();
  c.value("--batch-size", o->batch_size, "bytes").between(1, 1 << 30).shows_default();
  c.value("--linger-ms", o->linger_ms, "").between(0, 60'000).shows_default();
  c.flag("--metrics", o->metrics, "then print what the client measured, a metric a line");
  c.run([o] { return run(*o); });
}

}  // namespace penstock::tools
