// SPDX-License-Identifier: Apache-2.0
#include "client/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>

#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

namespace penstock::client {
namespace {

using namespace std::chrono_literals;

constexpr io::instant start = io::instant{} + 1h;

TEST(a_sensor, averages_over_its_windows_and_sums_for_good) {
  sensor s;
  EXPECT_TRUE(std::isnan(s.at(start).average()));
  EXPECT_TRUE(std::isnan(s.at(start).largest));
  s.record(10, start);
  s.record(30, start + 10s, 3, 20);
  auto v = s.at(start + 10s);
  EXPECT_EQ(v.average(), 10);
  EXPECT_EQ(v.largest, 20);
  EXPECT_EQ(v.sum_rate(), 4);
  EXPECT_EQ(v.times_rate(), 0.4);
  EXPECT_EQ(v.total, 40);
  EXPECT_EQ(v.all_times, 4u);

  s.record(5, start + 40s);
  EXPECT_EQ(s.at(start + 40s).largest, 20) << "the window before counts too";
  EXPECT_EQ(s.at(start + 61s).largest, 5) << "until it is over";
  EXPECT_TRUE(std::isnan(s.at(start + 200s).average()));
  EXPECT_EQ(s.at(start + 200s).total, 45);
  EXPECT_EQ(s.at(start + 200s).sum_rate(), 0);
}

TEST(a_sensor, adds_up_with_others) {
  sensor a, b;
  a.record(1, start);
  b.record(5, start - 10s);
  auto v = a.at(start);
  v += b.at(start);
  EXPECT_EQ(v.average(), 3);
  EXPECT_EQ(v.largest, 5);
  EXPECT_EQ(v.seconds, 10);
  v += sensor{}.at(start);
  EXPECT_EQ(v.largest, 5);
  auto empty = sensor{}.at(start);
  empty += v;
  EXPECT_EQ(empty.largest, 5);
}

using line = std::pair<std::string, std::string>;

void take_names(const kafka::metric_list& all, std::set<line>& seen) {
  for (const auto& m : all) {
    seen.emplace(m.group, m.name);
    EXPECT_FALSE(m.description.empty()) << m.group << ' ' << m.name << " has no line in metrics_table.cc";
  }
}

TEST(metrics, of_a_producer_and_a_consumer_are_those_of_the_table) {
  connection_metrics c;
  c.request_sent(3, 100, start);
  c.answer_came(3, 0, 50, start, start + 4ms);
  producer_metrics p;
  for (auto* counted : {&p.all, &p.topics["orders"]}) counted->sends.record(7, start);
  consumer_metrics read;
  read.topics["orders"].records.record(2, start);
  read.lag[{"orders", 1}] = 12;

  kafka::metric_list all;
  metric_report to(all, start + 1s);
  report_connections(to, "producer", {&c}, 5);
  report_connections(to, "consumer", {&c, &c}, 5);
  report_connections(to, "admin-client", {&c}, -1);
  producer_state state{.buffer_total = 1000, .buffer_used = 300, .produce_connections = 3};
  state.waits.memory.record(2e8, start);
  state.waits.commit = 17;
  report_producer(to, p, state);
  report_consumer(to, read, c, c, 4);

  EXPECT_EQ(kafka::find_metric(all, "producer-metrics", "outgoing-byte-total"), 100);
  EXPECT_EQ(kafka::find_metric(all, "consumer-metrics", "outgoing-byte-total"), 200) << "both of its kinds";
  EXPECT_EQ(kafka::find_metric(all, "producer-metrics", "request-latency-avg"), 4);
  EXPECT_EQ(kafka::find_metric(all, "producer-metrics", "record-send-total"), 7);
  EXPECT_EQ(kafka::find_metric(all, "producer-metrics", "buffer-available-bytes"), 700);
  EXPECT_EQ(kafka::find_metric(all, "producer-metrics", "produce-connections"), 3);
  EXPECT_EQ(kafka::find_metric(all, "producer-metrics", "bufferpool-wait-time-ns-total"), 2e8);
  EXPECT_EQ(kafka::find_metric(all, "producer-metrics", "bufferpool-wait-ratio"), 0.2);
  EXPECT_EQ(kafka::find_metric(all, "producer-metrics", "txn-commit-time-ns-total"), 17);
  EXPECT_EQ(kafka::find_metric(all, "consumer-fetch-manager-metrics", "records-lag-max"), 12);
  EXPECT_EQ(kafka::find_metric(all, "consumer-coordinator-metrics", "assigned-partitions"), 4);
  EXPECT_TRUE(std::isnan(kafka::find_metric(all, "producer-metrics", "no-such-metric")));
  EXPECT_THAT(
      kafka::to_text(all),
      ::testing::AllOf(
          ::testing::HasSubstr("producer-node-metrics outgoing-byte-total{node-id=node-3} 100\n"),
          ::testing::HasSubstr("consumer-fetch-manager-metrics records-lag{topic=orders,partition=1} 12\n")));

  // Neither more nor fewer than the table says.
  std::set<line> seen, listed;
  take_names(all, seen);
  for (const auto& m : kafka::list_metrics()) {
    std::stringstream groups{std::string(m.group)};
    for (std::string group; groups >> group;) {
      if (group.back() == ',') group.pop_back();
      listed.emplace(group, m.name);
    }
    EXPECT_EQ(m.description.back(), '.') << m.name;
  }
  EXPECT_EQ(seen, listed);
}

TEST(metrics, can_be_asked_of_clients_that_reach_nobody) {
  auto p = kafka::producer::create({.bootstrap_servers = "127.0.0.1:1"});
  ASSERT_TRUE(p) << p.error().message();
  EXPECT_EQ(kafka::find_metric(p->metrics(), "producer-metrics", "record-send-total"), 0);
  EXPECT_EQ(kafka::find_metric(p->metrics(), "producer-metrics", "metadata-age"), -1);
  auto c = kafka::consumer::create({.bootstrap_servers = "127.0.0.1:1"});
  ASSERT_TRUE(c) << c.error().message();
  EXPECT_EQ(kafka::find_metric(c->metrics(), "consumer-metrics", "last-poll-seconds-ago"), -1);
  ASSERT_TRUE(c->poll(0ms));
  EXPECT_GE(kafka::find_metric(c->metrics(), "consumer-metrics", "last-poll-seconds-ago"), 0);
}

TEST(metrics, are_told_regularly) {
  int told = 0;
  kafka::consumer_settings settings{.bootstrap_servers = "127.0.0.1:1"};
  settings.connection.metrics_interval = 1ms;
  settings.connection.metrics_callback = [&](const kafka::metric_list& all) {
    EXPECT_EQ(kafka::find_metric(all, "consumer-fetch-manager-metrics", "records-consumed-total"), 0);
    ++told;
  };
  auto c = kafka::consumer::create(settings);
  ASSERT_TRUE(c) << c.error().message();
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (told < 3 && std::chrono::steady_clock::now() < until) static_cast<void>(c->poll(5ms));
  EXPECT_GE(told, 3);
}

TEST(metrics, the_reference_page_is_current) {
  std::ifstream file(PENSTOCK_SOURCE_DIR "/docs/reference/client-metrics.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), kafka::metrics_reference())
      << "write it again: penstock metrics --markdown > docs/reference/client-metrics.md";
}

}  // namespace
}  // namespace penstock::client
