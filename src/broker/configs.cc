// SPDX-License-Identifier: Apache-2.0
#include "broker/configs.h"

#include <algorithm>
#include <charconv>

namespace penstock::broker {
namespace {

std::int64_t number(std::string_view text) {
  std::int64_t v = 0;
  std::from_chars(text.data(), text.data() + text.size(), v);
  return v;
}

double fraction(std::string_view text) {
  double v = 0;
  std::from_chars(text.data(), text.data() + text.size(), v);
  return v;
}

std::chrono::milliseconds duration(std::int64_t ms) { return std::chrono::milliseconds(ms); }

}  // namespace

std::optional<std::string> configs::started_with(std::string_view name) const {
  const auto& o = *options_;
  if (name == "num.partitions") return std::to_string(o.default_partitions);
  if (name == "auto.create.topics.enable") return o.auto_create_topics ? "true" : "false";
  if (name == "broker.id" || name == "node.id") return std::to_string(o.node_id);
  if (name == "log.dir" || name == "log.dirs") return o.directory;
  if (name == "listeners") return listener_;
  if (name == "advertised.listeners") return advertised_;
  if (name == "socket.request.max.bytes") return std::to_string(o.max_request_bytes);
  if (name == "group.initial.rebalance.delay.ms")
    return std::to_string(o.group_initial_rebalance_delay.count());
  if (name == "group.min.session.timeout.ms") return std::to_string(o.group_min_session_timeout.count());
  if (name == "group.max.session.timeout.ms") return std::to_string(o.group_max_session_timeout.count());
  if (name == "offsets.retention.minutes")
    return std::to_string(std::chrono::duration_cast<std::chrono::minutes>(o.offsets_retention).count());
  if (name == "transaction.max.timeout.ms") return std::to_string(o.transaction_max_timeout.count());
  if (name == "transactional.id.expiration.ms") return std::to_string(o.transactional_id_expiration.count());
  return std::nullopt;
}

void configs::add_broker_values(std::string_view name, std::vector<config_value>& out) const {
  const auto add = [&](std::string_view resource, config_source source) {
    const auto r = metadata_->broker_configs.find(resource);
    if (r == metadata_->broker_configs.end()) return;
    if (const auto v = r->second.find(name); v != r->second.end())
      out.push_back({v->second, source, std::string(name)});
  };
  add(broker_resource(), config_source::dynamic_broker);
  add("", config_source::dynamic_default_broker);
  if (auto v = started_with(name)) out.push_back({*v, config_source::static_broker, std::string(name)});
}

std::vector<config_value> configs::topic_values(const config_map& overrides,
                                                const config_definition& d) const {
  std::vector<config_value> out;
  if (const auto own = overrides.find(d.name); own != overrides.end())
    out.push_back({own->second, config_source::topic, std::string(d.name)});
  if (!d.broker_name.empty()) add_broker_values(d.broker_name, out);
  out.push_back({std::string(d.standard), config_source::built_in,
                 std::string(d.broker_name.empty() ? d.name : d.broker_name)});
  return out;
}

std::vector<config_value> configs::broker_values(std::string_view name, const config_definition& d) const {
  std::vector<config_value> out;
  add_broker_values(name, out);
  out.push_back({std::string(d.standard), config_source::built_in, std::string(name)});
  return out;
}

bool configs::dynamic(std::string_view name) { return find_topic_config_by_broker_name(name) != nullptr; }

std::int64_t configs::broker_number(std::string_view name) const {
  const auto* d = find_broker_config(name);
  return d == nullptr ? 0 : number(broker_values(name, *d).front().value);
}

bool configs::auto_create_topics() const {
  const std::string_view name = "auto.create.topics.enable";
  return broker_values(name, *find_broker_config(name)).front().value == "true";
}

topic_settings configs::settings(const config_map& overrides) const {
  const auto text = [&](std::string_view name) {
    return topic_values(overrides, *find_topic_config(name)).front().value;
  };
  const auto n = [&](std::string_view name) { return number(text(name)); };
  topic_settings s;
  log::log_config& c = s.log;
  const std::string policy = text("cleanup.policy");
  s.compacted = c.cleanup_compact = policy.find("compact") != std::string::npos;
  s.deletes = c.cleanup_delete = policy.find("delete") != std::string::npos;
  c.segment_bytes = static_cast<std::uint32_t>(n("segment.bytes"));
  c.segment_age = duration(n("segment.ms"));
  c.index_interval_bytes = static_cast<std::uint32_t>(n("index.interval.bytes"));
  c.index_bytes = static_cast<std::uint32_t>(n("segment.index.bytes"));
  c.retention_bytes = n("retention.bytes");
  c.retention_age = duration(n("retention.ms"));
  c.delete_retention = duration(n("delete.retention.ms"));
  c.min_cleanable_dirty_ratio = fraction(text("min.cleanable.dirty.ratio"));
  c.min_compaction_lag = duration(n("min.compaction.lag.ms"));
  c.max_compaction_lag = duration(n("max.compaction.lag.ms"));
  c.file_delete_delay = duration(n("file.delete.delay.ms"));
  c.log_append_time = text("message.timestamp.type") == "LogAppendTime";
  // The broker's flush thread shares syncs between partitions and requests, so that the log itself never
  // waits for one.
  c.flush = options_->flush == flush_policy::none ? log::flush_policy::none : log::flush_policy::interval;
  c.flush_interval = options_->flush_interval;
  s.max_message_bytes = n("max.message.bytes");
  s.timestamp_before_max_ms = n("message.timestamp.before.max.ms");
  s.timestamp_after_max_ms = n("message.timestamp.after.max.ms");
  if (const std::string codec = text("compression.type"); codec != "producer") {
    s.recompress = parse_compression(codec);
    if (s.recompress == compression::gzip && n("compression.gzip.level") > 0)
      s.compression_level = static_cast<int>(n("compression.gzip.level"));
    if (s.recompress == compression::lz4) s.compression_level = static_cast<int>(n("compression.lz4.level"));
    if (s.recompress == compression::zstd)
      s.compression_level = static_cast<int>(n("compression.zstd.level"));
  }
  return s;
}

}  // namespace penstock::broker
