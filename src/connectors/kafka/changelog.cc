// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/changelog.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <span>
#include <utility>

#include "client/fetcher.h"
#include "client/offsets.h"
#include "connectors/kafka/changelog_rows.h"
#include "io/failpoint.h"

namespace penstock::connectors {
namespace {

using namespace std::chrono_literals;

/// Runs the lane's loop until the answer is there, or the job is to stop.
template <typename T, typename Start>
result<T> await(const lane_context& lane, Start start) {
  auto answer = std::make_shared<std::optional<result<T>>>();
  start([answer](result<T> r) { answer->emplace(std::move(r)); });
  while (!*answer) {
    if (lane.job.stop.stop_requested()) return fail(errc::cancelled, "restoring was stopped");
    lane.loop.run_some_until(lane.clock.now() + 50ms);
  }
  return std::move(**answer);
}

}  // namespace

result<std::unique_ptr<lane_transactions>> changelog::create(kafka_epochs& epochs, const lane_context& lane,
                                                             const kafka::producer_settings& settings) {
  std::unique_ptr<client::cluster> own;
  if (!epochs.changelogs().empty()) {
    auto cluster = client::cluster::create(lane.loop, settings.bootstrap_servers, settings.connection);
    if (!cluster) return fail(std::move(cluster.error()));
    own = std::move(*cluster);
  }
  return std::unique_ptr<lane_transactions>(new changelog(epochs, lane, std::move(own)));
}

changelog::changelog(kafka_epochs& epochs, const lane_context& lane, std::unique_ptr<client::cluster> cluster)
    : epochs_(epochs),
      lane_(lane),
      cluster_(std::move(cluster)),
      channel_(epochs.producer().open_channel(lane.loop)) {
  for (const changelog_topic& t : epochs.changelogs()) logs_.emplace_back(*this, t);
}

void changelog::op_log::write(std::uint32_t partition, std::string_view row, std::string_view value) {
  if (auto r = io::failpoint(value.data() == nullptr ? "changelog.erase" : "changelog.put"); !r) {
    owner_.failure_ = std::move(r.error());
    return;
  }
  run& to = runs_[static_cast<std::size_t>(topic_.partition_of(partition))];
  to.bytes.push_back(static_cast<char>(partition));
  to.bytes.append(row);
  const std::size_t key_end = to.bytes.size();
  to.bytes.append(value);
  to.rows.push_back({key_end, to.bytes.size(), value.data() == nullptr});
  if (to.rows.size() == rows_a_run) send(to);
}

void changelog::op_log::send(run& r) {
  if (r.rows.empty()) return;
  std::array<outgoing, rows_a_run> records;
  std::size_t at = 0, n = 0;
  for (const run::extent& e : r.rows) {
    outgoing& to = records[n++];
    to.key = {r.bytes.data() + at, e.key_end - at};
    if (!e.gone) to.value = {r.bytes.data() + e.key_end, e.value_end - e.key_end};
    at = e.value_end;
  }
  const auto partition = static_cast<std::int32_t>(&r - runs_.data());
  if (auto done = owner_.channel_->write(topic_.name, partition, std::span(records).first(n));
      !done && !owner_.failure_)
    owner_.failure_ = std::move(done.error());
  r.bytes.clear();
  r.rows.clear();
}

void changelog::op_log::send_all() {
  for (run& r : runs_) send(r);
}

void changelog::flush(std::function<void(result<>)> done) {
  if (auto r = io::failpoint("changelog.flush"); !r) return done(std::move(r));
  for (op_log& log : logs_) log.send_all();
  if (failure_) return done(fail(*failure_));
  channel_->flush(std::move(done));
}

bool changelog::reads(const changelog_topic& topic, std::int32_t partition) const {
  if (partition == 0) return true;  // shared rows
  for (std::uint32_t k = 0; k < detail::key_partitions; ++k) {
    if (topic.partition_of(k) == partition && detail::lane_of_key(k, lane_.job.lanes) == lane_.lane)
      return true;
  }
  return false;
}

result<> changelog::restore(std::size_t op, const take_row& take, const tell_progress& tell) {
  const changelog_topic& topic = epochs_.changelogs()[op];
  if (const auto* known = epochs_.followed(topic)) {
    if (auto r = give(topic, known->rows, take); !r) return r;
    if (lane_.lane == 0) tell({known->rows.size(), known->bytes, known->rows.size()});
    return {};
  }
  std::vector<client::offset_query> queries;
  for (std::int32_t p = 0; p < topic.partitions; ++p) {
    if (!reads(topic, p)) continue;
    queries.push_back({{topic.name, p}, kafka::earliest_offset});
  }
  const auto isolation = io::broken("state-before-commit") ? kafka::isolation_level::read_uncommitted
                                                           : kafka::isolation_level::read_committed;
  const auto ask = [&](std::int64_t at) {
    for (auto& q : queries) q.at = at;
    return await<std::vector<std::int64_t>>(lane_, [&](auto done) {
      // E11: up to the last stable offset, after whoever wrote before was shut out.
      client::list_offsets(*cluster_, queries, isolation, cluster_->now() + 60s,
                           [done = std::move(done)](std::vector<result<std::int64_t>> each) mutable {
                             std::vector<std::int64_t> all;
                             for (auto& offset : each) {
                               if (!offset) return done(fail(std::move(offset.error())));
                               all.push_back(*offset);
                             }
                             done(std::move(all));
                           });
    });
  };
  if (auto r = io::failpoint("changelog.lookup"); !r) return r;
  auto first = ask(kafka::earliest_offset);
  if (!first) return fail(std::move(first.error()));
  auto end = ask(kafka::latest_offset);
  if (!end) return fail(std::move(end.error()));

  client::fetcher_settings settings;
  settings.isolation = isolation;
  settings.partition_max_bytes = 4 << 20;
  client::fetcher fetcher(*cluster_, settings);
  restore_progress progress;
  std::size_t open = 0;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    if ((*first)[i] >= (*end)[i]) continue;
    progress.rows_total += static_cast<std::uint64_t>((*end)[i] - (*first)[i]);
    fetcher.assign(queries[i].partition, (*first)[i], static_cast<std::int64_t>(i));
    ++open;
  }
  changelog_rows rows;
  std::vector<client::fetched> batches;
  while (open != 0) {
    if (!fetcher.ready()) {
      lane_.loop.run_some_until(lane_.clock.now() + 50ms);
      if (!tell(progress)) return fail(errc::cancelled, "restoring was stopped");
      continue;
    }
    if (auto r = io::failpoint("changelog.read"); !r) return r;
    batches.clear();
    auto got = fetcher.poll(batches, 8u << 20);
    for (client::fetched& b : batches) {
      const auto i = static_cast<std::size_t>(b.tag);
      record_view r;
      while (b.records.next(r)) {
        if (r.offset >= (*end)[i]) break;
        ++progress.rows;
        progress.bytes += r.key.size() + r.value.size();
        if (r.key.empty())
          return fail(errc::corrupt, fmt::format("{}, offset {}: a record without a key is no row of state",
                                                 kafka::to_string(*b.partition), r.offset));
        const auto key_partition = static_cast<std::uint8_t>(r.key.front());
        if (key_partition < detail::key_partitions) {
          if (topic.partition_of(key_partition) != queries[i].partition.partition)
            return fail(
                errc::corrupt,
                fmt::format("topic {} has {} partitions now, which is not what its rows were written to: a "
                            "changelog must keep its number of partitions",
                            topic.name, topic.partitions));
          if (detail::lane_of_key(key_partition, lane_.job.lanes) != lane_.lane) continue;
        }
        rows.apply(r.key, r.value);
      }
      if (b.records.damaged()) return fail(b.records.damage().with_context(kafka::to_string(*b.partition)));
      if (b.next_offset >= (*end)[i] && (*first)[i] < (*end)[i]) {
        (*first)[i] = (*end)[i];
        fetcher.remove(queries[i].partition);
        --open;
      }
    }
    if (!got) return fail(std::move(got.error()));
    if (!tell(progress)) return fail(errc::cancelled, "restoring was stopped");
  }
  if (auto r = io::failpoint("changelog.read_all"); !r) return r;
  if (auto r = give(topic, rows, take); !r) return r;
  tell(progress);
  return {};
}

/// The rows of this lane, those of all keys first.
result<> changelog::give(const changelog_topic& topic, const changelog_rows& rows,
                         const take_row& take) const {
  if (rows.size() != 0 && !epochs_.is_known())
    return fail(errc::data_loss,
                fmt::format("application '{0}' has state in topic {1} and no committed offsets: these have "
                            "expired or were deleted, perhaps with their topic, and the state does not say "
                            "up to where it was counted; "
                            "to begin anew without it, delete the changelogs of '{0}'",
                            epochs_.application(), topic.name));
  for (const bool shared : {true, false}) {
    const bool taken = rows.for_each([&](std::string_view key, std::string_view value) {
      const auto key_partition = key.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(key.front());
      const bool of_all = key_partition >= detail::key_partitions;
      if (of_all != shared) return true;
      if (!of_all && detail::lane_of_key(key_partition, lane_.job.lanes) != lane_.lane) return true;
      return !key.empty() && take(key_partition, key.substr(1), value);
    });
    if (!taken)
      return fail(errc::corrupt,
                  fmt::format("topic {}: a row of its state cannot be read: the state's type has changed, or "
                              "the topic holds something else",
                              topic.name));
  }
  return {};
}

}  // namespace penstock::connectors
