// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_function.h"
#include "broker/group.h"
#include "broker/group_records.h"
#include "broker/topic_partition.h"
#include "broker/transaction.h"
#include "io/clock.h"
#include "io/random.h"
#include "wire/error_code.h"

namespace penstock::broker {

/// Where the coordinator's state outlives the process.
class group_journal {
 public:
  virtual ~group_journal() = default;
  /// Writes the records of one group; `done` runs when they are as durable as an acknowledged record is,
  /// perhaps inside of the call. Calls for one group are answered in order.
  virtual void write(const std::string& group, std::vector<state_record> records,
                     unique_function<void(wire::error_code)> done) = 0;
  /// The same in a producer's transaction: the records count when its marker says so.
  virtual void write_in_transaction(const std::string& group, std::vector<state_record> records,
                                    producer_identity producer,
                                    unique_function<void(wire::error_code)> done) = 0;
  /// Which part of the journal, ended by one marker, has the records of a group.
  virtual std::int32_t partition_of(const std::string& group) const = 0;
};

struct group_settings {
  std::chrono::milliseconds min_session{6000};
  std::chrono::milliseconds max_session{1'800'000};
  std::chrono::milliseconds initial_delay{0};
  std::chrono::milliseconds offsets_retention{std::chrono::hours(24 * 7)};
  std::size_t max_members = 10'000;  ///< of one group
};

struct join_request {
  std::string group;
  std::string member_id;
  std::optional<std::string> instance_id;
  std::string client_id;
  std::string client_host;
  std::chrono::milliseconds session_timeout{0};
  std::chrono::milliseconds rebalance_timeout{0};
  std::string protocol_type;
  std::vector<group_protocol> protocols;
  bool needs_member_id =
      false;  ///< JoinGroup v4+: a new dynamic member must come back with the id it is given
  bool may_skip_assignment = false;  ///< JoinGroup v9+
};

struct sync_request {
  std::string group;
  std::string member_id;
  std::optional<std::string> instance_id;
  std::int32_t generation = -1;
  std::optional<std::string> protocol_type;
  std::optional<std::string> protocol;
  std::map<std::string, std::string> assignments;  ///< from the leader: member id -> bytes
};

/// Who says that it is a member.
struct member_identity {
  std::string member_id;
  std::optional<std::string> instance_id;
  std::int32_t generation = -1;
};

/// The coordinator of all classic consumer groups (KAFKA.md 3.7): a state machine without threads, sockets or
/// timers of its own. Time is what `time` says; `tick` must be called when `next_deadline` is reached.
///
/// Requests that wait (join, sync, commit) answer through their callback, perhaps inside of the call and
/// perhaps never if the coordinator is destroyed first. One thread.
class group_coordinator {
 public:
  using groups_map = std::map<std::string, std::unique_ptr<group>, std::less<>>;

  group_coordinator(group_settings settings, group_journal& journal, const io::clock& time,
                    io::random_source& random);

  void join(join_request request, unique_function<void(join_answer)> done);
  void sync(sync_request request, unique_function<void(sync_answer)> done);
  wire::error_code heartbeat(const std::string& group_name, const member_identity& who);
  /// Removes one member, named by its id, or by its instance id alone (an administrator's way).
  wire::error_code leave(const std::string& group_name, const std::string& member_id,
                         const std::optional<std::string>& instance_id);

  /// Commits if `who` may: a member of the current generation, or anybody (generation -1) when the group is
  /// empty.
  void commit(const std::string& group_name, const member_identity& who,
              std::vector<std::pair<topic_partition, committed_offset>> offsets,
              unique_function<void(wire::error_code)> done);
  /// The same in a producer's transaction (TxnOffsetCommit): the offsets count from transaction_ended on.
  /// Anybody may who does not claim to be a member.
  void commit_in_transaction(const std::string& group_name, const member_identity& who,
                             producer_identity producer,
                             std::vector<std::pair<topic_partition, committed_offset>> offsets,
                             unique_function<void(wire::error_code)> done);
  /// A marker of a producer is in one part of the journal: what it committed there counts, or is forgotten.
  void transaction_ended(std::int64_t producer_id, std::int32_t journal_partition, bool commit);
  /// Forgets committed offsets of partitions that no member reads: an answer a partition, in order. The first
  /// value is an error of the whole request.
  void remove_offsets(const std::string& group_name, std::vector<topic_partition> partitions,
                      unique_function<void(wire::error_code, std::vector<wire::error_code>)> done);
  /// Forgets an empty group with its offsets.
  void remove_group(const std::string& group_name, unique_function<void(wire::error_code)> done);
  /// Forgets every offset committed for a topic that is gone.
  void forget_topic(const std::string& topic);
  /// Forgets offsets older than their retention, and groups left with nothing. Call it every few minutes.
  void expire_offsets();

  /// nullptr when there is no such group.
  const group* find(std::string_view group_name) const;
  const groups_map& groups() const noexcept { return groups_; }

  /// Takes back one record of the journal, oldest first; errc::corrupt when it cannot be read.
  result<> restore(std::string_view key, std::optional<std::string_view> value);
  /// The same for a record of a transaction; transaction_ended tells whether it counts.
  result<> restore_in_transaction(std::int64_t producer_id, std::string_view key,
                                  std::optional<std::string_view> value);

  /// When `tick` has something to do; nothing when no timer runs. It may be early, never late.
  std::optional<io::instant> next_deadline() const;
  void tick();

 private:
  group& find_or_make(const std::string& name);
  group* find_mutable(std::string_view name);
  std::string new_member_id(const std::string& prefix);

  void join_new(group& g, join_request& r, unique_function<void(join_answer)>& done);
  void join_known(group& g, join_request& r, unique_function<void(join_answer)>& done);
  void add_and_rebalance(group& g, std::string id, join_request& r, unique_function<void(join_answer)>& done);
  void update(group_member& m, join_request& r, unique_function<void(join_answer)> done);
  void replace_static(group& g, join_request& r, unique_function<void(join_answer)>& done);
  void rejoin_without_rebalance(group& g, group_member& m, const std::string& old_leader, bool may_skip);

  void rebalance(group& g);  ///< begins one, or sees whether the one under way is complete
  void begin_rebalance(group& g);
  void complete_if_all_joined(group& g);
  void complete_join(group& g);
  void join_wait_over(group& g);
  void sync_wait_over(group& g);
  void take_assignment(group& g, std::map<std::string, std::string> assignments);
  void assignment_written(const std::string& name, std::int32_t generation,
                          const std::map<std::string, std::string>& assignments, wire::error_code error);
  void refuse_syncs(group& g, wire::error_code error);
  void drop_member(group& g, const std::string& id, wire::error_code parked_answer);
  void write_group(const group& g, const std::map<std::string, std::string>& assignments);
  void drop_if_idle(const std::string& name);
  static void apply(group& g, const topic_partition& where, committed_offset value);
  void forget_transaction(std::int64_t producer_id, const std::string& group_name);
  void touch(group_member& m);
  void restore_group(const std::string& name, const stored_group& s);
  bool expired(const group& g, const topic_partition& p, const committed_offset& o,
               std::int64_t wall_ms) const;

  group_settings settings_;
  group_journal& journal_;
  const io::clock& time_;
  io::random_source& random_;
  groups_map groups_;
  std::map<std::int64_t, std::set<std::string>> transactions_;  ///< producer id -> groups it commits for
  std::uint64_t order_ = 0;                                     ///< of the last commit
};

}  // namespace penstock::broker
