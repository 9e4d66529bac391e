// SPDX-License-Identifier: Apache-2.0
#include "client/producer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>

#include "base/hash.h"
#include "client/fake_cluster.h"
#include "wire/compression.h"
#include "wire/record_cursor.h"
#include "wire/records_reader.h"

namespace penstock::client {
namespace {

using testing::fake_cluster;
using testing::reaction;
using testing::run_until;
using testing::seen_request;
using wire::api_key;
using wire::error_code;
using namespace std::chrono_literals;

reaction produce_error(const seen_request& r, error_code code) {
  const auto ask = r.as<wire::produce_request>();
  wire::produce_response a;
  for (const auto& t : ask.topic_data) {
    auto& out = a.responses.emplace_back();
    out.name = t.name;
    for (const auto& p : t.partition_data) {
      auto& answer = out.partition_responses.emplace_back();
      answer.index = p.index;
      answer.error_code = static_cast<std::int16_t>(code);
      answer.base_offset = -1;
    }
  }
  return reaction::with(a, r.header.version);
}

class a_producer : public ::testing::Test {
 protected:
  a_producer() : kafka(loop, 2) {
    settings.bootstrap_servers = kafka.bootstrap();
    settings.linger = 0ms;
    settings.batch_size = 256;
    settings.delivery_timeout = 10s;
    settings.connection.request_timeout = 2s;
    settings.connection.retry_backoff = 2ms;
    settings.connection.retry_backoff_max = 10ms;
    settings.connection.reconnect_backoff = 2ms;
    settings.connection.reconnect_backoff_max = 10ms;
    kafka.add_topic("t", 2);
  }
  void start() {
    p.reset();
    c = std::move(*cluster::create(loop, settings.bootstrap_servers, settings.connection));
    p = std::make_unique<producer>(*c, settings);
    p->on_delivery([this](const kafka::delivery& d) {
      delivered += d.outcome == kafka::persistence::persisted ? d.records : 0;
      if (d.failure != nullptr) {
        outcomes.push_back(d.outcome);
        errors.push_back(d.failure->message());
        failed += d.records;
      }
    });
  }
  // Appends, waiting for metadata and memory as an application would.
  void send(const std::string& value, std::int32_t partition = 0) {
    ASSERT_TRUE(run_until(loop, [&] {
      auto sent = p->try_send({.topic = "t", .value = value, .partition = partition});
      EXPECT_TRUE(sent) << sent.error().message();
      return !sent || *sent == append_status::accepted;
    }));
  }
  result<> flush() {
    std::optional<result<>> outcome;
    p->flush([&](result<> r) { outcome = std::move(r); });
    EXPECT_TRUE(run_until(
        loop, [&] { return outcome.has_value(); }, 30s));
    return outcome.value_or(fail(errc::timeout, "the test waited too long"));
  }
  std::vector<std::string> numbered(int from, int to) {
    std::vector<std::string> all;
    for (int i = from; i < to; ++i) all.push_back(fmt::format("value-{:05}", i));
    return all;
  }
  void send_all(const std::vector<std::string>& values, std::int32_t partition = 0) {
    for (const auto& v : values) send(v, partition);
  }

  io::event_loop loop;
  fake_cluster kafka;
  kafka::producer_settings settings;
  std::unique_ptr<cluster> c;
  std::unique_ptr<producer> p;
  std::int64_t delivered = 0, failed = 0;
  std::vector<std::string> errors;
  std::vector<kafka::persistence> outcomes;
};

TEST_F(a_producer, delivers_in_order_with_many_batches_in_flight) {
  start();
  const auto values = numbered(0, 500);
  send_all(values, 0);
  send_all(values, 1);
  ASSERT_TRUE(flush());
  EXPECT_EQ(kafka.values("t", 0), values);
  EXPECT_EQ(kafka.values("t", 1), values);
  EXPECT_EQ(delivered, 1000);
  EXPECT_GT(p->statistics().batches, 20u);
  EXPECT_EQ(p->buffered_bytes(), 0u);
}

TEST_F(a_producer, tells_each_record_its_offset) {
  start();
  kafka.append("t", 0, {"before", "these"});
  std::vector<std::int64_t> offsets;
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(run_until(loop, [&] {
      auto sent = p->try_send({.topic = "t", .value = "x", .partition = 0},
                              [&](const kafka::delivery& d) { offsets.push_back(d.first_offset); });
      return *sent == append_status::accepted;
    }));
  }
  ASSERT_TRUE(flush());
  ASSERT_EQ(offsets.size(), 30u);
  for (std::int64_t i = 0; i < 30; ++i) EXPECT_EQ(offsets[static_cast<std::size_t>(i)], i + 2);
}

TEST_F(a_producer, sends_null_and_empty_keys_values_and_headers_as_they_are) {
  start();
  const record_header headers[] = {{"h", "1"}, {"null", {}}};
  ASSERT_TRUE(run_until(loop, [&] { return p->partitions_of("t").has_value(); }));
  ASSERT_TRUE(
      p->try_send({.topic = "t", .key = "k", .partition = 0, .timestamp_ms = 77, .headers = headers}));
  ASSERT_TRUE(p->try_send({.topic = "t", .key = "", .value = "", .partition = 0}));
  ASSERT_TRUE(flush());
  const auto& batch = kafka.partition("t", 0).batches.at(0);
  const auto header = wire::parse_batch_header(batch);
  wire::scratch_buffer scratch;
  auto cursor = wire::open_records(*header, batch, scratch);
  record_view r;
  ASSERT_TRUE(cursor->next(r));
  EXPECT_TRUE(r.is_tombstone());
  EXPECT_EQ(r.key, "k");
  EXPECT_EQ(r.timestamp_ms, 77);
  ASSERT_EQ(r.headers.size(), 2);
  EXPECT_EQ(*r.headers.find("h"), "1");
  EXPECT_EQ(r.headers.find("null")->data(), nullptr);
  ASSERT_TRUE(cursor->next(r));
  EXPECT_TRUE(r.has_key());
  EXPECT_FALSE(r.is_tombstone());
  EXPECT_EQ(r.key, "");
}

TEST_F(a_producer, neither_loses_nor_repeats_when_connections_break) {
  start();
  for (int i = 0; i < 3; ++i) {
    kafka.script(3, api_key::produce, [](const seen_request&) { return reaction{}; });
    kafka.script(api_key::produce, [](const seen_request&) { return reaction{reaction::kind::cut, {}}; });
    kafka.script(2, api_key::produce, [](const seen_request&) { return reaction{}; });
    kafka.script(api_key::produce, [](const seen_request&) {
      return reaction{reaction::kind::pass_then_cut, {}};
    });
  }
  const auto values = numbered(0, 600);
  send_all(values);
  auto flushed = flush();
  ASSERT_TRUE(flushed) << flushed.error().message();
  EXPECT_EQ(kafka.values("t", 0), values);
  EXPECT_GT(p->statistics().retries, 0u);
}

TEST_F(a_producer, keeps_the_order_when_a_batch_in_the_middle_must_be_repeated) {
  start();
  kafka.script(2, api_key::produce, [](const seen_request&) { return reaction{}; });
  kafka.script(api_key::produce,
               [](const seen_request& r) { return produce_error(r, error_code::not_enough_replicas); });
  const auto values = numbered(0, 400);
  send_all(values);
  ASSERT_TRUE(flush());
  EXPECT_EQ(kafka.values("t", 0), values);
}

TEST_F(a_producer, lets_nothing_get_in_front_of_the_first_batch) {
  start();
  kafka.script(api_key::produce, [](const seen_request& r) {
    return produce_error(r, error_code::unknown_topic_or_partition);
  });
  const auto values = numbered(0, 100);
  send_all(values);
  auto flushed = flush();
  ASSERT_TRUE(flushed) << flushed.error().message();
  EXPECT_EQ(kafka.values("t", 0), values);
}

TEST_F(a_producer, follows_the_leader) {
  start();
  send_all(numbered(0, 50));
  ASSERT_TRUE(flush());
  kafka.move_leader("t", 0, 1);
  send_all(numbered(50, 100));
  ASSERT_TRUE(flush());
  EXPECT_EQ(kafka.values("t", 0), numbered(0, 100));
}

TEST_F(a_producer, waits_for_a_leader_and_for_a_broker_that_is_down) {
  start();
  send_all(numbered(0, 10));
  ASSERT_TRUE(flush());
  kafka.move_leader("t", 0, -1);
  send_all(numbered(10, 20));
  loop.run_until(loop.time().now() + 50ms);
  EXPECT_EQ(kafka.values("t", 0).size(), 10u);
  kafka.stop_broker(1);
  kafka.move_leader("t", 0, 1);
  loop.run_until(loop.time().now() + 50ms);
  kafka.start_broker(1);
  ASSERT_TRUE(flush());
  EXPECT_EQ(kafka.values("t", 0), numbered(0, 20));
}

TEST_F(a_producer, goes_on_after_a_batch_that_the_broker_refuses) {
  start();
  kafka.script(api_key::produce, [](const seen_request&) { return reaction{}; });
  kafka.script(api_key::produce,
               [](const seen_request& r) { return produce_error(r, error_code::invalid_record); });
  const auto values = numbered(0, 400);
  send_all(values);
  auto flushed = flush();
  ASSERT_FALSE(flushed);
  EXPECT_NE(flushed.error().message().find("INVALID_RECORD"), std::string::npos) << flushed.error().message();
  EXPECT_NE(flushed.error().message().find("topic 't', partition 0"), std::string::npos);
  EXPECT_EQ(outcomes, (std::vector{kafka::persistence::not_sent}));
  // Everything but that one batch is there, once and in order, under a new epoch.
  auto there = kafka.values("t", 0);
  EXPECT_EQ(static_cast<std::int64_t>(there.size()) + failed, 400);
  EXPECT_TRUE(std::is_sorted(there.begin(), there.end()));
  EXPECT_EQ(std::adjacent_find(there.begin(), there.end()), there.end());
  EXPECT_EQ(kafka.partition("t", 0).producers.begin()->second.epoch, 1);
  EXPECT_TRUE(flush()) << "a failure is told once";
}

// KIP-126: what is too large for the topic goes in pieces, in order and under the sequences it had.
TEST_F(a_producer, splits_a_batch_that_is_too_large_for_its_topic) {
  for (const auto codec : {compression::none, compression::lz4}) {
    for (const bool idempotent : {true, false}) {
      SCOPED_TRACE(fmt::format("{} {}", to_string(codec), idempotent));
      settings.batch_size = 4096;
      settings.linger = 5ms;
      settings.compression = codec;
      settings.idempotence = idempotent;
      settings.max_in_flight = idempotent ? 5 : 1;
      start();
      kafka.partition("t", 0) = {.leader = 0};
      delivered = failed = 0;
      int refused = 0;
      kafka.always(api_key::produce, [&](const seen_request& r) {
        const auto ask = r.as<wire::produce_request>();
        const auto size = ask.topic_data.at(0).partition_data.at(0).records.bytes.size();
        if (size <= 400) return reaction{};
        ++refused;
        return produce_error(r, error_code::message_too_large);
      });
      std::map<std::int64_t, std::int64_t> offsets;  // by what was sent when
      const auto values = numbered(0, 300);
      for (std::int64_t i = 0; i < 300; ++i)
        ASSERT_TRUE(run_until(loop, [&] {
          const auto sent =
              p->try_send({.topic = "t", .value = values[static_cast<std::size_t>(i)], .partition = 0},
                          [&offsets, i](const kafka::delivery& d) { offsets[i] = d.first_offset; });
          return sent && *sent == append_status::accepted;
        }));
      ASSERT_TRUE(flush());
      EXPECT_GT(refused, 0);
      EXPECT_EQ(kafka.values("t", 0), values);
      EXPECT_EQ(delivered, 300);
      for (std::int64_t i = 0; i < 300; ++i) EXPECT_EQ(offsets.at(i), i);
      if (idempotent) {
        EXPECT_EQ(kafka.partition("t", 0).producers.begin()->second.epoch, 0) << "nothing was missing";
      }
      EXPECT_EQ(p->buffered_bytes(), 0u);
      // One record alone cannot be split.
      send(std::string(1000, 'x') + std::to_string(refused), 0);
      if (codec == compression::none) {
        EXPECT_NE(flush().error().message().find("MESSAGE_TOO_LARGE"), std::string::npos);
      }
      static_cast<void>(flush());
    }
  }
}

TEST_F(a_producer, compresses_as_hard_as_it_is_told) {
  settings.batch_size = 64 << 10;
  settings.linger = 5s;  // one batch, which the flush sends
  const auto size_at = [&](compression codec, std::optional<int> level) {
    settings.compression = codec;
    settings.compression_level = level;
    start();
    kafka.partition("t", 0) = {.leader = 0};
    // Text of a kind that a harder look makes smaller.
    io::seeded_random random(3);
    for (int i = 0; i < 300; ++i) {
      std::string words;
      for (int w = 0; w < 12; ++w) words += fmt::format("word{} ", random.next() % 40 * (random.next() % 3));
      send(words);
    }
    EXPECT_TRUE(flush());
    std::size_t size = 0;
    for (const auto& b : kafka.partition("t", 0).batches) size += b.size();
    return size;
  };
  for (const auto codec : {compression::gzip, compression::lz4, compression::zstd}) {
    SCOPED_TRACE(to_string(codec));
    const auto range = wire::levels_of(codec);
    // The records' timestamps differ from time to time, and so do a few bytes.
    const auto usual = static_cast<double>(size_at(codec, std::nullopt));
    EXPECT_NEAR(static_cast<double>(size_at(codec, range.standard)), usual, usual / 30);
    const auto hard = size_at(codec, codec == compression::zstd ? 19 : range.max), easy = size_at(codec, 1);
    EXPECT_LT(hard + easy / 30, easy);
  }
}

TEST_F(a_producer, says_so_when_the_broker_lost_what_it_had_acknowledged) {
  start();
  send_all(numbered(0, 10));
  ASSERT_TRUE(flush());
  kafka.partition("t", 0).producers.begin()->second = {0, 3, {}};  // as after an unclean election
  send("next");
  auto flushed = flush();
  ASSERT_FALSE(flushed);
  EXPECT_NE(flushed.error().message().find("lost acknowledged records"), std::string::npos);
  send("after");
  ASSERT_TRUE(flush());
  EXPECT_EQ(kafka.values("t", 0).back(), "after");
}

TEST_F(a_producer, sends_nothing_twice_when_a_broker_comes_back_with_a_short_memory) {
  start();
  send("first");
  ASSERT_TRUE(flush());
  kafka.script(5, api_key::produce, [](const seen_request&) {
    return reaction{reaction::kind::pass_silently, {}};
  });
  const auto values = numbered(0, 40);
  send_all(values);
  ASSERT_TRUE(run_until(loop, [&] { return kafka.count(api_key::produce) >= 4; }));
  kafka.stop_broker(0);
  kafka.partition("t", 0).producers.begin()->second.last.clear();
  kafka.start_broker(0);
  ASSERT_FALSE(flush());
  EXPECT_TRUE(std::all_of(outcomes.begin(), outcomes.end(),
                          [](auto o) { return o == kafka::persistence::possibly; }));
  send("last");
  ASSERT_TRUE(flush());
  auto there = kafka.values("t", 0);
  EXPECT_EQ(there.front(), "first");
  EXPECT_EQ(there.back(), "last");
  std::sort(there.begin(), there.end());
  EXPECT_EQ(std::adjacent_find(there.begin(), there.end()), there.end());
}

TEST_F(a_producer, gives_up_after_the_delivery_timeout) {
  settings.delivery_timeout = 150ms;
  start();
  send("there");
  ASSERT_TRUE(flush());
  kafka.move_leader("t", 0, -1);
  send("not sent");
  auto flushed = flush();
  ASSERT_FALSE(flushed);
  EXPECT_NE(flushed.error().message().find("delivery.timeout.ms"), std::string::npos)
      << flushed.error().message();
  EXPECT_EQ(kafka.values("t", 0), (std::vector<std::string>{"there"}));
}

TEST_F(a_producer, does_not_know_what_became_of_a_batch_that_is_never_answered) {
  settings.delivery_timeout = 100ms;
  settings.connection.request_timeout = 60ms;
  start();
  kafka.always(api_key::produce, [](const seen_request&) { return reaction{reaction::kind::hold, {}}; });
  send("perhaps");
  ASSERT_FALSE(flush());
  EXPECT_EQ(outcomes, (std::vector{kafka::persistence::possibly}));
}

TEST_F(a_producer, refuses_when_memory_is_used_up_and_says_when_there_is_room) {
  settings.buffer_memory = 2000;
  start();
  kafka.always(api_key::produce, [](const seen_request&) { return reaction{reaction::kind::hold, {}}; });
  ASSERT_TRUE(run_until(loop, [&] { return p->partitions_of("t").has_value(); }));
  int writable = 0;
  p->on_writable([&] { ++writable; });
  int taken = 0;
  for (;;) {
    auto sent = p->try_send({.topic = "t", .value = std::string(100, 'x'), .partition = 0});
    ASSERT_TRUE(sent);
    if (*sent == append_status::no_memory) break;
    ASSERT_LT(++taken, 100);
  }
  EXPECT_GT(taken, 5);
  EXPECT_LE(p->buffered_bytes(), 2000u);
  ASSERT_TRUE(run_until(loop, [&] { return kafka.held() > 0; }));
  EXPECT_EQ(writable, 0);
  kafka.always(api_key::produce, [](const seen_request&) { return reaction{}; });
  kafka.release_held();
  ASSERT_TRUE(run_until(loop, [&] { return writable > 0; }));
  ASSERT_TRUE(flush());
  EXPECT_EQ(delivered, taken);
}

// Where the first batches' records went: partition by value.
TEST(accumulator_partitioner, does_as_it_is_told) {
  const auto placed = [](kafka::producer_settings settings, std::vector<kafka::record_to_send> records) {
    io::manual_clock clock;
    io::seeded_random random(7);
    accumulator a(settings, random);
    a.set_topic("t", 5, error_code::none);
    std::vector<std::int32_t> went;
    for (auto& r : records) {
      r.topic = "t";
      r.value = "v";
      std::vector<int> before;
      for (const auto& q : a.find("t")->partitions)
        before.push_back(q->open ? q->open->builder.record_count() : 0);
      EXPECT_TRUE(a.append(r, 0, clock, nullptr));
      for (std::size_t i = 0; i < before.size(); ++i) {
        const auto& q = a.find("t")->partitions[i];
        if ((q->open ? q->open->builder.record_count() : 0) > before[i])
          went.push_back(static_cast<std::int32_t>(i));
      }
    }
    return went;
  };
  const std::vector<kafka::record_to_send> keyed{
      {.topic = {}, .key = "21"}, {.topic = {}, .key = "foobar"}, {.topic = {}, .key = "abc"}};
  std::vector<std::int32_t> java;
  for (const auto& r : keyed) java.push_back(base::partition_for_key(r.key, 5));

  EXPECT_EQ(placed({}, keyed), java);
  const auto sticky = placed({.partitioner = kafka::partitioner::sticky}, keyed);
  EXPECT_EQ(std::set(sticky.begin(), sticky.end()).size(), 1u);
  EXPECT_EQ(placed({.partitioner = kafka::partitioner::round_robin}, std::vector(7, keyed[0])),
            (std::vector<std::int32_t>{0, 1, 2, 3, 4, 0, 1}));
  const auto random = placed({.partitioner = kafka::partitioner::random}, std::vector(60, keyed[0]));
  EXPECT_EQ(std::set(random.begin(), random.end()).size(), 5u);
  EXPECT_EQ(
      placed({.partitioner = kafka::partitioner::round_robin}, {{.topic = {}, .key = "x", .partition = 3}}),
      (std::vector<std::int32_t>{3}))
      << "a record's own partition comes first";
  kafka::producer_settings own;
  own.own_partitioner = [](std::string_view, std::string_view key, std::string_view, std::int32_t n) {
    return static_cast<std::int32_t>(key.size()) % n;
  };
  EXPECT_EQ(placed(own, keyed), (std::vector<std::int32_t>{2, 1, 3}));
  own.own_partitioner = [](auto, auto, auto, std::int32_t n) { return n; };
  io::manual_clock clock;
  io::seeded_random seeded(7);
  accumulator a(own, seeded);
  a.set_topic("t", 5, error_code::none);
  EXPECT_FALSE(a.append({.topic = "t"}, 0, clock, nullptr)) << "a partition that is not there";
}

TEST_F(a_producer, lingers) {
  settings.linger = 40ms;
  settings.batch_size = 16'000;
  start();
  ASSERT_TRUE(run_until(loop, [&] { return p->partitions_of("t").has_value(); }));
  const auto begun = loop.time().now();
  for (int i = 0; i < 10; ++i) {
    send(std::to_string(i));
    loop.poll();
  }
  ASSERT_TRUE(run_until(loop, [&] { return delivered == 10; }));
  EXPECT_GE(loop.time().now() - begun, 40ms);
  EXPECT_EQ(p->statistics().batches, 1u);
}

TEST_F(a_producer, sends_what_came_during_a_flush_when_it_has_lingered) {
  settings.linger = 50ms;
  settings.batch_size = 16'000;
  start();
  ASSERT_TRUE(run_until(loop, [&] { return p->partitions_of("t").has_value(); }));
  kafka.always(api_key::produce, [](const seen_request&) { return reaction{reaction::kind::hold, {}}; });
  send("before");
  bool flushed = false;
  p->flush([&](result<> r) { flushed = r.has_value(); });
  ASSERT_TRUE(run_until(loop, [&] { return kafka.held() > 0; }));
  send("during");
  loop.poll();
  kafka.always(api_key::produce, [](const seen_request&) { return reaction{}; });
  kafka.release_held();
  ASSERT_TRUE(run_until(loop, [&] { return flushed; }));
  EXPECT_TRUE(run_until(
      loop, [&] { return delivered == 2; }, 2s))
      << "forgotten";
  EXPECT_EQ(kafka.values("t", 0), (std::vector<std::string>{"before", "during"}));
}

TEST_F(a_producer, serves_acks_none_and_leader) {
  for (const auto acks : {kafka::acks::none, kafka::acks::leader}) {
    settings.acks = acks;
    start();
    const auto before = kafka.values("t", 0).size();
    send_all(numbered(0, 100));
    ASSERT_TRUE(flush());
    ASSERT_TRUE(run_until(loop, [&] { return kafka.values("t", 0).size() == before + 100; }));
    EXPECT_EQ(kafka.count(api_key::init_producer_id), 0);
  }
}

TEST_F(a_producer, compresses) {
  for (const auto codec : {compression::gzip, compression::snappy, compression::lz4, compression::zstd}) {
    settings.compression = codec;
    settings.batch_size = 4000;
    start();
    kafka.partition("t", 0) = {};
    send_all(numbered(0, 300));
    ASSERT_TRUE(flush());
    EXPECT_EQ(kafka.values("t", 0), numbered(0, 300)) << to_string(codec);
    EXPECT_EQ(wire::parse_batch_header(kafka.partition("t", 0).batches[0])->codec(), codec);
  }
}

TEST_F(a_producer, fails_clearly_where_idempotence_does_not_exist) {
  kafka.limit(api_key::init_producer_id, -1, -1);
  start();
  send("x");
  auto flushed = flush();
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().kind(), errc::unsupported) << flushed.error().message();
}

TEST_F(a_producer, refuses_bad_records_and_topics) {
  settings.max_block = 50ms;
  settings.max_request_size = 2000;
  start();
  ASSERT_TRUE(run_until(loop, [&] { return p->partitions_of("t").has_value(); }));
  EXPECT_FALSE(p->try_send({.topic = "t", .value = "x", .partition = 2}));
  EXPECT_FALSE(p->try_send({.topic = "t", .value = std::string(3000, 'x')}));
  EXPECT_TRUE(run_until(loop, [&] {
    auto sent = p->try_send({.topic = "nowhere", .value = "x"});
    return !sent && sent.error().message().find("UNKNOWN_TOPIC_OR_PARTITION") != std::string::npos;
  }));
}

// Everything at once, many times: whatever happens to single requests, each partition has exactly what was
// sent, in order.
TEST_F(a_producer, survives_chaos) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    io::seeded_random random(seed);
    start();
    kafka.partition("t", 0) = {.leader = 0, .leader_epoch = static_cast<std::int32_t>(seed) * 1000};
    kafka.partition("t", 1) = {.leader = 1, .leader_epoch = static_cast<std::int32_t>(seed) * 1000};
    kafka.always(api_key::produce, [&](const seen_request& r) {
      switch (random.next() % 12) {
        case 0: return reaction{reaction::kind::cut, {}};
        case 1: return reaction{reaction::kind::pass_then_cut, {}};
        case 2: return produce_error(r, error_code::not_enough_replicas);
        case 3: return produce_error(r, error_code::kafka_storage_error);
        case 4:
          kafka.move_leader("t", static_cast<std::int32_t>(random.next() % 2),
                            static_cast<std::int32_t>(random.next() % 2));
          return reaction{};
        default: return reaction{};
      }
    });
    const auto values = numbered(0, 300);
    for (const auto& v : values) {
      send(v, 0);
      send(v, 1);
      if (random.next() % 8 == 0) loop.poll();
    }
    auto flushed = flush();
    ASSERT_TRUE(flushed) << "seed " << seed << ": " << flushed.error().message();
    ASSERT_EQ(kafka.values("t", 0), values) << "seed " << seed;
    ASSERT_EQ(kafka.values("t", 1), values) << "seed " << seed;
  }
}

TEST(accumulator, partitions_by_key_as_kafka_does_and_sticks_without_one) {
  kafka::producer_settings s;
  s.batch_size = 500;
  io::seeded_random random(1);
  accumulator a(s, random);
  EXPECT_EQ(a.append({.topic = "t", .value = "v"}, 0, io::clock::system(), nullptr)->status,
            append_status::no_metadata);
  a.set_topic("t", 10, error_code::none);
  for (const std::string key : {"", "a", "key-1", "another key"}) {
    ASSERT_TRUE(a.append({.topic = "t", .key = key, .value = "v"}, 0, io::clock::system(), nullptr));
    const auto expected = base::partition_for_key(key, 10);
    EXPECT_TRUE(a.find("t")->partitions[static_cast<std::size_t>(expected)]->open) << key;
  }
  a.set_topic("u", 5, error_code::none);
  std::vector<std::size_t> order;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(a.append({.topic = "u", .value = std::string(20, 'x')}, 0, io::clock::system(), nullptr));
    const auto now = static_cast<std::size_t>(a.find("u")->sticky);
    if (order.empty() || order.back() != now) order.push_back(now);
  }
  EXPECT_GT(order.size(), 3u);  // it moves on with every full batch ...
  std::size_t batches = 0;
  for (const auto& q : a.find("u")->partitions) batches += q->full.size();
  EXPECT_EQ(order.size(), batches + 1);  // ... and only then
}

// KIP-794: one whose batches nobody takes gets few of the next.
TEST(accumulator, sends_records_without_a_key_where_fewer_batches_wait) {
  kafka::producer_settings s;
  s.batch_size = 500;
  io::seeded_random random(3);
  accumulator a(s, random);
  a.set_topic("t", 4, error_code::none);
  const auto& queues = a.find("t")->partitions;
  std::array<int, 4> batches{};
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(a.append({.topic = "t", .value = std::string(100, 'x')}, 0, io::clock::system(), nullptr));
    for (std::size_t p = 0; p < 4; ++p) {
      while (p != 2 && !queues[p]->full.empty()) {
        a.release(a.take_batch(*queues[p], false), true);
        ++batches[p];
      }
    }
  }
  const auto stuck = queues[2]->full.size();
  EXPECT_GT(stuck, 5u);
  EXPECT_LT(stuck, 60u);  // blindly drawn, it would be a quarter of some 2,500
  const int rest = batches[0] + batches[1] + batches[3];
  for (const std::size_t p : {0u, 1u, 3u}) EXPECT_NEAR(batches[p], rest / 3, rest / 20);
}

TEST(accumulator, tells_of_room_when_it_is_worth_it) {
  kafka::producer_settings s;
  s.batch_size = 500;
  s.buffer_memory = 4000;
  io::seeded_random random(3);
  io::manual_clock clock;
  accumulator a(s, random);
  a.set_topic("t", 1, error_code::none);
  auto& q = *a.find("t")->partitions[0];
  const auto fill = [&] {
    for (;;) {
      const auto sent = a.append({.topic = "t", .value = std::string(100, 'x')}, 0, clock, nullptr);
      ASSERT_TRUE(sent);
      if (sent->status == append_status::no_memory) return;
    }
  };
  EXPECT_FALSE(a.tell_of_room_at(false));
  fill();
  const auto refused = clock.now();
  EXPECT_FALSE(a.tell_of_room_at(true)) << "there is none yet";
  clock.advance(5ms);
  a.release(a.take_batch(q, true), true);
  EXPECT_EQ(a.tell_of_room_at(false), refused + 20ms);
  EXPECT_EQ(a.tell_of_room_at(true), refused) << "no more will come by itself";
  fill();
  EXPECT_EQ(a.tell_of_room_at(false), refused + 20ms) << "the others wait since the first was refused";
  while (a.buffered_bytes() > 3000) a.release(a.take_batch(q, true), true);
  EXPECT_EQ(a.tell_of_room_at(false), refused);
  a.told_of_room();
  EXPECT_FALSE(a.tell_of_room_at(true));
}

TEST(accumulator, tells_topics_apart_by_any_letter_of_their_names) {
  io::seeded_random random(1);
  accumulator a({}, random);
  for (const std::size_t size : {1u, 7u, 8u, 9u, 16u, 23u}) {
    std::vector<std::string> names{std::string(size, 'n')};
    for (std::size_t i = 0; i < size; ++i) {
      names.emplace_back(size, 'n');
      names.back()[i] = 'm';
    }
    for (const auto& name : names) a.set_topic(name, 1, error_code::none);
    for (const auto& name : names)
      ASSERT_TRUE(a.append({.topic = name, .value = name}, 0, io::clock::system(), nullptr));
    for (const auto& name : names) {
      const auto& open = a.find(name)->partitions[0]->open;
      ASSERT_TRUE(open) << name;
      EXPECT_EQ(open->builder.record_count(), 1) << name;
    }
  }
}

// Brokers as of Kafka 0.10.2: no record batches, no producer ids.
class a_producer_for_old_brokers : public a_producer {
 protected:
  a_producer_for_old_brokers() {
    settings.idempotence = false;
    kafka.limit(api_key::produce, 0, 2);
    kafka.limit(api_key::init_producer_id, -1, -1);
    kafka.always(api_key::produce, [this](const seen_request& r) {
      EXPECT_EQ(r.header.version, 2);
      const auto ask = r.as<wire::produce_request>();
      wire::produce_response a;
      for (const auto& t : ask.topic_data) {
        auto& out = a.responses.emplace_back();
        out.name = t.name;
        for (const auto& p : t.partition_data) {
          take(p.records.bytes);
          auto& answer = out.partition_responses.emplace_back();
          answer.index = p.index;
          answer.base_offset = 0;
        }
      }
      return reaction::with(a, r.header.version);
    });
  }
  void take(bytes_view set) {
    formats.insert(wire::peek_magic(set));
    codecs.insert(static_cast<compression>(set[17] & 7));
    wire::records_reader reader(set, {.fetch_offset = 0});
    wire::scratch_buffer scratch;
    wire::fetched_batch b;
    record_view r;
    for (auto more = reader.next(b, scratch); more && *more; more = reader.next(b, scratch))
      while (b.cursor.next(r)) taken.emplace_back(r.value);
  }
  std::vector<std::string> taken;
  std::set<int> formats;
  std::set<compression> codecs;
};

TEST_F(a_producer_for_old_brokers, writes_message_sets_in_order) {
  settings.compression = compression::lz4;
  settings.batch_size = 4000;
  settings.linger = 5ms;
  start();
  const auto values = numbered(0, 400);
  send_all(values);
  ASSERT_TRUE(flush());
  EXPECT_EQ(taken, values);
  EXPECT_EQ(delivered, 400);
  EXPECT_EQ(formats, (std::set<int>{1}));
  EXPECT_TRUE(codecs.contains(compression::lz4));
}

TEST_F(a_producer_for_old_brokers, keeps_the_order_through_a_failure_with_one_request_at_a_time) {
  settings.max_in_flight = 1;
  kafka.script(api_key::produce,
               [](const seen_request& r) { return produce_error(r, error_code::not_enough_replicas); });
  start();
  const auto values = numbered(0, 200);
  send_all(values);
  ASSERT_TRUE(flush());
  EXPECT_EQ(taken, values);
}

TEST_F(a_producer_for_old_brokers, says_that_idempotence_headers_and_zstd_are_not_there) {
  settings.idempotence = true;
  start();
  send("x");
  auto done = flush();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), errc::unsupported);
  EXPECT_NE(done.error().message().find("Kafka 0.11"), std::string::npos) << done.error().message();

  settings.idempotence = false;
  start();
  const std::vector<record_header> headers{{"trace", "1"}};
  ASSERT_TRUE(run_until(loop, [&] {
    auto sent = p->try_send({.topic = "t", .value = "x", .partition = 0, .headers = headers});
    return sent && *sent == append_status::accepted;
  }));
  done = flush();
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message().find("headers"), std::string::npos) << done.error().message();
  EXPECT_EQ(outcomes.back(), kafka::persistence::not_sent);

  settings.compression = compression::zstd;
  start();
  send("x");
  done = flush();
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message().find("Kafka 2.1"), std::string::npos) << done.error().message();
  EXPECT_TRUE(taken.empty());
}

// A cluster in the middle of its upgrade: the batch goes to a leader of the other version.
TEST_F(a_producer_for_old_brokers, seals_again_when_the_next_leader_is_newer) {
  start();
  kafka.script(api_key::produce, [this](const seen_request& r) {
    EXPECT_EQ(r.header.version, 2);
    kafka.limit(api_key::produce, 3, 8);
    kafka.always(api_key::produce, [](const seen_request&) { return reaction(); });
    kafka.move_leader("t", 0, 1);
    return produce_error(r, error_code::not_leader_or_follower);
  });
  send("value");
  ASSERT_TRUE(flush());
  EXPECT_EQ(kafka.values("t", 0), (std::vector<std::string>{"value"}));
}

}  // namespace
}  // namespace penstock::client
