// SPDX-License-Identifier: Apache-2.0
// For tests: the transaction coordinator of a fake cluster, in memory, with both versions of the protocol.
#pragma once

#include <penstock/kafka/producer.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "wire/error_code.h"
#include "wire/messages/end_txn.h"
#include "wire/record_batch.h"

namespace penstock::client::testing {

class fake_cluster;
struct seen_request;

class fake_transactions {
 public:
  explicit fake_transactions(fake_cluster& cluster) : cluster_(cluster) {}

  /// What the brokers have finalized: 2, or 1 (and nothing to tell).
  int version = 1;
  /// Whether leaders check that a batch belongs to a transaction that is open, as Kafka does from 3.6 on.
  bool verify = true;
  /// How many requests find an end not yet written to the partitions (CONCURRENT_TRANSACTIONS).
  int rounds_to_complete = 0;
  /// The epoch behind which a producer gets another id.
  std::int16_t last_epoch = 32766;
  /// Members that may commit offsets: group -> {member, generation}. A group that is not here takes anything.
  std::map<std::string, std::pair<std::string, std::int32_t>> members{};

  /// What was decided, in order.
  struct decision {
    std::int64_t producer_id;
    std::int16_t epoch;
    bool committed;
  };
  const std::vector<decision>& decisions() const { return decisions_; }
  /// A group's committed offset; -1: none.
  std::int64_t committed_offset(const std::string& group, const std::string& topic,
                                std::int32_t partition) const;
  bool is_open(const std::string& id) const;
  kafka::producer_identity identity_of(const std::string& id) const;
  /// Sets what the coordinator knows a producer by.
  void set_identity(const std::string& id, kafka::producer_identity identity);
  /// What the coordinator does when a transaction is open for too long.
  void time_out(const std::string& id);

  // For the fake cluster.
  std::string answer(const seen_request& r);
  /// Whether a leader takes a transactional batch.
  wire::error_code check_batch(const wire::batch_header& header, const std::string& topic,
                               std::int32_t partition, const std::string& id, bool implicit);

 private:
  enum class state : std::uint8_t { empty, ongoing, preparing, complete_commit, complete_abort };
  struct transaction {
    std::int64_t id = -1, last_id = -1;
    std::int16_t epoch = -1, last_epoch = -1;
    fake_transactions::state state = state::empty;
    bool commit = false, bumps = false;
    int rounds = 0;
    std::set<std::pair<std::string, std::int32_t>> partitions;
    std::set<std::string> groups;
    std::map<std::string, std::map<std::pair<std::string, std::int32_t>, std::int64_t>> offsets;
  };
  using partition_key = std::pair<std::string, std::int32_t>;

  std::string init(const seen_request& r);
  std::string add_partitions(const seen_request& r);
  std::string add_offsets(const seen_request& r);
  std::string end(const seen_request& r);
  std::string commit_offsets(const seen_request& r);
  std::string describe(const seen_request& r);
  wire::error_code end_once(transaction& t, const wire::end_txn_request& ask, bool bumps);
  wire::error_code may_add(const std::string& id, std::int64_t producer, std::int16_t epoch);
  void prepare(transaction& t, bool commit, bool bumps);
  bool busy(transaction& t);
  void complete(transaction& t);
  void next_epoch(transaction& t);

  fake_cluster& cluster_;
  std::map<std::string, transaction> known_;
  std::vector<decision> decisions_;
  std::map<std::string, std::map<partition_key, std::int64_t>> committed_;
};

}  // namespace penstock::client::testing
