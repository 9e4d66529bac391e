// SPDX-License-Identifier: Apache-2.0
// How the leader of a classic group shares out partitions, with the same results as Kafka's Java client.
#pragma once

#include <penstock/kafka/assignor.h>
#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::client {

/// A member as the leader sees it.
using group_subscription = kafka::group_member_info;
using group_assignment = std::map<std::string, std::vector<kafka::topic_partition>>;  // by member id
using partition_counts = std::map<std::string, std::int32_t>;                         // by topic

/// The name in the protocol: "range", "roundrobin", "sticky", "cooperative-sticky".
std::string_view protocol_name(kafka::assignor a) noexcept;

/// Static members come first, by their instance id, so that a restart under a new member id changes nothing.
bool comes_before(const group_subscription& a, const group_subscription& b);

/// Shares out the partitions of all topics subscribed to. `partitions` has the number of each existing
/// topic's. With cooperative_sticky a partition that has to move is given to nobody until its owner has let
/// it go.
group_assignment share_out(kafka::assignor how, std::vector<group_subscription> members,
                           const partition_counts& partitions);
/// What `sticky` comes to: balanced, and everybody keeps what he owned as far as that allows.
group_assignment share_out_sticky(const std::vector<group_subscription>& members,
                                  const partition_counts& partitions);

/// Kafka's assignor of that kind behind the interface for assignors of one's own.
std::shared_ptr<kafka::partition_assignor> make_assignor(kafka::assignor how);
/// The assignors that settings name, the preferred one first.
std::vector<std::shared_ptr<kafka::partition_assignor>> assignors_of(const kafka::consumer_settings& s);
/// Whether members that offer these keep their partitions through a rebalance.
bool all_cooperative(const std::vector<std::shared_ptr<kafka::partition_assignor>>& assignors);

// What travels in JoinGroup and SyncGroup (Kafka's ConsumerProtocol, version 3 of subscriptions; any version
// is read). The parsers take any bytes; what does not parse is empty.
std::string encode_subscription(const group_subscription& s);
/// `protocol`: some assignors hide what was owned in their user data.
group_subscription decode_subscription(std::string_view protocol, std::string member_id,
                                       std::string instance_id, std::string_view bytes);
std::string encode_assignment(const kafka::member_share& share);
kafka::member_share decode_assignment(std::string_view bytes);

/// The memory of Kafka's sticky assignors, which goes along as user data.
std::string encode_sticky_memory(const std::vector<kafka::topic_partition>& owned, std::int32_t generation);

}  // namespace penstock::client
