// SPDX-License-Identifier: Apache-2.0
// penstock produce: each line of standard input becomes a record.
#include <penstock/kafka/producer.h>

#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "command.h"

namespace penstock::tools {
namespace {

struct options {
  cluster_options cluster;
  std::string topic;
  std::string separator;
  std::string codec = "none";
  std::int32_t partition = kafka::any_partition;
  bool null_if_empty = false;
  std::vector<std::string> headers;             // NAME=VALUE
  std::vector<record_header> every_record_has;  // into `headers`
};

/// What the background thread tells of batches that did not make it.
class failures {
 public:
  void add(const kafka::delivery& d) {
    if (d.outcome == kafka::persistence::persisted) return;
    const std::lock_guard lock(mutex_);
    records_ += d.records;
    if (!first_ && d.failure != nullptr) first_ = *d.failure;
  }
  result<> status() const {
    const std::lock_guard lock(mutex_);
    if (records_ == 0) return {};
    const auto cause = first_ ? first_->message() : "the cause is unknown";
    return fail(first_ ? first_->kind() : errc::internal,
                fmt::format("{} records were not delivered: {}", records_, cause));
  }

 private:
  mutable std::mutex mutex_;
  std::int64_t records_ = 0;
  std::optional<error> first_;
};

kafka::record_to_send parse_line(const options& o, std::string_view line) {
  kafka::record_to_send r{
      .topic = o.topic, .value = line, .partition = o.partition, .headers = o.every_record_has};
  if (const auto at = o.separator.empty() ? line.npos : line.find(o.separator); at != line.npos) {
    r.key = line.substr(0, at);
    r.value = line.substr(at + o.separator.size());
  }
  if (r.value.empty()) r.value = o.null_if_empty ? std::string_view() : std::string_view("");
  return r;
}

result<> run(const options& o) {
  failures undelivered;
  kafka::producer_settings settings{.compression = *parse_compression(o.codec),
                                    .delivery_timeout = std::chrono::seconds(30),
                                    .max_block = std::chrono::seconds(15),
                                    .connection = patience()};
  if (const auto applied = o.cluster.apply(settings); !applied) return applied;
  auto producer = kafka::producer::create(std::move(settings));
  if (!producer) return fail(producer.error());
  producer->on_delivery([&](const kafka::delivery& d) { undelivered.add(d); });
  // Asks before the first line comes: a wrong address or name is told at once.
  if (const auto known = producer->partitions_of(o.topic); !known) return fail(known.error());
  std::ios::sync_with_stdio(false);
  std::string line;
  while (std::getline(std::cin, line)) {
    if (const auto taken = producer->send(parse_line(o, line)); !taken) return taken;
  }
  const auto closed = producer->close(std::chrono::seconds(60));
  if (const auto all = undelivered.status(); !all) return all;
  return closed;
}

}  // namespace

void add_produce(command root) {
  auto o = std::make_shared<options>();
  auto c = root.add("produce", "Send the lines of standard input as records");
  add_cluster_options(c, o->cluster);
  c.value("--topic,-t", o->topic, "").required();
  c.value("--key-separator,-K", o->separator,
          "what stands between key and value; a line without it has no key");
  c.value("--codec,-z", o->codec, "how batches are compressed").one_of(codec_names()).shows_default();
  c.value("--partition,-p", o->partition, "default: by the key, or in turn").between(0, 1'000'000);
  c.flag("--null,-Z", o->null_if_empty, "an empty value is null: a deletion in a compacted topic");
  c.values("--header,-H", o->headers, "NAME=VALUE, for every record; may be given several times")
      .check(complain_unless_pair);
  c.run([o] {
    for (const std::string_view pair : o->headers) {
      const auto equals = pair.find('=');
      o->every_record_has.push_back({pair.substr(0, equals), pair.substr(equals + 1)});
    }
    return run(*o);
  });
}

}  // namespace penstock::tools
