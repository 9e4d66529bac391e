// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/transactions.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "client/cluster.h"
#include "connectors/kafka/epochs.h"

namespace penstock::connectors {

/// The state of a lane's operators in their changelog topics. A record's key is the row's key partition (a
/// byte) and name; its value the row, or null when the row is gone.
class changelog final : public lane_transactions {
 public:
  static result<std::unique_ptr<lane_transactions>> create(kafka_epochs& epochs, const lane_context& lane,
                                                           const kafka::producer_settings& settings);

  result<> restore(std::size_t op, const take_row& take, const tell_progress& tell) override;
  detail::state_log& log(std::size_t op) override { return logs_[op]; }
  bool ready() const override { return channel_->ready(); }
  void flush(std::function<void(result<>)> done) override;

 private:
  class op_log final : public detail::state_log {
   public:
    op_log(changelog& owner, const changelog_topic& topic)
        : owner_(owner), topic_(topic), runs_(static_cast<std::size_t>(topic.partitions)) {}
    void put(std::uint32_t partition, std::string_view row, std::string_view value) override {
      write(partition, row, value);
    }
    void erase(std::uint32_t partition, std::string_view row) override { write(partition, row, {}); }
    /// Hands on what is left of the runs.
    void send_all();

   private:
    static constexpr std::size_t rows_a_run = 128;
    /// Rows of one partition of the topic, handed over together.
    struct run {
      struct extent {
        std::size_t key_end, value_end;
        bool gone;
      };
      std::string bytes;
      std::vector<extent> rows;
    };
    void write(std::uint32_t partition, std::string_view row, std::string_view value);
    void send(run& r);
    changelog& owner_;
    const changelog_topic& topic_;
    std::vector<run> runs_;  // by partition
  };
  changelog(kafka_epochs& epochs, const lane_context& lane, std::unique_ptr<client::cluster> cluster);
  result<> give(const changelog_topic& topic, const changelog_rows& rows, const take_row& take) const;
  bool reads(const changelog_topic& topic, std::int32_t partition) const;

  kafka_epochs& epochs_;
  lane_context lane_;
  std::unique_ptr<client::cluster> cluster_;  // to restore with; null afterwards
  std::shared_ptr<epoch_channel> channel_;
  std::deque<op_log> logs_;
  std::optional<error> failure_;
};

}  // namespace penstock::connectors
