// SPDX-License-Identifier: Apache-2.0
// The proxy itself: that it is no more than a wire without rules, and does what each rule says.
#include "proxy_thread.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/broker.h>
#include <penstock/kafka/admin.h>
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>
#include <unistd.h>

#include <filesystem>

#include "proxy_addresses.h"
#include "wire/messages/find_coordinator.h"
#include "wire/messages/metadata.h"

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
auto good(result<T> r) {
  if (!r) throw std::runtime_error(r.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

TEST(proxy_rules, are_read_from_words) {
  const auto rule =
      good(parse_rule("cut-after api=end_txn version=3-5 client=app skip=1 times=4 chance=0.25 ms=10-20"));
  EXPECT_EQ(rule.what, fault::cut_after);
  EXPECT_EQ(rule.api, wire::api_key::end_txn);
  EXPECT_EQ(rule.min_version, 3);
  EXPECT_EQ(rule.max_version, 5);
  EXPECT_EQ(rule.client, "app");
  EXPECT_EQ(rule.skip, 1);
  EXPECT_EQ(rule.times, 4);
  EXPECT_EQ(rule.chance, 0.25);
  EXPECT_EQ(rule.after, 10ms);
  EXPECT_EQ(rule.after_at_most, 20ms);
  for (const char* wrong :
       {"", "cut", "none", "cut-after api=end_transaction", "cut-after ms=5-2", "late times=-1",
        "delay-answer", "replay chance=2", "replay ms", "replay ms=1x", "replay what=1"})
    EXPECT_FALSE(parse_rule(wrong)) << wrong;
}

TEST(proxy_addresses, are_replaced_in_every_version) {
  const auto to = [](const io::endpoint& from) {
    return io::endpoint{"127.0.0.1", static_cast<std::uint16_t>(from.port + 1)};
  };
  const auto check = [&](auto message, wire::api_key key, std::int16_t version, auto port_of) {
    std::string frame;
    wire::writer w(frame);
    good(wire::encode_frame(w, wire::response_header{.correlation_id = 5}, version, message));
    const auto changed = with_addresses({.key = key, .version = version}, frame, to);
    ASSERT_TRUE(changed) << wire::to_string(key) << " " << version;
    wire::reader in(std::string_view(*changed).substr(4));
    wire::response_header header;
    good(header.decode(in, key, version));
    EXPECT_EQ(header.correlation_id, 5);
    decltype(message) back;
    good(back.decode(in, version));
    EXPECT_EQ(port_of(back), 9093);
    EXPECT_EQ(in.left(), 0u);
    EXPECT_FALSE(with_addresses({.key = key, .version = version}, std::string_view(frame).substr(0, 12), to));
  };
  for (std::int16_t v = 0; v <= wire::metadata_response::max_version; ++v) {
    wire::metadata_response m;
    m.brokers.push_back({.node_id = 1, .host = "broker", .port = 9092, .rack = {}});
    check(m, wire::api_key::metadata, v, [](const auto& r) { return r.brokers.at(0).port; });
  }
  for (std::int16_t v = 0; v <= wire::find_coordinator_response::max_version; ++v) {
    wire::find_coordinator_response f;
    if (v < 4) {
      f.host = "broker";
      f.port = 9092;
    } else {
      f.coordinators.push_back({.key = "g", .node_id = 1, .host = "broker", .port = 9092, .error_code = 0});
    }
    check(f, wire::api_key::find_coordinator, v,
          [&](const auto& r) { return v < 4 ? r.port : r.coordinators.at(0).port; });
  }
}

class the_proxy : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / fmt::format("penstock-proxy-test-{}", ::getpid());
    std::filesystem::remove_all(directory_);
    broker_.emplace(good(embedded_broker::start({.directory = directory_.string()})));
    proxy_ = std::make_unique<proxy_thread>(broker_->bootstrap_servers());
    auto admin = good(kafka::admin::create({.bootstrap_servers = broker_->bootstrap_servers()}));
    good(admin.create_topics({{.name = "t", .partitions = 1, .replication_factor = 1}}));
  }
  void TearDown() override {
    proxy_.reset();
    EXPECT_TRUE(broker_->stop());
    std::filesystem::remove_all(directory_);
  }

  kafka::producer producer(bool idempotent, std::chrono::milliseconds request_timeout = 30s) {
    return good(kafka::producer::create(
        {.bootstrap_servers = proxy_->address(),
         .idempotence = idempotent,
         .linger = 0ms,
         .delivery_timeout = 60s,
         .connection = {.client_id = "ours", .request_timeout = request_timeout, .retry_backoff = 10ms}}));
  }
  void send(kafka::producer& p, std::string_view value) {
    good(p.send({.topic = "t", .value = value, .partition = 0}));
    good(p.flush(30s));
  }
  // To the end of the partition as it is now.
  std::vector<std::string> read(const std::string& from) {
    auto c = good(kafka::consumer::create({.bootstrap_servers = from}));
    const auto end = good(c.end_offsets({{"t", 0}})).at(0);
    good(c.assign({{{"t", 0}, kafka::earliest_offset}}));
    std::vector<std::string> values;
    while (std::ssize(values) < end)
      for (const auto& batch : good(c.poll(1s)))
        for (const auto& r : batch.records()) values.emplace_back(r.value);
    return values;
  }
  std::vector<std::string> really() { return read(broker_->bootstrap_servers()); }
  bool happened(proxy_event::kind kind, fault what) {
    return proxy_->wait_for([=](const proxy_event& e) { return e.what == kind && e.action == what; });
  }

  std::filesystem::path directory_;
  std::optional<embedded_broker> broker_;
  std::unique_ptr<proxy_thread> proxy_;
};

TEST_F(the_proxy, passes_everything_on_and_keeps_clients_behind_it) {
  auto p = producer(true);
  const std::string big(900'000, 'x');
  for (int i = 0; i < 20; ++i) good(p.send({.topic = "t", .value = big, .partition = 0}));
  send(p, "a");
  EXPECT_EQ(read(proxy_->address()).size(), 21u);
  int produces = 0, fetches = 0;
  for (const auto& r : proxy_->requests()) {
    produces += r.key == wire::api_key::produce;
    fetches += r.key == wire::api_key::fetch;
  }
  EXPECT_GT(produces, 1);
  EXPECT_GT(fetches, 1);
  EXPECT_TRUE(proxy_->events().empty());
}

TEST_F(the_proxy, cuts_where_it_is_told_and_nothing_is_lost_or_doubled) {
  auto p = producer(true);
  std::vector<std::string> sent;
  for (const char* cut : {"cut-before", "cut-inside", "cut-after", "cut-answer"}) {
    proxy_->rule(fmt::format("{} api=produce client=ours", cut));
    send(p, sent.emplace_back(cut));
  }
  EXPECT_EQ(really(), sent);
  EXPECT_EQ(proxy_->events().size(), 4u);
}

TEST_F(the_proxy, loses_requests_before_the_broker_or_behind_it) {
  // Without idempotence one sees which requests the broker had: it has the second one twice.
  auto p = producer(false);
  proxy_->rule("cut-before api=produce");
  send(p, "before");
  proxy_->rule("cut-after api=produce");
  send(p, "after");
  EXPECT_THAT(really(), ElementsAre("before", "after", "after"));
}

TEST_F(the_proxy, swallows_everything_behind_a_black_hole) {
  auto p = producer(true, 300ms);
  proxy_->rule("blackhole api=produce");
  send(p, "one");
  proxy_->rule("blackhole-answer api=produce");
  send(p, "two");
  EXPECT_THAT(really(), ElementsAre("one", "two"));
  EXPECT_EQ(proxy_->events().size(), 2u);
}

TEST_F(the_proxy, delays) {
  auto p = producer(true);
  send(p, "connected");
  for (const char* delay : {"delay-request", "delay-answer"}) {
    proxy_->rule(fmt::format("{} api=produce ms=150-200", delay));
    const auto began = std::chrono::steady_clock::now();
    send(p, delay);
    EXPECT_GE(std::chrono::steady_clock::now() - began, 150ms) << delay;
  }
  EXPECT_THAT(really(), ElementsAre("connected", "delay-request", "delay-answer"));
}

TEST_F(the_proxy, replays_on_another_connection) {
  {
    auto p = producer(false);
    proxy_->rule("replay api=produce ms=1");
    send(p, "twice");
    ASSERT_TRUE(happened(proxy_event::kind::delivered, fault::replay));
  }
  EXPECT_THAT(really(), ElementsAre("twice", "twice"));
  auto p = producer(true);
  proxy_->rule("replay api=produce");
  send(p, "once");
  ASSERT_TRUE(happened(proxy_event::kind::held, fault::replay));
  EXPECT_EQ(proxy_->command("release"), "ok released=1");
  ASSERT_TRUE(proxy_->wait_for(
      [](const proxy_event& e) { return e.what == proxy_event::kind::delivered && e.rule == 2; }));
  EXPECT_THAT(really(), ElementsAre("twice", "twice", "once"));
}

TEST_F(the_proxy, holds_a_request_back_beyond_its_connection) {
  auto p = producer(false);
  proxy_->rule("late api=produce");
  send(p, "x");  // by a retry
  ASSERT_TRUE(happened(proxy_event::kind::held, fault::late));
  send(p, "y");
  EXPECT_THAT(really(), ElementsAre("x", "y"));
  EXPECT_EQ(proxy_->command("release"), "ok released=1");
  ASSERT_TRUE(happened(proxy_event::kind::delivered, fault::late));
  EXPECT_THAT(really(), ElementsAre("x", "y", "x"));
}

TEST_F(the_proxy, tells_the_error_of_an_answer_that_nobody_waits_for) {
  auto p = producer(true);
  proxy_->rule("replay api=init_producer_id ms=0");
  send(p, "x");
  ASSERT_TRUE(proxy_->wait_for([](const proxy_event& e) { return e.error_code == std::int16_t{0}; }));
  EXPECT_THAT(to_string(proxy_->events().back()),
              HasSubstr("event delivered rule=1 fault=replay api=init_producer_id"));
}

TEST_F(the_proxy, cuts_and_refuses_at_once) {
  auto p = producer(true);
  send(p, "a");
  EXPECT_NE(proxy_->command("cut"), "ok cut=0");
  send(p, "b");
  proxy_->command("refuse on");
  proxy_->command("cut");
  good(p.send({.topic = "t", .value = "c", .partition = 0}));
  EXPECT_FALSE(p.flush(200ms));
  proxy_->command("refuse off");
  good(p.flush(30s));
  EXPECT_THAT(really(), ElementsAre("a", "b", "c"));
  EXPECT_THROW(proxy_->command("dance"), std::runtime_error);
}

TEST_F(the_proxy, meets_the_requests_that_a_rule_chooses) {
  proxy_->rule("cut-before api=produce skip=2 times=1");
  proxy_->rule("cut-before api=produce client=somebody-else times=0");
  proxy_->rule("cut-before api=produce version=0-2 times=0");
  proxy_->rule("cut-before api=produce chance=0 times=0");
  auto p = producer(false);
  for (const char* value : {"a", "b", "c"}) send(p, value);
  ASSERT_EQ(proxy_->events().size(), 1u);
  int produces = 0;
  for (const auto& r : proxy_->requests()) produces += r.key == wire::api_key::produce;
  EXPECT_EQ(produces, 4);
  EXPECT_THAT(really(), ElementsAre("a", "b", "c"));
}

}  // namespace
}  // namespace penstock::testing
