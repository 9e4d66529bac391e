// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "broker/group_coordinator.h"
#include "wire/batch_builder.h"

namespace penstock::broker {

class broker_core;
struct partition;

/// Keeps the groups' state in __consumer_offsets, as Kafka does: a compacted topic of 50 partitions, a
/// group's records in the partition that the hash of its name chooses.
class offsets_journal final : public group_journal {
 public:
  static constexpr std::int32_t partition_count = 50;
  explicit offsets_journal(broker_core& core) : core_(core) {}

  void write(const std::string& group, std::vector<state_record> records,
             unique_function<void(wire::error_code)> done) override;
  /// Reads everything back into the coordinator. Once, at the start.
  result<> load(group_coordinator& into);

 private:
  result<> load_partition(partition& p, group_coordinator& into);

  broker_core& core_;
  wire::batch_builder builder_{std::size_t{1} << 30};
};

/// Java's String.hashCode of a name in UTF-8, made positive, modulo `partitions`.
std::int32_t group_partition(std::string_view group, std::int32_t partitions) noexcept;

}  // namespace penstock::broker
