// SPDX-License-Identifier: Apache-2.0
// The transaction coordinator alone: a clock that stands still, a journal in memory, no sockets.
#include "broker/transaction_coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "broker/transaction_records.h"

namespace penstock::broker {
namespace {

using namespace std::chrono_literals;
using wire::error_code;
using enum transaction_state;
using ::testing::ElementsAre;
constexpr auto raised = transaction_version::raised;
constexpr auto plain = transaction_version::plain;

struct memory_backing final : transaction_backing {
  result<std::int64_t> next_producer_id() override { return next_id++; }
  void write(const std::string&, state_record record, durability wanted, const partition_sets&,
             unique_function<void(error_code)> done) override {
    if (answer != error_code::none) return done(answer);
    records.push_back(std::move(record));
    if (hold && wanted != durability::written)
      held.push_back(std::move(done));
    else
      done(error_code::none);
  }
  void write_markers(transaction_end end, unique_function<void(error_code)> done) override {
    if (marker_answer != error_code::none) return done(marker_answer);
    markers.push_back(std::move(end));
    if (hold)
      held.push_back(std::move(done));
    else
      done(error_code::none);
  }
  void let_go() {
    for (auto& f : std::exchange(held, {})) f(error_code::none);
  }
  std::int64_t next_id = 100;
  std::vector<state_record> records;
  std::vector<transaction_end> markers;
  std::vector<unique_function<void(error_code)>> held;
  error_code answer = error_code::none, marker_answer = error_code::none;
  bool hold = false;
};

struct TransactionCoordinatorTest : ::testing::Test {
  using answer = transaction_coordinator::answer;

  answer init(std::optional<producer_identity> current = {}, std::chrono::milliseconds timeout = 60s) {
    std::optional<answer> got;
    coordinator->init("id", timeout, current, [&](answer a) { got = a; });
    return got.value_or(answer{error_code::request_timed_out, {}});
  }
  answer end(producer_identity p, bool commit, transaction_version v) {
    std::optional<answer> got;
    coordinator->end("id", p, commit, v, [&](answer a) { got = a; });
    return got.value_or(answer{error_code::request_timed_out, {}});
  }
  error_code add(producer_identity p, transaction_version v = raised, std::int32_t partition = 0) {
    return coordinator->add("id", p, {{"t", {partition}}}, v);
  }
  transaction_state state() { return coordinator->find("id")->state; }
  /// A coordinator after a restart, from the records of the last one.
  void restart(bool crashed) {
    coordinator.emplace(settings, backing, clock);
    for (const auto& r : backing.records)
      ASSERT_TRUE(
          coordinator->restore(r.key, r.value ? std::optional<std::string_view>(*r.value) : std::nullopt));
    coordinator->recover(crashed);
  }
  /// Brings the id to an epoch without 32766 calls.
  producer_identity at_epoch(std::int16_t epoch) {
    transaction t;
    t.id = "id";
    t.producer = {7, epoch};
    t.timeout = 60s;
    t.updated_ms = clock.wall_ms();
    EXPECT_TRUE(coordinator->restore(encode_transaction_key("id"), encode(t)));
    return t.producer;
  }

  io::manual_clock clock;
  memory_backing backing;
  transaction_settings settings;
  std::optional<transaction_coordinator> coordinator{std::in_place, settings, backing, clock};
};

TEST_F(TransactionCoordinatorTest, RecordsAreReadBackAsTheyWere) {
  transaction t{"id", {5, 6}, 4, 7, -1, 1234ms, prepare_commit, {{"a", {0, 3}}, {"b", {1}}}, 11, 12, raised};
  const auto back = decode_transaction("id", encode(t));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, t);
  EXPECT_EQ(*decode_transaction_key(encode_transaction_key("id")), "id");
  EXPECT_FALSE(decode_transaction("id", std::string_view(encode(t)).substr(0, 20)));
  EXPECT_FALSE(decode_transaction_key("x"));
}

TEST_F(TransactionCoordinatorTest, InitChecksWhatItIsGiven) {
  coordinator->init("", 1s, {}, [](answer a) { EXPECT_EQ(a.error, error_code::invalid_request); });
  EXPECT_EQ(init({}, 0ms).error, error_code::invalid_transaction_timeout);
  EXPECT_EQ(init({}, 900'001ms).error, error_code::invalid_transaction_timeout);
  EXPECT_TRUE(coordinator->all().empty()) << "nothing is left of what was refused";
}

TEST_F(TransactionCoordinatorTest, InitRaisesTheEpochAndFencesTheOneBefore) {
  const auto first = init();
  EXPECT_EQ(first.producer, (producer_identity{100, 0}));
  const auto second = init();
  EXPECT_EQ(second.producer, (producer_identity{100, 1}));
  EXPECT_EQ(add(first.producer), error_code::producer_fenced);
  EXPECT_EQ(init(first.producer).error, error_code::producer_fenced) << "nobody's epoch";
  EXPECT_EQ(init(producer_identity{99, 1}).error, error_code::producer_fenced);
  const auto third = init(second.producer);
  EXPECT_EQ(third.producer, (producer_identity{100, 2}));
  EXPECT_EQ(init(second.producer).producer, third.producer) << "the same call, its answer having been lost";
  EXPECT_EQ(init(third.producer).producer, (producer_identity{100, 3}));
}

TEST_F(TransactionCoordinatorTest, AnUnknownIdIsTold) {
  EXPECT_EQ(add({1, 0}), error_code::invalid_producer_id_mapping);
  EXPECT_EQ(end({1, 0}, true, plain).error, error_code::invalid_producer_id_mapping);
  EXPECT_EQ(coordinator->verify("id", {1, 0}, "t", 0), error_code::invalid_producer_id_mapping);
  const auto p = init().producer;
  EXPECT_EQ(add({p.id + 1, p.epoch}), error_code::invalid_producer_id_mapping);
}

TEST_F(TransactionCoordinatorTest, VerifyKnowsThePartitionsOfTheOpenTransaction) {
  const auto p = init().producer;
  EXPECT_EQ(coordinator->verify("id", p, "t", 0), error_code::transaction_abortable);
  EXPECT_EQ(add(p, plain), error_code::none);
  EXPECT_EQ(coordinator->verify("id", p, "t", 0), error_code::none);
  EXPECT_EQ(coordinator->verify("id", p, "t", 1), error_code::transaction_abortable);
  EXPECT_EQ(coordinator->verify("id", {p.id, 5}, "t", 0), error_code::producer_fenced);
  EXPECT_EQ(end(p, true, plain).error, error_code::none);
  EXPECT_EQ(coordinator->verify("id", p, "t", 0), error_code::transaction_abortable);
}

TEST_F(TransactionCoordinatorTest, AddingTwiceWritesOnce) {
  const auto p = init().producer;
  add(p);
  const auto written = backing.records.size();
  EXPECT_EQ(add(p), error_code::none);
  EXPECT_EQ(backing.records.size(), written);
  EXPECT_EQ(add(p, raised, 1), error_code::none);
  EXPECT_EQ(backing.records.size(), written + 1);
}

TEST_F(TransactionCoordinatorTest, PlainEnds) {
  const auto p = init().producer;
  EXPECT_EQ(end(p, true, plain).error, error_code::invalid_txn_state) << "Empty";
  EXPECT_EQ(end(p, false, plain).error, error_code::invalid_txn_state);
  for (const bool commit : {true, false}) {
    add(p, plain);
    EXPECT_EQ(end({p.id, 9}, commit, plain).error, error_code::producer_fenced);
    EXPECT_EQ(end(p, commit, plain).error, error_code::none);
    EXPECT_EQ(state(), commit ? complete_commit : complete_abort);
    EXPECT_EQ(backing.markers.back().producer, p) << "its own epoch";
    EXPECT_EQ(backing.markers.back().commit, commit);
    EXPECT_EQ(end(p, commit, plain).error, error_code::none) << "once more";
    EXPECT_EQ(end(p, !commit, plain).error, error_code::invalid_txn_state);
  }
  EXPECT_EQ(backing.markers.size(), 2u);
}

// The table of KAFKA.md 3.6: state x {abort, commit} x {repeated, current epoch}.
TEST_F(TransactionCoordinatorTest, RaisedEnds) {
  auto p = init().producer;
  const auto before = [](producer_identity c) { return producer_identity{c.id, std::int16_t(c.epoch - 1)}; };
  EXPECT_EQ(end(p, true, raised).error, error_code::invalid_txn_state) << "Empty, current";
  EXPECT_EQ(end(before(p), true, raised).error, error_code::producer_fenced) << "Empty, repeated";
  EXPECT_EQ(end(before(p), false, raised).error, error_code::producer_fenced);
  p = end(p, false, raised).producer;
  EXPECT_EQ(p.epoch, 1) << "an abort of nothing raises the epoch";

  EXPECT_EQ(state(), complete_abort);
  EXPECT_EQ(end(before(p), false, raised).producer, p) << "CompleteAbort, repeated";
  EXPECT_EQ(end(before(p), true, raised).error, error_code::invalid_txn_state);
  EXPECT_EQ(end(p, true, raised).error, error_code::invalid_txn_state);
  p = end(p, false, raised).producer;
  EXPECT_EQ(p.epoch, 2);

  EXPECT_EQ(add(p), error_code::none);
  EXPECT_EQ(end(before(p), true, raised).error, error_code::producer_fenced)
      << "Ongoing: of another transaction";
  const auto committed = end(p, true, raised);
  EXPECT_EQ(committed.error, error_code::none);
  EXPECT_EQ(committed.producer, (producer_identity{p.id, 3}));
  EXPECT_EQ(backing.markers.back().producer.epoch, 3) << "the marker has the raised epoch";
  p = committed.producer;

  EXPECT_EQ(end(before(p), true, raised).producer, p) << "CompleteCommit, repeated";
  EXPECT_EQ(end(before(p), false, raised).error, error_code::invalid_txn_state);
  EXPECT_EQ(end(p, true, raised).error, error_code::invalid_txn_state);
  EXPECT_EQ(end(before(before(p)), true, raised).error, error_code::producer_fenced);
  EXPECT_EQ(end(p, false, raised).producer.epoch, 4);
}

TEST_F(TransactionCoordinatorTest, NothingMovesWhileADecisionIsOnItsWay) {
  auto p = init().producer;
  add(p);
  backing.hold = true;
  std::optional<answer> got;
  coordinator->end("id", p, true, raised, [&](answer a) { got = a; });
  EXPECT_EQ(add(p), error_code::concurrent_transactions) << "the record is being written";
  EXPECT_EQ(init().error, error_code::concurrent_transactions);
  EXPECT_EQ(end(p, true, raised).error, error_code::concurrent_transactions);
  EXPECT_TRUE(backing.markers.empty()) << "no marker before the decision is durable";
  backing.let_go();
  EXPECT_EQ(state(), prepare_commit);
  EXPECT_EQ(end(p, true, raised).error, error_code::concurrent_transactions)
      << "the markers are being written";
  EXPECT_EQ(end(p, false, raised).error, error_code::invalid_txn_state);
  EXPECT_EQ(end({p.id, 1}, true, raised).error, error_code::producer_fenced);
  EXPECT_EQ(end({p.id, 1}, true, plain).error, error_code::concurrent_transactions);
  EXPECT_EQ(end({p.id, 1}, false, plain).error, error_code::invalid_txn_state);
  EXPECT_EQ(coordinator->verify("id", {p.id, 1}, "t", 0), error_code::concurrent_transactions);
  EXPECT_FALSE(got) << "not before the markers are there";
  backing.let_go();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->producer, (producer_identity{p.id, 1}));
  EXPECT_EQ(state(), complete_commit);
}

TEST_F(TransactionCoordinatorTest, EpochsThatAreUsedUpGiveANewIdInTheSameAnswer) {
  auto p = at_epoch(32765);
  add(p);
  p = end(p, true, raised).producer;
  EXPECT_EQ(p, (producer_identity{7, 32766})) << "the last epoch that is given";
  add(p);
  const auto next = end(p, true, raised);
  EXPECT_EQ(next.producer, (producer_identity{100, 0}));
  EXPECT_EQ(backing.markers.back().producer, (producer_identity{7, 32767})) << "the marker, of the old id";
  EXPECT_EQ(end(p, true, raised).producer, next.producer) << "repeated";
  EXPECT_EQ(end(p, false, raised).error, error_code::invalid_txn_state);
  EXPECT_EQ(end({7, 32767}, true, raised).error, error_code::invalid_producer_id_mapping);
  EXPECT_EQ(init(p).producer, next.producer) << "the id came with an answer that was lost";
  EXPECT_EQ(add(next.producer), error_code::none);
  EXPECT_EQ(end(p, true, raised).error, error_code::producer_fenced) << "late";
  EXPECT_EQ(end(next.producer, true, raised).producer, (producer_identity{100, 1}));
}

TEST_F(TransactionCoordinatorTest, AnAbortOfNothingAtTheLastEpochGivesANewIdToo) {
  const auto p = at_epoch(32766);
  EXPECT_EQ(end(p, false, raised).producer, (producer_identity{100, 0}));
}

TEST_F(TransactionCoordinatorTest, InitGivesANewIdWhenTheEpochsAreUsedUp) {
  auto p = at_epoch(32765);
  EXPECT_EQ(init(p).producer, (producer_identity{7, 32766}));
  const auto fresh = init(producer_identity{7, 32766});
  EXPECT_EQ(fresh.producer, (producer_identity{100, 0}));
  EXPECT_EQ(init(producer_identity{7, 32766}).producer, fresh.producer) << "repeated";
  EXPECT_EQ(init(producer_identity{7, 32765}).error, error_code::producer_fenced);
}

TEST_F(TransactionCoordinatorTest, FencingAtTheLastEpochNeverWrapsIt) {
  auto p = at_epoch(32766);
  add(p);
  const auto fresh = init();
  EXPECT_EQ(backing.markers.back().producer, (producer_identity{7, 32767}));
  EXPECT_FALSE(backing.markers.back().commit);
  EXPECT_EQ(fresh.producer, (producer_identity{100, 0}));
  EXPECT_EQ(end(p, true, raised).error, error_code::invalid_producer_id_mapping);
}

TEST_F(TransactionCoordinatorTest, AnEpochThatNobodyWasGivenEndsNothing) {
  auto p = at_epoch(32766);
  add(p);
  clock.advance(61s);
  coordinator->tick();
  EXPECT_EQ(coordinator->find("id")->producer.epoch, 32767);
  for (const bool commit : {true, false})
    EXPECT_EQ(end({7, 32767}, commit, raised).error, error_code::producer_fenced);
}

TEST_F(TransactionCoordinatorTest, InitEndsAnOpenTransactionAndRaisesTheEpochTwice) {
  const auto p = init().producer;
  add(p);
  const auto next = init();
  EXPECT_EQ(next.producer, (producer_identity{p.id, 2}));
  ASSERT_EQ(backing.markers.size(), 1u);
  EXPECT_FALSE(backing.markers[0].commit);
  EXPECT_EQ(backing.markers[0].producer.epoch, 1);
  EXPECT_EQ(end(p, true, raised).error, error_code::producer_fenced);
  EXPECT_EQ(end(p, true, plain).error, error_code::producer_fenced);
  EXPECT_EQ(add(p), error_code::producer_fenced);
}

TEST_F(TransactionCoordinatorTest, AProducerThatGoesOnMayEndItsOwnTransactionByInitOnly) {
  const auto old = init().producer;
  const auto p = init().producer;
  add(p);
  EXPECT_EQ(init(old).error, error_code::producer_fenced);
  EXPECT_EQ(state(), ongoing) << "a fenced producer ends nobody's transaction";
  const auto next = init(p);
  EXPECT_EQ(next.error, error_code::none);
  EXPECT_EQ(init(p).producer, next.producer) << "repeated";
}

TEST_F(TransactionCoordinatorTest, ATransactionThatTakesTooLongIsAbortedAndItsProducerFenced) {
  for (const auto version : {plain, raised}) {
    const auto p = init({}, 5s).producer;
    add(p, version);
    ASSERT_TRUE(coordinator->next_deadline());
    EXPECT_EQ(*coordinator->next_deadline() - clock.now(), 5s);
    clock.advance(4999ms);
    coordinator->tick();
    EXPECT_EQ(state(), ongoing);
    clock.advance(1ms);
    coordinator->tick();
    EXPECT_EQ(state(), complete_abort);
    EXPECT_EQ(end(p, true, version).error, error_code::producer_fenced) << "E17";
    EXPECT_EQ(end(p, false, version).error, error_code::producer_fenced);
    EXPECT_EQ(add(p, version), error_code::producer_fenced);
    EXPECT_FALSE(coordinator->next_deadline());
  }
}

TEST_F(TransactionCoordinatorTest, WhatCannotBeWrittenHasNotHappened) {
  const auto p = init().producer;
  backing.answer = error_code::kafka_storage_error;
  EXPECT_EQ(add(p), error_code::coordinator_not_available);
  EXPECT_EQ(state(), empty);
  EXPECT_EQ(init().error, error_code::coordinator_not_available);
  coordinator->init("other", 1s, {}, [](answer a) { EXPECT_NE(a.error, error_code::none); });
  EXPECT_EQ(coordinator->find("other"), nullptr);
  backing.answer = error_code::none;
  EXPECT_EQ(add(p), error_code::none);
  backing.answer = error_code::kafka_storage_error;
  EXPECT_EQ(end(p, true, raised).error, error_code::coordinator_not_available);
  EXPECT_EQ(state(), ongoing);
  backing.answer = error_code::none;
  EXPECT_EQ(end(p, true, raised).error, error_code::none);
}

TEST_F(TransactionCoordinatorTest, MarkersThatCannotBeWrittenAreTriedAgain) {
  const auto p = init().producer;
  add(p);
  backing.marker_answer = error_code::kafka_storage_error;
  std::optional<answer> got;
  coordinator->end("id", p, true, raised, [&](answer a) { got = a; });
  EXPECT_EQ(state(), prepare_commit);
  EXPECT_FALSE(got);
  EXPECT_EQ(*coordinator->next_deadline() - clock.now(), 500ms);
  clock.advance(500ms);
  coordinator->tick();
  EXPECT_FALSE(got);
  backing.marker_answer = error_code::none;
  clock.advance(500ms);
  coordinator->tick();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->error, error_code::none);
  EXPECT_EQ(state(), complete_commit);
}

TEST_F(TransactionCoordinatorTest, ARestartFinishesWhatWasDecided) {
  const auto p = init().producer;
  add(p);
  backing.hold = true;
  std::optional<answer> got;
  coordinator->end("id", p, true, raised, [&](answer a) { got = a; });
  backing.hold = false;
  backing.held.clear();  // the process is gone; the record is there
  restart(true);
  ASSERT_EQ(backing.markers.size(), 1u);
  EXPECT_TRUE(backing.markers[0].commit);
  EXPECT_TRUE(backing.markers[0].again);
  EXPECT_EQ(backing.markers[0].partitions, (partition_sets{{"t", {0}}}));
  EXPECT_EQ(state(), complete_commit);
  EXPECT_EQ(end(p, true, raised).producer, (producer_identity{p.id, 1})) << "the client asks again";
}

TEST_F(TransactionCoordinatorTest, ACrashAbortsWhatWasNotDecidedAndACleanRestartDoesNot) {
  auto p = init({}, 10s).producer;
  add(p);
  clock.advance(3s);
  restart(false);
  EXPECT_EQ(state(), ongoing);
  EXPECT_EQ(*coordinator->next_deadline() - clock.now(), 7s);
  EXPECT_EQ(add(p, raised, 1), error_code::none);
  restart(true);
  EXPECT_EQ(state(), complete_abort);
  EXPECT_EQ(backing.markers.back().partitions, (partition_sets{{"t", {0, 1}}}));
  EXPECT_EQ(end(p, true, raised).error, error_code::producer_fenced);
}

TEST_F(TransactionCoordinatorTest, ATransactionThatOnlyAPartitionKnowsIsEndedThere) {
  const auto hanging = coordinator->reconcile({55, 3}, "t", 0);
  ASSERT_TRUE(hanging);
  EXPECT_FALSE(hanging->commit);
  const auto p = init().producer;
  add(p);
  EXPECT_FALSE(coordinator->reconcile(p, "t", 9)) << "its record was lost, but it is the open transaction";
  EXPECT_TRUE(contains(coordinator->find("id")->partitions, "t", 9));
  end(p, true, raised);
  const auto late = coordinator->reconcile(p, "t", 0);
  ASSERT_TRUE(late);
  EXPECT_TRUE(late->commit) << "the marker was lost, the decision was not";
  EXPECT_EQ(late->producer.epoch, p.epoch + 1);
  EXPECT_FALSE(coordinator->reconcile({p.id, 1}, "t", 0)->commit)
      << "the next one, of which the record was lost";
}

TEST_F(TransactionCoordinatorTest, IdsThatNobodyUsesAreForgotten) {
  const auto p = init().producer;
  add(p);
  clock.advance(24h * 8);
  coordinator->expire();
  EXPECT_NE(coordinator->find("id"), nullptr) << "not while a transaction is open";
  end(p, true, raised);
  clock.advance(24h * 7 - 1ms);
  coordinator->expire();
  EXPECT_NE(coordinator->find("id"), nullptr);
  clock.advance(1ms);
  coordinator->expire();
  EXPECT_EQ(coordinator->find("id"), nullptr);
  EXPECT_FALSE(backing.records.back().value) << "a tombstone";
  restart(true);
  EXPECT_EQ(coordinator->find("id"), nullptr);
}

}  // namespace
}  // namespace penstock::broker
