// SPDX-License-Identifier: Apache-2.0
// An assignor of one's own for classic consumer groups.
#pragma once

#include <penstock/kafka/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::kafka {

/// A member of a classic group as the one who shares out the partitions sees it.
struct group_member_info {
  std::string member_id{};
  std::string instance_id{};  ///< group.instance.id; empty: a dynamic member
  std::vector<std::string> topics{};
  std::vector<topic_partition> owned{};  ///< what it still holds, or had last
  std::int32_t generation = -1;          ///< the generation in which it got them
  std::string rack{};                    ///< client.rack; empty: not said
  std::string user_data{};               ///< what its assignor's user_data gave
};

/// What one member gets.
struct member_share {
  std::vector<topic_partition> partitions{};
  std::string user_data{};  ///< handed to that member's on_assignment
};

/// Shares out a classic group's partitions. All members must offer an assignor of that name; the group's
/// coordinator chooses one that everybody has, and its leader calls it.
///
/// Threads: called on the membership's thread, one call at a time; must not call the consumer.
///
///     class everything_to_the_first : public kafka::partition_assignor {
///      public:
///       std::string_view name() const override { return "first"; }
///       std::map<std::string, kafka::member_share> share_out(
///           const std::vector<kafka::group_member_info>& members,
///           const std::map<std::string, std::int32_t>& partitions) override {
///         std::map<std::string, kafka::member_share> shares;
///         for (const auto& [topic, count] : partitions)
///           for (std::int32_t p = 0; p < count; ++p)
///             shares[members.front().member_id].partitions.push_back({topic, p});
///         return shares;
///       }
///     };
class partition_assignor {
 public:
  virtual ~partition_assignor() = default;
  /// The name in the protocol, the same for all members of the group.
  virtual std::string_view name() const = 0;
  /// Whether members keep their partitions through a rebalance (KIP-429). Then no partition may be given to a
  /// member while another still owns it: that one's share leaves it out first, and the group rebalances
  /// again. Members rebalance cooperatively only if all the assignors they offer do.
  virtual bool cooperative() const { return false; }
  /// What this member tells the leader's assignor, with each join: any bytes.
  virtual std::string user_data(const std::vector<std::string>& /*topics*/) { return {}; }
  /// By member id; `partitions` has the number of each existing topic's. `members` come in the order of
  /// Kafka's own assignors: static ones by instance id, then the others by member id. What is given to nobody
  /// is read by nobody; what a member did not subscribe to is not accepted from it.
  virtual std::map<std::string, member_share> share_out(
      const std::vector<group_member_info>& members,
      const std::map<std::string, std::int32_t>& partitions) = 0;
  /// This member's share of a new generation.
  virtual void on_assignment(const member_share& /*mine*/, std::int32_t /*generation*/) {}
};

}  // namespace penstock::kafka
