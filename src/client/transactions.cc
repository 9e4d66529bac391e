// SPDX-License-Identifier: Apache-2.0
// The states of a transaction. What is sent to coordinators is in transaction_requests.cc and
// transaction_offsets.cc.
#include "client/transactions.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/sender.h"
#include "client/transaction_errors.h"

namespace penstock::client {
namespace {

constexpr auto every_generation = std::numeric_limits<std::uint64_t>::max();

}  // namespace

transactions::transactions(cluster& c, sender& s, accumulator& a, const kafka::producer_settings& settings,
                           std::mutex* guard)
    : cluster_(c),
      sender_(s),
      accumulator_(a),
      settings_(settings),
      guard_(guard),
      coordinator_(c, coordinated::transaction, settings.transactional_id),
      control_(c.loop(), settings.connection),
      registration_(c.loop(), settings.connection),
      offsets_call_(c.loop(), settings.connection),
      markers_(c.loop(), settings.connection) {
  refuse(misuse("init_transactions comes before the first record"));
}

std::unique_lock<std::mutex> transactions::hold() const {
  return guard_ == nullptr ? std::unique_lock<std::mutex>() : std::unique_lock<std::mutex>(*guard_);
}

void transactions::refuse(std::optional<error> why) {
  const auto lock = hold();
  accumulator_.refuse(std::move(why));
}

void transactions::kick() { sender_.kick(); }

error transactions::misuse(std::string message) const {
  return {errc::invalid_argument, name() + ": " + std::move(message)};
}

void transactions::wait_for(callers& list, io::instant deadline, const char* what, done_function done) {
  auto c = std::make_shared<caller>(cluster_.loop());
  c->done = std::move(done);
  list.push_back(c);
  if (deadline == io::instant::max()) return;
  const auto left =
      std::max<std::chrono::nanoseconds>(deadline - cluster_.now(), std::chrono::nanoseconds(0));
  c->timer.arm(left, [this, &list, what, weak = std::weak_ptr<caller>(c)] {
    const auto late = weak.lock();
    if (!late || !late->done) return;
    if (&list == &enders_) unclaimed_ = true;
    std::exchange(late->done, nullptr)(
        fail(errc::timeout,
             fmt::format("{}: {} has no outcome yet; it goes on, and the same call waits for it again",
                         name(), what),
             recovery::retriable));
  });
}

void transactions::tell(callers& list, const result<>& outcome) {
  for (const auto& c : std::exchange(list, {})) {
    c->timer.cancel();
    if (c->done) std::exchange(c->done, nullptr)(outcome);
  }
}

// An error unless initialized and alive.
result<> transactions::usable() const {
  if (state_ == state::failed) return fail(*error_);
  if (state_ == state::uninitialized) return fail(misuse("init_transactions comes first"));
  return {};
}

void transactions::init(io::instant deadline, done_function done) {
  if (state_ == state::failed) return done(fail(*error_));
  if (state_ != state::uninitialized || resumed_)
    return done(fail(misuse("this producer is initialized already")));
  wait_for(initializers_, deadline, "initializing", std::move(done));
  if (!initializing_) send_init();
}

void transactions::resume(kafka::producer_identity identity, io::instant deadline, done_function done) {
  if (state_ == state::failed) return done(fail(*error_));
  if (state_ != state::uninitialized || initializing_ || (resumed_ && identity != identity_))
    return done(fail(misuse("only a new producer can resume a transaction")));
  if (identity.id < 0 || identity.epoch < 0)
    return done(fail(misuse(
        fmt::format("there is no transaction of producer id {} and epoch {}", identity.id, identity.epoch))));
  wait_for(initializers_, deadline, "resuming", std::move(done));
  if (std::exchange(resumed_, true)) return;
  identity_ = identity;
  send_resume();
}

result<> transactions::begin() {
  if (auto good = usable(); !good) return good;
  if (unclaimed_)
    return fail(errc::invalid_argument,
                name() +
                    ": commit_transaction, or abort_transaction, stopped waiting; the same call again tells "
                    "what became of the transaction before another begins");
  switch (state_) {
    case state::ready: activate(); return {};
    case state::committing:
      if (next_begun_) break;
      next_begun_ = true;
      refuse(std::nullopt);
      return {};
    case state::must_abort: return fail(*error_);
    default: break;
  }
  return fail(misuse(fmt::format("a transaction is {} already", to_string(state_))));
}

// The transaction begins, as far as this producer is concerned; the brokers learn of it with its first
// record.
void transactions::activate() {
  ++number_;
  state_ = state::open;
  last_ = kafka::transaction_outcome::none;
  touched_ = commit_asked_ = deciding_ = false;
  end_generation_ = 0;
  send_below_ = every_generation;
  note_version();
  if (raise_epoch_) raise_epoch();
  refuse(std::nullopt);
}

bool transactions::is_running() const noexcept {
  return state_ == state::open || (state_ == state::committing && !deciding_);
}

bool transactions::may_send() const noexcept {
  return is_running() && !initializing_ && !resumed_ && !marking_ && identity_.id >= 0;
}

const error* transactions::doom() const noexcept {
  return state_ == state::must_abort || state_ == state::aborting || state_ == state::failed ? &*error_
                                                                                             : nullptr;
}

void transactions::commit(io::instant deadline, done_function done) {
  if (auto good = usable(); !good) return done(std::move(good));
  if (state_ == state::must_abort) return done(fail(*error_));
  if (std::exchange(unclaimed_, false) && state_ != state::committing && state_ != state::aborting)
    return done(last_ == kafka::transaction_outcome::committed ? result<>()
                                                               : fail(misuse("the transaction was aborted")));
  if (state_ == state::committing && next_begun_ && !enders_.empty())
    return done(fail(misuse("the transaction before is still being committed")));
  if (state_ != state::open && state_ != state::committing)
    return done(fail(misuse("no transaction is open")));
  wait_for(enders_, deadline, "the commit", std::move(done));
  if (state_ == state::committing) return;
  std::uint64_t generation = 0;
  {
    const auto lock = hold();
    generation = accumulator_.seal_generation();
    accumulator_.refuse(
        misuse("the transaction is being committed: begin_transaction comes before more records"));
  }
  state_ = state::committing;
  send_below_ = end_generation_ = generation;
  sender_.hurry(generation);
  advance();
}

void transactions::abort(io::instant deadline, done_function done) {
  if (auto good = usable(); !good) return done(std::move(good));
  if (state_ == state::ready && std::exchange(unclaimed_, false))
    return done(last_ == kafka::transaction_outcome::aborted ? result<>()
                                                             : fail(misuse("the transaction was committed")));
  if (state_ == state::ready) return done(fail(misuse("no transaction is open")));
  if (state_ == state::committing && deciding_)
    return done(
        fail(misuse("the broker was asked to commit and has not answered yet: commit_transaction again "
                    "waits for it")));
  if (state_ == state::committing)
    tell(enders_, fail(errc::cancelled, name() + ": the transaction was aborted instead",
                       recovery::abort_transaction));
  unclaimed_ = false;
  wait_for(enders_, deadline, "the abort", std::move(done));
  if (state_ == state::aborting) return;
  if (!error_)
    error_ = error(errc::cancelled, name() + ": the transaction was aborted", recovery::abort_transaction);
  state_ = state::aborting;
  send_below_ = 0;
  next_begun_ = false;
  next_failure_.reset();
  refuse(error_);
  drop_offsets(*error_);
  kick();  // gives up what is not sent
  advance();
}

// Whether everything of the transaction that is to end has come back.
bool transactions::settled() const {
  if (registration_.in_flight || offsets_call_.in_flight || initializing_) return false;
  if (state_ == state::committing && (!offsets_.empty() || !wanted_.empty())) return false;
  return !outstanding();
}

bool transactions::outstanding() const {
  const auto lock = hold();
  return accumulator_.outstanding_before(state_ == state::committing ? end_generation_ : every_generation);
}

void transactions::advance() {
  if (state_ != state::committing && state_ != state::aborting) return;
  if (deciding_ || !settled()) return;
  decide();
}

void transactions::decide() {
  deciding_ = true;
  if (!touched_)
    return finish(state_ == state::committing ? kafka::transaction_outcome::committed
                                              : kafka::transaction_outcome::aborted);
  commit_asked_ = commit_asked_ || state_ == state::committing;
  again_soon(control_);
  send_end();
}

void transactions::finish(kafka::transaction_outcome outcome) {
  state_ = state::ready;
  last_ = outcome;
  // Whoever resumes a transaction may find that it is ended, and ask again; so its epoch is left alone.
  const bool keep_epoch = std::exchange(resumed_, false);
  const bool marked = touched_;
  deciding_ = touched_ = joined_ = false;
  send_below_ = 0;
  error_.reset();
  wanted_.clear();
  auto waiting = std::exchange(enders_, {});
  marking_ = false;
  if (std::exchange(next_begun_, false)) {
    activate();
    if (marked && implicit()) await_markers();
    last_ = outcome;
    if (next_failure_) doom_with(*std::exchange(next_failure_, std::nullopt));
  } else {
    refuse(misuse("begin_transaction comes before the next record"));
    if (raise_epoch_ && !keep_epoch) raise_epoch();  // now, so that the next transaction need not wait for it
  }
  kick();
  pump_offsets();
  tell(waiting, {});
}

error transactions::batch_failed(const producer_batch& b, const error& why) {
  const auto code = static_cast<wire::error_code>(why.kafka_code());
  const auto next = why.what_to_do() == recovery::abort_transaction ? recovery::abort_transaction
                    : why.kind() == errc::kafka                     ? after_produce_error(code)
                                                                    : recovery::abort_transaction;
  auto shown = with_recovery(why, next);
  if (b.base_sequence >= 0) raise_epoch_ = true;  // it leaves a gap
  if (state_ == state::failed) return why;
  if (next == recovery::fatal)
    fatal(why);
  else if (next_begun_ && b.generation >= end_generation_)
    next_failure_ = next_failure_.value_or(shown);
  else
    doom_with(shown);
  return shown;
}

// The transaction cannot be committed any more.
void transactions::doom_with(const error& why) {
  if (!is_running()) return;
  error_ = with_recovery(why, recovery::abort_transaction);
  state_ = state::must_abort;
  send_below_ = 0;
  next_begun_ = false;
  next_failure_.reset();
  refuse(error_);
  drop_offsets(*error_);
  kick();
  tell(enders_, fail(*error_));
}

// The producer is at its end. If a transaction was going on, nobody here knows what becomes of it.
void transactions::fatal(const error& why) {
  if (state_ == state::failed) return;
  const bool within = state_ != state::uninitialized && state_ != state::ready && touched_;
  auto shown = with_recovery(why, recovery::fatal);
  if (within) {
    last_ = kafka::transaction_outcome::unknown;
    if (commit_asked_)
      shown = with_note(shown,
                        "; whether the transaction was committed is not known: after init_transactions of "
                        "another producer the committed offsets say it");
  } else if (state_ != state::uninitialized && state_ != state::ready) {
    last_ = kafka::transaction_outcome::aborted;  // nothing of it ever reached a broker
  }
  state_ = state::failed;
  error_ = std::move(shown);
  send_below_ = 0;
  initializing_ = deciding_ = next_begun_ = false;
  refuse(error_);
  control_.timer.cancel();
  registration_.timer.cancel();
  drop_offsets(*error_);
  kick();
  const auto told = *error_;
  tell(initializers_, fail(told));
  tell(enders_, fail(told));
}

kafka::transaction_status transactions::status() const {
  kafka::transaction_status s;
  s.state = state_;
  s.last = last_;
  if (commit_asked_ &&
      (state_ == state::committing || state_ == state::must_abort || state_ == state::aborting))
    s.last = kafka::transaction_outcome::unknown;
  s.identity = identity_;
  s.version = version_;
  s.failure = error_;
  return s;
}

}  // namespace penstock::client
