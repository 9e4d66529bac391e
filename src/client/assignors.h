// SPDX-License-Identifier: Apache-2.0
// How the leader of a classic group shares out partitions, with the same results as Kafka's Java client.
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::client {

/// A member as the leader sees it.
struct group_subscription {
  std::string member_id;
  std::string instance_id;  ///< empty: not static
  std::vector<std::string> topics;
  std::vector<kafka::topic_partition> owned{};  ///< of its last generation, for the sticky assignor
  std::int32_t generation = -1;                 ///< its last one
};

using group_assignment = std::map<std::string, std::vector<kafka::topic_partition>>;  // by member id

/// The name in the protocol: "range", "roundrobin", "sticky".
std::string_view protocol_name(kafka::assignor a) noexcept;

/// Shares out the partitions of all topics subscribed to. `partitions` has the number of each existing
/// topic's.
group_assignment share_out(kafka::assignor how, std::vector<group_subscription> members,
                           const std::map<std::string, std::int32_t>& partitions);

// What travels in JoinGroup and SyncGroup (Kafka's ConsumerProtocol). The parsers take any bytes; what does
// not parse is empty.
std::string encode_subscription(kafka::assignor how, const group_subscription& s);
group_subscription decode_subscription(std::string member_id, std::string instance_id,
                                       std::string_view bytes);
std::string encode_assignment(const std::vector<kafka::topic_partition>& partitions);
std::vector<kafka::topic_partition> decode_assignment(std::string_view bytes);

}  // namespace penstock::client
