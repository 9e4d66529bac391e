// SPDX-License-Identifier: Apache-2.0
#include "client/group_session.h"

#include <future>
#include <utility>

#include "client/assigned_member.h"
#include "client/group_member.h"

namespace penstock::client {

result<std::unique_ptr<group_session>> group_session::start(const kafka::consumer_settings& settings,
                                                            topic_selection topics,
                                                            unique_function<void()> wake) {
  std::unique_ptr<group_session> s(new group_session);
  auto c = cluster::create(s->loop_, settings.bootstrap_servers, settings.connection);
  if (!c) return fail(c.error());
  s->cluster_ = std::move(*c);
  s->wake_ = std::move(wake);
  s->polled();
  group_handlers handlers;
  auto* self = s.get();
  handlers.assigned = [self](const group_generation& g) {
    self->rename(g.member_id, g.id);
    self->add({group_event::kind::assigned, g, {}});
  };
  handlers.renamed = [self](const std::string& id, std::int32_t generation) { self->rename(id, generation); };
  handlers.rebalance = [self] { self->add({group_event::kind::rebalance, {}, {}}); };
  handlers.lost = [self](const error& why) { self->add({group_event::kind::lost, {}, why}); };
  handlers.failed = [self](const error& why) { self->add({group_event::kind::failed, {}, why}); };
  handlers.last_poll = [self] { return io::instant(io::instant::duration(self->last_poll_.load())); };
  const bool classic = settings.group_protocol == kafka::group_protocol::classic;
  group_settings g{settings.group_id,           settings.group_instance_id,
                   assignors_of(settings),      settings.group_remote_assignor,
                   settings.client_rack,        settings.session_timeout,
                   settings.heartbeat_interval, settings.max_poll_interval};
  if (classic)
    s->member_ = std::make_unique<group_member>(*s->cluster_, std::move(g), std::move(handlers));
  else
    s->member_ = std::make_unique<assigned_member>(*s->cluster_, std::move(g), std::move(handlers));
  s->loop_.post([self, topics = std::move(topics)]() mutable { self->member_->start(std::move(topics)); });
  s->thread_ = std::thread([self] { self->loop_.run(); });
  return s;
}

group_session::~group_session() { leave(std::chrono::milliseconds(0)); }

void group_session::add(group_event e) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(e));
  }
  wake_();
}

void group_session::rename(const std::string& member_id, std::int32_t generation) {
  const std::lock_guard lock(mutex_);
  identity_ = {member_id, generation};
}

group_session::identity group_session::current() const {
  const std::lock_guard lock(mutex_);
  return identity_;
}

std::optional<group_event> group_session::take_event() {
  const std::lock_guard lock(mutex_);
  if (events_.empty()) return std::nullopt;
  auto e = std::move(events_.front());
  events_.pop_front();
  return e;
}

void group_session::rejoin() {
  loop_.post([this] { member_->rejoin(); });
}

void group_session::reconciled() {
  loop_.post([this] { member_->reconciled(); });
}

connection_metrics group_session::measured() {
  if (!thread_.joinable()) return cluster_->measured();
  std::promise<connection_metrics> done;
  auto value = done.get_future();
  loop_.post([&] { done.set_value(cluster_->measured()); });
  return value.get();
}

void group_session::leave(std::chrono::milliseconds timeout) {
  if (!thread_.joinable()) return;
  auto done = std::make_shared<std::promise<void>>();
  auto left = done->get_future();
  loop_.post([this, done] { member_->leave([done] { done->set_value(); }); });
  left.wait_for(timeout);
  loop_.stop();
  thread_.join();
}

}  // namespace penstock::client
