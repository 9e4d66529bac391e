// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/backoff.h"
#include "client/membership.h"
#include "wire/messages/consumer_group_heartbeat.h"
#include "wire/uuid.h"

namespace penstock::client {

/// A member of a group whose partitions the broker shares out (KIP-848, `group.protocol=consumer`): one
/// heartbeat says what the member wants and holds, its answer what it is to hold. Nobody stops meanwhile: a
/// member gives up single partitions, and others get them when it has said so.
class assigned_member final : public membership {
 public:
  assigned_member(cluster& c, group_settings settings, group_handlers handlers);
  ~assigned_member() override;

  void start(topic_selection topics) override;
  void rejoin() override;
  void reconciled() override;
  void leave(unique_function<void()> done) override;

 private:
  using heartbeat_response = wire::consumer_group_heartbeat_response;
  enum class state : std::uint8_t { idle, finding, member, fenced, stopped };

  void find();
  void beat();
  outgoing heartbeat();
  void answered(result<heartbeat_response> response);
  void accept(heartbeat_response& response);
  void reconcile();
  void metadata_changed();
  void arm(std::chrono::nanoseconds after);
  void again(const error& why);
  void lose(const error& why);
  void stop(const error& why);
  bool is_static() const { return !settings_.instance_id.empty(); }
  void send_leave(unique_function<void()> done);

  cluster& cluster_;
  group_settings settings_;
  group_handlers handlers_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
  topic_selection selection_;

  state state_ = state::idle;
  std::uint64_t attempt_ = 0;
  std::int32_t coordinator_ = -1;
  std::string member_id_;
  std::int32_t epoch_ = 0;
  std::chrono::milliseconds interval_{0};
  bool under_way_ = false;
  bool beat_again_ = false;  // as soon as the answer is there
  bool say_all_ = true;      // the coordinator may not know what was said before
  bool by_broker_ = true;    // it matches the pattern; older ones do not
  std::vector<std::string> said_topics_;
  std::map<wire::uuid, std::vector<std::int32_t>> held_, said_held_;
  std::optional<std::map<wire::uuid, std::vector<std::int32_t>>> target_;  // what to hold, if not yet there
  bool reconciling_ = false;                                               // the application works on it
  std::map<wire::uuid, std::vector<std::int32_t>> reconciling_to_;
  bool told_ = false;  // the application knows of an assignment since the last join
  backoff backoff_;
  io::timer timer_;
};

}  // namespace penstock::client
