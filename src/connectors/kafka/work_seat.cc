// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/work_seat.h"

#include <penstock/kafka/assignor.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

namespace penstock::connectors {
namespace {

using namespace std::chrono_literals;
constexpr std::string_view works_mark = "works";
constexpr auto seat_leave_time = 500ms;

}  // namespace

/// Everything to the member that says that it works; else to the first one.
class work_seat::assignor final : public kafka::partition_assignor {
 public:
  explicit assignor(std::shared_ptr<std::atomic<bool>> works) : works_(std::move(works)) {}
  std::string_view name() const override { return "penstock-one-works"; }
  std::string user_data(const std::vector<std::string>&) override {
    return works_->load() ? std::string(works_mark) : std::string();
  }
  std::map<std::string, kafka::member_share> share_out(
      const std::vector<kafka::group_member_info>& members,
      const std::map<std::string, std::int32_t>& partitions) override {
    std::map<std::string, kafka::member_share> shares;
    if (members.empty()) return shares;
    auto chosen =
        std::find_if(members.begin(), members.end(), [](const auto& m) { return m.user_data == works_mark; });
    if (chosen == members.end()) chosen = members.begin();
    auto& all = shares[chosen->member_id].partitions;
    for (const auto& [topic, count] : partitions)
      for (std::int32_t p = 0; p < count; ++p) all.push_back({topic, p});
    return shares;
  }

 private:
  const std::shared_ptr<std::atomic<bool>> works_;
};

result<std::unique_ptr<work_seat>> work_seat::join(settings s, std::function<void()> changed) {
  std::unique_ptr<work_seat> seat(new work_seat);
  auto* self = seat.get();
  auto cluster = client::cluster::create(self->loop_, s.bootstrap_servers, s.connection);
  if (!cluster) return fail(std::move(cluster.error()));
  self->cluster_ = std::move(*cluster);
  self->changed_ = std::move(changed);
  client::group_handlers handlers;
  handlers.assigned = [self](const client::group_generation& g) {
    // Nothing: somebody else works. One that works goes on until it is fenced: a leader may not know the
    // topics for a moment.
    if (!g.partitions.empty() && !self->works_->exchange(true)) self->changed_();
  };
  handlers.renamed = [](const std::string&, std::int32_t) {};
  const auto rejoin = [self] { self->loop_.post([self] { self->member_->rejoin(); }); };
  handlers.rebalance = rejoin;
  // One that works and was thrown out meanwhile still says that it works: it does, until it is fenced.
  handlers.lost = [rejoin](const error&) { rejoin(); };
  handlers.failed = [self](const error& why) { self->fail_with(why); };
  handlers.last_poll = [self] { return self->cluster_->now(); };
  client::group_settings g;
  g.group_id = s.group;
  g.assignors = {std::make_shared<assignor>(self->works_)};
  g.session_timeout = s.session_timeout;
  g.heartbeat_interval = s.session_timeout / 4;
  g.rebalance_timeout = s.session_timeout;
  self->member_ = std::make_unique<client::group_member>(*self->cluster_, std::move(g), std::move(handlers));
  self->loop_.post([self, topics = client::topic_selection::names(std::move(s.topics))]() mutable {
    self->member_->start(std::move(topics));
  });
  self->thread_ = std::thread([self] { self->loop_.run(); });
  return seat;
}

work_seat::~work_seat() {
  if (!thread_.joinable()) return;
  auto done = std::make_shared<std::promise<void>>();
  auto left = done->get_future();
  loop_.post([this, done] { member_->leave([done] { done->set_value(); }); });
  left.wait_for(seat_leave_time);
  loop_.stop();
  thread_.join();
}

void work_seat::fail_with(const error& why) {
  {
    const std::lock_guard lock(mutex_);
    failure_ = why;
  }
  changed_();
}

std::optional<error> work_seat::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace penstock::connectors
