// SPDX-License-Identifier: Apache-2.0
#include "broker/config_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace penstock::broker {
namespace {

using enum config_type;
constexpr std::int64_t any = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t most32 = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t most64 = std::numeric_limits<std::int64_t>::max();

// clang-format off
constexpr config_definition topic_table[] = {
    {"cleanup.policy", list, "delete", "log.cleanup.policy", any, most64, "delete,compact", "What happens to old segments: delete by age and size, compact by key, or both."},
    {"compression.gzip.level", int32, "-1", "compression.gzip.level", -1, 9, "", "Level of gzip when the broker compresses."},
    {"compression.lz4.level", int32, "9", "compression.lz4.level", 1, 17, "", "Level of lz4 when the broker compresses."},
    {"compression.type", string, "producer", "compression.type", any, most64, "uncompressed,zstd,lz4,snappy,gzip,producer", "The codec of stored batches; producer keeps each as it came."},
    {"compression.zstd.level", int32, "3", "compression.zstd.level", -131072, 22, "", "Level of zstd when the broker compresses."},
    {"delete.retention.ms", int64, "86400000", "log.cleaner.delete.retention.ms", 0, most64, "", "How long a compacted topic keeps tombstones."},
    {"file.delete.delay.ms", int64, "60000", "log.segment.delete.delay.ms", 0, most64, "", "How long a dropped segment's files stay."},
    {"flush.messages", int64, "9223372036854775807", "log.flush.interval.messages", 1, most64, "", "Kept for clients; the broker's flush policy decides."},
    {"flush.ms", int64, "9223372036854775807", "log.flush.interval.ms", 0, most64, "", "Kept for clients; the broker's flush policy decides."},
    {"follower.replication.throttled.replicas", list, "", "", any, most64, "", "Kept for clients; there is one replica."},
    {"index.interval.bytes", int32, "4096", "log.index.interval.bytes", 0, most32, "", "Bytes between two entries of the offset index."},
    {"leader.replication.throttled.replicas", list, "", "", any, most64, "", "Kept for clients; there is one replica."},
    {"local.retention.bytes", int64, "-2", "log.local.retention.bytes", -2, most64, "", "Kept for clients; there is no remote storage."},
    {"local.retention.ms", int64, "-2", "log.local.retention.ms", -2, most64, "", "Kept for clients; there is no remote storage."},
    {"max.compaction.lag.ms", int64, "9223372036854775807", "log.cleaner.max.compaction.lag.ms", 1, most64, "", "A record is compacted at the latest after this time."},
    {"max.message.bytes", int32, "1048588", "message.max.bytes", 0, most32, "", "The largest record batch taken."},
    {"message.timestamp.after.max.ms", int64, "3600000", "log.message.timestamp.after.max.ms", 0, most64, "", "How far a record's timestamp may lie in the future."},
    {"message.timestamp.before.max.ms", int64, "9223372036854775807", "log.message.timestamp.before.max.ms", 0, most64, "", "How far a record's timestamp may lie in the past."},
    {"message.timestamp.type", string, "CreateTime", "log.message.timestamp.type", any, most64, "CreateTime,LogAppendTime", "Whose clock a record's timestamp is from."},
    {"min.cleanable.dirty.ratio", float64, "0.5", "log.cleaner.min.cleanable.ratio", 0, 1, "", "The share of new bytes from which on a log is compacted."},
    {"min.compaction.lag.ms", int64, "0", "log.cleaner.min.compaction.lag.ms", 0, most64, "", "A record is compacted at the earliest after this time."},
    {"min.insync.replicas", int32, "1", "min.insync.replicas", 1, most32, "", "Kept for clients; there is one replica."},
    {"preallocate", boolean, "false", "log.preallocate", any, most64, "", "Kept for clients; files grow as they are written."},
    {"remote.log.copy.disable", boolean, "false", "", any, most64, "", "Kept for clients; there is no remote storage."},
    {"remote.log.delete.on.disable", boolean, "false", "", any, most64, "", "Kept for clients; there is no remote storage."},
    {"remote.storage.enable", boolean, "false", "", any, most64, "", "Kept for clients; there is no remote storage."},
    {"retention.bytes", int64, "-1", "log.retention.bytes", -1, most64, "", "The size of a partition above which old segments are deleted; -1: any."},
    {"retention.ms", int64, "604800000", "log.retention.ms", -1, most64, "", "The age at which segments are deleted; -1: never."},
    {"segment.bytes", int32, "1073741824", "log.segment.bytes", 14, most32, "", "The size at which a new segment begins."},
    {"segment.index.bytes", int32, "10485760", "log.index.size.max.bytes", 4, most32, "", "The largest size of a segment's index."},
    {"segment.jitter.ms", int64, "0", "log.roll.jitter.ms", 0, most64, "", "Kept for clients; segments begin by size and age alone."},
    {"segment.ms", int64, "604800000", "log.roll.ms", 1, most64, "", "The age at which a new segment begins."},
    {"unclean.leader.election.enable", boolean, "false", "unclean.leader.election.enable", any, most64, "", "Kept for clients; there is one replica."},
};

constexpr config_definition broker_table[] = {
    {"advertised.listeners", string, "", "", any, most64, "", "What clients are told to connect to."},
    {"auto.create.topics.enable", boolean, "true", "", any, most64, "", "Whether a Metadata request may make a topic."},
    {"broker.id", int32, "1", "", 0, most32, "", "The broker's number."},
    {"controlled.shutdown.enable", boolean, "true", "", any, most64, "", "Kept for clients; there is one broker."},
    {"default.replication.factor", int32, "1", "", 1, most32, "", "Copies of a partition: always one here."},
    {"delete.topic.enable", boolean, "true", "", any, most64, "", "Whether topics may be deleted."},
    {"group.initial.rebalance.delay.ms", int32, "0", "", 0, most32, "", "Wait for more members before a group's first assignment."},
    {"group.max.session.timeout.ms", int32, "1800000", "", 0, most32, "", "The longest session of a group member."},
    {"group.min.session.timeout.ms", int32, "6000", "", 0, most32, "", "The shortest session of a group member."},
    {"listeners", string, "", "", any, most64, "", "Where the broker listens."},
    {"log.dir", string, "", "", any, most64, "", "Where the broker keeps its data."},
    {"log.dirs", string, "", "", any, most64, "", "Where the broker keeps its data."},
    {"node.id", int32, "1", "", 0, most32, "", "The broker's number."},
    {"num.partitions", int32, "1", "", 1, most32, "", "Partitions of a topic made without a number."},
    {"offset.metadata.max.bytes", int32, "4096", "", 0, most32, "", "The longest text that goes with a committed offset."},
    {"offsets.retention.minutes", int32, "10080", "", 1, most32, "", "How long offsets of a group without members are kept."},
    {"offsets.topic.num.partitions", int32, "50", "", 1, most32, "", "Partitions of __consumer_offsets."},
    {"offsets.topic.replication.factor", int16, "1", "", 1, 32767, "", "Copies of __consumer_offsets: always one here."},
    {"process.roles", list, "broker,controller", "", any, most64, "", "What this process is."},
    {"socket.request.max.bytes", int32, "104857600", "", 1, most32, "", "The largest request taken."},
    {"transaction.max.timeout.ms", int32, "900000", "", 1, most32, "", "The longest that a transaction may be let take."},
    {"transaction.state.log.num.partitions", int32, "50", "", 1, most32, "", "Partitions of __transaction_state."},
    {"transaction.state.log.replication.factor", int16, "1", "", 1, 32767, "", "Copies of __transaction_state: always one here."},
    {"transactional.id.expiration.ms", int32, "604800000", "", 1, most32, "", "How long an unused transactional id is known."},
};
// clang-format on

template <std::size_t N>
constexpr bool ordered(const config_definition (&table)[N]) {
  for (std::size_t i = 1; i < N; ++i)
    if (!(table[i - 1].name < table[i].name)) return false;
  return true;
}
static_assert(ordered(topic_table) && ordered(broker_table), "both tables are searched by bisection");

const config_definition* find(std::span<const config_definition> table, std::string_view name) noexcept {
  const auto it = std::lower_bound(table.begin(), table.end(), name,
                                   [](const config_definition& d, std::string_view n) { return d.name < n; });
  return it != table.end() && it->name == name ? &*it : nullptr;
}

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

// Calls f(word) for each word between commas.
template <typename F>
void each_word(std::string_view words, F f) {
  while (!words.empty()) {
    const auto comma = words.find(',');
    f(trimmed(words.substr(0, comma)));
    words = comma == std::string_view::npos ? std::string_view() : words.substr(comma + 1);
  }
}

bool among(std::string_view word, std::string_view choices) {
  bool found = false;
  each_word(choices, [&](std::string_view c) { found |= c == word; });
  return found;
}

template <typename Number>
bool within(std::string_view text, const config_definition& d) {
  Number v{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  return error == std::errc() && end == text.data() + text.size() && v >= static_cast<Number>(d.min) &&
         v <= static_cast<Number>(d.max);
}

bool possible(const config_definition& d, std::string_view value) {
  switch (d.type) {
    case boolean: return value == "true" || value == "false";
    case int16:
    case int32:
    case int64: return within<std::int64_t>(value, d);
    case float64: return within<double>(value, d);
    case string: return d.choices.empty() || among(value, d.choices);
    case list: {
      bool all = true;
      if (!d.choices.empty()) each_word(value, [&](std::string_view w) { all &= among(w, d.choices); });
      return all && !(value.empty() && !d.choices.empty());
    }
  }
  return false;
}

}  // namespace

std::span<const config_definition> topic_configs() noexcept { return topic_table; }
std::span<const config_definition> broker_configs() noexcept { return broker_table; }
const config_definition* find_topic_config(std::string_view name) noexcept { return find(topic_table, name); }
const config_definition* find_broker_config(std::string_view name) noexcept {
  return find(broker_table, name);
}

const config_definition* find_topic_config_by_broker_name(std::string_view broker_name) noexcept {
  if (broker_name.empty()) return nullptr;
  for (const auto& d : topic_table)
    if (d.broker_name == broker_name) return &d;
  return nullptr;
}

result<> check_config(const config_definition& d, std::string_view value) {
  if (possible(d, value)) return {};
  return fail(errc::invalid_argument, fmt::format("Invalid value {} for configuration {}", value, d.name));
}

}  // namespace penstock::broker
