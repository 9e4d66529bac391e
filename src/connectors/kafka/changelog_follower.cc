// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/changelog_follower.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "client/offsets.h"

namespace penstock::connectors {
namespace {

using namespace std::chrono_literals;
/// A row that was erased leaves a mark that compaction removes in the end: after 24 hours, unless set
/// (delete.retention.ms). Who is behind for long might miss one.
constexpr auto longest_behind = 1h;
constexpr auto longest_wait = 50ms;
constexpr auto longest_catching_up = 60s;
constexpr std::size_t most_at_once = 8u << 20;
constexpr std::size_t untidy_bytes = 32u << 20;

client::fetcher_settings fetcher_settings() {
  client::fetcher_settings s;
  s.isolation = kafka::isolation_level::read_committed;
  s.partition_max_bytes = 4 << 20;
  return s;
}

}  // namespace

result<std::unique_ptr<changelog_follower>> changelog_follower::start(
    io::event_loop& loop, const kafka::producer_settings& settings, std::vector<std::string> topics) {
  auto cluster = client::cluster::create(loop, settings.bootstrap_servers, settings.connection);
  if (!cluster) return fail(std::move(cluster.error()));
  return std::unique_ptr<changelog_follower>(
      new changelog_follower(loop, std::move(*cluster), std::move(topics)));
}

changelog_follower::changelog_follower(io::event_loop& loop, std::unique_ptr<client::cluster> cluster,
                                       std::vector<std::string> topics)
    : loop_(loop), cluster_(std::move(cluster)), fetcher_(*cluster_, fetcher_settings()) {
  for (std::string& name : topics) {
    cluster_->watch_topic(name);
    topics_.push_back({.name = std::move(name), .state = {}, .last_at_end = cluster_->now()});
  }
}

void changelog_follower::find_topics() {
  for (std::size_t i = 0; i < topics_.size(); ++i) {
    topic& t = topics_[i];
    if (!t.usable || !t.next.empty()) continue;
    const auto* known = cluster_->metadata().find(t.name);
    if (known == nullptr || known->error != wire::error_code::none || known->partitions.empty()) continue;
    t.state.partitions = static_cast<std::int32_t>(known->partitions.size());
    if (!known->id.is_zero()) t.state.id = known->id.to_string();
    t.next.assign(known->partitions.size(), 0);
    t.last_at_end = cluster_->now();
    for (std::int32_t p = 0; p < t.state.partitions; ++p)
      fetcher_.assign({t.name, p}, kafka::earliest_offset, static_cast<std::int64_t>(i));
  }
}

void changelog_follower::give_up(topic& t) {
  for (std::int32_t p = 0; p < t.state.partitions; ++p) fetcher_.remove({t.name, p});
  t.usable = false;
  t.state = {};
  t.tidy_bytes = 0;
  t.next.clear();
}

void changelog_follower::step() {
  find_topics();
  std::vector<client::fetched> batches;
  while (fetcher_.ready()) {
    batches.clear();
    const auto got = fetcher_.poll(batches, most_at_once);
    for (client::fetched& b : batches) {
      topic& t = topics_[static_cast<std::size_t>(b.tag)];
      if (!t.usable) continue;
      record_view r;
      while (b.records.next(r)) {
        t.state.rows.apply(r.key, r.value);
        t.state.bytes += r.key.size() + r.value.size();
      }
      t.next[static_cast<std::size_t>(b.partition->partition)] = b.next_offset;
      tidy_up(t);
      if (b.records.damaged()) give_up(t);
    }
    // An error names its partition in its text alone: begin anew when it counts.
    if (!got) {
      for (topic& t : topics_) give_up(t);
    }
  }
  check_age();
}

/// Rows that went leave their memory behind, and who follows does so for days.
void changelog_follower::tidy_up(topic& t) {
  if (t.state.rows.bytes() < 2 * t.tidy_bytes + untidy_bytes) return;
  changelog_rows tidy;
  t.state.rows.for_each([&](std::string_view key, std::string_view value) {
    tidy.apply(key, value);
    return true;
  });
  t.state.rows = std::move(tidy);
  t.tidy_bytes = t.state.rows.bytes();
}

bool changelog_follower::at_end(const topic& t) const {
  for (std::size_t p = 0; p < t.next.size(); ++p) {
    const auto end = fetcher_.high_watermark({t.name, static_cast<std::int32_t>(p)});
    if (!end || t.next[p] < *end) return false;
  }
  return true;
}

void changelog_follower::check_age() {
  const io::instant now = cluster_->now();
  for (topic& t : topics_) {
    if (t.next.empty() || at_end(t)) {
      t.last_at_end = now;
    } else if (now - t.last_at_end > longest_behind) {
      give_up(t);
      t.usable = true;  // from the beginning
    }
  }
}

result<std::vector<std::int64_t>> changelog_follower::ends_of(const topic& t, const std::stop_token& stop) {
  std::vector<client::offset_query> queries;
  for (std::int32_t p = 0; p < t.state.partitions; ++p)
    queries.push_back({{t.name, p}, kafka::latest_offset});
  auto answer = std::make_shared<std::optional<std::vector<result<std::int64_t>>>>();
  client::list_offsets(*cluster_, std::move(queries), kafka::isolation_level::read_committed,
                       cluster_->now() + 60s, [answer](auto each) { answer->emplace(std::move(each)); });
  while (!*answer) {
    if (stop.stop_requested()) return fail(errc::cancelled, "was stopped");
    loop_.run_some_until(cluster_->now() + longest_wait);
  }
  std::vector<std::int64_t> ends;
  for (auto& end : **answer) {
    if (!end) return fail(std::move(end.error()));
    ends.push_back(*end);
  }
  return ends;
}

result<> changelog_follower::catch_up(const std::stop_token& stop) {
  for (topic& t : topics_) {
    if (t.next.empty()) t.usable = false;
    if (!t.usable) continue;
    const auto ends = ends_of(t, stop);
    if (!ends && ends.error().kind() == errc::cancelled) return fail(ends.error());
    if (!ends) {
      give_up(t);
      continue;
    }
    const auto behind = [&] {
      for (std::size_t p = 0; p < t.next.size(); ++p)
        if (t.next[p] < (*ends)[p]) return true;
      return false;
    };
    const io::instant deadline = cluster_->now() + longest_catching_up;
    while (t.usable && behind()) {
      if (stop.stop_requested()) return fail(errc::cancelled, "was stopped");
      if (cluster_->now() > deadline) give_up(t);
      loop_.run_some_until(cluster_->now() + longest_wait);
      step();
    }
  }
  return {};
}

const changelog_follower::followed* changelog_follower::rows(const std::string& name) const {
  for (const topic& t : topics_)
    if (t.name == name && t.usable && !t.next.empty()) return &t.state;
  return nullptr;
}

std::uint64_t changelog_follower::row_count() const {
  std::uint64_t all = 0;
  for (const topic& t : topics_) all += t.state.rows.size();
  return all;
}

}  // namespace penstock::connectors
