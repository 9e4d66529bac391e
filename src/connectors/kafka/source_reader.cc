// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/source_reader.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "client/offsets.h"
#include "connectors/kafka/common.h"
#include "connectors/kafka/offset_marks.h"
#include "io/failpoint.h"

namespace penstock::connectors {
namespace {

constexpr std::size_t poll_bytes = 4u << 20;

client::fetcher_settings fetcher_settings_of(const kafka::source& o) {
  client::fetcher_settings s;
  s.isolation = o.isolation;
  s.max_bytes = o.fetch_max_bytes;
  s.partition_max_bytes = o.max_partition_fetch_bytes;
  s.max_buffered_bytes = o.max_buffered_bytes;
  s.reset = kafka::offset_reset::none;  // S18: never a silent reset
  return s;
}

}  // namespace

result<std::unique_ptr<source_reader>> kafka_source_reader::create(const kafka::source& options,
                                                                   const lane_context& lane) {
  auto brokers = brokers_of(lane.job, options.brokers);
  if (!brokers) return fail(brokers.error());
  auto cluster = client::cluster::create(lane.loop, *brokers, connection_of(lane.job, options.connection));
  if (!cluster) return fail(cluster.error());
  return std::unique_ptr<source_reader>(new kafka_source_reader(options, lane, std::move(*cluster)));
}

kafka_source_reader::kafka_source_reader(const kafka::source& options, const lane_context& lane,
                                         std::unique_ptr<client::cluster> cluster)
    : group_(lane.job.application),
      cluster_(std::move(cluster)),
      fetcher_(*cluster_, fetcher_settings_of(options)) {}

result<> kafka_source_reader::assign(std::uint32_t number, const split& s) {
  assigned& a = splits_[number];
  a = {.partition = {s.topic, s.partition}, .from = &s};
  if (s.stop && s.start >= *s.stop) {
    empty_splits_.push_back(number);  // S16: an empty one ends at once
  } else {
    fetcher_.assign(a.partition, s.start, number);
  }
  return {};
}

bool kafka_source_reader::set_paused(std::uint32_t number, bool paused) {
  const kafka::topic_partition& tp = splits_.at(number).partition;
  paused ? fetcher_.pause(tp) : fetcher_.resume(tp);
  return true;
}

result<polled> kafka_source_reader::poll(std::span<raw> into) {
  if (auto r = io::failpoint("source.records"); !r) return fail(std::move(r.error()));
  held_.clear();
  polled out;
  if (!empty_splits_.empty()) {
    out.split = empty_splits_.front();
    empty_splits_.pop_front();
    assigned& a = splits_.at(out.split);
    out.next = a.from->start;
    finish(a, out);
    return out;
  }
  while (out.count < into.size() && !out.finished) {
    auto more = next_batch();
    if (!more) {
      // What was read before the error is handed out first; the fetcher repeats nothing, so keep the error's
      // turn.
      return fail(std::move(more.error()));
    }
    if (!*more) break;
    const auto number = static_cast<std::uint32_t>(batches_[next_].tag);
    if (out.next >= 0 && number != out.split) break;  // one split a poll
    out.split = number;
    assigned& a = splits_.at(number);
    if (a.finished) {
      ++next_;  // fetched ahead of the stop
      continue;
    }
    if (!take_records(a, into, out)) {
      return fail(batches_[next_].records.damage().with_context(kafka::to_string(a.partition)));
    }
  }
  return out;
}

/// S18: partitions that were added are not read by this run: that is said, not passed over.
result<> kafka_source_reader::check_growth() {
  if (cluster_->metadata().version() == metadata_seen_) return {};
  metadata_seen_ = cluster_->metadata().version();
  for (const auto& [number, a] : splits_) {
    const auto* topic = cluster_->metadata().find(a.partition.topic);
    const auto count = topic == nullptr ? 0 : static_cast<std::int32_t>(topic->partitions.size());
    if (a.from->siblings > 0 && count > a.from->siblings)
      return fail(error(errc::data_loss,
                        fmt::format("topic {} has {} partitions now, {} when the job started: the others are "
                                    "read from their first record when it starts again",
                                    a.partition.topic, count, a.from->siblings),
                        recovery::retriable));
  }
  return {};
}

// Makes batches_[next_] the next batch; false when nothing is there.
result<bool> kafka_source_reader::next_batch() {
  if (auto r = check_growth(); !r) return fail(std::move(r.error()));
  if (next_ < batches_.size()) return true;
  batches_.clear();
  next_ = 0;
  if (failed_) return fail(*failed_);
  if (!fetcher_.ready()) return false;
  auto got = fetcher_.poll(batches_, poll_bytes);
  if (!got) {
    failed_ = std::move(got.error());  // what came with it is handed out first
    if (batches_.empty()) return fail(*failed_);
  }
  return !batches_.empty();
}

// Hands out records of batches_[next_] as far as there is room; goes on to the next batch when it is used up.
// False when the batch is damaged.
bool kafka_source_reader::take_records(assigned& a, std::span<raw> into, polled& out) {
  client::fetched& batch = batches_[next_];
  const std::int64_t stop = a.from->stop.value_or(std::numeric_limits<std::int64_t>::max());
  held_.push_back(batch.memory);
  while (out.count < into.size()) {
    raw& r = into[out.count];
    if (!batch.records.next(r)) {
      if (batch.records.damaged()) return false;
      // The position moves over what the batch does not hold: markers, compacted records.
      out.next = batch.next_offset;
      ++next_;
      if (out.next >= stop) finish(a, out);
      return true;
    }
    if (r.offset >= stop) {
      out.next = stop;
      ++next_;
      finish(a, out);
      return true;
    }
    r.from = a.from;
    out.next = r.offset + 1;
    ++out.count;
  }
  if (batch.records.left() == 0) {  // used up just as the room was
    out.next = batch.next_offset;
    ++next_;
    if (out.next >= stop) finish(a, out);
  }
  return true;
}

void kafka_source_reader::finish(assigned& a, polled& out) {
  a.finished = true;
  out.finished = true;
  fetcher_.remove(a.partition);
}

void kafka_source_reader::commit(std::vector<split_commit> positions, std::function<void(result<>)> done) {
  std::vector<kafka::partition_offset> offsets;
  offsets.reserve(positions.size());
  for (const auto& p : positions) {
    const assigned& a = splits_.at(p.split);
    offsets.push_back({a.partition,
                       {.offset = p.position,
                        .metadata = encode_marks({.metadata = p.metadata, .topic_id = a.from->identity})}});
  }
  const auto deadline = cluster_->now() + cluster_->settings().default_api_timeout;
  client::committer group;
  group.group_id = group_;  // a group without members: the offsets alone
  client::commit_offsets(*cluster_, std::move(group), std::move(offsets), deadline,
                         [done = std::move(done)](result<> r) { done(std::move(r)); });
}

}  // namespace penstock::connectors
