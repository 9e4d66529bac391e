// SPDX-License-Identifier: Apache-2.0
#include "client/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "wire/api.h"

namespace penstock::client {
namespace {

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

double ms(io::instant::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

bool lists(std::string_view groups, std::string_view group) {
  for (std::size_t at = 0; (at = groups.find(group, at)) != groups.npos; ++at) {
    const bool from_start = at == 0 || groups[at - 1] == ' ';
    const auto end = at + group.size();
    if (from_start && (end == groups.size() || groups[end] == ',')) return true;
  }
  return false;
}

sensor::view latency_of(const metric_report& to, const connection_metrics& c,
                        std::initializer_list<wire::api_key> keys) {
  sensor::view all;
  for (const auto key : keys) {
    const auto it = c.latency_of.find(static_cast<std::int16_t>(key));
    if (it != c.latency_of.end()) all += to.at(it->second);
  }
  return all;
}

void report_traffic(metric_report& to, std::string_view group, const sensor::view& sent,
                    const sensor::view& received, const sensor::view& latency,
                    const metric_report::tags& tags) {
  to.rate_of_sum(group, "outgoing-byte", sent, tags);
  to.rate_of_sum(group, "incoming-byte", received, tags);
  to.rate_of_times(group, "request", sent, tags);
  to.average_and_largest(group, "request-size", sent, tags);
  to.rate_of_times(group, "response", received, tags);
  to.average_and_largest(group, "request-latency", latency, tags);
}

}  // namespace

void connection_metrics::request_sent(std::int32_t node, std::size_t bytes, io::instant now) {
  all.sent.record(static_cast<double>(bytes), now);
  nodes[node].sent.record(static_cast<double>(bytes), now);
}

void connection_metrics::answer_came(std::int32_t node, std::int16_t api, std::size_t bytes,
                                     io::instant asked, io::instant now) {
  const auto took = ms(now - asked);
  auto& n = nodes[node];
  for (auto* t : {&all, &n}) {
    t->received.record(static_cast<double>(bytes), now);
    t->latency.record(took, now);
  }
  latency_of[api].record(took, now);
  latencies.record(took, now);
  if (api == static_cast<std::int16_t>(wire::api_key::fetch)) fetch_latencies.record(took, now);
}

void metric_report::add(std::string_view group, std::string_view prefix, std::string_view suffix, double v,
                        const tags& t) {
  for (const auto& line : kafka::list_metrics()) {
    if (line.name.size() != prefix.size() + suffix.size() || !line.name.starts_with(prefix) ||
        !line.name.ends_with(suffix) || !lists(line.group, group) || line.tags.empty() != t.empty())
      continue;
    const auto at = line.group.find(group);
    out_.push_back({line.name, line.group.substr(at, group.size()), t, v, line.description});
    return;
  }
  // Told, so that the test which compares with the table sees it.
  out_.push_back({"metric-without-a-line-in-the-table", "penstock", t, v, {}});
}

void metric_report::value(std::string_view group, std::string_view name, double v, const tags& t) {
  add(group, name, "", v, t);
}

void metric_report::rate_of_sum(std::string_view group, std::string_view name, const sensor::view& v,
                                const tags& t) {
  add(group, name, "-rate", v.sum_rate(), t);
  add(group, name, "-total", v.total, t);
}

void metric_report::rate_of_times(std::string_view group, std::string_view name, const sensor::view& v,
                                  const tags& t) {
  add(group, name, "-rate", v.times_rate(), t);
  add(group, name, "-total", static_cast<double>(v.all_times), t);
}

void metric_report::average_and_largest(std::string_view group, std::string_view name, const sensor::view& v,
                                        const tags& t) {
  add(group, name, "-avg", v.average(), t);
  add(group, name, "-max", v.largest, t);
}

void metric_report::percentiles(std::string_view group, std::string_view name, const distribution::view& v,
                                const tags& t) {
  add(group, name, "-p50", v.quantile(0.5), t);
  add(group, name, "-p99", v.quantile(0.99), t);
  add(group, name, "-p999", v.quantile(0.999), t);
}

void report_connections(metric_report& to, std::string_view client,
                        const std::vector<const connection_metrics*>& all, double metadata_age_seconds) {
  const auto group = fmt::format("{}-metrics", client);
  sensor::view opened, closed, failed, sent, received, latency;
  distribution::view latencies;
  std::int64_t open = 0, in_flight = 0;
  struct node_views {
    sensor::view sent, received, latency;
  };
  std::map<std::int32_t, node_views> nodes;
  for (const auto* c : all) {
    opened += to.at(c->opened);
    closed += to.at(c->closed);
    failed += to.at(c->failed);
    sent += to.at(c->all.sent);
    received += to.at(c->all.received);
    latency += to.at(c->all.latency);
    latencies += to.at(c->latencies);
    open += c->open;
    in_flight += c->in_flight;
    for (const auto& [id, t] : c->nodes) {
      auto& n = nodes[id];
      n.sent += to.at(t.sent);
      n.received += to.at(t.received);
      n.latency += to.at(t.latency);
    }
  }
  to.value(group, "connection-count", static_cast<double>(open));
  to.rate_of_times(group, "connection-creation", opened);
  to.rate_of_times(group, "connection-close", closed);
  to.rate_of_times(group, "connection-failure", failed);
  report_traffic(to, group, sent, received, latency, {});
  to.percentiles(group, "request-latency", latencies);
  auto both = sent;
  both += received;
  to.rate_of_times(group, "network-io", both);
  to.value(group, "requests-in-flight", static_cast<double>(in_flight));
  to.value(group, "metadata-age", metadata_age_seconds);
  const auto node_group = fmt::format("{}-node-metrics", client);
  for (const auto& [id, n] : nodes) {
    if (id < 0) continue;  // an address of bootstrap.servers whose number was not known yet
    report_traffic(to, node_group, n.sent, n.received, n.latency, {{"node-id", fmt::format("node-{}", id)}});
  }
}

namespace {

void report_counted(metric_report& to, std::string_view group, const producer_metrics::counted& c,
                    const metric_report::tags& tags) {
  to.rate_of_sum(group, "record-send", to.at(c.sends), tags);
  to.rate_of_sum(group, "byte", to.at(c.bytes), tags);
  to.rate_of_sum(group, "record-retry", to.at(c.retries), tags);
  to.rate_of_sum(group, "record-error", to.at(c.errors), tags);
  to.value(group, tags.empty() ? "compression-rate-avg" : "compression-rate", to.at(c.ratio).average(), tags);
}

void report_waits(metric_report& to, const producer_waits& w) {
  constexpr std::string_view group = "producer-metrics";
  const auto memory = to.at(w.memory);
  to.value(group, "bufferpool-wait-time-ns-total", memory.total);
  to.value(group, "bufferpool-wait-ratio", memory.sum_rate() / 1e9);
  to.value(group, "waiting-threads", w.threads);
  to.rate_of_times(group, "buffer-exhausted", to.at(w.exhausted));
  const auto total = [&](std::string_view name, std::int64_t ns) {
    to.value(group, name, static_cast<double>(ns));
  };
  total("metadata-wait-time-ns-total", w.metadata);
  total("flush-time-ns-total", w.flush);
  total("txn-init-time-ns-total", w.init);
  total("txn-begin-time-ns-total", w.begin);
  total("txn-send-offsets-time-ns-total", w.send_offsets);
  total("txn-commit-time-ns-total", w.commit);
  total("txn-abort-time-ns-total", w.abort);
}

}  // namespace

void report_producer(metric_report& to, const producer_metrics& m, const producer_state& s) {
  constexpr std::string_view group = "producer-metrics";
  report_counted(to, group, m.all, {});
  to.average_and_largest(group, "batch-size", to.at(m.batch_size));
  to.value(group, "record-size-avg", to.at(m.record_size).average());
  to.value(group, "records-per-request-avg", to.at(m.records_per_request).average());
  to.average_and_largest(group, "record-queue-time", to.at(m.queue_time));
  to.average_and_largest(group, "record-delivery-time", to.at(m.delivery));
  to.percentiles(group, "record-delivery-time", to.at(m.deliveries));
  to.rate_of_times(group, "batch-split", to.at(m.splits));
  to.average_and_largest(group, "produce-throttle-time", to.at(m.throttled));
  to.value(group, "produce-connections", s.produce_connections);
  to.value(group, "buffer-total-bytes", static_cast<double>(s.buffer_total));
  to.value(group, "buffer-available-bytes",
           static_cast<double>(s.buffer_total - std::min(s.buffer_used, s.buffer_total)));
  report_waits(to, s.waits);
  for (const auto& [topic, c] : m.topics) report_counted(to, "producer-topic-metrics", c, {{"topic", topic}});
}

namespace {

void report_fetching(metric_report& to, const consumer_metrics& m, const connection_metrics& c) {
  constexpr std::string_view group = "consumer-fetch-manager-metrics";
  const auto records = to.at(m.all.records);
  to.rate_of_sum(group, "records-consumed", records);
  to.rate_of_sum(group, "bytes-consumed", to.at(m.all.bytes));
  const auto fetches = latency_of(to, c, {wire::api_key::fetch});
  to.rate_of_times(group, "fetch", fetches);
  to.average_and_largest(group, "fetch-latency", fetches);
  to.percentiles(group, "fetch-latency", to.at(c.fetch_latencies));
  to.value(group, "records-per-request-avg",
           fetches.times == 0 ? nothing : records.sum / static_cast<double>(fetches.times));
  to.value(group, "fetch-size-avg",
           fetches.times == 0 ? nothing : to.at(m.all.bytes).sum / static_cast<double>(fetches.times));
  double most = nothing;
  for (const auto& [tp, lag] : m.lag) {
    most = most >= lag ? most : lag;
    to.value(group, "records-lag", lag, {{"topic", tp.first}, {"partition", std::to_string(tp.second)}});
  }
  const auto seen = to.at(m.lag_seen).largest;
  to.value(group, "records-lag-max", seen >= most ? seen : most);
  for (const auto& [topic, counted] : m.topics) {
    const metric_report::tags tags{{"topic", topic}};
    to.rate_of_sum(group, "records-consumed", to.at(counted.records), tags);
    to.rate_of_sum(group, "bytes-consumed", to.at(counted.bytes), tags);
  }
}

void report_membership(metric_report& to, const consumer_metrics& m, const connection_metrics& fetching,
                       const connection_metrics& c, std::size_t assigned) {
  constexpr std::string_view group = "consumer-coordinator-metrics";
  using key = wire::api_key;
  to.value(group, "assigned-partitions", static_cast<double>(assigned));
  auto commits = latency_of(to, fetching, {key::offset_commit});
  commits += latency_of(to, c, {key::offset_commit});
  to.rate_of_times(group, "commit", commits);
  to.average_and_largest(group, "commit-latency", commits);
  const auto heartbeats = latency_of(to, c, {key::heartbeat, key::consumer_group_heartbeat});
  to.rate_of_times(group, "heartbeat", heartbeats);
  to.value(group, "heartbeat-response-time-max", heartbeats.largest);
  const auto joins = latency_of(to, c, {key::join_group});
  to.rate_of_times(group, "join", joins);
  to.average_and_largest(group, "join-time", joins);
  const auto syncs = latency_of(to, c, {key::sync_group});
  to.rate_of_times(group, "sync", syncs);
  to.average_and_largest(group, "sync-time", syncs);
  to.value(group, "rebalance-total", static_cast<double>(m.rebalances));
  to.value(group, "failed-rebalance-total", static_cast<double>(m.failed_rebalances));
  to.average_and_largest(group, "rebalance-latency", to.at(m.rebalance_latency));
  to.value(group, "last-rebalance-seconds-ago",
           m.last_rebalance ? std::chrono::duration<double>(to.now() - *m.last_rebalance).count() : -1.0);
}

}  // namespace

void report_consumer(metric_report& to, const consumer_metrics& m, const connection_metrics& fetching,
                     const connection_metrics& membership, std::size_t assigned) {
  report_fetching(to, m, fetching);
  report_membership(to, m, fetching, membership, assigned);
  to.average_and_largest("consumer-metrics", "time-between-poll", to.at(m.time_between_polls));
  to.value(
      "consumer-metrics", "last-poll-seconds-ago",
      m.last_poll == io::instant{} ? -1.0 : std::chrono::duration<double>(to.now() - m.last_poll).count());
}

}  // namespace penstock::client

namespace penstock::kafka {

double find_metric(const metric_list& all, std::string_view group, std::string_view name) noexcept {
  for (const auto& m : all)
    if (m.name == name && m.group == group && m.tags.empty()) return m.value;
  return std::numeric_limits<double>::quiet_NaN();
}

std::string to_text(const metric_list& all) {
  std::string out;
  for (const auto& m : all) {
    out += fmt::format("{} {}", m.group, m.name);
    for (std::size_t i = 0; i < m.tags.size(); ++i)
      out += fmt::format("{}{}={}", i == 0 ? "{" : ",", m.tags[i].first, m.tags[i].second);
    out += m.tags.empty() ? " " : "} ";
    out += fmt::format("{}\n", m.value);
  }
  return out;
}

}  // namespace penstock::kafka
