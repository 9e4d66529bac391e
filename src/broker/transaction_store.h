// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "broker/state_topic.h"
#include "broker/transaction_coordinator.h"

namespace penstock::broker {

class broker_core;
struct partition;

/// What transactions do to the broker's logs: their state goes to __transaction_state, their markers to the
/// partitions that they wrote to.
class transaction_store final : public transaction_backing {
 public:
  explicit transaction_store(broker_core& core);

  result<std::int64_t> next_producer_id() override;
  void write(const std::string& id, state_record record, durability wanted, const partition_sets& partitions,
             unique_function<void(wire::error_code)> done) override;
  void write_markers(transaction_end end, unique_function<void(wire::error_code)> done) override;

  result<topic*> topic_made() { return records_.made(); }
  std::int32_t partition_of(const std::string& id) const { return records_.partition_of(id); }
  /// Reads everything back into the coordinator, and has it finish what the last process left. `crashed` says
  /// that it did not stop clean. Once, at the start, after the groups.
  result<> load(transaction_coordinator& into, bool crashed);

  /// One marker into one partition. Returns where the log must be synced to for it to be on the disk; nothing
  /// when it was there already (`again`). Errors: those of clients (errc::kafka).
  result<std::optional<syncer::target>> write_marker(partition& p, const transaction_end& end,
                                                     std::int32_t coordinator_epoch);

 private:
  std::vector<syncer::target> ends_of(const partition_sets& partitions);
  void reconcile(transaction_coordinator& into, partition& p);

  broker_core& core_;
  state_topic records_;
  wire::scratch_buffer marker_;
};

}  // namespace penstock::broker
