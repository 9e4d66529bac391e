// SPDX-License-Identifier: Apache-2.0
// Transactions on the wire: what clients of both versions see of the broker, before and after restarts.
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "broker/hooks.h"
#include "broker/transaction_test_support.h"

namespace penstock::broker {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct TransactionsTest : broker_fixture, ::testing::WithParamInterface<int> {
  void begin() {
    start();
    create("t", 2);
  }
  manual_producer producer(const std::string& id = "id") { return {*client, id, GetParam()}; }
  std::vector<std::string> committed(std::int32_t partition = 0) {
    return read_committed_values(*client, "t", partition);
  }
  /// Asks the broker again until it is so; false when it is not within ten seconds.
  template <typename Question>
  static bool comes_true(Question it_is_so) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!it_is_so()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
    }
    return true;
  }
  std::int64_t latest(std::int8_t isolation) {
    wire::list_offsets_request q;
    q.isolation_level = isolation;
    q.topics.push_back({"t", {{0, -1, -1}}});
    return client->call<wire::list_offsets_response>(q, 7).topics.at(0).partitions.at(0).offset;
  }
  wire::describe_transactions_response::transaction_state_t describe(const std::string& id) {
    return client->call<wire::describe_transactions_response>(wire::describe_transactions_request{{id}})
        .transaction_states.at(0);
  }
};
INSTANTIATE_TEST_SUITE_P(Versions, TransactionsTest, ::testing::Values(0, 2));

TEST_P(TransactionsTest, CommittedRecordsAreSeenAndAbortedAreNot) {
  begin();
  auto p = producer();
  ASSERT_EQ(p.init(), 0);
  ASSERT_EQ(p.write("t", 0, {"a", "b"}), 0);
  ASSERT_EQ(p.write("t", 1, {"c"}), 0);
  EXPECT_THAT(committed(), IsEmpty());
  EXPECT_EQ(latest(0), 2);
  EXPECT_EQ(latest(1), 0) << "the last stable offset";
  ASSERT_EQ(p.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("a", "b"));
  EXPECT_THAT(committed(1), ElementsAre("c"));
  EXPECT_EQ(latest(1), 3) << "behind the marker";
  ASSERT_EQ(p.write("t", 0, {"x", "y"}), 0);
  ASSERT_EQ(p.end(false), 0);
  ASSERT_EQ(p.write("t", 0, {"d"}), 0);
  ASSERT_EQ(p.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("a", "b", "d"));
  EXPECT_THAT(values_of(fetch(*client, fetch_request("t", 0))), ::testing::Contains("4:y"))
      << "read_uncommitted";
}

TEST_P(TransactionsTest, TwoProducersInOnePartition) {
  begin();
  auto a = producer("a"), b = producer("b");
  a.init();
  b.init();
  ASSERT_EQ(a.write("t", 0, {"a1"}), 0);
  ASSERT_EQ(b.write("t", 0, {"b1"}), 0);
  ASSERT_EQ(a.write("t", 0, {"a2"}), 0);
  ASSERT_EQ(b.end(false), 0);
  ASSERT_EQ(b.write("t", 0, {"b2"}), 0);
  EXPECT_THAT(committed(), IsEmpty()) << "a's is open still";
  ASSERT_EQ(a.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("a1", "a2")) << "up to b2";
  ASSERT_EQ(b.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("a1", "a2", "b2"));
}

TEST_P(TransactionsTest, AParkedFetchIsAnsweredWhenTheTransactionEnds) {
  begin();
  auto p = producer();
  p.init();
  auto reader = connect();
  auto q = committed_fetch("t", 0);
  q.max_wait_ms = 20'000;
  const auto waiting = reader->send(q, 12);
  ASSERT_EQ(p.write("t", 0, {"a"}), 0);
  ASSERT_EQ(p.write("t", 0, {"b"}), 0);
  EXPECT_FALSE(reader->readable()) << "nothing that it may see";
  ASSERT_EQ(p.end(true), 0);
  const auto got = reader->receive<wire::fetch_response>(12, waiting).responses.at(0).partitions.at(0);
  std::int64_t next = 0;
  EXPECT_THAT(committed_values(got, next), ElementsAre("a", "b"));
  EXPECT_EQ(next, 3);
}

TEST_P(TransactionsTest, OffsetsCountWhenTheTransactionCommits) {
  begin();
  auto p = producer();
  p.init();
  ASSERT_EQ(p.commit_offset("g", "t", 5), 0);
  std::int16_t error = 0;
  EXPECT_EQ(committed_offset_of(*client, "g", "t", &error), -1);
  EXPECT_EQ(error, code(error_code::unstable_offset_commit));
  ASSERT_EQ(p.end(false), 0);
  EXPECT_EQ(committed_offset_of(*client, "g", "t", &error), -1);
  EXPECT_EQ(error, 0);
  ASSERT_EQ(p.commit_offset("g", "t", 6), 0);
  ASSERT_EQ(p.end(true), 0);
  EXPECT_EQ(committed_offset_of(*client, "g", "t", &error), 6);
  EXPECT_EQ(error, 0);
  ASSERT_EQ(p.commit_offset("g", "t", 7), 0);
  stop();
  start();
  p.client = client.get();
  EXPECT_EQ(committed_offset_of(*client, "g", "t", &error), -1);
  EXPECT_EQ(error, code(error_code::unstable_offset_commit)) << "open over a clean restart";
  ASSERT_EQ(p.end(true), 0);
  EXPECT_EQ(committed_offset_of(*client, "g", "t"), 7);
}

TEST_P(TransactionsTest, AnOffsetCommittedLaterWithoutATransactionStays) {
  begin();
  auto p = producer();
  p.init();
  ASSERT_EQ(p.commit_offset("g", "t", 5), 0);
  wire::offset_commit_request commit;
  commit.group_id = "g";
  commit.topics.push_back({"t", {}, {{0, 9, -1, -1, ""}}});
  ASSERT_EQ(client->call<wire::offset_commit_response>(commit, 9).topics.at(0).partitions.at(0).error_code,
            0);
  ASSERT_EQ(p.end(true), 0);
  EXPECT_EQ(committed_offset_of(*client, "g", "t"), 9);
  stop();
  start();
  EXPECT_EQ(committed_offset_of(*client, "g", "t"), 9);
}

TEST_P(TransactionsTest, TheGroupOfTheOffsetsIsChecked) {
  begin();
  auto p = producer();
  p.init();
  ASSERT_EQ(p.commit_offset("g", "t", 1), 0);
  auto q = p.offsets_request("g", "t", 2);
  q.generation_id_or_member_epoch = 3;
  q.member_id = "nobody";
  const auto version = static_cast<std::int16_t>(GetParam() == 2 ? 5 : 4);
  EXPECT_EQ(
      client->call<wire::txn_offset_commit_response>(q, version).topics.at(0).partitions.at(0).error_code,
      code(error_code::unknown_member_id));
  q.topics[0].name = "unknown";
  EXPECT_EQ(
      client->call<wire::txn_offset_commit_response>(q, version).topics.at(0).partitions.at(0).error_code,
      code(error_code::unknown_topic_or_partition));
}

TEST_P(TransactionsTest, AFencedProducerWritesAndEndsNothing) {
  begin();
  auto old = producer(), now = producer();
  old.init();
  ASSERT_EQ(old.write("t", 0, {"old"}), 0);
  ASSERT_EQ(now.init(), 0);
  EXPECT_EQ(now.who.id, old.who.id);
  EXPECT_EQ(old.write_only("t", 0, {"late"}, GetParam() == 2 ? 12 : 11),
            code(error_code::invalid_producer_epoch));
  EXPECT_EQ(old.end(true), code(error_code::producer_fenced));
  EXPECT_EQ(old.commit_offset("g", "t", 1),
            code(GetParam() == 2 ? error_code::invalid_producer_epoch : error_code::producer_fenced));
  ASSERT_EQ(now.write("t", 0, {"new"}), 0);
  ASSERT_EQ(now.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("new"));
}

TEST_P(TransactionsTest, RecordsOutsideOfATransactionAreRefused) {
  begin();
  auto p = producer();
  p.init();
  // Without having been added (KIP-890): as old and as newer clients are told.
  EXPECT_EQ(p.write_only("t", 0, {"x"}, 9), code(error_code::invalid_txn_state));
  EXPECT_EQ(p.write_only("t", 0, {"x"}, 11), code(error_code::transaction_abortable));
  auto q = p.offsets_request("g", "t", 1);
  EXPECT_EQ(client->call<wire::txn_offset_commit_response>(q, 4).topics.at(0).partitions.at(0).error_code,
            code(error_code::transaction_abortable));
  // Without saying whose.
  const auto batch = make_batch({"x"}, compression::none, {p.who.id, p.who.epoch, 0, true});
  EXPECT_EQ(produce(*client, "t", batch).error_code, code(error_code::transactional_id_authorization_failed));
  // After the end, as a request that was under way for long.
  ASSERT_EQ(p.write("t", 0, {"a"}), 0);
  const auto late = make_batch({"late"}, compression::none, {p.who.id, p.who.epoch, 1, true});
  ASSERT_EQ(p.end(true), 0);
  const auto version = static_cast<std::int16_t>(GetParam() == 2 ? 12 : 11);
  const auto got = client->call<wire::produce_response>(p.produce_request_of("t", 0, late), version);
  EXPECT_NE(got.responses.at(0).partition_responses.at(0).error_code, 0);
  // Non-transactional records of the same producer in the middle of one.
  ASSERT_EQ(p.write("t", 0, {"b"}), 0);
  const auto plain =
      make_batch({"x"}, compression::none, {p.who.id, p.who.epoch, p.sequences[{"t", 0}], false});
  EXPECT_EQ(produce(*client, "t", plain).error_code, code(error_code::invalid_txn_state));
  ASSERT_EQ(p.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("a", "b"));
}

TEST_P(TransactionsTest, AddingAnUnknownPartitionAddsNone) {
  begin();
  auto p = producer();
  p.init();
  wire::add_partitions_to_txn_request q;
  q.v3_and_below_transactional_id = "id";
  q.v3_and_below_producer_id = p.who.id;
  q.v3_and_below_producer_epoch = p.who.epoch;
  q.v3_and_below_topics = {{"t", {0, 7}}};
  const auto got =
      client->call<wire::add_partitions_to_txn_response>(q, 3).results_by_topic_v3_and_below.at(0);
  EXPECT_EQ(got.results_by_partition.at(0).partition_error_code, code(error_code::operation_not_attempted));
  EXPECT_EQ(got.results_by_partition.at(1).partition_error_code,
            code(error_code::unknown_topic_or_partition));
  EXPECT_EQ(describe("id").transaction_state, "Empty");
}

TEST_P(TransactionsTest, ADuplicateIsKnownWithinTheTransaction) {
  begin();
  auto p = producer();
  p.init();
  ASSERT_EQ(p.write("t", 0, {"a"}), 0);
  p.sequences[{"t", 0}] = 0;
  ASSERT_EQ(p.write("t", 0, {"a"}), 0) << "sent again, its answer having been lost";
  ASSERT_EQ(p.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("a"));
}

TEST_P(TransactionsTest, OneThatTakesTooLongIsAborted) {
  begin();
  auto p = producer();
  ASSERT_EQ(p.init(100), 0);
  ASSERT_EQ(p.write("t", 0, {"slow"}), 0);
  auto q = committed_fetch("t", 0);
  q.max_wait_ms = 20'000;
  const auto got = fetch(*client, q);  // answered by the marker
  std::int64_t next = 0;
  EXPECT_THAT(committed_values(got, next), IsEmpty());
  EXPECT_EQ(next, 2);
  EXPECT_EQ(p.end(true), code(error_code::producer_fenced));
  // Complete when the markers are on the disk, which readers do not wait for.
  EXPECT_TRUE(comes_true([&] { return describe("id").transaction_state == "CompleteAbort"; }));
}

TEST_P(TransactionsTest, TheyAreListedAndDescribed) {
  begin();
  auto p = producer("busy"), q = producer("idle");
  p.init();
  q.init();
  ASSERT_EQ(p.write("t", 1, {"a"}), 0);
  const auto busy = describe("busy");
  EXPECT_EQ(busy.transaction_state, "Ongoing");
  EXPECT_EQ(busy.transaction_timeout_ms, 60'000);
  EXPECT_GT(busy.transaction_start_time_ms, 0);
  EXPECT_EQ(busy.producer_id, p.who.id);
  EXPECT_EQ(busy.topics, (decltype(busy.topics){{"t", {1}}}));
  EXPECT_EQ(describe("nobody").error_code, code(error_code::transactional_id_not_found));
  const auto list = [&](const wire::list_transactions_request& r) {
    std::vector<std::string> ids;
    for (const auto& t : client->call<wire::list_transactions_response>(r).transaction_states)
      ids.push_back(t.transactional_id + " " + t.transaction_state);
    return ids;
  };
  wire::list_transactions_request r;
  EXPECT_THAT(list(r), ElementsAre("busy Ongoing", "idle Empty"));
  r.state_filters = {"Ongoing"};
  EXPECT_THAT(list(r), ElementsAre("busy Ongoing"));
  r.state_filters = {"Nonsense"};
  EXPECT_THAT(list(r), IsEmpty());
  r.state_filters.clear();
  r.producer_id_filters = {q.who.id};
  EXPECT_THAT(list(r), ElementsAre("idle Empty"));
  r.producer_id_filters.clear();
  r.transactional_id_pattern = "b.*";
  EXPECT_THAT(list(r), ElementsAre("busy Ongoing"));
  r.transactional_id_pattern = "(";
  EXPECT_EQ(client->call<wire::list_transactions_response>(r).error_code,
            code(error_code::invalid_regular_expression));
  r.transactional_id_pattern.reset();
  r.duration_filter = 1'000'000;
  EXPECT_THAT(list(r), IsEmpty());
  wire::describe_producers_request d;
  d.topics.push_back({"t", {1, 5}});
  const auto described = client->call<wire::describe_producers_response>(d).topics.at(0).partitions;
  EXPECT_EQ(described.at(0).active_producers.at(0).producer_id, p.who.id);
  EXPECT_EQ(described.at(0).active_producers.at(0).current_txn_start_offset, 0);
  EXPECT_EQ(described.at(1).error_code, code(error_code::unknown_topic_or_partition));
}

TEST_P(TransactionsTest, AnAdministratorEndsOneThatHangs) {
  begin();
  auto p = producer();
  p.init();
  ASSERT_EQ(p.write("t", 0, {"hangs"}), 0);
  wire::write_txn_markers_request q;
  q.markers.push_back({p.who.id, p.who.epoch, false, {{"t", {0, 9}}}, 0, 0});
  auto got = client->call<wire::write_txn_markers_response>(q, 2).markers.at(0).topics.at(0).partitions;
  EXPECT_EQ(got.at(0).error_code, 0);
  EXPECT_EQ(got.at(1).error_code, code(error_code::unknown_topic_or_partition));
  EXPECT_EQ(latest(1), 2);
  EXPECT_THAT(committed(), IsEmpty());
  q.markers[0].producer_epoch = -1;
  got = client->call<wire::write_txn_markers_response>(q, 1).markers.at(0).topics.at(0).partitions;
  EXPECT_NE(got.at(0).error_code, 0);
}

TEST_P(TransactionsTest, ALateMarkerEndsNothingOfTheNextTransaction) {
  begin();
  auto p = producer();
  p.init();
  ASSERT_EQ(p.write("t", 0, {"first"}), 0);
  ASSERT_EQ(p.end(true), 0);
  ASSERT_EQ(p.write("t", 0, {"second"}), 0);
  wire::write_txn_markers_request q;  // the first one's, again
  q.markers.push_back({p.who.id, p.who.epoch, false, {{"t", {0}}}, 1'000'000, 2});
  EXPECT_EQ(client->call<wire::write_txn_markers_response>(q, 2)
                .markers.at(0)
                .topics.at(0)
                .partitions.at(0)
                .error_code,
            code(error_code::invalid_producer_epoch));
  q.markers[0].coordinator_epoch = -5;  // of a coordinator before
  q.markers[0].transaction_version = 0;
  EXPECT_EQ(client->call<wire::write_txn_markers_response>(q, 2)
                .markers.at(0)
                .topics.at(0)
                .partitions.at(0)
                .error_code,
            code(error_code::transaction_coordinator_fenced));
  ASSERT_EQ(p.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("first", "second"));
}

TEST_P(TransactionsTest, ATopicThatIsDeletedMeanwhileDoesNotHoldTheEnd) {
  begin();
  create("gone");
  auto p = producer();
  p.init();
  ASSERT_EQ(p.write("gone", 0, {"x"}), 0);
  ASSERT_EQ(p.write("t", 0, {"a"}), 0);
  ASSERT_EQ(remove("gone"), 0);
  ASSERT_EQ(p.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("a"));
}

TEST_P(TransactionsTest, ACleanRestartKeepsATransactionOpen) {
  begin();
  auto p = producer();
  p.init();
  ASSERT_EQ(p.write("t", 0, {"a"}), 0);
  stop();
  start();
  p.client = client.get();
  EXPECT_THAT(committed(), IsEmpty());
  ASSERT_EQ(p.write("t", 0, {"b"}), 0);
  ASSERT_EQ(p.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("a", "b"));
}

TEST_P(TransactionsTest, WhenTheBrokerDiedWhatWasOpenIsAbortedAndFenced) {
  begin();
  auto p = producer();
  p.init();
  ASSERT_EQ(p.write("t", 0, {"done"}), 0);
  ASSERT_EQ(p.end(true), 0);
  ASSERT_EQ(p.write("t", 0, {"open"}), 0);
  ASSERT_EQ(p.commit_offset("g", "t", 3), 0);
  stop();
  std::filesystem::remove(directory.path() + "/.clean_shutdown");
  start();
  p.client = client.get();
  EXPECT_THAT(committed(), ElementsAre("done"));
  EXPECT_TRUE(comes_true([&] { return latest(1) == latest(0); })) << "nothing holds readers back";
  EXPECT_TRUE(comes_true([&] { return describe("id").transaction_state == "CompleteAbort"; }));
  std::int16_t error = -1;
  EXPECT_EQ(committed_offset_of(*client, "g", "t", &error), -1);
  EXPECT_EQ(error, 0);
  EXPECT_EQ(p.end(true), code(error_code::producer_fenced));
  EXPECT_NE(p.write("t", 0, {"late"}), 0);
  ASSERT_EQ(p.init(), 0);
  ASSERT_EQ(p.write("t", 0, {"next"}), 0);
  ASSERT_EQ(p.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("done", "next"));
}

// E16. The broker is kept busy, so that requests and ends of connections are all there when it looks.
TEST_P(TransactionsTest, WhatAConnectionLeftBehindIsNotExecutedIfItIsTransactional) {
  begin();
  auto p = producer();
  p.init();
  ASSERT_EQ(p.write("t", 0, {"a"}), 0);
  std::promise<void> busy, go_on;
  broker->hooks().set(wire::api_key::metadata, [&](const request_info&) {
    busy.set_value();
    go_on.get_future().wait();
    return hook_action{hook_action::kind::delay, 0ms};
  });
  std::atomic<int> met = 0;
  const auto note = [&](const request_info&) { return ++met, hook_action{}; };
  for (const auto key : {wire::api_key::end_txn, wire::api_key::produce}) broker->hooks().set(key, note, 100);
  auto other = connect();
  const auto asked = other->send(wire::metadata_request{}, 12);
  busy.get_future().wait();
  const std::int16_t produce_version = p.raised ? 12 : 11;
  const auto transactional = make_batch({"left behind"}, compression::none, {p.who.id, p.who.epoch, 1, true});
  connect()->send(p.end_request(true), p.end_version());
  connect()->send(p.produce_request_of("t", 0, transactional), produce_version);
  connect()->send(produce_request("t", 1, make_batch({"plain"})), produce_version);
  go_on.set_value();
  other->receive<wire::metadata_response>(12, asked);
  ASSERT_TRUE(comes_true([&] { return met == 3; }));
  EXPECT_TRUE(comes_true([&] { return committed(1).size() == 1; })) << "other records are taken";
  EXPECT_EQ(describe("id").transaction_state, "Ongoing");
  ASSERT_EQ(p.write("t", 0, {"b"}), 0) << "with the sequence that was left behind too";
  ASSERT_EQ(p.end(true), 0);
  EXPECT_THAT(committed(), ElementsAre("a", "b"));
}

TEST_P(TransactionsTest, TheFinalisedVersionIsTold) {
  options.transaction_version = static_cast<std::int16_t>(GetParam());
  start();
  wire::api_versions_request q;
  q.client_software_name = q.client_software_version = "test";
  const auto v3 = client->call<wire::api_versions_response>(q, 3);
  EXPECT_THAT(v3.supported_features, IsEmpty());
  const auto v4 = client->call<wire::api_versions_response>(q, 4);
  ASSERT_EQ(v4.supported_features.size(), 1u);
  EXPECT_EQ(v4.supported_features[0].name, "transaction.version");
  EXPECT_EQ(v4.supported_features[0].max_version, 2);
  EXPECT_GE(v4.finalized_features_epoch, 0);
  ASSERT_EQ(v4.finalized_features.size(), GetParam() == 2 ? 1u : 0u);
  for (const auto& f : v4.finalized_features) EXPECT_EQ(f.max_version_level, 2);
}

TEST_P(TransactionsTest, TheirTopicIsTheBrokersOwn) {
  begin();
  auto p = producer();
  p.init();
  const auto named = topics();
  EXPECT_THAT(named, ::testing::Contains("__transaction_state"));
  EXPECT_EQ(p.write_only("__transaction_state", 0, {"x"}, 12), code(error_code::invalid_topic_exception));
  EXPECT_EQ(p.add("__transaction_state", 0), code(error_code::unknown_topic_or_partition));
}

}  // namespace
}  // namespace penstock::broker
