// SPDX-License-Identifier: Apache-2.0
#include "client/produce_lanes.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "client/transaction_test_support.h"

namespace penstock::client {
namespace {

using testing::fake_cluster;
using testing::reaction;
using testing::run_until;
using testing::seen_request;
using testing::transactional;
using testing::transactional_settings;
using wire::api_key;
using namespace std::chrono_literals;

constexpr int partitions = 4;

std::vector<std::string> numbered(int from, int to) {
  std::vector<std::string> all;
  for (int i = from; i < to; ++i) all.push_back(fmt::format("value-{:05}", i));
  return all;
}

std::set<std::int32_t> partitions_of(const seen_request& r) {
  std::set<std::int32_t> all;
  for (const auto& t : r.as<wire::produce_request>().topic_data)
    for (const auto& p : t.partition_data) all.insert(p.index);
  return all;
}

// Holds produce requests and watches what travels where: a partition's batches never on two connections at
// once, never more than five.
class a_busy_broker : public ::testing::Test {
 protected:
  a_busy_broker() : kafka(loop, 1) {
    kafka.add_topic("t", partitions);
    settings = transactional_settings(kafka);
    settings.transactional_id.clear();
    settings.connections_per_broker = 3;
    settings.connection.request_timeout = 30s;
  }
  void start() {
    c = std::move(*cluster::create(loop, settings.bootstrap_servers, settings.connection));
    p = std::make_unique<producer>(*c, settings);
  }
  void hold() {
    under_way.clear();
    kafka.always(api_key::produce, [this](const seen_request& r) {
      seen.insert(r.connection);
      for (const auto p : partitions_of(r)) {
        auto& way = under_way[p];
        way.push_back(r.connection);
        EXPECT_THAT(way, ::testing::Each(r.connection))
            << "partition " << p << " is on two connections at once";
        EXPECT_LE(way.size(), 5u);
      }
      return reaction{reaction::kind::hold, {}};
    });
  }
  void release() {
    under_way.clear();
    kafka.release_held();
  }
  void send_all(const std::vector<std::string>& values) {
    for (const auto& v : values) {
      for (int n = 0; n < partitions; ++n) {
        ASSERT_TRUE(run_until(loop, [&] {
          const auto sent = p->try_send({.topic = "t", .value = v, .partition = n});
          return sent && *sent == append_status::accepted;
        }));
      }
    }
  }
  void send_all(transactional& t, int from, int to) {
    for (const auto& v : numbered(from, to))
      for (int n = 0; n < partitions; ++n) ASSERT_TRUE(t.send(v, n));
  }
  /// Holds what is sent until a further connection is there.
  void make_busy(transactional& t) {
    send_all(t, 0, 1);
    ASSERT_TRUE(run_until(loop, [&] { return t.records().buffered_bytes() == 0; }));
    const auto connections = kafka.connections();
    seen.clear();
    hold();
    send_all(t, 1, 200);
    ASSERT_TRUE(run_until(loop, [&] { return kafka.connections() > connections; }));
  }
  result<> flush(bool release_meanwhile) {
    std::optional<result<>> outcome;
    p->flush([&](result<> r) { outcome = std::move(r); });
    const bool over = run_until(
        loop,
        [&] {
          if (release_meanwhile && kafka.held() > 0) release();
          return outcome.has_value();
        },
        30s);
    EXPECT_TRUE(over);
    return outcome.value_or(fail(errc::timeout, "the test waited too long"));
  }
  void expect_all(const std::vector<std::string>& values) {
    for (int n = 0; n < partitions; ++n) EXPECT_EQ(kafka.values("t", n), values) << "partition " << n;
  }

  io::event_loop loop;
  fake_cluster kafka;
  kafka::producer_settings settings;
  std::unique_ptr<cluster> c;
  std::unique_ptr<producer> p;
  std::map<std::int32_t, std::vector<int>> under_way;  // partition -> connections of its requests
  std::set<int> seen;
};

TEST_F(a_busy_broker, gets_another_connection_and_each_partition_keeps_its_order) {
  start();
  const auto values = numbered(0, 600);
  send_all(numbered(0, 1));
  ASSERT_TRUE(flush(false));
  ASSERT_EQ(kafka.connections(), 1);
  hold();
  send_all(numbered(1, 600));
  ASSERT_TRUE(run_until(loop, [&] { return kafka.connections() == 2; })) << "batches wait for the first";
  EXPECT_EQ(seen.size(), 1u) << "no partition changes over while requests with its batches are under way";
  ASSERT_TRUE(flush(true));
  EXPECT_GE(seen.size(), 2u);
  EXPECT_LE(kafka.connections(), 3);
  expect_all(values);
}

TEST_F(a_busy_broker, keeps_the_order_when_one_of_its_connections_breaks) {
  start();
  send_all(numbered(0, 1));
  ASSERT_TRUE(flush(false));
  hold();
  send_all(numbered(1, 300));
  ASSERT_TRUE(run_until(loop, [&] { return kafka.connections() == 2; }));
  release();
  ASSERT_TRUE(run_until(loop, [&] { return seen.size() == 2; }));
  // Every third request on the second is done, and its answer lost with the connection.
  int broken = 0;
  kafka.always(api_key::produce, [&](const seen_request& r) -> reaction {
    if (r.connection == 1 || ++broken % 3 != 0) return {};
    return {reaction::kind::pass_then_cut, {}};
  });
  release();
  ASSERT_TRUE(flush(false));
  EXPECT_GT(broken, 0);
  expect_all(numbered(0, 300));
}

TEST_F(a_busy_broker, is_written_to_by_one_connection_if_it_takes_no_other) {
  start();
  send_all(numbered(0, 1));
  ASSERT_TRUE(flush(false));
  hold();
  kafka.always(api_key::api_versions, [](const seen_request&) { return reaction{reaction::kind::cut, {}}; });
  send_all(numbered(1, 300));
  ASSERT_TRUE(run_until(loop, [&] { return kafka.connections() == 2; }));
  ASSERT_TRUE(flush(true));
  EXPECT_EQ(seen.size(), 1u);
  expect_all(numbered(0, 300));
}

TEST_F(a_busy_broker, has_one_connection_if_no_more_are_wanted) {
  settings.connections_per_broker = 1;
  start();
  hold();
  send_all(numbered(0, 300));
  ASSERT_TRUE(flush(true));
  EXPECT_EQ(kafka.connections(), 1);
  expect_all(numbered(0, 300));
}

TEST_F(a_busy_broker, ends_no_transaction_before_all_connections_have_answered) {
  for (const int version : {1, 2}) {
    kafka.transactions.version = version;
    settings = transactional_settings(kafka);
    settings.transactional_id = fmt::format("app-{}", version);
    settings.connections_per_broker = 2;
    settings.connection.request_timeout = 30s;
    transactional t(loop, settings);
    ASSERT_TRUE(t.init());
    ASSERT_TRUE(t.begin());
    const auto before = kafka.values("t", 0).size();
    ASSERT_NO_FATAL_FAILURE(make_busy(t));
    release();
    ASSERT_TRUE(run_until(loop, [&] { return seen.size() == 2; }));
    std::optional<result<>> committed;
    t.control().commit(loop.time().now() + 20s, [&](result<> r) { committed = std::move(r); });
    const auto ends = kafka.count(api_key::end_txn);
    // All that travels on the first connection is answered, what is on the second is not.
    const auto complete = [&](int n) { return kafka.values("t", n).size() == before + 200; };
    kafka.always(api_key::produce, [](const seen_request&) { return reaction{reaction::kind::hold, {}}; });
    ASSERT_TRUE(run_until(loop, [&] {
      kafka.release_held([&](const seen_request& r) { return r.connection == *seen.begin(); });
      return complete(0) + complete(1) + complete(2) + complete(3) == partitions / 2;
    }));
    loop.run_some_until(loop.time().now() + 20ms);
    EXPECT_GT(kafka.held(), 0u);
    EXPECT_FALSE(committed);
    EXPECT_EQ(kafka.count(api_key::end_txn), ends) << "version " << version;
    kafka.always(api_key::produce, [](const seen_request&) { return reaction{}; });
    kafka.release_held();
    ASSERT_TRUE(run_until(loop, [&] { return committed.has_value(); }));
    EXPECT_TRUE(*committed);
    for (int n = 0; n < partitions; ++n)
      EXPECT_EQ(kafka.committed_values("t", n).size(), before + 200) << "version " << version;
  }
}

// A partition that belongs on the second joins each transaction on the first. Were more of it sent there at
// once, the second would have nothing to do until all that has come back.
TEST_F(a_busy_broker, is_given_no_more_than_it_takes_to_join_by_partitions_of_another_connection) {
  kafka.transactions.version = 2;
  settings.transactional_id = "app";
  settings.connections_per_broker = 2;
  transactional t(loop, settings);
  ASSERT_TRUE(t.init());
  ASSERT_TRUE(t.begin());
  ASSERT_NO_FATAL_FAILURE(make_busy(t));
  const int first = *seen.begin();
  release();
  ASSERT_TRUE(run_until(loop, [&] { return seen.size() == 2 && under_way.size() == partitions; }));
  std::set<std::int32_t> at_home;  // on the first
  for (const auto& [partition, way] : under_way) {
    if (way.front() == first) at_home.insert(partition);
  }
  ASSERT_EQ(at_home.size(), 2u);
  std::optional<result<>> committed;
  t.control().commit(loop.time().now() + 20s, [&](result<> r) { committed = std::move(r); });
  ASSERT_TRUE(run_until(loop, [&] {
    if (kafka.held() > 0) release();
    return committed.has_value();
  }));
  ASSERT_TRUE(*committed);

  ASSERT_TRUE(t.begin());
  hold();
  send_all(t, 200, 300);
  ASSERT_TRUE(run_until(
      loop, [&] { return under_way.size() == partitions && under_way[*at_home.begin()].size() == 5; }));
  loop.run_some_until(loop.time().now() + 5ms);  // would more come, it would be here
  for (const auto& [partition, way] : under_way)
    EXPECT_EQ(way.size(), at_home.contains(partition) ? 5u : 1u) << "partition " << partition;
  release();
  EXPECT_TRUE(run_until(loop, [&] {
    return std::all_of(
               under_way.begin(), under_way.end(),
               [&](const auto& p) { return (p.second.front() == first) == at_home.contains(p.first); }) &&
           under_way.size() == partitions;
  }));
  kafka.always(api_key::produce, [](const seen_request&) { return reaction{}; });
  kafka.release_held();
}

// The lanes alone.
class produce_lanes_of_a_broker : public ::testing::Test {
 protected:
  produce_lanes_of_a_broker() : kafka(loop, 1) {
    c = std::move(*cluster::create(loop, kafka.bootstrap(), {}));
    c->watch_topic("t");
    kafka.add_topic("t", partitions);
    EXPECT_TRUE(run_until(
        loop, [&] { return c->metadata().brokers().contains(0) && c->is_ready(0, channel::general); }));
  }
  void saturate(produce_lanes& lanes) {
    for (auto& q : queues) {
      const auto l = lanes.lane_of(q, 0);
      ASSERT_TRUE(l);
      lanes.sent(*l);
      ++q.send.in_flight;
    }
  }

  io::event_loop loop;
  fake_cluster kafka;
  std::unique_ptr<cluster> c;
  std::array<partition_queue, partitions> queues;
};

TEST_F(produce_lanes_of_a_broker, are_closed_when_one_would_do_again) {
  int changes = 0;
  produce_lanes lanes(*c, 8, 2, [&] { ++changes; }, {.patience = 0ms, .keep = 1ms});
  saturate(lanes);
  EXPECT_FALSE(lanes.looked(0, true)) << "it opens another at once";
  ASSERT_TRUE(run_until(loop, [&] { return changes == 1; }));
  EXPECT_EQ(lanes.open(), 2);
  EXPECT_TRUE(c->is_ready(0, produce_channel(1)));
  EXPECT_EQ(lanes.lane_of(queues[0], 0), (lane_id{0, 0}));
  EXPECT_FALSE(lanes.lane_of(queues[1], 0)) << "its batches are under way on the first";
  queues[1].send.in_flight = 0;
  lanes.answered({0, 0});
  EXPECT_EQ(lanes.lane_of(queues[1], 0), (lane_id{0, 1}));
  lanes.sent({0, 1});
  queues[1].send.in_flight = 1;

  for (int i = 0; i < 1000 && lanes.tidy(); ++i) loop.run_some_until(loop.time().now() + 1ms);
  EXPECT_EQ(lanes.open(), 1);
  EXPECT_TRUE(c->is_ready(0, produce_channel(1))) << "a request is under way on it";
  EXPECT_FALSE(lanes.lane_of(queues[1], 0));
  lanes.answered({0, 1});
  queues[1].send.in_flight = 0;
  EXPECT_EQ(lanes.lane_of(queues[1], 0), (lane_id{0, 0}));
  static_cast<void>(lanes.tidy());
  EXPECT_FALSE(c->is_ready(0, produce_channel(1)));
  EXPECT_TRUE(c->is_ready(0, channel::general));
}

// KIP-890: the broker refuses a partition's first batch of a transaction while it verifies another one.
TEST_F(produce_lanes_of_a_broker, begin_a_partitions_transaction_on_the_first_and_with_one_request) {
  int changes = 0;
  produce_lanes lanes(*c, 8, 2, [&] { ++changes; }, {.patience = 0ms, .keep = 1h});
  saturate(lanes);
  EXPECT_FALSE(lanes.looked(0, true));
  ASSERT_TRUE(run_until(loop, [&] { return changes == 1; }));
  auto& s = queues[1].send;
  s.in_flight = 0;
  lanes.answered({0, 0});
  ASSERT_EQ(lanes.lane_of(queues[1], 0), (lane_id{0, 1}));
  for (std::uint64_t transaction = 1; transaction < 3; ++transaction) {
    s.registered_in = transaction;
    EXPECT_EQ(lanes.lane_of(queues[1], 0), (lane_id{0, 0}));
    EXPECT_TRUE(lanes.is_guest(queues[1]));
    s.in_flight = 1;
    EXPECT_FALSE(lanes.lane_of(queues[1], 0));
    s.in_flight = 0;
    s.known_in = transaction;
    EXPECT_EQ(lanes.lane_of(queues[1], 0), (lane_id{0, 1}));
    EXPECT_FALSE(lanes.is_guest(queues[1]));
    s.in_flight = 1;
    EXPECT_EQ(lanes.lane_of(queues[1], 0), (lane_id{0, 1}));
    s.in_flight = 0;
  }
}

TEST_F(produce_lanes_of_a_broker, are_not_more_than_allowed_or_than_there_are_partitions) {
  int changes = 0;
  produce_lanes lanes(*c, 3, 1, [&] { ++changes; }, {.patience = 0ms, .keep = 1h});
  EXPECT_FALSE(lanes.looked(0, true));
  static_cast<void>(lanes.lane_of(queues[0], 0));
  EXPECT_FALSE(lanes.looked(0, true));
  EXPECT_EQ(kafka.connections(), 1) << "for one partition another would be of no use";
  saturate(lanes);
  for (int i = 0; i < 5; ++i) {
    static_cast<void>(lanes.looked(0, true));
    static_cast<void>(run_until(
        loop, [&] { return changes > i; }, i < 2 ? 10'000ms : 20ms));
  }
  EXPECT_EQ(lanes.open(), 3);
  EXPECT_EQ(kafka.connections(), 3);
}

TEST_F(produce_lanes_of_a_broker, are_opened_only_when_batches_have_waited_for_a_while) {
  produce_lanes lanes(*c, 3, 1, [] {}, {.patience = 1h, .keep = 1h});
  saturate(lanes);
  const auto due = lanes.looked(0, true);
  ASSERT_TRUE(due);
  EXPECT_GT(*due, loop.time().now() + 59min);
  EXPECT_FALSE(lanes.looked(0, false)) << "they found room";
  const auto later = lanes.looked(0, true);
  ASSERT_TRUE(later);
  EXPECT_GE(*later, *due) << "the waiting begins anew";
}

}  // namespace
}  // namespace penstock::client
