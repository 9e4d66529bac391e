// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <functional>
#include <span>
#include <string_view>

#include "broker/group_records.h"
#include "broker/syncer.h"
#include "broker/transaction.h"
#include "wire/batch_builder.h"
#include "wire/error_code.h"
#include "wire/record_batch.h"

namespace penstock::broker {

class broker_core;
struct partition;

/// Java's String.hashCode of a name in UTF-8, made positive, modulo `partitions`.
std::int32_t state_partition(std::string_view name, std::int32_t partitions) noexcept;

/// A topic in which a coordinator keeps its state, as Kafka does: compacted, of 50 partitions, the records of
/// a name in the partition that its hash chooses. Made when it is first written. On the server's thread.
class state_topic {
 public:
  static constexpr std::int32_t partition_count = 50;
  state_topic(broker_core& core, std::string_view topic) : core_(core), topic_(topic) {}

  result<topic*> made();
  std::int32_t partition_of(std::string_view name) const noexcept {
    return state_partition(name, partition_count);
  }
  /// Appends the records of one name as one batch; of a transaction if there is a producer. Returns up to
  /// where the log must be synced for them to be on the disk. Errors: those of clients (errc::kafka).
  result<syncer::target> append(std::string_view name, std::span<const state_record> records, bool sync_soon,
                                producer_identity transaction = {});

  struct reader {
    std::function<void(const wire::batch_header& batch, const record_view& record)> record;
    std::function<void(const wire::batch_header& batch, std::int32_t partition, bool commit)> marker;
  };
  /// Reads everything, partition by partition.
  result<> load(const reader& into);

 private:
  result<> load_partition(partition& p, const reader& into);

  broker_core& core_;
  std::string_view topic_;
  wire::batch_builder builder_{std::size_t{1} << 30};
};

}  // namespace penstock::broker
