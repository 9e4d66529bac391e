// SPDX-License-Identifier: Apache-2.0
// The settings of consumers. How to add one: src/client/README.md, "Settings".
#include "client/setting.h"

namespace penstock::client {

using kafka::consumer_settings;

namespace {

void add_group_settings(std::vector<setting>& rows) {
  rows.push_back(text("group.id", &consumer_settings::group_id,
                      "The group whose members share the partitions; needed for subscriptions and commits."));
  rows.push_back(text("group.instance.id", &consumer_settings::group_instance_id,
                      "Static membership: a member that comes back under this name gets its partitions back "
                      "without a rebalance."));
  rows.push_back(list_of(
      "partition.assignment.strategy", &consumer_settings::assignors,
      {{"range", kafka::assignor::range},
       {"roundrobin", kafka::assignor::round_robin},
       {"sticky", kafka::assignor::sticky},
       {"cooperative-sticky", kafka::assignor::cooperative_sticky},
       {"org.apache.kafka.clients.consumer.RangeAssignor", kafka::assignor::range},
       {"org.apache.kafka.clients.consumer.RoundRobinAssignor", kafka::assignor::round_robin},
       {"org.apache.kafka.clients.consumer.StickyAssignor", kafka::assignor::sticky},
       {"org.apache.kafka.clients.consumer.CooperativeStickyAssignor", kafka::assignor::cooperative_sticky}},
      "How a group's partitions are shared out, in order of preference; the names of Kafka's "
      "Java classes are understood too."));
  // An application with assignors of its own needs none of these.
  rows.back().check = [named = rows.back().check](const settings_view& s) {
    return s.consumer->own_assignors.empty() ? named(s) : std::nullopt;
  };
  rows.push_back(
      one_of("group.protocol", &consumer_settings::group_protocol,
             {{"classic", kafka::group_protocol::classic}, {"consumer", kafka::group_protocol::consumer}},
             "Who shares the partitions out: the group's members, or the broker without stopping "
             "anybody (Kafka 4.0 and newer)."));
  rows.push_back(text("group.remote.assignor", &consumer_settings::group_remote_assignor,
                      "With group.protocol=consumer: the broker's assignor, uniform or range; its own choice "
                      "if empty."));
  rows.push_back(number("session.timeout.ms", &consumer_settings::session_timeout, {.low = 1, .high = day_ms},
                        "A member that is not heard of for so long is put out of the group."));
  rows.push_back(number("heartbeat.interval.ms", &consumer_settings::heartbeat_interval,
                        {.low = 1, .high = day_ms},
                        "How often the group hears of this member; a third of session.timeout.ms or less."));
  rows.push_back(number("max.poll.interval.ms", &consumer_settings::max_poll_interval,
                        {.low = 1, .high = 30 * day_ms},
                        "A member that does not poll for so long leaves the group."));
  rows.push_back(boolean("enable.auto.commit", &consumer_settings::enable_auto_commit,
                         "Whether what poll handed out is committed without being asked, at a later poll or "
                         "at close."));
  rows.push_back(number("auto.commit.interval.ms", &consumer_settings::auto_commit_interval,
                        {.low = 0, .high = 30 * day_ms}, "How often enable.auto.commit commits."));
}

void add_fetch_settings(std::vector<setting>& rows) {
  rows.push_back(number("fetch.min.bytes", &consumer_settings::fetch_min_bytes, {.low = 0, .unit = "bytes"},
                        "What the broker gathers before it answers a fetch, for at most fetch.max.wait.ms."));
  rows.push_back(number("fetch.max.bytes", &consumer_settings::fetch_max_bytes, {.low = 1, .unit = "bytes"},
                        "About how much one answer to a fetch holds; a larger first batch comes whole."));
  rows.push_back(number("max.partition.fetch.bytes", &consumer_settings::max_partition_fetch_bytes,
                        {.low = 1, .unit = "bytes"},
                        "About how much of a partition one answer holds; a larger first batch comes whole."));
  rows.push_back(number("fetch.max.wait.ms", &consumer_settings::fetch_max_wait, {.low = 0, .high = day_ms},
                        "How long the broker gathers fetch.min.bytes before it answers with less."));
  rows.push_back(number("queued.max.bytes", &consumer_settings::max_buffered_bytes,
                        {.low = 1, .high = std::int64_t{1} << 40, .unit = "bytes"},
                        "What is fetched ahead of poll; nothing more is asked for above it."));
  rows.push_back(number("max.poll.bytes", &consumer_settings::max_poll_bytes,
                        {.low = 1, .high = std::int64_t{1} << 40, .unit = "bytes"},
                        "About how much one poll hands out."));
}

}  // namespace

void add_consumer_settings(std::vector<setting>& rows) {
  add_group_settings(rows);
  add_fetch_settings(rows);
  rows.push_back(one_of("auto.offset.reset", &consumer_settings::auto_offset_reset,
                        {{"earliest", kafka::offset_reset::earliest},
                         {"latest", kafka::offset_reset::latest},
                         {"none", kafka::offset_reset::none}},
                        "Where to start when the group has committed nothing or the offset is gone: at the "
                        "first record, at the end, or with an error."));
  rows.push_back(one_of("isolation.level", &consumer_settings::isolation_level,
                        {{"read_uncommitted", kafka::isolation_level::read_uncommitted},
                         {"read_committed", kafka::isolation_level::read_committed}},
                        "Whether records of open and aborted transactions are read too."));
  rows.push_back(text("client.rack", &consumer_settings::client_rack,
                      "Where this consumer is: it may then be served by a replica there instead of the "
                      "leader."));
  rows.push_back(boolean("check.crcs", &consumer_settings::check_crcs,
                         "Whether each batch's checksum is verified before it is handed out."));
  rows.push_back(boolean("allow.auto.create.topics", &consumer_settings::allow_auto_create_topics,
                         "Lets the brokers make a topic that is asked for and missing, if they do such "
                         "things."));
}

}  // namespace penstock::client
