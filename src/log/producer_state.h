// SPDX-License-Identifier: Apache-2.0
// What a partition knows of its idempotent and transactional producers (KIP-98), and the file that keeps it:
//
//   <offset>.snapshot, big-endian: the state before <offset>
//      0  i16  version 1
//      2  u32  CRC-32C of everything behind it
//      6  i32  producers, then for each 46 bytes:
//              i64 id, i16 epoch, i32 last sequence, i64 last offset, i32 offset delta, i64 timestamp,
//              i32 coordinator epoch, i64 first offset of the open transaction or -1
// So far Kafka's own format, which keeps one batch a producer. Behind it, where Kafka's readers do not look,
// the earlier batches that make a duplicate known after a restart:
//           i32  magic "pstk"
//           i32  entries, then for each: i64 producer id, i8 batches (oldest first, without the last), per
//           batch
//              i32 first sequence, i32 last sequence, i64 last offset, i32 offset delta, i64 timestamp;
//              and then, of the last batch, i32 first sequence, i64 timestamp
#pragma once

#include <penstock/result.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "log/transaction_index.h"
#include "wire/record_batch.h"

namespace penstock::log {

/// What the check of a batch says, and what append did with it.
enum class append_status : std::uint8_t {
  appended,                ///< of the check: may be appended
  duplicate,               ///< of one of the producer's last five batches: success, with the original offsets
  out_of_order_sequence,   ///< OUT_OF_ORDER_SEQUENCE_NUMBER; not appended, as all below
  invalid_producer_epoch,  ///< INVALID_PRODUCER_EPOCH
  invalid_txn_state,       ///< INVALID_TXN_STATE
  coordinator_fenced,      ///< a marker of an earlier coordinator: TRANSACTION_COORDINATOR_FENCED
  too_large,               ///< larger than a segment: RECORD_LIST_TOO_LARGE
  not_written,  ///< earlier batches of the call were appended, then writing failed: KAFKA_STORAGE_ERROR
};

struct producer_batch {
  std::int32_t first_sequence = -1;
  std::int32_t last_sequence = -1;
  std::int64_t last_offset = -1;
  std::int32_t offset_delta = 0;
  std::int64_t timestamp_ms = -1;
  std::int64_t first_offset() const noexcept { return last_offset - offset_delta; }
  friend bool operator==(const producer_batch&, const producer_batch&) = default;
};

struct producer_entry {
  /// Fixed by the protocol: a client has at most so many requests in flight.
  static constexpr std::size_t batches_kept = 5;

  std::int64_t producer_id = -1;
  std::int16_t epoch = -1;
  std::int32_t coordinator_epoch = -1;
  std::int64_t transaction_first_offset = -1;  ///< -1: no open transaction
  std::int64_t last_timestamp_ms = -1;
  std::uint8_t batch_count = 0;
  std::array<producer_batch, batches_kept> batches;  ///< oldest first

  std::int32_t last_sequence() const noexcept {
    return batch_count == 0 ? -1 : batches[batch_count - 1u].last_sequence;
  }
  std::int64_t last_offset() const noexcept {
    return batch_count == 0 ? -1 : batches[batch_count - 1u].last_offset;
  }
  friend bool operator==(const producer_entry&, const producer_entry&) = default;
};

/// The state of all producers of one partition. A value without locks or files; the log owns one and keeps it
/// in step with what is appended.
class producer_state {
 public:
  struct verdict {
    append_status status = append_status::appended;
    producer_batch original;  ///< of a duplicate
  };

  /// May this batch of a client, or this marker, be appended now? See README.md for the rules. With
  /// `epoch_of_its_own` the producer's epoch is raised with each transaction (KIP-890): then a marker with
  /// the epoch of an open transaction is a late one, of the transaction before, and a producer that is not
  /// known here begins with sequence 0.
  verdict check(const wire::batch_header& batch, const std::optional<wire::transaction_marker>& marker = {},
                bool epoch_of_its_own = false) const;
  /// Notes a batch at its final offsets. `marker` is set for a control batch that ends a transaction. Returns
  /// the entry for the transaction index if that aborted a transaction with data here.
  std::optional<aborted_transaction> update(const wire::batch_header& batch,
                                            const std::optional<wire::transaction_marker>& marker);

  /// The entry of a producer, to put back with restore() when the append fails.
  std::optional<producer_entry> find(std::int64_t producer_id) const;
  void restore(std::int64_t producer_id, const std::optional<producer_entry>& entry);

  /// The first offset of the earliest open transaction.
  std::optional<std::int64_t> first_open_offset() const noexcept;
  /// Forgets producers without an open transaction whose last batch is older than `before_ms`. Returns how
  /// many.
  std::size_t expire(std::int64_t before_ms);
  void clear();
  std::size_t size() const noexcept { return producers_.size(); }
  /// All entries, in order of producer ids.
  std::vector<producer_entry> entries() const;

  std::string encode() const;
  /// Errors: corrupt. Reads Kafka's own snapshots as well.
  static result<producer_state> decode(std::string_view bytes);

 private:
  void note(producer_entry& e, const wire::batch_header& batch);

  std::unordered_map<std::int64_t, producer_entry> producers_;
  std::map<std::int64_t, std::int64_t> open_;  // first offset -> producer id
};

}  // namespace penstock::log
