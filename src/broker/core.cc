// SPDX-License-Identifier: Apache-2.0
#include "broker/core.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/broker_log.h"

namespace penstock::broker {

using wire::error_code;

namespace {

constexpr std::int64_t producer_ids_at_once = 1000;
constexpr std::size_t most_request_memory = std::size_t{1} << 30;  // over all connections

group_settings group_settings_of(const server_options& o) {
  group_settings s;
  s.min_session = o.group_min_session_timeout;
  s.max_session = o.group_max_session_timeout;
  s.initial_delay = o.group_initial_rebalance_delay;
  s.offsets_retention = o.offsets_retention;
  return s;
}

transaction_settings transaction_settings_of(const server_options& o) {
  transaction_settings s;
  s.max_timeout = o.transaction_max_timeout;
  s.expiration = o.transactional_id_expiration;
  return s;
}

}  // namespace

broker_core::broker_core(server_options o, environment e)
    : options(std::move(o)),
      env(e),
      blocks(most_request_memory),
      loop(*e.time),
      settings(options, metadata),
      topics(options, env, metadata, settings),
      syncs(loop, options.flush, options.flush_interval,
            {[this](const wire::uuid& id, std::int32_t index) {
               topic* t = topics.find(id);
               if (options.flush == flush_policy::each && t != nullptr)
                 wake_fetches(*this, *t->find(index), INT32_MAX);
             },
             [this](const error& why) { fail_stop(why); }}),
      journal(*this),
      groups(group_settings_of(options), journal, *env.time, *env.random),
      transaction_log(*this),
      transactions(transaction_settings_of(options), transaction_log, *env.time),
      group_timer_(loop),
      transaction_timer_(loop),
      upkeep_timer_(loop),
      drain_timer_(loop) {}

broker_core::~broker_core() = default;

std::int64_t broker_core::visible_end(const log::partition_log& log) const {
  return answers_after_sync() ? std::min(log.recovery_point(), log.end_offset()) : log.end_offset();
}

std::int64_t broker_core::stable_end(const log::partition_log& log) const {
  return std::min(visible_end(log), log.last_stable_offset());
}

void broker_core::appended(partition& p, std::uint64_t bytes, bool flush_soon) {
  syncs.appended(p, flush_soon);
  if (!answers_after_sync()) wake_fetches(*this, p, bytes);
}

error_code broker_core::check_leader_epoch(std::int32_t epoch) const noexcept {
  if (epoch < 0 || epoch == leader_epoch()) return error_code::none;
  return epoch < leader_epoch() ? error_code::fenced_leader_epoch : error_code::unknown_leader_epoch;
}

error_code broker_core::storage_error(const error& e) {
  if (e.kind() == errc::kafka) return static_cast<error_code>(e.kafka_code());
  if (e.kind() == errc::io) {
    fail_stop(e);
  } else if (const auto now = env.time->now();
             now >= next_storage_warning_) {  // a full disk fails every request
    next_storage_warning_ = now + std::chrono::seconds(10);
    broker_log().warn("{}", e.message());
  }
  return error_code::kafka_storage_error;
}

error_code broker_core::create_topics(const std::vector<new_topic>& wanted) {
  if (wanted.empty()) return error_code::none;
  const auto made = topics.create(wanted);
  return made ? error_code::none : storage_error(made.error());
}

void broker_core::remove_topic(topic& t, unique_function<void(error_code)> done) {
  auto removed = topics.remove(t);
  if (!removed) return done(storage_error(removed.error()));
  std::shared_ptr<topic> gone = std::move(*removed);
  wake_all_fetches(*this, *gone);
  groups.forget_topic(gone->name());
  // The flush thread first, then the upkeep thread: neither may touch the directories once they are removed,
  // for the name may be used again.
  syncs.forget(*gone, [this, gone, done = std::move(done)]() mutable {
    upkeep_worker_.post([this, gone, done = std::move(done)]() mutable {
      auto outcome = topic_catalog::remove_directories(*env.files, options.directory, gone->record);
      loop.post([this, gone, outcome = std::move(outcome), done = std::move(done)]() mutable {
        gone->partitions.clear();
        if (outcome)
          topics.finish_removal(gone->record);
        else
          broker_log().warn("topic {}: {}", gone->name(), outcome.error().message());
        done(error_code::none);  // it is gone for clients; what is left is removed at the next start
      });
    });
  });
}

// Looks through all transactions, so not more often than once a second.
void broker_core::arm_transaction_timer() {
  if (transaction_timer_.armed() || stopping_) return;
  const auto next = transactions.next_deadline();
  if (!next) return;
  const auto after = std::clamp<io::instant::duration>(*next - env.time->now(), std::chrono::milliseconds(1),
                                                       std::chrono::seconds(1));
  transaction_timer_.arm(after, [this] {
    transactions.tick();
    arm_transaction_timer();
  });
}

result<std::int64_t> broker_core::next_producer_id() {
  if (producer_ids_left_ == 0) {
    const std::int64_t first = metadata.next_producer_id;
    metadata.next_producer_id += producer_ids_at_once;
    if (auto saved = topics.save(); !saved) {
      metadata.next_producer_id = first;
      return fail(saved.error());
    }
    next_producer_ = first;
    producer_ids_left_ = producer_ids_at_once;
  }
  --producer_ids_left_;
  return next_producer_++;
}

void broker_core::arm_group_timer() {
  const auto next = groups.next_deadline();
  if (!next || stopping_) return group_timer_.cancel();
  const auto now = env.time->now();
  const auto after = std::max(*next - now, io::instant::duration(std::chrono::milliseconds(1)));
  group_timer_.arm(after, [this] {
    groups.tick();
    arm_group_timer();
  });
}

void broker_core::accept(std::unique_ptr<io::stream> s) {
  if (stopping_ || connections_.size() >= options.max_connections) {
    s->close();
    return;
  }
  const auto c = std::make_shared<connection>(*this, std::move(s));
  connections_.insert(c);
  c->start();
}

void broker_core::connection_closed(connection& c) { connections_.erase(c.shared_from_this()); }

void broker_core::fail_stop(const error& why) {
  if (failure_) return;
  failure_ = why;
  broker_log().critical("the broker stops: {}", why.message());
  // May fail as the write before did; then the missing clean-shutdown mark alone makes the next start
  // careful.
  (void)io::write_file_atomically(*env.files, options.directory + "/.failed", why.message() + "\n");
  if (on_stopped_by_failure) on_stopped_by_failure();
}

}  // namespace penstock::broker
