// SPDX-License-Identifier: Apache-2.0
// What a connection bears: pieces, pipelines, nonsense.
#include <gmock/gmock.h>

#include "broker/broker_log.h"
#include "broker/hooks.h"
#include "broker/input_buffer.h"
#include "broker/test_support.h"

namespace penstock::broker {
namespace {

using namespace testing;

struct ConnectionTest : broker_fixture {
  ConnectionTest() { start(); }
  std::string frame_of(std::string_view body) {
    std::string frame(4, '\0');
    base::store_be(frame.data(), static_cast<std::int32_t>(body.size()));
    return frame.append(body);
  }
  // The broker is well: it answers a new connection.
  void expect_alive() {
    auto other = connect();
    EXPECT_EQ(other->call<wire::api_versions_response>(wire::api_versions_request{"x", "1"}, 3).error_code,
              0);
  }
  void expect_closed(std::string_view bytes) {
    auto victim = connect();
    try {
      victim->send_raw(bytes);
    } catch (const std::runtime_error&) {  // closed while we were still sending
    }
    EXPECT_TRUE(victim->closed_by_peer());
    expect_alive();
  }
};

TEST_F(ConnectionTest, ARequestMayComeByteByByte) {
  std::string bytes;
  wire::writer out(bytes);
  ASSERT_TRUE(wire::encode_frame(out, wire::request_header{wire::api_key::api_versions, 3, 5, std::nullopt},
                                 wire::api_versions_request{"x", "1"}));
  for (const char c : bytes) client->send_raw({&c, 1});
  EXPECT_EQ(client->receive<wire::api_versions_response>(3, 5).error_code, 0)
      << "and a null client id is fine";
}

TEST_F(ConnectionTest, ManyRequestsMayBeSentAtOnce) {
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 1000; ++i) ids.push_back(client->send(wire::metadata_request{}, 12));
  for (const auto id : ids) client->receive<wire::metadata_response>(12, id);
}

TEST_F(ConnectionTest, LargeRequestsComeThrough) {
  create("t", 1, {{"max.message.bytes", "30000000"}});
  const std::string batch = make_batch({std::string(20'000'000, 'x')});
  const std::string small = make_batch({"y"});
  const auto a = client->send(produce_request("t", 0, batch), 12);
  const auto b = client->send(produce_request("t", 0, small), 12);
  const auto c = client->send(produce_request("t", 0, batch), 12);
  for (const auto id : {a, b, c})
    EXPECT_EQ(
        client->receive<wire::produce_response>(12, id).responses.at(0).partition_responses.at(0).error_code,
        0);
  EXPECT_EQ(values_of(fetch(*client, fetch_request("t", 2))).at(0).size(), 20'000'002u);
}

TEST_F(ConnectionTest, NonsenseClosesItsConnectionOnly) {
  expect_closed("GET / HTTP/1.1\r\n\r\n");
  expect_closed(std::string("\xff\xff\xff\xff", 4));
  expect_closed(std::string("\x7f\xff\xff\xff", 4));
  expect_closed(frame_of(""));
  expect_closed(frame_of("\x01"));
  expect_closed(frame_of(std::string("\x03\xe7\x00\x01\x00\x00\x00\x01\xff\xff", 10)));  // API 999
  expect_closed(frame_of(std::string("\x00\x01\x00\x02\x00\x00\x00\x01\xff\xff", 10)));  // Fetch 2
  expect_closed(frame_of(std::string("\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\x7f\xff\xff\xff", 14)));
}

TEST_F(ConnectionTest, AnyDamageToARequestIsBorne) {
  create("t");
  std::string bytes;
  wire::writer out(bytes);
  const std::string batch = make_batch({"a", "b"}, compression::lz4);
  ASSERT_TRUE(wire::encode_frame(out, wire::request_header{wire::api_key::produce, 9, 1, "c"},
                                 produce_request("t", 0, batch)));
  io::seeded_random random(3);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = bytes;
    for (int k = 0; k < 3; ++k)
      damaged[4 + random.next() % (damaged.size() - 4)] = static_cast<char>(random.next());
    auto victim = connect();
    victim->send_raw(damaged);
  }
  expect_alive();
}

TEST_F(ConnectionTest, TooManyConnectionsAreClosed) {
  stop();
  options.max_connections = 3;
  start();
  auto a = connect(), b = connect();
  a->call<wire::metadata_response>(wire::metadata_request{});
  b->call<wire::metadata_response>(wire::metadata_request{});
  client->call<wire::metadata_response>(wire::metadata_request{});
  EXPECT_TRUE(connect()->closed_by_peer());
  client->call<wire::metadata_response>(wire::metadata_request{});
}

TEST_F(ConnectionTest, ALargerRequestThanAllowedIsRefused) {
  stop();
  options.max_request_bytes = 2000;
  start();
  expect_closed(frame_of(std::string(2001, 'x')));
}

TEST_F(ConnectionTest, HooksDelayDropAndLoseAnswersOnce) {
  create("t");
  const std::string batch = make_batch({"x"});
  using kind = hook_action::kind;
  const auto next_produce = [&](hook_action a) {
    broker->hooks().set(wire::api_key::produce, [a](const request_info&) { return a; });
  };
  next_produce({kind::drop, {}});
  client->send(produce_request("t", 0, batch), 12);
  EXPECT_TRUE(client->closed_by_peer());
  client = connect();
  EXPECT_EQ(fetch(*client, fetch_request("t", 0)).high_watermark, 0) << "it was not handled";
  next_produce({kind::lose_answer, {}});
  client->send(produce_request("t", 0, batch), 12);
  EXPECT_TRUE(client->closed_by_peer());
  client = connect();
  EXPECT_EQ(fetch(*client, fetch_request("t", 0)).high_watermark, 1) << "it was handled";
  next_produce({kind::delay, std::chrono::milliseconds(50)});
  const auto before = io::clock::system().now();
  EXPECT_EQ(produce(*client, "t", batch).base_offset, 1);
  EXPECT_GE(io::clock::system().now() - before, std::chrono::milliseconds(49));
  EXPECT_EQ(produce(*client, "t", batch).base_offset, 2);
}

TEST(InputBufferTest, GrowsWithWhatComesAndGivesBack) {
  block_pool pool(4 << 20);
  {
    input_buffer b(pool);
    EXPECT_LE(b.room(0).size(), 4096u);
    b.filled(4);
    EXPECT_LE(b.room(100'000'004).size(), 128u << 10) << "four bytes have come, not a hundred megabytes";
    EXPECT_LE(pool.allocated(), 128u << 10);
    auto room = b.room(900'000);
    while (b.held().size() < 900'000) {
      ASSERT_FALSE(room.empty());
      b.filled(room.size());
      room = b.room(900'000);
    }
    EXPECT_EQ(b.held().size(), 900'000u) << "not a byte of the next request is read into a large one's block";
    b.consume(900'000);
    EXPECT_LE(b.room(0).size(), 4096u);
    b.filled(10);
    b.room(2'000'000);
  }
  pool.trim();
  EXPECT_EQ(pool.allocated(), 0u);
}

TEST(InputBufferTest, StopsAtThePoolsBound) {
  block_pool pool(200'000);
  input_buffer b(pool);
  b.room(0);
  b.filled(4096);
  for (int i = 0; i < 100; ++i) {
    const auto room = b.room(10'000'000);
    if (room.empty()) return;
    b.filled(room.size());
  }
  FAIL() << "it took " << pool.allocated();
}

// `listening on ...` is the first line of `penstock broker`, and a program's output is its own.
TEST(BrokerLog, LeavesStandardOutputAlone) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  broker_log().warn("the disk is {}", "full");
  broker_log().flush();
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), ::testing::HasSubstr("the disk is full"));
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

}  // namespace
}  // namespace penstock::broker
