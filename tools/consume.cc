// SPDX-License-Identifier: Apache-2.0
// penstock consume: prints records as they come, alone or as a member of a group.
#include <penstock/kafka/consumer.h>

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "command.h"
#include "interruption.h"
#include "io/clock.h"
#include "output.h"
#include "record_format.h"
#include "wire/error_code.h"

namespace penstock::tools {
namespace {

using namespace std::chrono_literals;
constexpr auto commit_interval = 5s;

struct options {
  cluster_options cluster;
  std::string topic;
  std::string format = "%s\\n";
  std::string group;
  std::string instance_id;
  std::string assignor = "range";
  std::string group_protocol = "classic";
  std::string isolation = "read_uncommitted";
  std::string rack;
  std::optional<std::int64_t> from_time;
  std::optional<std::int64_t> count;
  std::optional<std::int32_t> partition;
  bool from_beginning = false;
  bool until_end = false;
};

/// One run of the command. Commits are its own: only what was printed counts as read.
class printing {
 public:
  printing(const options& o, kafka::consumer& consumer, record_format format)
      : options_(o), consumer_(consumer), format_(std::move(format)) {}

  result<> begin();
  result<> run(const interruption& stop);

 private:
  bool print_batch(const kafka::record_batch& batch);
  bool has_enough() const { return options_.count && printed_ >= *options_.count; }
  bool reached_the_end() const;
  std::vector<kafka::partition_offset> uncommitted() const;
  result<> commit();
  void begin_to_commit();
  void forget(const std::vector<kafka::topic_partition>& partitions);

  const options& options_;
  kafka::consumer& consumer_;
  record_format format_;
  output out_;
  std::int64_t printed_ = 0;
  std::map<kafka::topic_partition, std::int64_t> next_;  ///< of a group: behind the last record printed
  bool committing_ = false;
  std::optional<error> failure_;                                       ///< of a commit, for good
  std::vector<std::pair<kafka::topic_partition, std::int64_t>> ends_;  ///< with until_end: where to stop
};

result<> printing::begin() {
  // A wrong address or topic is told at once instead of being waited for.
  auto partitions = consumer_.partitions_of(options_.topic);
  if (!partitions) return fail(partitions.error());
  if (!options_.group.empty()) {
    return consumer_.subscribe({options_.topic},
                               {.revoked =
                                    [this](const auto& partitions) {
                                      (void)commit();
                                      forget(partitions);
                                    },
                                .lost = [this](const auto& partitions) { forget(partitions); }});
  }
  if (options_.partition) {
    const kafka::topic_partition wanted{options_.topic, *options_.partition};
    if (std::find(partitions->begin(), partitions->end(), wanted) == partitions->end()) {
      return fail(errc::not_found,
                  fmt::format("topic {} has no partition {}", options_.topic, wanted.partition));
    }
    *partitions = {wanted};
  }
  if (options_.until_end) {
    const auto ends = consumer_.end_offsets(*partitions);
    if (!ends) return fail(ends.error());
    for (std::size_t i = 0; i < ends->size(); ++i) ends_.emplace_back((*partitions)[i], (*ends)[i]);
  }
  std::vector<kafka::start_position> from;
  for (auto& tp : *partitions) {
    from.push_back(
        {tp, options_.from_beginning ? kafka::earliest_offset : kafka::latest_offset, options_.from_time});
  }
  return consumer_.assign(std::move(from));
}

bool printing::print_batch(const kafka::record_batch& batch) {
  std::int64_t next = batch.first_offset();
  for (const auto& r : batch.records()) {
    if (has_enough()) break;
    format_.append(out_.text(), batch.topic(), batch.partition(), r);
    next = r.offset + 1;
    ++printed_;
    if (!out_.flush_if_large()) return false;
  }
  if (!options_.group.empty()) {
    next_[{batch.topic(), batch.partition()}] = has_enough() ? next : batch.next_offset();
  }
  return true;
}

bool printing::reached_the_end() const {
  return std::all_of(ends_.begin(), ends_.end(), [this](const auto& e) {
    const auto at = consumer_.position(e.first);
    return e.second == 0 || (at && *at >= e.second);
  });
}

std::vector<kafka::partition_offset> printing::uncommitted() const {
  std::vector<kafka::partition_offset> offsets;
  for (const auto& [tp, next] : next_) offsets.push_back({tp, {.offset = next}});
  return offsets;
}

// What others read from now on is theirs to commit.
void printing::forget(const std::vector<kafka::topic_partition>& partitions) {
  for (const auto& tp : partitions) next_.erase(tp);
}

result<> printing::commit() {
  if (next_.empty()) return {};
  const auto done = consumer_.commit_sync(uncommitted());
  if (done) next_.clear();
  return done;
}

/// Whether a commit that failed is made up for by a later one, or by whoever has the partitions now.
bool passes(const error& why) {
  switch (static_cast<wire::error_code>(why.kafka_code())) {
    case wire::error_code::illegal_generation:
    case wire::error_code::unknown_member_id:
    case wire::error_code::rebalance_in_progress:
    case wire::error_code::stale_member_epoch:
    case wire::error_code::fenced_member_epoch: return true;
    default: return why.retriable();
  }
}

// Brokers may be away for long: printing goes on, or waits for them, and so does this.
void printing::begin_to_commit() {
  if (next_.empty() || committing_) return;
  committing_ = true;
  auto offsets = uncommitted();
  consumer_.commit_async(offsets, [this, offsets](const result<>& done) {
    committing_ = false;
    if (!done && !passes(done.error())) failure_ = done.error();
    if (!done) return;
    for (const auto& o : offsets)
      if (const auto it = next_.find(o.partition); it != next_.end() && it->second == o.position.offset)
        next_.erase(it);
  });
}

result<> printing::run(const interruption& stop) {
  const auto& clock = io::clock::system();
  auto committed = clock.now();
  bool reader = true;
  while (reader && !stop.asked() && !has_enough() && !(options_.until_end && reached_the_end())) {
    auto batches = consumer_.poll(100ms);
    if (!batches) {
      if (batches.error().retriable()) continue;
      out_.flush();
      return fail(batches.error());
    }
    for (const auto& batch : *batches) {
      if (has_enough()) break;
      reader = reader && print_batch(batch);
    }
    reader = reader && out_.flush();
    if (const auto now = clock.now(); now - committed >= commit_interval) {
      begin_to_commit();
      committed = now;
    }
    if (failure_) return fail(*failure_);
  }
  return commit();
}

kafka::assignor assignor_of(const std::string& name) {
  if (name == "roundrobin") return kafka::assignor::round_robin;
  if (name == "sticky") return kafka::assignor::sticky;
  return name == "cooperative-sticky" ? kafka::assignor::cooperative_sticky : kafka::assignor::range;
}

result<> run(options& o) {
  auto format = record_format::parse(o.format);
  if (!format) return fail(format.error());
  kafka::consumer_settings settings{
      .group_id = o.group,
      .auto_offset_reset = o.from_beginning ? kafka::offset_reset::earliest : kafka::offset_reset::latest,
      .isolation_level = o.isolation == "read_committed" ? kafka::isolation_level::read_committed
                                                         : kafka::isolation_level::read_uncommitted,
      .assignors = {assignor_of(o.assignor)},
      .group_protocol =
          o.group_protocol == "consumer" ? kafka::group_protocol::consumer : kafka::group_protocol::classic,
      .group_instance_id = o.instance_id,
      .client_rack = o.rack,
      .connection = patience()};
  if (const auto applied = o.cluster.apply(settings); !applied) return applied;
  settings.enable_auto_commit = false;
  if (o.partition || o.until_end || o.from_time)
    settings.group_id.clear();  // of a file that serves other programs too
  o.group = settings.group_id;
  o.from_beginning = settings.auto_offset_reset == kafka::offset_reset::earliest;
  auto consumer = kafka::consumer::create(std::move(settings));
  if (!consumer) return fail(consumer.error());
  const interruption stop([&] { consumer->wake_up(); });
  printing job(o, *consumer, std::move(*format));
  if (const auto begun = job.begin(); !begun) return begun;
  const auto done = job.run(stop);
  const auto closed = consumer->close(5s);
  return done ? closed : done;
}

}  // namespace

void add_consume(command root) {
  auto o = std::make_shared<options>();
  auto c = root.add("consume", "Print records until SIGINT or SIGTERM, or as many as asked for");
  add_cluster_options(c, o->cluster);
  c.value("--topic,-t", o->topic, "").required();
  c.flag("--from-beginning", o->from_beginning,
         "start at the first record (of a group: where it has committed nothing)");
  c.value("--count,-c", o->count, "stop after so many records").between(1, any_amount);
  c.value("--format,-f", o->format,
          "%t topic, %p partition, %o offset, %k key, %s value, %T timestamp, %h headers, %K and %S the "
          "lengths of key and value, \\n \\t \\xHH")
      .check([](const std::string& text) {
        const auto parsed = record_format::parse(text);
        return parsed ? std::string() : parsed.error().message();
      })
      .shows_default();
  const auto group = c.value("--group,-g", o->group, "share the partitions with the group's other members");
  c.value("--group-protocol", o->group_protocol,
          "who shares partitions out: the group's members (classic), or the broker, which stops nobody "
          "meanwhile "
          "(consumer; Kafka 4.0 and newer)")
      .one_of({"classic", "consumer"})
      .shows_default();
  c.value("--assignor", o->assignor,
          "how a classic group shares partitions out; its other members must have it too")
      .one_of({"range", "roundrobin", "sticky", "cooperative-sticky"})
      .shows_default();
  c.value(
      "--instance-id", o->instance_id,
      "the name of a static member: when it comes back within its session it has its partitions at once, and "
      "the others notice nothing");
  c.value("--isolation", o->isolation,
          "read_committed leaves out what belongs to open or aborted transactions")
      .one_of({"read_uncommitted", "read_committed"})
      .shows_default();
  c.value("--rack", o->rack, "where this reader is: brokers may then serve it from a replica there");
  c.value("--from-time", o->from_time,
          "start at the first record of this time or later, in milliseconds since 1970")
      .between(0, any_amount)
      .excludes(group);
  c.value("--partition,-p", o->partition, "this one only").between(0, 1'000'000).excludes(group);
  c.flag("--until-end,-e", o->until_end, "stop at what is the end of the topic now").excludes(group);
  c.run([o] { return run(*o); });
}

}  // namespace penstock::tools
