// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/kafka/admin.h>
#include <penstock/kafka/source.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "connectors/kafka/common.h"
#include "connectors/kafka/epochs.h"
#include "connectors/kafka/job_admin.h"
#include "connectors/kafka/offset_marks.h"
#include "connectors/kafka/source_reader.h"
#include "io/failpoint.h"

namespace penstock::kafka {
namespace {

// The partitions of a source with what the brokers and the application's group know of them. All vectors run
// in parallel.
struct found {
  std::vector<topic_partition> partitions;
  std::vector<std::string> ids;     // of the topics; empty before Kafka 2.8
  std::vector<std::int64_t> first;  // the first offset that still exists
  std::vector<std::int64_t> end;
  std::vector<std::optional<offset_and_metadata>> committed;
};

std::string join(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, ", ")); }

class discovery {
 public:
  discovery(const source& options, kafka::admin& admin, const job_info& job)
      : options_(options), admin_(admin), job_(job) {}

  result<std::vector<split>> run(read_purpose purpose) {
    if (auto r = find_partitions(); !r) return fail(r.error());
    if (purpose == read_purpose::table) return table_splits();
    if (auto r = find_committed(); !r) return fail(r.error());
    auto starts = starts_of();
    if (!starts) return fail(starts.error());
    auto stops = stops_of();
    if (!stops) return fail(stops.error());
    std::vector<split> splits;
    for (std::size_t i = 0; i < all_.partitions.size(); ++i) {
      split s{.topic = all_.partitions[i].topic,
              .partition = all_.partitions[i].partition,
              .start = (*starts)[i],
              .end = all_.end[i]};
      if (!stops->empty()) s.stop = (*stops)[i];
      s.committed = all_.committed[i].has_value();
      s.identity = all_.ids[i];
      s.siblings = static_cast<std::int32_t>(
          std::count_if(all_.partitions.begin(), all_.partitions.end(),
                        [&](const topic_partition& tp) { return tp.topic == s.topic; }));
      if (s.committed) s.metadata = connectors::decode_marks(all_.committed[i]->metadata).metadata;
      splits.push_back(std::move(s));
    }
    return splits;
  }

 private:
  result<> find_partitions() {
    if (auto r = admin_.await_topics(options_.topics, options_.await_topics); !r) {
      return fail(
          r.error().with_context(fmt::format("source '{}' reads {}", job_.name, join(options_.topics))));
    }
    auto topics = admin_.describe_topics(options_.topics);
    if (!topics) return fail(topics.error());
    for (const auto& t : *topics)
      for (const auto& p : t.partitions) {
        all_.partitions.push_back({t.name, p.partition});
        all_.ids.push_back(t.id);
      }
    auto first = admin_.list_offsets(all_.partitions, earliest_offset);
    if (!first) return fail(first.error());
    auto end = admin_.list_offsets(all_.partitions, latest_offset);
    if (!end) return fail(end.error());
    all_.first = std::move(*first);
    all_.end = std::move(*end);
    all_.committed.resize(all_.partitions.size());
    return {};
  }

  std::vector<split> table_splits() const {
    std::vector<split> splits;
    for (std::size_t i = 0; i < all_.partitions.size(); ++i) {
      splits.push_back({.topic = all_.partitions[i].topic,
                        .partition = all_.partitions[i].partition,
                        .start = all_.first[i],
                        .end = all_.end[i]});
    }
    return splits;
  }

  result<> find_committed() {
    if (auto r = io::failpoint("discover.offsets"); !r) return r;
    auto offsets = admin_.group_offsets(job_.application);
    if (!offsets) return fail(offsets.error());
    for (auto& o : *offsets) {
      const auto at = std::find(all_.partitions.begin(), all_.partitions.end(), o.partition);
      if (at != all_.partitions.end() && o.position.offset >= 0)
        all_.committed[static_cast<std::size_t>(at - all_.partitions.begin())] = std::move(o.position);
    }
    return {};
  }

  // S18: a committed offset that is no longer there is never reset in silence.
  result<> check_committed(std::size_t i) const {
    const std::int64_t offset = all_.committed[i]->offset;
    const std::string_view id = connectors::decode_marks(all_.committed[i]->metadata).topic_id;
    if (!id.empty() && !all_.ids[i].empty() && id != all_.ids[i])
      return fail(
          errc::data_loss,
          fmt::format("application '{}' is at offset {} of {}, but the topic was deleted and made anew "
                      "since: whatever it had not read below and above that offset is gone",
                      job_.application, offset, to_string(all_.partitions[i])));
    if (offset >= all_.first[i] && offset <= all_.end[i]) return {};
    const auto lost = offset < all_.first[i]
                          ? fmt::format("offsets {} to {} were removed", offset, all_.first[i] - 1)
                          : fmt::format("the partition ends at {}, offsets {} to {} are gone", all_.end[i],
                                        all_.end[i], offset - 1);
    return fail(errc::data_loss, fmt::format("application '{}' is at offset {} of {}, but {}",
                                             job_.application, offset, to_string(all_.partitions[i]), lost));
  }

  result<std::vector<std::int64_t>> starts_of() {
    const bool known =
        std::any_of(all_.committed.begin(), all_.committed.end(), [](auto& c) { return c.has_value(); });
    // Partitions that a known application has never seen were added since: from their first record (S15).
    auto starts = known ? all_.first : look_up(options_.start.where);
    if (!starts) return starts;
    std::vector<partition_offset> pinned;
    for (std::size_t i = 0; i < starts->size(); ++i) {
      if (all_.committed[i]) {
        if (auto r = check_committed(i); !r) return fail(r.error());
        (*starts)[i] = all_.committed[i]->offset;
      } else {
        pinned.push_back(
            {all_.partitions[i],
             {.offset = (*starts)[i], .metadata = connectors::encode_marks({.topic_id = all_.ids[i]})}});
      }
    }
    // Exactly once, the first transaction does it (E6).
    if (!pinned.empty() && !job_.exactly_once) {
      if (auto r = admin_.alter_group_offsets(job_.application, pinned); !r)
        return fail(r.error().with_context("the first offsets could not be committed"));
    }
    return starts;
  }

  // One offset a partition; empty when the source never stops.
  result<std::vector<std::int64_t>> stops_of() {
    if (const auto* place = std::get_if<stop_at::place>(&options_.stop.where)) {
      if (*place == stop_at::place::never) return std::vector<std::int64_t>{};
      return all_.end;
    }
    if (const auto* time = std::get_if<at_time>(&options_.stop.where)) return offsets_at(time->ms);
    return explicit_offsets(std::get<at_offsets>(options_.stop.where), all_.end);
  }

  result<std::vector<std::int64_t>> look_up(const decltype(start_at::where)& where) {
    if (const auto* place = std::get_if<start_at::place>(&where))
      return *place == start_at::place::earliest ? all_.first : all_.end;
    if (const auto* time = std::get_if<at_time>(&where)) return offsets_at(time->ms);
    return explicit_offsets(std::get<at_offsets>(where), all_.first);
  }

  result<std::vector<std::int64_t>> offsets_at(std::int64_t ms) {
    result<std::vector<std::int64_t>> offsets = admin_.list_offsets(all_.partitions, ms);
    if (!offsets) return offsets;
    for (std::size_t i = 0; i < offsets->size(); ++i)
      if ((*offsets)[i] < 0) (*offsets)[i] = all_.end[i];  // no record so late: the end
    return offsets;
  }

  std::vector<std::int64_t> explicit_offsets(const at_offsets& given,
                                             std::vector<std::int64_t> otherwise) const {
    for (std::size_t i = 0; i < all_.partitions.size(); ++i) {
      const auto at = given.find(all_.partitions[i]);
      if (at != given.end()) otherwise[i] = at->second;
    }
    return otherwise;
  }

  const source& options_;
  kafka::admin& admin_;
  const job_info& job_;
  found all_;
};

class kafka_source_connector final : public source_connector {
 public:
  explicit kafka_source_connector(source options) : options_(std::move(options)) {}

  std::string describe() const override { return "kafka topic " + join(options_.topics); }

  void validate(std::vector<std::string>& problems) const override {
    if (options_.topics.empty()) problems.push_back("a kafka::source needs .topics");
    if (options_.watermarks.max_lag.count() < 0) problems.push_back("a kafka::source's max_lag is negative");
  }

  bool bounded() const override {
    const auto* place = std::get_if<stop_at::place>(&options_.stop.where);
    return place == nullptr || *place != stop_at::place::never;
  }
  watermark_options watermarks() const override { return options_.watermarks; }

  result<std::vector<split>> discover(const job_info& job, read_purpose purpose) override {
    auto brokers = connectors::brokers_of(job, options_.brokers);
    if (!brokers) return fail(brokers.error());
    auto admin = connectors::job_admin::create(
        {.bootstrap_servers = *brokers, .connection = options_.connection}, job.stop);
    if (!admin) return fail(admin.error());
    return discovery(options_, **admin, job).run(purpose);
  }

  std::string transaction_domain(const job_info& job) const override {
    auto brokers = connectors::brokers_of(job, options_.brokers);
    return brokers ? "kafka at " + *brokers : "";
  }
  result<std::unique_ptr<epoch_transactions>> make_transactions(const job_info& job) const override {
    return connectors::kafka_epochs::create(options_, job);
  }
  result<std::unique_ptr<source_reader>> open_reader(const lane_context& lane) override {
    return connectors::kafka_source_reader::create(options_, lane);
  }

 private:
  source options_;
};

}  // namespace

std::unique_ptr<source_connector> source::make_source() const {
  return std::make_unique<kafka_source_connector>(*this);
}

}  // namespace penstock::kafka
