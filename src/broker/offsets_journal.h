// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "broker/group_coordinator.h"
#include "broker/state_topic.h"

namespace penstock::broker {

class broker_core;

/// Keeps the groups' state in __consumer_offsets.
class offsets_journal final : public group_journal {
 public:
  explicit offsets_journal(broker_core& core);

  void write(const std::string& group, std::vector<state_record> records,
             unique_function<void(wire::error_code)> done) override;
  void write_in_transaction(const std::string& group, std::vector<state_record> records,
                            producer_identity producer,
                            unique_function<void(wire::error_code)> done) override;
  std::int32_t partition_of(const std::string& group) const override { return records_.partition_of(group); }
  result<topic*> topic_made() { return records_.made(); }
  /// Reads everything back into the coordinator. Once, at the start.
  result<> load(group_coordinator& into);

 private:
  broker_core& core_;
  state_topic records_;
};

}  // namespace penstock::broker
