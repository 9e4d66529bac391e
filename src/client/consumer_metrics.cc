// SPDX-License-Identifier: Apache-2.0
// What a consumer measures, batch by batch and event by event.
#include <chrono>

#include "client/consumer_impl.h"

namespace penstock::kafka {

void consumer::impl::measure_poll() {
  const auto now = loop.time().now();
  if (measured.last_poll != io::instant{})
    measured.time_between_polls.record(
        std::chrono::duration<double, std::milli>(now - measured.last_poll).count(), now);
  measured.last_poll = now;
}

void consumer::impl::measure_batches(std::size_t from) {
  const auto now = loop.time().now();
  for (std::size_t i = from; i < fetched.size(); ++i) {
    const auto& f = fetched[i];
    const auto lag = static_cast<double>(std::max<std::int64_t>(f.high_watermark - f.next_offset, 0));
    measured.lag[{f.partition->topic, f.partition->partition}] = lag;
    measured.lag_seen.record(lag, now);
    if (f.records.left() == 0) continue;  // only the position moved
    const auto it = measured.topics.find(f.partition->topic);
    auto& topic = it == measured.topics.end() ? measured.topics[f.partition->topic] : it->second;
    for (auto* c : {&measured.all, &topic}) {
      c->records.record(static_cast<double>(f.records.left()), now);
      c->bytes.record(static_cast<double>(f.bytes), now);
    }
  }
}

void consumer::impl::measure_group(client::group_event::kind what) {
  const auto now = loop.time().now();
  using kind = client::group_event::kind;
  if (what == kind::assigned) {
    ++measured.rebalances;
    if (rebalance_begun)
      measured.rebalance_latency.record(
          std::chrono::duration<double, std::milli>(now - *rebalance_begun).count(), now);
    measured.last_rebalance = now;
    rebalance_begun.reset();
    return;
  }
  if (what == kind::lost || what == kind::failed) ++measured.failed_rebalances;
  if (!rebalance_begun) rebalance_begun = now;
}

metric_list consumer::impl::metrics() const {
  metric_list all;
  client::metric_report to(all, loop.time().now());
  const auto membership = group ? group->measured() : client::connection_metrics{};
  const auto& fetching = cluster->measured();
  client::report_connections(to, "consumer", {&fetching, &membership}, cluster->metadata_age_seconds());
  auto own = measured;
  std::erase_if(own.lag, [&](const auto& l) { return !assigned.contains({l.first.first, l.first.second}); });
  client::report_consumer(to, own, fetching, membership, assigned.size());
  return all;
}

}  // namespace penstock::kafka
