// SPDX-License-Identifier: Apache-2.0
// Produce, Fetch and the APIs around offsets, over a socket.
#include <gmock/gmock.h>

#include <thread>

#include "broker/test_support.h"

namespace penstock::broker {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using ::testing::ElementsAre;

struct RecordsTest : broker_fixture {
  RecordsTest() {
    start();
    create("t", 2);
  }
};

TEST_F(RecordsTest, WhatIsProducedIsFetchedByteForByte) {
  for (const auto codec :
       {compression::none, compression::gzip, compression::snappy, compression::lz4, compression::zstd}) {
    const std::string topic = std::string(to_string(codec));
    create(topic);
    const std::string batch = make_batch({std::string(300, 'a'), "b"}, codec);
    const auto first = produce(*client, topic, batch);
    EXPECT_EQ(first.error_code, 0) << topic;
    EXPECT_EQ(first.base_offset, 0);
    EXPECT_EQ(first.log_start_offset, 0);
    EXPECT_EQ(produce(*client, topic, batch).base_offset, 2);
    const auto got = fetch(*client, fetch_request(topic, 0));
    EXPECT_EQ(got.high_watermark, 4);
    EXPECT_THAT(values_of(got),
                ElementsAre("0:" + std::string(300, 'a'), "1:b", "2:" + std::string(300, 'a'), "3:b"));
    EXPECT_EQ(got.records.bytes.substr(21, batch.size() - 21), std::string_view(batch).substr(21));
  }
}

TEST_F(RecordsTest, EveryVersionOfProduceAndFetchWorks) {
  wire::metadata_request m;
  m.topics.emplace().push_back({{}, "t"});
  const auto id = client->call<wire::metadata_response>(m).topics.at(0).topic_id;
  std::int64_t next = 0;
  for (std::int16_t v = 3; v <= 13; ++v) {
    const std::string batch = make_batch({"x"});
    auto q = produce_request("t", 0, batch);
    if (v >= 13) q.topic_data[0].topic_id = id;
    const auto p = client->call<wire::produce_response>(q, v).responses.at(0).partition_responses.at(0);
    EXPECT_EQ(p.error_code, 0) << v;
    EXPECT_EQ(p.base_offset, next++) << v;
  }
  for (std::int16_t v = 4; v <= 18; ++v) {
    auto q = fetch_request("t", next - 1);
    if (v >= 13) q.topics[0].topic_id = id;
    EXPECT_EQ(values_of(fetch(*client, q, v)).size(), 1u) << v;
  }
}

TEST_F(RecordsTest, UnknownTopicsPartitionsAndIds) {
  EXPECT_EQ(produce(*client, "nowhere", make_batch({"x"})).error_code,
            code(error_code::unknown_topic_or_partition));
  EXPECT_EQ(produce(*client, "t", make_batch({"x"}), 7).error_code,
            code(error_code::unknown_topic_or_partition));
  EXPECT_EQ(produce(*client, "t", make_batch({"x"}), -1).error_code,
            code(error_code::unknown_topic_or_partition));
  const std::string batch = make_batch({"x"});
  auto q = produce_request("t", 0, batch);
  q.topic_data[0].topic_id = {1, 2};
  EXPECT_EQ(client->call<wire::produce_response>(q, 13).responses.at(0).partition_responses.at(0).error_code,
            code(error_code::unknown_topic_id));
  auto f = fetch_request("t", 0);
  f.topics[0].topic_id = {1, 2};
  EXPECT_EQ(fetch(*client, f, 13).error_code, code(error_code::unknown_topic_id));
  EXPECT_THAT(topics(), ElementsAre("t")) << "Produce makes no topics";
}

TEST_F(RecordsTest, RefusesBatchesThatCannotBe) {
  const std::string good = make_batch({"x"});
  const auto error_of = [&](std::string batch, std::int16_t version = 12) {
    return produce(*client, "t", batch, 0, version).error_code;
  };
  EXPECT_EQ(error_of(good + good), code(error_code::invalid_record));
  EXPECT_EQ(error_of(""), code(error_code::invalid_record));
  EXPECT_EQ(error_of(good.substr(0, good.size() - 1)), code(error_code::corrupt_message));
  std::string damaged = good;
  damaged.back() ^= 1;
  EXPECT_EQ(error_of(damaged), code(error_code::corrupt_message));
  EXPECT_EQ(error_of(make_batch({"x"}, compression::zstd), 6), code(error_code::none))
      << "too small to be compressed";
  EXPECT_EQ(error_of(make_batch({std::string(500, 'a')}, compression::zstd), 6),
            code(error_code::unsupported_compression_type));
  EXPECT_EQ(error_of(make_batch({std::string(1'100'000, 'a')})), code(error_code::message_too_large));
  EXPECT_EQ(error_of(good, 2), code(error_code::unsupported_version));
  auto q = produce_request("t", 0, good, 2);
  EXPECT_EQ(client->call<wire::produce_response>(q, 12).responses.at(0).partition_responses.at(0).error_code,
            code(error_code::invalid_required_acks));
  EXPECT_EQ(fetch(*client, fetch_request("t", 0)).high_watermark, 1);
}

TEST_F(RecordsTest, TheLeaderEpochOfABatchIsNotLookedAt) {
  std::string batch = make_batch({"x"});
  wire::set_leader_epoch(batch.data(), 0);
  EXPECT_EQ(produce(*client, "t", batch).error_code, 0);
}

TEST_F(RecordsTest, ACompactedTopicWantsKeys) {
  create("c", 1, {{"cleanup.policy", "compact"}});
  wire::batch_builder b;
  b.append("k", "v", now_ms());
  b.append({}, "v", now_ms());
  const auto p = produce(*client, "c", *b.seal({}));
  EXPECT_EQ(p.error_code, code(error_code::invalid_record));
  ASSERT_EQ(p.record_errors.size(), 1u);
  EXPECT_EQ(p.record_errors[0].batch_index, 1);
}

TEST_F(RecordsTest, TimestampsTooFarInTheFutureAreRefused) {
  wire::batch_builder b;
  b.append("k", "v", now_ms() + 2 * 3600 * 1000);
  EXPECT_EQ(produce(*client, "t", *b.seal({})).error_code, code(error_code::invalid_timestamp));
}

TEST_F(RecordsTest, LogAppendTimeIsTheBrokers) {
  create("a", 1, {{"message.timestamp.type", "LogAppendTime"}});
  wire::batch_builder b;
  b.append("k", "v", 12345);
  const auto p = produce(*client, "a", *b.seal({}));
  EXPECT_EQ(p.error_code, 0);
  EXPECT_GT(p.log_append_time_ms, 1'600'000'000'000);
  const auto got = fetch(*client, fetch_request("a", 0));
  EXPECT_EQ(wire::parse_batch_header(got.records.bytes)->max_timestamp, p.log_append_time_ms);
  EXPECT_TRUE(wire::crc_matches(got.records.bytes));
}

TEST_F(RecordsTest, ATopicsOwnCodecReplacesTheProducers) {
  create("z", 1, {{"compression.type", "zstd"}});
  EXPECT_EQ(produce(*client, "z", make_batch({std::string(400, 'a'), "b"}, compression::gzip)).error_code, 0);
  EXPECT_EQ(produce(*client, "z", make_batch({std::string(400, 'c')})).error_code, 0);
  create("plain", 1, {{"compression.type", "uncompressed"}});
  EXPECT_EQ(produce(*client, "plain", make_batch({std::string(400, 'a'), "b"}, compression::lz4)).error_code,
            0);
  auto got = fetch(*client, fetch_request("z", 0));
  EXPECT_EQ(wire::parse_batch_header(got.records.bytes)->codec(), compression::zstd);
  EXPECT_THAT(values_of(got), ElementsAre("0:" + std::string(400, 'a'), "1:b", "2:" + std::string(400, 'c')));
  got = fetch(*client, fetch_request("plain", 0));
  EXPECT_EQ(wire::parse_batch_header(got.records.bytes)->codec(), compression::none);
  EXPECT_THAT(values_of(got), ElementsAre("0:" + std::string(400, 'a'), "1:b"));
}

TEST_F(RecordsTest, IdempotentProducersAreHeldToTheirSequence) {
  const auto init = client->call<wire::init_producer_id_response>(wire::init_producer_id_request{}, 4);
  ASSERT_EQ(init.error_code, 0);
  const auto other = client->call<wire::init_producer_id_response>(wire::init_producer_id_request{}, 4);
  EXPECT_NE(init.producer_id, other.producer_id);
  const auto send = [&](std::int32_t sequence, std::int16_t epoch = 0) {
    return produce(*client, "t",
                   make_batch({"a", "b"}, compression::none, {init.producer_id, epoch, sequence}));
  };
  EXPECT_EQ(send(0).base_offset, 0);
  EXPECT_EQ(send(2).base_offset, 2);
  const auto again = send(0);
  EXPECT_EQ(again.error_code, 0);
  EXPECT_EQ(again.base_offset, 0) << "a duplicate is acknowledged with its first offset";
  EXPECT_EQ(send(6).error_code, code(error_code::out_of_order_sequence_number));
  EXPECT_EQ(send(0, 1).error_code, 0);
  EXPECT_EQ(send(4, 0).error_code, code(error_code::invalid_producer_epoch));
  EXPECT_EQ(fetch(*client, fetch_request("t", 0)).high_watermark, 6);
  stop();
  start();
  EXPECT_EQ(send(0, 1).base_offset, 4) << "known after a restart";
  EXPECT_EQ(send(2, 1).base_offset, 6);
}

TEST_F(RecordsTest, TheCoordinatorOfATransactionalIdIsThisBroker) {
  wire::find_coordinator_request f;
  f.key_type = 1;
  f.coordinator_keys = {"tx"};
  const auto c = client->call<wire::find_coordinator_response>(f).coordinators.at(0);
  EXPECT_EQ(c.error_code, 0);
  EXPECT_EQ(c.port, broker->endpoint().port);
  f.key_type = 2;
  const auto share = client->call<wire::find_coordinator_response>(f).coordinators.at(0);
  EXPECT_EQ(share.error_code, code(error_code::unsupported_version));
  EXPECT_THAT(*share.error_message, ::testing::HasSubstr("share groups"));
}

TEST_F(RecordsTest, WithoutAcksNothingIsAnsweredAndAnErrorClosesTheConnection) {
  const std::string batch = make_batch({"x"});
  client->send(produce_request("t", 0, batch, 0), 12);
  EXPECT_EQ(fetch(*client, fetch_request("t", 0)).high_watermark, 1);
  client->send(produce_request("nowhere", 0, batch, 0), 12);
  EXPECT_TRUE(client->closed_by_peer());
}

TEST_F(RecordsTest, AFetchBeginsWithTheBatchThatHoldsTheOffset) {
  produce(*client, "t", make_batch({"a", "b", "c"}));
  const auto got = fetch(*client, fetch_request("t", 1));
  EXPECT_EQ(wire::parse_batch_header(got.records.bytes)->base_offset, 0);
  EXPECT_THAT(values_of(got, 1), ElementsAre("1:b", "2:c"));
}

TEST_F(RecordsTest, LimitsOfBytes) {
  const std::string batch = make_batch({std::string(1000, 'x')});
  for (int i = 0; i < 10; ++i) produce(*client, "t", batch, i % 2);
  auto q = fetch_request("t", 0);
  q.topics[0].partitions[0].partition_max_bytes = static_cast<std::int32_t>(2 * batch.size() + 10);
  EXPECT_EQ(values_of(fetch(*client, q)).size(), 2u);
  q.topics[0].partitions[0].partition_max_bytes = 1;
  EXPECT_EQ(values_of(fetch(*client, q)).size(), 1u) << "one batch at least (KIP-74)";
  q = fetch_request("t", 0);
  q.topics[0].partitions.push_back(q.topics[0].partitions[0]);
  q.topics[0].partitions[1].partition = 1;
  q.max_bytes = static_cast<std::int32_t>(3 * batch.size());
  const auto all = client->call<wire::fetch_response>(q, 12);
  EXPECT_EQ(values_of(all.responses.at(0).partitions.at(0)).size(), 3u);
  EXPECT_EQ(values_of(all.responses.at(0).partitions.at(1)).size(), 0u) << "the whole answer is bounded";
}

TEST_F(RecordsTest, OffsetsOutOfRangeAndOtherEpochs) {
  produce(*client, "t", make_batch({"a"}));
  EXPECT_EQ(fetch(*client, fetch_request("t", 2)).error_code, code(error_code::offset_out_of_range));
  EXPECT_EQ(fetch(*client, fetch_request("t", -1)).error_code, code(error_code::offset_out_of_range));
  EXPECT_EQ(fetch(*client, fetch_request("t", 1)).error_code, 0);
  auto q = fetch_request("t", 0);
  q.topics[0].partitions[0].current_leader_epoch = 5;
  EXPECT_EQ(fetch(*client, q).error_code, code(error_code::unknown_leader_epoch));
}

TEST_F(RecordsTest, ThereAreNoFetchSessions) {
  auto q = fetch_request("t", 0);
  q.session_epoch = 0;
  EXPECT_EQ(client->call<wire::fetch_response>(q, 12).session_id, 0);
  q.session_id = 77;
  q.session_epoch = 3;
  EXPECT_EQ(client->call<wire::fetch_response>(q, 12).error_code,
            code(error_code::fetch_session_id_not_found));
}

TEST_F(RecordsTest, AFetchWaitsForRecordsAndLaterRequestsWaitForIt) {
  auto q = fetch_request("t", 0);
  q.max_wait_ms = 20'000;
  const auto waiting = client->send(q, 12);
  const auto behind = client->send(wire::api_versions_request{"test", "1"}, 3);
  auto other = connect();
  fetch(*other, fetch_request("t", 0));  // the broker has seen both by then, or sees them before the next
  EXPECT_FALSE(client->readable());
  produce(*other, "t", make_batch({"woken"}));
  const auto got = client->receive<wire::fetch_response>(12, waiting);
  EXPECT_THAT(values_of(got.responses.at(0).partitions.at(0)), ElementsAre("0:woken"));
  EXPECT_FALSE(client->receive<wire::api_versions_response>(3, behind).api_keys.empty());
}

TEST_F(RecordsTest, AFetchWaitsForItsMinimumOfBytes) {
  const std::string batch = make_batch({std::string(1000, 'x')});
  auto q = fetch_request("t", 0);
  q.max_wait_ms = 20'000;
  q.min_bytes = static_cast<std::int32_t>(3 * batch.size());
  produce(*client, "t", batch);
  const auto waiting = client->send(q, 12);
  auto other = connect();
  produce(*other, "t", batch);
  fetch(*other, fetch_request("t", 0));
  EXPECT_FALSE(client->readable());
  produce(*other, "t", batch);
  EXPECT_EQ(
      values_of(client->receive<wire::fetch_response>(12, waiting).responses.at(0).partitions.at(0)).size(),
      3u);
}

TEST_F(RecordsTest, AFetchEndsWhenItsTimeIsOver) {
  auto q = fetch_request("t", 0);
  q.max_wait_ms = 50;
  const auto before = io::clock::system().now();
  EXPECT_EQ(values_of(fetch(*client, q)).size(), 0u);
  EXPECT_GE(io::clock::system().now() - before, 49ms);
}

wire::list_offsets_response::list_offsets_partition_response list(test_client& c, std::int64_t timestamp,
                                                                  std::int16_t version = 10) {
  wire::list_offsets_request q;
  q.replica_id = -1;
  auto& t = q.topics.emplace_back();
  t.name = "t";
  auto& p = t.partitions.emplace_back();
  p.timestamp = timestamp;
  return c.call<wire::list_offsets_response>(q, version).topics.at(0).partitions.at(0);
}

TEST_F(RecordsTest, OffsetsByTime) {
  EXPECT_EQ(list(*client, -1).offset, 0);
  EXPECT_EQ(list(*client, -3).offset, -1);
  wire::batch_builder b;
  for (const std::int64_t t : {1000, 3000, 2000}) b.append("k", "v", t);
  produce(*client, "t", *b.seal({}));
  EXPECT_EQ(list(*client, -1).offset, 3);
  EXPECT_EQ(list(*client, -2).offset, 0);
  EXPECT_EQ(list(*client, -3).offset, 1);
  EXPECT_EQ(list(*client, -3).timestamp, 3000);
  EXPECT_EQ(list(*client, -4).offset, 0);
  EXPECT_EQ(list(*client, -5).offset, -1);
  EXPECT_EQ(list(*client, 1500).offset, 1);
  EXPECT_EQ(list(*client, 1500).timestamp, 3000);
  EXPECT_EQ(list(*client, 5000).offset, -1);
  EXPECT_EQ(list(*client, -1).leader_epoch, 0);
  for (std::int16_t v = 1; v <= 10; ++v) EXPECT_EQ(list(*client, -1, v).offset, 3) << v;
  EXPECT_EQ(list(*client, -3, 6).error_code, code(error_code::unsupported_version));
}

TEST_F(RecordsTest, DeletedRecordsAreOutOfRange) {
  produce(*client, "t", make_batch({"a", "b", "c", "d"}));
  wire::delete_records_request q;
  q.topics.push_back({"t", {{0, 2}, {1, 5}, {9, 0}}});
  const auto r = client->call<wire::delete_records_response>(q).topics.at(0).partitions;
  EXPECT_EQ(r.at(0).low_watermark, 2);
  EXPECT_EQ(r.at(1).error_code, code(error_code::offset_out_of_range));
  EXPECT_EQ(r.at(2).error_code, code(error_code::unknown_topic_or_partition));
  EXPECT_EQ(fetch(*client, fetch_request("t", 1)).error_code, code(error_code::offset_out_of_range));
  EXPECT_EQ(fetch(*client, fetch_request("t", 2)).log_start_offset, 2);
  EXPECT_EQ(list(*client, -2).offset, 2);
  stop();
  start();
  EXPECT_EQ(list(*client, -2).offset, 2);
}

TEST_F(RecordsTest, LeaderEpochsGrowWithEachStartAndTellWhereTheyEnd) {
  produce(*client, "t", make_batch({"a", "b"}));
  stop();
  start();
  produce(*client, "t", make_batch({"c"}));
  const auto end_of = [&](std::int32_t epoch) {
    wire::offset_for_leader_epoch_request q;
    auto& t = q.topics.emplace_back();
    t.topic = "t";
    auto& p = t.partitions.emplace_back();
    p.leader_epoch = epoch;
    p.current_leader_epoch = 1;
    return client->call<wire::offset_for_leader_epoch_response>(q).topics.at(0).partitions.at(0);
  };
  EXPECT_EQ(end_of(0).end_offset, 2);
  EXPECT_EQ(end_of(1).end_offset, 3);
  EXPECT_EQ(end_of(2).end_offset, -1);
  auto q = fetch_request("t", 0);
  q.topics[0].partitions[0].current_leader_epoch = 0;
  EXPECT_EQ(fetch(*client, q).error_code, code(error_code::fenced_leader_epoch));
}

}  // namespace
}  // namespace penstock::broker
