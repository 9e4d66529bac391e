// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/sink.h>
#include <penstock/kafka/source.h>
#include <penstock/transactions.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/kafka/changelog_follower.h"
#include "connectors/kafka/changelog_topics.h"
#include "connectors/kafka/job_admin.h"
#include "connectors/kafka/transactional_producer.h"
#include "connectors/kafka/work_seat.h"
#include "io/event_loop.h"

namespace penstock::connectors {

/// Epochs as Kafka transactions: sinks' records, changelogs and the source's offsets commit together. The
/// transactional id is `<application>-0`: stable, so that a new process shuts out the one before (E4).
class kafka_epochs final : public epoch_transactions {
 public:
  static result<std::unique_ptr<epoch_transactions>> create(const kafka::source& source, const job_info& job);
  kafka_epochs(kafka::producer_settings settings, const kafka::source& source, const job_info& job);
  ~kafka_epochs() override;

  result<> take_over(const std::vector<std::string>& operators) override;
  result<> prepare(const std::vector<std::string>& operators) override;
  result<std::unique_ptr<lane_transactions>> open_lane(const lane_context& lane) override;
  void commit(std::uint64_t epoch, std::vector<epoch_position> positions,
              std::function<void(result<>)> done) override;
  void close() override;
  bool may_pass(const error& why) const override;

  transactional_producer& producer() noexcept { return *producer_; }
  const std::vector<changelog_topic>& changelogs() const noexcept { return changelogs_; }
  /// Whether the application had committed offsets when it started: state without them is out of step.
  bool is_known() const noexcept { return known_; }
  const std::string& application() const noexcept { return application_; }
  /// What this process knows of a changelog from following it; or null. Until the first commit.
  const changelog_follower::followed* followed(const changelog_topic& topic) const;

 private:
  result<> check_alone() const;
  result<job_admin> connect_admin() const;
  result<> await_turn(const std::vector<std::string>& changelogs);
  result<> catch_up();
  kafka::producer_settings settings_;
  const std::string application_;
  const job_info job_;
  const std::vector<std::string> source_topics_;
  const std::chrono::milliseconds await_topics_;
  std::unique_ptr<transactional_producer> producer_;
  std::vector<changelog_topic> changelogs_;
  // Of a standby; the loop is run by take_over.
  std::unique_ptr<io::event_loop> loop_;
  std::unique_ptr<changelog_follower> follower_;  // until the first commit
  std::unique_ptr<work_seat> seat_;
  bool known_ = true;
  std::string mark_;  // of the changelogs
};

}  // namespace penstock::connectors
