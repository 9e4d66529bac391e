// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/sink.h>
#include <penstock/kafka/source.h>
#include <penstock/transactions.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/kafka/transactional_producer.h"

namespace penstock::connectors {

/// The topic that keeps the state of one operator.
struct changelog_topic {
  std::string name;
  std::int32_t partitions = 0;
  /// Where rows of a key partition are: neighbouring ones together, so that a lane reads few partitions.
  std::int32_t partition_of(std::uint32_t key_partition) const noexcept {
    if (key_partition >= detail::key_partitions) return 0;
    return static_cast<std::int32_t>(key_partition * static_cast<std::uint32_t>(partitions) /
                                     detail::key_partitions);
  }
};

/// "orders-count-changelog"; letters that no topic may have become '_'.
std::string changelog_name(std::string_view application, std::string_view op);

/// Epochs as Kafka transactions: sinks' records, changelogs and the source's offsets commit together. The
/// transactional id is `<application>-0`: stable, so that a new process shuts out the one before (E4).
class kafka_epochs final : public epoch_transactions {
 public:
  static result<std::unique_ptr<epoch_transactions>> create(const kafka::source& source, const job_info& job);
  kafka_epochs(kafka::producer_settings settings, std::string application);
  ~kafka_epochs() override;

  result<> take_over() override;
  result<> prepare(const std::vector<std::string>& operators) override;
  result<std::unique_ptr<lane_transactions>> open_lane(const lane_context& lane) override;
  void commit(std::uint64_t epoch, std::vector<epoch_position> positions,
              std::function<void(result<>)> done) override;
  void close() override { producer_.reset(); }
  bool may_pass(const error& why) const override;

  transactional_producer& producer() noexcept { return *producer_; }
  const std::vector<changelog_topic>& changelogs() const noexcept { return changelogs_; }

 private:
  result<> check_alone() const;
  kafka::producer_settings settings_;
  const std::string application_;
  std::unique_ptr<transactional_producer> producer_;
  std::vector<changelog_topic> changelogs_;
};

/// What this process writes beside an offset, so that another one that takes over is known by it; and the
/// metadata without it.
std::string_view without_run_mark(std::string_view metadata);

}  // namespace penstock::connectors
