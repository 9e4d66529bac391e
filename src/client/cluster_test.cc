// SPDX-License-Identifier: Apache-2.0
#include "client/cluster.h"

#include <gtest/gtest.h>

#include "client/bootstrap.h"
#include "client/fake_cluster.h"
#include "wire/messages/list_groups.h"

namespace penstock::client {
namespace {

using testing::fake_cluster;
using testing::reaction;
using testing::run_until;
using testing::seen_request;
using wire::api_key;
using wire::error_code;
using namespace std::chrono_literals;

kafka::connection_settings quick() {
  kafka::connection_settings s;
  s.request_timeout = 5s;
  s.reconnect_backoff = 5ms;
  s.reconnect_backoff_max = 20ms;
  s.retry_backoff = 5ms;
  s.retry_backoff_max = 20ms;
  return s;
}

class a_cluster : public ::testing::Test {
 protected:
  std::unique_ptr<cluster> connect(const std::string& bootstrap, kafka::connection_settings s = quick()) {
    auto c = cluster::create(loop, bootstrap, std::move(s));
    EXPECT_TRUE(c) << c.error().message();
    return std::move(*c);
  }
  result<wire::metadata_response> ask(cluster& c, std::int32_t broker = any_broker) {
    std::optional<result<wire::metadata_response>> outcome;
    wire::metadata_request request;
    request.topics.emplace();
    c.call<wire::metadata_response>(broker, request, {.min_version = 1},
                                    [&](auto r) { outcome = std::move(r); });
    EXPECT_TRUE(run_until(loop, [&] { return outcome.has_value(); }));
    return outcome ? std::move(*outcome) : fail(errc::timeout, "the test waited too long");
  }

  io::event_loop loop;
};

TEST(bootstrap_servers, are_parsed) {
  auto found = parse_bootstrap_servers("a:1, b.example:9092,[::1]:3,");
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_EQ(found->size(), 3u);
  EXPECT_EQ((*found)[1], (io::endpoint{"b.example", 9092}));
  EXPECT_EQ((*found)[2], (io::endpoint{"::1", 3}));
  for (const char* bad : {"", " , ", "localhost", "host:0", "host:99999", ":9092"})
    EXPECT_FALSE(parse_bootstrap_servers(bad)) << bad;
}

TEST(settings, are_checked) {
  kafka::producer_settings p{.bootstrap_servers = "a:1"};
  EXPECT_TRUE(validate(p));
  EXPECT_TRUE(is_idempotent(p));
  p.acks = kafka::acks::leader;
  EXPECT_FALSE(is_idempotent(p));
  p.idempotence = true;
  EXPECT_FALSE(validate(p));
  kafka::connection_settings c;
  c.security.protocol = kafka::security_protocol::sasl_ssl;
  ASSERT_FALSE(validate(c));
  EXPECT_EQ(validate(c).error().kind(), errc::invalid_argument);
  kafka::consumer_settings s{.bootstrap_servers = "a:1"};
  s.heartbeat_interval = s.session_timeout;
  EXPECT_FALSE(validate(s));
}

TEST(backoff, doubles_to_its_limit_with_jitter) {
  io::seeded_random random(7);
  backoff b(100ms, 1000ms);
  for (const auto expected : {100, 200, 400, 800, 1000, 1000}) {
    const auto wait = b.next(random).count();
    EXPECT_GE(wait, expected * 4 / 5);
    EXPECT_LE(wait, expected * 6 / 5 + 1);
  }
  b.reset();
  EXPECT_LE(b.next(random).count(), 121);
}

TEST(buffer_pool, gives_idle_buffers_again_and_keeps_no_more_than_its_limit) {
  buffer_pool pool(4 << 20);
  auto first = pool.take(1 << 20);
  const char* bytes = first.data();
  auto second = pool.take(1 << 20);
  EXPECT_NE(second.data(), bytes);
  first = {};
  EXPECT_EQ(pool.take((1 << 20) - 1000).data(), bytes);
  for (int i = 0; i < 10; ++i)
    static_cast<void>(pool.take(1'500'000 + static_cast<std::size_t>(i) * 300'000));
  EXPECT_LE(pool.kept_bytes(), std::size_t{4} << 20);
}

TEST_F(a_cluster, speaks_the_highest_version_that_both_know) {
  fake_cluster kafka(loop, 1);
  kafka.limit(api_key::metadata, 0, 5);
  std::int16_t version = -1;
  kafka.always(api_key::metadata, [&](const seen_request& r) {
    version = r.header.version;
    return reaction{};
  });
  auto c = connect(kafka.bootstrap());
  ASSERT_TRUE(ask(*c));
  EXPECT_EQ(version, 5);
}

TEST_F(a_cluster, asks_an_old_broker_for_its_versions_again) {
  fake_cluster kafka(loop, 1);
  std::vector<std::int16_t> asked;
  kafka.script(api_key::api_versions, [&](const seen_request& r) {
    asked.push_back(r.header.version);
    // What a broker answers that does not know the version: its own in the form of version 0 (KIP-511).
    std::string body;
    wire::writer w(body);
    w.integer(std::int16_t{35});
    w.integer(std::int32_t{1});
    w.integer(std::int16_t{18});
    w.integer(std::int16_t{0});
    w.integer(std::int16_t{2});
    return reaction{reaction::kind::answer, body};
  });
  kafka.script(api_key::api_versions, [&](const seen_request& r) {
    asked.push_back(r.header.version);
    return reaction{};
  });
  auto c = connect(kafka.bootstrap());
  ASSERT_TRUE(ask(*c));
  EXPECT_EQ(asked, (std::vector<std::int16_t>{3, 2}));
}

TEST_F(a_cluster, says_what_a_broker_cannot_do) {
  fake_cluster kafka(loop, 1);
  kafka.limit(api_key::list_groups, 0, 1);
  auto c = connect(kafka.bootstrap());
  std::optional<result<wire::list_groups_response>> outcome;
  c->call<wire::list_groups_response>(any_broker, wire::list_groups_request{}, {.min_version = 4},
                                      [&](auto r) { outcome = std::move(r); });
  ASSERT_TRUE(run_until(loop, [&] { return outcome.has_value(); }));
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().kind(), errc::unsupported);
  EXPECT_NE(outcome->error().message().find("list_groups"), std::string::npos) << outcome->error().message();
}

TEST_F(a_cluster, gives_up_a_request_that_is_not_answered_and_connects_again) {
  fake_cluster kafka(loop, 1);
  auto s = quick();
  s.request_timeout = 50ms;
  auto c = connect(kafka.bootstrap(), s);
  kafka.script(api_key::metadata, [](const seen_request&) { return reaction{reaction::kind::hold, {}}; });
  auto late = ask(*c);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), errc::timeout);
  EXPECT_TRUE(late.error().retriable());
  EXPECT_TRUE(ask(*c));
  EXPECT_EQ(kafka.connections(), 2);
}

TEST_F(a_cluster, pipelines_requests_and_gives_each_its_own_answer) {
  fake_cluster kafka(loop, 1);
  for (int i = 0; i < 20; ++i) kafka.add_topic("t" + std::to_string(i), i + 1);
  auto c = connect(kafka.bootstrap());
  std::vector<std::size_t> partitions(20);
  int answers = 0;
  for (std::size_t i = 0; i < 20; ++i) {
    wire::metadata_request request;
    request.topics.emplace();
    request.topics->push_back({{}, "t" + std::to_string(i)});
    c->call<wire::metadata_response>(any_broker, request, {}, [&, i](auto r) {
      ASSERT_TRUE(r) << r.error().message();
      partitions[i] = r->topics.at(0).partitions.size();
      ++answers;
    });
  }
  ASSERT_TRUE(run_until(loop, [&] { return answers == 20; }));
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(partitions[i], i + 1);
  EXPECT_EQ(kafka.connections(), 1);
}

TEST_F(a_cluster, tries_the_next_bootstrap_address) {
  fake_cluster kafka(loop, 2);
  kafka.stop_broker(0);
  auto c = connect(io::to_string(kafka.address(0)) + "," + io::to_string(kafka.address(1)));
  c->request_metadata();
  EXPECT_TRUE(run_until(loop, [&] { return c->metadata().version() > 0; }));
}

TEST_F(a_cluster, comes_back_when_the_broker_does) {
  fake_cluster kafka(loop, 1);
  auto c = connect(kafka.bootstrap());
  ASSERT_TRUE(ask(*c));
  kafka.stop_broker(0);
  auto refused = ask(*c);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().retriable()) << refused.error().message();
  kafka.start_broker(0);
  EXPECT_TRUE(run_until(loop, [&] { return static_cast<bool>(ask(*c)); }));
}

TEST_F(a_cluster, finds_a_topic_that_is_made_later) {
  fake_cluster kafka(loop, 1);
  auto c = connect(kafka.bootstrap());
  c->watch_topic("late");
  ASSERT_TRUE(run_until(loop, [&] {
    const auto* t = c->metadata().find("late");
    return t != nullptr && t->error == error_code::unknown_topic_or_partition;
  }));
  kafka.add_topic("late", 3);
  EXPECT_TRUE(run_until(loop, [&] { return c->metadata().leader_of("late", 2) != nullptr; }));
}

TEST_F(a_cluster, asks_for_metadata_once_for_many_wishes) {
  fake_cluster kafka(loop, 1);
  kafka.add_topic("t", 1);
  auto c = connect(kafka.bootstrap());
  c->watch_topic("t");
  ASSERT_TRUE(run_until(loop, [&] { return c->metadata().version() == 1; }));
  for (int i = 0; i < 100; ++i) c->request_metadata();
  ASSERT_TRUE(run_until(loop, [&] { return c->metadata().version() == 2; }));
  loop.run_until(loop.time().now() + 30ms);
  EXPECT_EQ(c->metadata().version(), 2u);
}

TEST_F(a_cluster, drops_handlers_when_it_goes) {
  fake_cluster kafka(loop, 1);
  kafka.always(api_key::metadata, [](const seen_request&) { return reaction{reaction::kind::hold, {}}; });
  bool called = false;
  {
    auto c = connect(kafka.bootstrap());
    wire::metadata_request request;
    c->call<wire::metadata_response>(any_broker, request, {}, [&](auto) { called = true; });
    ASSERT_TRUE(run_until(loop, [&] { return kafka.held() == 1; }));
  }
  kafka.release_held();
  loop.run_until(loop.time().now() + 20ms);
  EXPECT_FALSE(called);
}

TEST(metadata_cache, never_goes_back_to_an_older_leader_epoch) {
  const auto answer = [](std::int32_t leader, std::int32_t epoch, std::uint64_t id) {
    wire::metadata_response r;
    r.brokers = {{0, "h", 1, std::nullopt}, {1, "h", 2, std::nullopt}};
    auto& t = r.topics.emplace_back();
    t.name = "t";
    t.topic_id = {id, 1};
    auto& p = t.partitions.emplace_back();
    p.leader_id = leader;
    p.leader_epoch = epoch;
    return r;
  };
  metadata_cache cache;
  cache.apply(answer(0, 5, 1));
  cache.apply(answer(1, 4, 1));
  EXPECT_EQ(cache.leader_of("t", 0)->leader, 0);
  cache.apply(answer(1, 6, 1));
  EXPECT_EQ(cache.leader_of("t", 0)->leader, 1);
  cache.apply(answer(0, 0, 2));  // another topic of the same name
  EXPECT_EQ(cache.leader_of("t", 0)->leader, 0);
  EXPECT_EQ(cache.leader_of("t", 1), nullptr);
}

TEST(metadata_cache, does_not_grow_by_a_hostile_partition_number) {
  wire::metadata_response r;
  r.brokers = {{0, "h", 1, std::nullopt}};
  auto& t = r.topics.emplace_back();
  t.name = "t";
  t.partitions.emplace_back().partition_index = 2'000'000'000;
  t.partitions.emplace_back().partition_index = -5;
  t.partitions.emplace_back().partition_index = 999'999;
  metadata_cache cache;
  cache.apply(r);
  EXPECT_LE(cache.find("t")->partitions.size(), 3u);
}

// A broker that answers every connection with the same bytes.
class a_hostile_broker : public a_cluster, public ::testing::WithParamInterface<std::string> {};

TEST_P(a_hostile_broker, ends_in_an_error) {
  std::vector<std::unique_ptr<io::stream>> streams;
  auto listener = io::listen(loop, {"127.0.0.1", 0}, [&](std::unique_ptr<io::stream> s) {
    auto bytes = std::make_shared<std::string>(GetParam());
    s->write({{.bytes = *bytes, .keep = bytes}}, [](result<>) {});
    streams.push_back(std::move(s));
  });
  ASSERT_TRUE(listener);
  auto settings = quick();
  settings.request_timeout = 100ms;
  settings.max_response_bytes = 1 << 20;
  auto c = connect(io::to_string((*listener)->local()), settings);
  auto answer = ask(*c);
  EXPECT_FALSE(answer);
}

std::string frame(const std::string& body) {
  std::string bytes(4, 0);
  base::store_be(bytes.data(), static_cast<std::int32_t>(body.size()));
  return bytes + body;
}

INSTANTIATE_TEST_SUITE_P(
    bytes, a_hostile_broker,
    ::testing::Values(std::string("HTTP/1.1 400 Bad Request\r\n\r\n"),
                      std::string("\x7f\xff\xff\xff"
                                  "abcd",
                                  8),
                      std::string("\xff\xff\xff\xff", 4), std::string("\0\0\0\3abc", 7),
                      std::string(20'000, '\0'),
                      frame(std::string("\0\0\0\1\0\0", 6)),                       // no list of versions
                      frame(std::string("\0\0\0\1\0\0\xff\xff\xff\xff\x0f", 11)),  // a list of 4 billion
                      frame(std::string("\0\0\0\2\0\0\1\0\0\0\0", 11)),            // another request's answer
                      frame(std::string("\0\0\0\1\0\x23\0\0\0\0", 10)) +
                          frame(std::string("\0\0\0\2\0\x23\0\0\0\0", 10))));  // no version is good enough

}  // namespace
}  // namespace penstock::client
