// SPDX-License-Identifier: Apache-2.0
// What a transactional producer asks of its coordinator: who it is, which partitions take part, the end.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/sender.h"
#include "client/transaction_errors.h"
#include "client/transactions.h"
#include "wire/messages/describe_transactions.h"

namespace penstock::client {
namespace {

using wire::error_code;

constexpr std::string_view feature = "transaction.version";
// From these versions on the brokers take part in transaction.version 2; below, in 1.
constexpr std::int16_t first_end_of_2 = 5;
constexpr std::int16_t last_init = 5;            // 6 brings two-phase commit (KIP-939)
constexpr std::int16_t first_init_of_epoch = 3;  // KIP-360, Kafka 2.5
constexpr std::int16_t last_add_of_clients = 3;  // later ones are for brokers
// How long a broker waits before it tries again what came too early: there is nothing to gain by waiting
// longer.
constexpr std::chrono::milliseconds patience_for_markers{20};
constexpr std::chrono::milliseconds between_questions{1};

}  // namespace

// Asks again after a while: soon if another transaction's end is all that is waited for.
template <typename F>
void transactions::retry(persistent& p, error_code code, F f) {
  if (coordinator_may_have_moved(code)) coordinator_.forget();
  auto& wait = code == error_code::concurrent_transactions ? p.short_wait : p.wait;
  p.timer.arm(wait.next(cluster_.random()), std::move(f));
}

// A cluster may have been upgraded since the last transaction; then this one begins with a new epoch.
void transactions::note_version() {
  const int version = cluster_.feature_level(feature) >= 2 ? 2 : 1;
  if (version_ != 0 && version != version_) raise_epoch_ = true;
  version_ = version;
}

void transactions::raise_epoch() {
  if (initializing_) return;
  again_soon(control_);
  send_init();
}

// Asks for the producer id and an epoch of its own; with an identity already, for that one's next epoch.
void transactions::send_init() {
  initializing_ = true;
  wire::init_producer_id_request ask;
  ask.transactional_id = settings_.transactional_id;
  ask.transaction_timeout_ms = static_cast<std::int32_t>(settings_.transaction_timeout.count());
  call_options options{.max_version = last_init};
  if (identity_.id >= 0) {
    // Without the identity, the request would take the transactional id back from whoever fenced this
    // producer.
    options.min_version = first_init_of_epoch;
    ask.producer_id = identity_.id;
    ask.producer_epoch = identity_.epoch;
  }
  control_.in_flight = true;
  coordinator_.call<wire::init_producer_id_response>(std::move(ask), options, [this](auto response, bool) {
    control_.in_flight = false;
    if (state_ != state::failed) init_answered(std::move(response));
  });
}

void transactions::init_answered(result<wire::init_producer_id_response> response) {
  if (!response) {
    if (response.error().retriable()) {
      coordinator_.forget();
      return retry(control_, error_code::network_exception, [this] { send_init(); });
    }
    if (response.error().kind() == errc::unsupported)
      return fatal({errc::unsupported,
                    identity_.id >= 0
                        ? name() +
                              ": brokers before 2.5 cannot give this producer another epoch, which it needs "
                              "after what went wrong"
                        : response.error().message() + ": transactions need Kafka 0.11 or later"});
    return fatal(response.error().with_context(name()));
  }
  const auto code = static_cast<error_code>(response->error_code);
  if (code != error_code::none) {
    if (after_coordinator_error(code) == recovery::retriable)
      return retry(control_, code, [this] { send_init(); });
    return fatal(coordinator_error(code, name()));
  }
  identity_ = {response->producer_id, response->producer_epoch};
  initializing_ = raise_epoch_ = false;
  const int before = std::exchange(version_, 0);
  note_version();
  again_soon(control_);
  if (state_ == state::uninitialized) {
    state_ = state::ready;
    refuse(misuse("begin_transaction comes before the first record"));
    tell(initializers_, {});
  } else if (before != version_ && before != 0 && touched_) {
    fatal({errc::internal, name() + ": transaction.version changed within a transaction"});
  }
  kick();
  pump_offsets();
  advance();
}

// Nothing is asked of the coordinator yet, but what it knows must be known.
void transactions::send_resume() {
  coordinator_.find([this](result<std::int32_t> broker) {
    if (state_ == state::failed) return;
    const auto next = [this](result<> connected) {
      if (state_ == state::failed) return;
      if (!connected) {
        if (!connected.error().retriable()) return fatal(connected.error().with_context(name()));
        coordinator_.forget();
        return retry(control_, error_code::network_exception, [this] { send_resume(); });
      }
      note_version();
      ++number_;
      state_ = state::open;
      touched_ = true;
      refuse(misuse("a transaction of another process can be committed or aborted, not added to"));
      tell(initializers_, {});
    };
    if (!broker) return next(fail(broker.error()));
    cluster_.connect(*broker, channel::coordinator, next);
  });
}

bool transactions::takes_part(partition_queue& q) {
  auto& s = q.send;
  if (implicit() && s.registered_in != number_) {
    s.registered_in = number_;
    touched_ = true;
  }
  if (s.registered_in == number_) return !s.joins() || !offsets_call_.in_flight;
  if (std::exchange(s.asked_for, number_) != number_) wanted_.push_back(&q);
  return false;
}

void transactions::register_partitions() {
  if (wanted_.empty() || registration_.in_flight || registration_.timer.armed() || !may_send()) return;
  wire::add_partitions_to_txn_request ask;
  ask.v3_and_below_transactional_id = settings_.transactional_id;
  ask.v3_and_below_producer_id = identity_.id;
  ask.v3_and_below_producer_epoch = identity_.epoch;
  auto& topics = ask.v3_and_below_topics;
  for (const auto* q : wanted_) {
    auto t = std::find_if(topics.begin(), topics.end(),
                          [&](const auto& known) { return known.name == q->topic->name; });
    if (t == topics.end()) {
      topics.push_back({.name = q->topic->name, .partitions = {}});
      t = std::prev(topics.end());
    }
    t->partitions.push_back(q->partition);
  }
  registration_.in_flight = true;
  coordinator_.call<wire::add_partitions_to_txn_response>(
      std::move(ask), {.max_version = last_add_of_clients},
      [this, asked = wanted_, number = number_](auto response, bool sent) mutable {
        registration_.in_flight = false;
        registered(std::move(asked), number, std::move(response), sent);
      });
}

void transactions::registered(std::vector<partition_queue*> asked, std::uint64_t number,
                              result<wire::add_partitions_to_txn_response> response, bool sent) {
  if (state_ == state::failed || number != number_) return;
  auto code = error_code::none;
  if (response) {
    code = take_registrations(asked, *response);
  } else if (response.error().retriable()) {
    if (sent) raise_epoch_ = touched_ = true;  // it may have been done, or be done later
    coordinator_.forget();
    code = error_code::network_exception;
  } else {
    return fatal(response.error().with_context(name()));
  }
  if (state_ == state::failed) return;
  std::erase_if(wanted_, [this](const auto* q) { return q->send.registered_in == number_; });
  if (!is_running()) {
    wanted_.clear();
    return advance();
  }
  if (code == error_code::none) {
    again_soon(registration_);
    register_partitions();
  } else {
    retry(registration_, code, [this] { register_partitions(); });
  }
  kick();
}

// A broker that gets the first batch of a partition, or a group's offsets, asks the coordinator whether they
// belong to the transaction, and refuses what comes for it while it asks (KIP-890): the next attempt would be
// retry.backoff.ms away. So first batches and offsets take turns.
void transactions::joining() { ++joining_; }
void transactions::joined() {
  --joining_;
  joined_ = true;
  pump_offsets();
}

// Notes which partitions are registered; returns a code that passes when some are not, after others were
// taken as the failure that they are.
error_code transactions::take_registrations(const std::vector<partition_queue*>& asked,
                                            const wire::add_partitions_to_txn_response& response) {
  auto passing = error_code::none;
  for (const auto& topic : response.results_by_topic_v3_and_below) {
    for (const auto& p : topic.results_by_partition) {
      const auto q = std::find_if(asked.begin(), asked.end(), [&](const auto* known) {
        return known->partition == p.partition_index && known->topic->name == topic.name;
      });
      if (q == asked.end()) continue;
      const auto code = static_cast<error_code>(p.partition_error_code);
      if (code == error_code::none) {
        (*q)->send.registered_in = number_;
        touched_ = true;
      } else if (code == error_code::operation_not_attempted ||
                 after_coordinator_error(code) == recovery::retriable) {
        if (code != error_code::operation_not_attempted || passing == error_code::none) passing = code;
      } else {
        const auto why = coordinator_error(code, fmt::format("{}, {}", name(), name_of(**q)));
        why.what_to_do() == recovery::fatal ? fatal(why) : doom_with(why);
      }
    }
  }
  if (passing == error_code::none && std::any_of(asked.begin(), asked.end(), [this](const auto* q) {
        return q->send.registered_in != number_;
      }))
    passing = error_code::unknown_server_error;
  return passing;
}

void transactions::send_end() {
  wire::end_txn_request ask;
  ask.transactional_id = settings_.transactional_id;
  ask.producer_id = identity_.id;
  ask.producer_epoch = identity_.epoch;
  ask.committed = state_ == state::committing;
  call_options options;
  options.min_version = implicit() ? first_end_of_2 : std::int16_t{0};
  options.max_version = implicit() ? first_end_of_2 : std::int16_t{first_end_of_2 - 1};
  control_.in_flight = true;
  coordinator_.call<wire::end_txn_response>(std::move(ask), options, [this](auto response, bool sent) {
    control_.in_flight = false;
    if (state_ != state::failed) end_answered(std::move(response), sent);
  });
}

void transactions::end_answered(result<wire::end_txn_response> response, bool sent) {
  const bool committing = state_ == state::committing;
  if (!response) {
    if (!response.error().retriable()) return fatal(response.error().with_context(name()));
    // It may have been done, and without an epoch of its own for each transaction it may also be done later,
    // to the next one.
    if (sent) raise_epoch_ = true;
    coordinator_.forget();
    return retry(control_, error_code::network_exception, [this] { send_end(); });
  }
  const auto code = static_cast<error_code>(response->error_code);
  if (code == error_code::none) {
    if (implicit()) {
      identity_ = {response->producer_id, response->producer_epoch};
      raise_epoch_ = false;
    } else if (resumed_) {
      raise_epoch_ = true;  // what the other process sent with this epoch is not known here
    }
    return finish(committing ? kafka::transaction_outcome::committed : kafka::transaction_outcome::aborted);
  }
  const auto next = after_coordinator_error(code);
  if (next == recovery::retriable) return retry(control_, code, [this] { send_end(); });
  if (next == recovery::abort_transaction && committing) {
    deciding_ = false;
    return doom_with(coordinator_error(code, name()));
  }
  // Without a registration there is nothing to abort. After a commit was asked for, however, the transaction
  // may have been committed.
  if (code == error_code::invalid_txn_state && !committing && !commit_asked_ && !implicit() && !resumed_) {
    raise_epoch_ = true;
    return finish(kafka::transaction_outcome::aborted);
  }
  fatal(coordinator_error(code, name()));
}

// EndTxn is answered before the end is written to the partitions. A batch of the next transaction that comes
// meanwhile is not refused: the broker lays it aside for 20 ms, which is ten times as long as the end takes.
// So whoever goes on at once asks first. (Offsets would be refused, and come again soon.)
void transactions::await_markers() {
  marking_ = true;
  marked_at_latest_ = cluster_.now() + patience_for_markers;
  ask_for_markers();
}

void transactions::ask_for_markers() {
  wire::describe_transactions_request ask;
  ask.transactional_ids.push_back(settings_.transactional_id);
  coordinator_.call<wire::describe_transactions_response>(
      std::move(ask), {},
      [this, number = number_](result<wire::describe_transactions_response> response, bool) {
        if (!marking_ || number != number_) return;
        // Whatever else it says, the requests that follow will say it too.
        const bool preparing = response && response->transaction_states.size() == 1 &&
                               response->transaction_states[0].error_code == 0 &&
                               response->transaction_states[0].transaction_state.starts_with("Prepare");
        if (!preparing || cluster_.now() >= marked_at_latest_) return markers_written();
        markers_.timer.arm(between_questions, [this, number] {
          if (marking_ && number == number_) ask_for_markers();
        });
      });
}

void transactions::markers_written() {
  marking_ = false;
  kick();
  pump_offsets();
}

}  // namespace penstock::client
