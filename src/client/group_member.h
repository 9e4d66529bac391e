// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/assignors.h"
#include "client/backoff.h"
#include "client/cluster.h"
#include "client/membership.h"
#include "wire/messages/heartbeat.h"
#include "wire/messages/join_group.h"
#include "wire/messages/sync_group.h"

namespace penstock::client {

/// A member of a classic consumer group: finds the coordinator, joins, shares out the partitions when it
/// leads, syncs, sends heartbeats, and says when the group wants to rebalance. If all its assignors are
/// cooperative it keeps its partitions meanwhile and gives up only what goes to others (KIP-429).
class group_member final : public membership {
 public:
  group_member(cluster& c, group_settings settings, group_handlers handlers);
  ~group_member() override;

  void start(topic_selection topics) override;
  void rejoin() override;
  void reconciled() override;
  void leave(unique_function<void()> done) override;

 private:
  enum class state : std::uint8_t {
    idle,
    matching,  // waits for metadata to know which topics a pattern means
    finding,
    joining,
    sharing_out,
    syncing,
    stable,
    interrupted,
    stopped
  };

  void find();
  void join();
  void joined(result<wire::join_group_response> response);
  void lead();
  bool knows_all_topics() const;
  void try_to_share_out();
  void sync(std::vector<wire::sync_group_request::sync_group_request_assignment> assignments);
  void synced(result<wire::sync_group_response> response);
  void tick();
  void heartbeat();
  void heartbeat_answered(result<wire::heartbeat_response> response);
  void metadata_changed();
  void send_leave(unique_function<void()> done);
  void retry(const error& why);
  void interrupt();
  void lose(const error& why, bool forget_member);
  void stop(const error& why);
  client::partition_counts count_partitions() const;
  kafka::partition_assignor& chosen() const;
  std::vector<kafka::topic_partition> subscribed_ones(std::vector<kafka::topic_partition> share) const;
  bool is_static() const { return !settings_.instance_id.empty(); }

  cluster& cluster_;
  group_settings settings_;
  group_handlers handlers_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
  topic_selection selection_;
  std::vector<std::string> topics_;  // as of the last join
  const bool cooperative_;

  state state_ = state::idle;
  std::uint64_t attempt_ = 0;  // answers of earlier attempts do not count
  std::int32_t coordinator_ = -1;
  group_generation generation_;
  std::vector<kafka::topic_partition> owned_;  // what the application still has when joining, if cooperative
  bool reconciling_ = false;                   // the application has not yet done what the generation says
  bool join_again_ = false;                    // as soon as it has
  bool leader_ = false;
  std::string protocol_;
  std::vector<group_subscription> members_;             // when leading
  std::optional<client::partition_counts> shared_out_;  // the partition counts that were shared out
  io::instant sharing_since_{};
  io::instant last_heartbeat_{};
  bool heartbeat_under_way_ = false;
  bool refind_ = false;
  backoff backoff_;
  io::timer timer_;  // back-off, or waiting for metadata
  io::timer heartbeats_;
};

}  // namespace penstock::client
