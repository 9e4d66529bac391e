// SPDX-License-Identifier: Apache-2.0
// penstock perf consume: reads a topic from its beginning as fast as it comes, parsing every record.
#include <penstock/kafka/consumer.h>

#include <fmt/format.h>

#include <memory>

#include "command.h"
#include "interruption.h"
#include "output.h"
#include "perf_report.h"

namespace penstock::tools {
namespace {

using namespace std::chrono_literals;

struct options {
  bool metrics = false;
  cluster_options cluster;
  std::string topic;
  std::int64_t records = 0;
  std::int32_t partition_bytes = 1 << 20;
  std::int64_t idle_seconds = 30;
};

struct sums {
  std::int64_t records = 0;
  std::int64_t bytes = 0;
};

result<> read_all(const options& o, kafka::consumer& consumer, const interruption& stop, sums& total) {
  auto last = io::clock::system().now();
  while (total.records < o.records && !stop.asked()) {
    const auto batches = consumer.poll(100ms);
    if (!batches) {
      if (!batches.error().retriable()) return fail(batches.error());
      continue;
    }
    for (const auto& batch : *batches) {
      auto records = batch.records();
      for (const auto& r : records) {
        if (total.records == o.records) break;  // the last batch may hold more than was asked for
        ++total.records;
        total.bytes += static_cast<std::int64_t>(r.key.size() + r.value.size());
      }
      if (const auto whole = records.status(); !whole) return whole;
    }
    const auto now = io::clock::system().now();
    if (!batches->empty()) {
      last = now;
    } else if (now - last > std::chrono::seconds(o.idle_seconds)) {
      return fail(errc::timeout, fmt::format("topic {} gave {} of {} records and nothing more for {} seconds",
                                             o.topic, total.records, o.records, o.idle_seconds));
    }
  }
  return {};
}

result<> run(const options& o) {
  kafka::consumer_settings settings{.max_partition_fetch_bytes = o.partition_bytes, .connection = patience()};
  if (const auto applied = o.cluster.apply(settings); !applied) return applied;
  auto consumer = kafka::consumer::create(std::move(settings));
  if (!consumer) return fail(consumer.error());
  const interruption stop([&] { consumer->wake_up(); });
  const auto partitions = consumer->partitions_of(o.topic);
  if (!partitions) return fail(partitions.error());
  std::vector<kafka::start_position> from;
  for (const auto& tp : *partitions) from.push_back({tp, kafka::earliest_offset});

  const measurement measured;
  sums total;
  if (const auto assigned = consumer->assign(std::move(from)); !assigned) return assigned;
  if (const auto done = read_all(o, *consumer, stop, total); !done) return done;
  const auto printed = print(measured.line(total.records, total.bytes));
  return printed && o.metrics ? print(kafka::to_text(consumer->metrics())) : printed;
}

}  // namespace

void add_perf_consume(command perf) {
  auto o = std::make_shared<options>();
  auto c = perf.add("consume", "Read a topic from its beginning as fast as it comes");
  add_cluster_options(c, o->cluster);
  c.value("--topic,-t", o->topic, "").required();
  c.value("--records", o->records, "stop after at least so many").required().between(1, any_amount);
  c.value("--partition-bytes", o->partition_bytes, "max.partition.fetch.bytes")
      .between(1, 1 << 30)
      .shows_default();
  c.value("--idle-seconds", o->idle_seconds, "give up when nothing came for so long")
      .between(1, 86'400)
      .shows_default();
  c.flag("--metrics", o->metrics, "then print what the client measured, a metric a line");
  c.run([o] { return run(*o); });
}

}  // namespace penstock::tools
