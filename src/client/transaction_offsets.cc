// SPDX-License-Identifier: Apache-2.0
// Offsets that are committed with a transaction.
#include <fmt/format.h>

#include <utility>

#include "client/sender.h"
#include "client/transaction_errors.h"
#include "client/transactions.h"

namespace penstock::client {
namespace {

using wire::error_code;

constexpr std::int16_t first_commit_of_2 = 5;   // registers the group by itself; 6 has ids of topics
constexpr std::int16_t first_with_members = 3;  // KIP-447, Kafka 2.5

wire::txn_offset_commit_request make_request(const std::string& id, kafka::producer_identity identity,
                                             const std::vector<kafka::partition_offset>& offsets,
                                             const kafka::group_metadata& group) {
  wire::txn_offset_commit_request ask;
  ask.transactional_id = id;
  ask.group_id = group.group_id;
  ask.producer_id = identity.id;
  ask.producer_epoch = identity.epoch;
  ask.generation_id_or_member_epoch = group.generation;
  ask.member_id = group.member_id;
  if (!group.instance_id.empty()) ask.group_instance_id = group.instance_id;
  std::size_t t = 0;
  for (const auto& o : offsets) {
    if (t >= ask.topics.size() || ask.topics[t].name != o.partition.topic) {
      t = 0;
      while (t < ask.topics.size() && ask.topics[t].name != o.partition.topic) ++t;
      if (t == ask.topics.size()) ask.topics.emplace_back().name = o.partition.topic;
    }
    auto& p = ask.topics[t].partitions.emplace_back();
    p.partition_index = o.partition.partition;
    p.committed_offset = o.position.offset;
    p.committed_leader_epoch = o.position.leader_epoch;
    p.committed_metadata = o.position.metadata;
  }
  return ask;
}

}  // namespace

void transactions::send_offsets(std::vector<kafka::partition_offset> offsets, kafka::group_metadata group,
                                io::instant deadline, done_function done) {
  if (auto good = usable(); !good) return done(std::move(good));
  if (state_ == state::must_abort) return done(fail(*error_));
  if ((state_ != state::open && !next_begun_) || resumed_)
    return done(fail(misuse("offsets belong into an open transaction: begin_transaction comes first")));
  if (group.group_id.empty())
    return done(fail(misuse("offsets are committed for a group: its name is empty")));
  for (const auto& o : offsets)
    if (o.position.offset < 0)
      return done(fail(misuse(
          fmt::format("{}: offset {} cannot be committed", to_string(o.partition), o.position.offset))));
  if (offsets.empty()) return done({});
  auto op = std::make_shared<offsets_commit>();
  op->number = next_begun_ ? number_ + 1 : number_;
  op->offsets = std::move(offsets);
  op->group = std::move(group);
  wait_for(op->waiting, deadline, "the commit of offsets", std::move(done));
  offsets_.push_back(std::move(op));
  // Not at once: who commits in the same breath has its records sent first.
  if (!offsets_call_.timer.armed())
    offsets_call_.timer.arm(std::chrono::nanoseconds(0), [this] { pump_offsets(); });
}

void transactions::pump_offsets() {
  if (offsets_.empty() || offsets_call_.in_flight || offsets_call_.timer.armed() || !may_send()) return;
  const auto op = offsets_.front();
  if (op->number != number_ || joining_ != 0) return;
  if (state_ == state::committing && !joined_ && outstanding()) return;  // records first
  if (!group_coordinator_ || group_coordinator_->key() != op->group.group_id)
    group_coordinator_.emplace(cluster_, coordinated::group, op->group.group_id);
  offsets_call_.in_flight = true;
  if (!implicit() && !op->group_added) return add_group(op);
  commit_offsets(op);
}

// Whether an answer comes too late to matter.
bool transactions::offsets_over(const std::shared_ptr<offsets_commit>& op) {
  offsets_call_.in_flight = false;
  kick();  // first batches have waited
  if (!offsets_.empty() && offsets_.front() == op) return false;
  pump_offsets();
  advance();
  return true;
}

void transactions::add_group(const std::shared_ptr<offsets_commit>& op) {
  wire::add_offsets_to_txn_request ask;
  ask.transactional_id = settings_.transactional_id;
  ask.producer_id = identity_.id;
  ask.producer_epoch = identity_.epoch;
  ask.group_id = op->group.group_id;
  coordinator_.call<wire::add_offsets_to_txn_response>(
      std::move(ask), {}, [this, op](auto response, bool sent) {
        if (response ? response->error_code == 0 : sent) touched_ = true;
        if (!response && sent) raise_epoch_ = true;
        if (offsets_over(op)) return;
        if (!response) {
          if (!response.error().retriable()) return fatal(response.error().with_context(name()));
          coordinator_.forget();
          return offsets_call_.timer.arm(offsets_call_.wait.next(cluster_.random()),
                                         [this] { pump_offsets(); });
        }
        if (response->error_code != 0)
          return offsets_failed(op, static_cast<error_code>(response->error_code), name());
        op->group_added = true;
        again_soon(offsets_call_);
        pump_offsets();
      });
}

void transactions::commit_offsets(const std::shared_ptr<offsets_commit>& op) {
  call_options options;
  options.max_version = implicit() ? first_commit_of_2 : std::int16_t{first_commit_of_2 - 1};
  if (implicit()) {
    options.min_version = first_commit_of_2;
  } else if (op->group.generation >= 0 || !op->group.member_id.empty() || !op->group.instance_id.empty()) {
    options.min_version = first_with_members;
  }
  touched_ = true;
  group_coordinator_->call<wire::txn_offset_commit_response>(
      make_request(settings_.transactional_id, identity_, op->offsets, op->group), options,
      [this, op](auto response, bool sent) {
        if (!response && sent) raise_epoch_ = true;
        if (!offsets_over(op)) offsets_answered(op, std::move(response));
      });
}

void transactions::offsets_answered(const std::shared_ptr<offsets_commit>& op,
                                    result<wire::txn_offset_commit_response> response) {
  const auto group = fmt::format("{}, group '{}'", name(), op->group.group_id);
  if (!response) {
    const auto& why = response.error();
    if (why.retriable()) {
      group_coordinator_->forget();
      return offsets_call_.timer.arm(offsets_call_.wait.next(cluster_.random()), [this] { pump_offsets(); });
    }
    if (why.kind() == errc::unsupported)
      return doom_with({errc::unsupported,
                        group +
                            ": brokers before 2.5 cannot check a member of the group: give the group's name "
                            "alone, without member and generation"});
    return doom_with(why.with_context(group));
  }
  for (const auto& topic : response->topics)
    for (const auto& p : topic.partitions)
      if (p.error_code != 0)
        return offsets_failed(op, static_cast<error_code>(p.error_code),
                              fmt::format("{}, offset of {}-{}", group, topic.name, p.partition_index));
  offsets_done(op, {});
}

void transactions::offsets_failed(const std::shared_ptr<offsets_commit>& op, error_code code,
                                  std::string_view context) {
  const auto why = coordinator_error(code, context);
  switch (why.what_to_do()) {
    case recovery::abort_transaction: return doom_with(why);
    case recovery::fatal: return fatal(why);
    case recovery::retriable: break;
  }
  if (coordinator_may_have_moved(code)) {
    if (op->group_added || implicit())
      group_coordinator_->forget();
    else
      coordinator_.forget();
  }
  auto& wait = code == error_code::concurrent_transactions ? offsets_call_.short_wait : offsets_call_.wait;
  offsets_call_.timer.arm(wait.next(cluster_.random()), [this] { pump_offsets(); });
}

void transactions::offsets_done(const std::shared_ptr<offsets_commit>& op, const result<>& outcome) {
  offsets_.pop_front();
  again_soon(offsets_call_);
  pump_offsets();
  tell(op->waiting, outcome);
  advance();
}

// The transaction is not committed, so its offsets are not either.
void transactions::drop_offsets(const error& why) {
  offsets_call_.timer.cancel();
  for (const auto& op : std::exchange(offsets_, {})) tell(op->waiting, fail(why));
}

}  // namespace penstock::client
