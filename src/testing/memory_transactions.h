// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/testing.h>
#include <penstock/transactions.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::testing {

/// State of operators as the last committed epoch left it.
struct kept_rows {
  std::mutex mutex;
  /// By operator, then by partition and name.
  std::map<std::string, std::map<std::pair<std::uint32_t, std::string>, std::string>> operators;
};

struct topic::state {
  struct stored {
    testing::record record;
    std::uint64_t unflushed_by = 0;  // the writer that has not flushed it, or 0
    std::uint64_t epoch = 0;         // how many flushes of that writer came before
  };
  struct partition {
    std::deque<stored> records;  // addresses stay: views are given out
    std::optional<std::int64_t> committed;
    std::string metadata;
  };
  std::string name;
  mutable std::mutex mutex;
  std::vector<partition> partitions;
  std::uint64_t writers = 0;
  std::map<std::uint64_t, std::uint64_t> sealed;  // by writer: records of earlier epochs become visible
  std::shared_ptr<kept_rows> kept = std::make_shared<kept_rows>();
};

/// Transactions over topics in memory: a commit happens at once and as a whole.
class memory_transactions final : public epoch_transactions {
 public:
  explicit memory_transactions(std::shared_ptr<topic::state> source)
      : kept_(source->kept), topics_{std::move(source)} {}

  /// A topic takes part. From any lane.
  void knows(const std::shared_ptr<topic::state>& t);

  result<> take_over(const std::vector<std::string>&) override { return {}; }
  result<> prepare(const std::vector<std::string>& operators) override;
  result<std::unique_ptr<lane_transactions>> open_lane(const lane_context& lane) override;
  void commit(std::uint64_t epoch, std::vector<epoch_position> positions,
              std::function<void(result<>)> done) override;
  bool may_pass(const error&) const override { return false; }
  void close() override {}

 private:
  class lane_part;
  struct change {
    std::size_t op;
    std::uint32_t partition;
    std::string row;
    std::optional<std::string> value;
  };
  std::shared_ptr<kept_rows> kept_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<topic::state>> topics_;  // guarded by mutex_
  std::vector<std::string> operators_;
  std::vector<change> changes_;  // guarded by mutex_: of the epoch that ends
};

}  // namespace penstock::testing
