// SPDX-License-Identifier: Apache-2.0
// One consumer group of the classic protocol: members, generation, committed offsets. What happens to it is
// decided by group_coordinator.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_function.h"
#include "broker/group_records.h"
#include "broker/topic_partition.h"
#include "io/clock.h"
#include "wire/error_code.h"

namespace penstock::broker {

///                 join                 all joined               leader synced
///     empty ---------------> preparing -----------> completing --------------> stable
///       ^                        |  ^                   |                         |
///       +---- last one left -----+  +-- join, leave, ---+-------------------------+
///                                       member lost
enum class group_state : std::uint8_t {
  empty,                 ///< no members; may have offsets
  preparing_rebalance,   ///< waiting for all members to join
  completing_rebalance,  ///< generation is set; waiting for the leader's assignment
  stable,                ///< every member has, or may fetch, its assignment
};
/// Kafka's name, for example "PreparingRebalance".
std::string_view to_string(group_state s) noexcept;

/// A way to assign that a member offers, with what it says about itself under it.
struct group_protocol {
  std::string name;
  std::string metadata;
  friend bool operator==(const group_protocol&, const group_protocol&) = default;
};

struct joined_member {
  std::string id;
  std::optional<std::string> instance_id;
  std::string metadata;
};

struct join_answer {
  wire::error_code error = wire::error_code::none;
  std::int32_t generation = -1;
  std::string protocol_type;
  std::string protocol;
  std::string leader;
  std::string member_id;
  bool skip_assignment = false;
  std::vector<joined_member> members;  ///< for the leader alone
};

struct sync_answer {
  wire::error_code error = wire::error_code::none;
  std::string protocol_type;
  std::string protocol;
  std::string assignment;
};

struct group_member {
  std::string id;
  std::optional<std::string> instance_id;  ///< set: a static member
  std::string client_id;
  std::string client_host;
  std::chrono::milliseconds session_timeout{0};
  std::chrono::milliseconds rebalance_timeout{0};
  std::vector<group_protocol> protocols;
  std::string assignment;
  bool is_new = false;                           ///< until its first join is answered
  io::instant deadline{};                        ///< when it counts as lost
  unique_function<void(join_answer)> on_joined;  ///< set while its JoinGroup waits
  unique_function<void(sync_answer)> on_synced;  ///< set while its SyncGroup waits

  bool supports(std::string_view protocol) const;
  /// What it says about itself under a protocol; empty when it does not know it.
  std::string_view metadata(std::string_view protocol) const;
};

class group {
 public:
  explicit group(std::string name) : name_(std::move(name)) {}

  const std::string& name() const noexcept { return name_; }
  bool is(group_state s) const noexcept { return state == s; }
  void enter(group_state s, std::int64_t wall_ms) {
    state = s;
    state_ms = wall_ms;
  }

  group_member* find(std::string_view member_id);
  group_member* find_static(std::string_view instance_id);
  /// unknown_member_id or fenced_instance_id when the pair does not name a member; none otherwise.
  wire::error_code check(std::string_view member_id, const std::optional<std::string>& instance_id) const;

  group_member& add(group_member m);
  /// Takes a member out; the leader's place goes to another one.
  group_member remove(const std::string& member_id);
  /// Gives a static member a new id, and its place, timers and assignment with it.
  group_member& rename(const std::string& old_id, const std::string& new_id);

  /// True when somebody with this type and these protocols may be a member beside those that are there.
  bool accepts(std::string_view type, const std::vector<group_protocol>& offered) const;
  /// Each member votes for the first of its protocols that all know; most votes win.
  std::string choose_protocol() const;
  bool all_joined() const;
  /// Keeps the leader when it has joined again, else makes one that has. False when nobody waits to join.
  bool elect_leader();
  std::chrono::milliseconds rebalance_timeout() const;  ///< the largest of the members'
  std::vector<joined_member> described_members() const;
  /// A record of the group as it is, with the given assignments.
  stored_group stored(const std::map<std::string, std::string>& assignments) const;
  /// Whether a live "consumer" group reads this topic.
  bool subscribes(const std::string& topic) const;
  /// Whether an open transaction has an offset for it.
  bool unstable(const topic_partition& where) const;

  group_state state = group_state::empty;
  std::int64_t state_ms = 0;  ///< wall clock
  std::string protocol_type;
  std::string protocol;
  std::string leader;
  std::int32_t generation = 0;
  std::map<std::string, group_member, std::less<>> members;
  std::map<std::string, std::string, std::less<>> static_ids;  ///< instance id -> member id
  std::map<std::string, io::instant, std::less<>>
      pending;                                  ///< ids given out with MEMBER_ID_REQUIRED, until when
  std::set<std::string, std::less<>> unsynced;  ///< members of this generation that have not called SyncGroup
  std::optional<io::instant>
      join_deadline;  ///< in preparing_rebalance: when those who joined go on without the others
  std::optional<io::instant> sync_deadline;  ///< when `unsynced` members are dropped
  std::optional<io::instant> initial_until;  ///< first rebalance only: how far the wait may be extended
  bool initial = false;                      ///< waiting for the first members: nothing completes early
  bool joined_since = false;                 ///< a new member came since the wait was last extended
  std::map<topic_partition, committed_offset> offsets;
  /// Committed in transactions that are open: producer id -> what is applied when it commits (KIP-98).
  std::map<std::int64_t, std::map<topic_partition, committed_offset>> in_transactions;

 private:
  std::string name_;
};

}  // namespace penstock::broker
