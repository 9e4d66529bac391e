// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/source.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/cluster.h"
#include "client/fetcher.h"

namespace penstock::connectors {

/// One lane's part of a Kafka source: hands out views into the fetch buffers, which it keeps until the next
/// poll.
class kafka_source_reader final : public source_reader {
 public:
  static result<std::unique_ptr<source_reader>> create(const kafka::source& options,
                                                       const lane_context& lane);

  result<> assign(std::uint32_t number, const split& s) override;
  result<polled> poll(std::span<raw> into) override;
  bool set_paused(std::uint32_t number, bool paused) override;
  void commit(std::vector<split_commit> positions, std::function<void(result<>)> done) override;

 private:
  struct assigned {
    kafka::topic_partition partition;
    const split* from = nullptr;
    bool finished = false;
  };

  kafka_source_reader(const kafka::source& options, const lane_context& lane,
                      std::unique_ptr<client::cluster> cluster);
  result<> check_growth();
  result<bool> next_batch();
  bool take_records(assigned& a, std::span<raw> into, polled& out);
  void finish(assigned& a, polled& out);

  std::string group_;
  std::unique_ptr<client::cluster> cluster_;
  client::fetcher fetcher_;
  std::map<std::uint32_t, assigned> splits_;
  std::uint64_t metadata_seen_ = 0;
  std::deque<std::uint32_t> empty_splits_;  // at their stop before anything was read, and not reported yet

  // Batches polled from the fetcher and not handed out yet, in order; the first may be partly handed out.
  std::vector<client::fetched> batches_;
  std::size_t next_ = 0;
  std::optional<error> failed_;
  std::vector<client::batch_memory> held_;  // what the views of the last poll borrow from
};

}  // namespace penstock::connectors
