// SPDX-License-Identifier: Apache-2.0
// One transactional id: who its producer is, and what its transaction is at. What happens to it is decided by
// transaction_coordinator.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace penstock::broker {

///                add                  EndTxn                 markers written
///     empty ------------> ongoing -------------> prepare_* ------------------> complete_* ---> ongoing ...
/// InitProducerId leads from complete_* to empty, and from ongoing to empty over an abort. The numbers are
/// those in the journal; dead and prepare_epoch_fence are never there.
enum class transaction_state : std::int8_t {
  empty = 0,
  ongoing = 1,
  prepare_commit = 2,  ///< decided; the markers are under way
  prepare_abort = 3,
  complete_commit = 4,
  complete_abort = 5,
  dead = 6,
  prepare_epoch_fence = 7,
};
/// Kafka's name, for example "PrepareCommit".
std::string_view to_string(transaction_state s) noexcept;
std::optional<transaction_state> parse_transaction_state(std::string_view name) noexcept;

struct producer_identity {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
  friend bool operator==(const producer_identity&, const producer_identity&) = default;
};

/// The last epoch that a client is given; the one behind it is for the marker that ends its transaction.
inline constexpr std::int16_t last_epoch_given = std::numeric_limits<std::int16_t>::max() - 1;
constexpr bool exhausted(std::int16_t epoch) noexcept { return epoch >= last_epoch_given; }

/// The partitions of a transaction, topic by topic.
using partition_sets = std::map<std::string, std::set<std::int32_t>, std::less<>>;
bool contains(const partition_sets& sets, std::string_view topic, std::int32_t partition);
bool contains_all(const partition_sets& sets, const partition_sets& wanted);

/// How a client ends transactions: by its own epoch from beginning to end (`plain`), or with an epoch for
/// each transaction (`raised`, transaction.version 2, KIP-890).
enum class transaction_version : std::int8_t { plain = 0, raised = 2 };

struct transaction {
  std::string id;
  producer_identity producer;
  std::int64_t previous_producer_id = -1;  ///< before the epochs of one were used up
  std::int64_t next_producer_id = -1;      ///< takes over when the markers are written
  std::int16_t last_epoch = -1;  ///< of this producer before the last raise; -1: none that may be repeated
  std::chrono::milliseconds timeout{0};
  transaction_state state = transaction_state::empty;
  partition_sets partitions;
  std::int64_t start_ms = -1;                                ///< of the transaction, wall clock
  std::int64_t updated_ms = -1;                              ///< wall clock
  transaction_version version = transaction_version::plain;  ///< of whoever changed the state last

  bool is(transaction_state s) const noexcept { return state == s; }
  bool deciding() const noexcept {
    return state == transaction_state::prepare_commit || state == transaction_state::prepare_abort;
  }
  friend bool operator==(const transaction&, const transaction&) = default;
};

}  // namespace penstock::broker
