// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/changelog.h"

#include <fmt/format.h>

#include <chrono>
#include <unordered_map>
#include <utility>

#include "client/fetcher.h"
#include "client/offsets.h"
#include "io/failpoint.h"

namespace penstock::connectors {
namespace {

using namespace std::chrono_literals;

/// Runs the lane's loop until the answer is there.
template <typename T, typename Start>
result<T> await(io::event_loop& loop, const io::clock& clock, Start start) {
  auto answer = std::make_shared<std::optional<result<T>>>();
  start([answer](result<T> r) { answer->emplace(std::move(r)); });
  while (!*answer) loop.run_some_until(clock.now() + 50ms);
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
  key_.assign(1, static_cast<char>(partition));
  key_.append(row);
  outgoing r;
  r.key = key_;
  r.value = value;
  if (auto done = owner_.channel_->write(topic_.name, topic_.partition_of(partition), {&r, 1});
      !done && !owner_.failure_)
    owner_.failure_ = std::move(done.error());
}

void changelog::flush(std::function<void(result<>)> done) {
  if (auto r = io::failpoint("changelog.flush"); !r) return done(std::move(r));
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
  std::vector<client::offset_query> queries;
  for (std::int32_t p = 0; p < topic.partitions; ++p) {
    if (!reads(topic, p)) continue;
    queries.push_back({{topic.name, p}, kafka::earliest_offset});
  }
  const auto isolation = io::broken("state-before-commit") ? kafka::isolation_level::read_uncommitted
                                                           : kafka::isolation_level::read_committed;
  const auto ask = [&](std::int64_t at) {
    for (auto& q : queries) q.at = at;
    return await<std::vector<std::int64_t>>(lane_.loop, lane_.clock, [&](auto done) {
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
  std::unordered_map<std::string, std::string> rows;
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
        if (r.value.data() == nullptr) {
          rows.erase(std::string(r.key));
        } else {
          rows[std::string(r.key)] = r.value;
        }
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
  for (const bool shared : {true, false}) {
    for (const auto& [key, value] : rows) {
      const auto key_partition = static_cast<std::uint8_t>(key.front());
      if ((key_partition >= detail::key_partitions) != shared) continue;
      if (!take(key_partition, std::string_view(key).substr(1), value))
        return fail(
            errc::corrupt,
            fmt::format("topic {}: a row of its state cannot be read: the state's type has changed, or "
                        "the topic holds something else",
                        topic.name));
    }
  }
  tell(progress);
  return {};
}

}  // namespace penstock::connectors
