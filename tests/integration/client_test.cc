// SPDX-License-Identifier: Apache-2.0
// The Kafka client against a broker: the embedded one, or, with KAFKA_BOOTSTRAP set, any other. Each test
// makes topics and groups of its own.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "kafka_fixture.h"

namespace penstock::kafka {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using testing::eventually;
using testing::good;
using testing::with_broker;

class the_client : public with_broker {
 protected:
  std::string group() { return name("g"); }
  kafka::consumer consumer(consumer_settings s = {}) {
    s.bootstrap_servers = bootstrap;
    s.auto_offset_reset = offset_reset::earliest;
    s.heartbeat_interval = 100ms;
    s.session_timeout = session_timeout();
    return good(kafka::consumer::create(std::move(s)));
  }
  void produce(const std::string& t, int records, producer_settings s = {},
               std::int32_t partition = any_partition) {
    auto p = producer(std::move(s));
    for (int i = 0; i < records; ++i) {
      const auto key = fmt::format("key-{}", i % 17), value = fmt::format("value-{:06}", i);
      good(p.send({.topic = t, .key = key, .value = value, .partition = partition}));
    }
    good(p.flush(30s));
  }
  // Polls until `n` records, at most half a minute.
  std::vector<std::string> read(kafka::consumer& c, std::size_t n) {
    std::vector<std::string> values;
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (values.size() < n && std::chrono::steady_clock::now() < until) {
      for (const auto& batch : good(c.poll(100ms)))
        for (const auto& r : batch.records()) values.emplace_back(r.value);
    }
    return values;
  }
  std::vector<start_position> from_start(const std::string& t, std::int32_t partitions) {
    std::vector<start_position> all;
    for (std::int32_t p = 0; p < partitions; ++p) all.push_back({{t, p}, earliest_offset});
    return all;
  }
};

TEST_F(the_client, reads_what_it_writes_with_every_codec) {
  for (const auto codec :
       {compression::none, compression::gzip, compression::snappy, compression::lz4, compression::zstd}) {
    const auto t = topic(3);
    produce(t, 5000, {.compression = codec, .batch_size = 4000});
    auto c = consumer();
    good(c.assign(from_start(t, 3)));
    auto values = read(c, 5000);
    std::sort(values.begin(), values.end());
    ASSERT_THAT(values, SizeIs(5000)) << to_string(codec);
    EXPECT_EQ(values.front(), "value-000000");
    EXPECT_EQ(values.back(), "value-004999");
    EXPECT_EQ(std::adjacent_find(values.begin(), values.end()), values.end());
  }
}

TEST_F(the_client, keeps_keys_nulls_headers_timestamps_and_offsets) {
  const auto t = topic(1);
  std::mutex mutex;
  std::vector<std::int64_t> offsets;
  {
    auto p = producer();
    const record_header headers[] = {{"a", "1"}, {"a", "2"}, {"none", {}}};
    const auto note = [&](const delivery& d) {
      const std::lock_guard lock(mutex);
      offsets.push_back(d.first_offset);
    };
    good(p.send({.topic = t, .key = "k", .value = "v", .timestamp_ms = 1'600'000'000'000, .headers = headers},
                note));
    good(p.send({.topic = t, .key = "k"}, note));
    good(p.send({.topic = t, .value = ""}, note));
    good(p.close(10s));
  }
  EXPECT_THAT(offsets, ElementsAre(0, 1, 2));
  auto c = consumer();
  good(c.assign(from_start(t, 1)));
  std::vector<record> records;
  for (int i = 0; i < 100 && records.size() < 3; ++i)
    for (auto& r : good(c.poll_records(100ms, 2))) records.push_back(std::move(r));
  ASSERT_THAT(records, SizeIs(3));
  EXPECT_EQ(records[0].timestamp_ms, 1'600'000'000'000);
  EXPECT_EQ(records[0].key, "k");
  ASSERT_THAT(records[0].headers, SizeIs(3));
  EXPECT_EQ(records[0].headers[1].second, "2");
  EXPECT_EQ(records[0].headers[2].second, std::nullopt);
  EXPECT_EQ(records[1].value, std::nullopt);
  EXPECT_EQ(records[2].key, std::nullopt);
  EXPECT_EQ(records[2].value, "");
  EXPECT_EQ(good(c.position({t, 0})), 3);
}

TEST_F(the_client, waits_for_data_at_the_end) {
  const auto t = topic(1);
  auto c = consumer();
  good(c.assign({{{t, 0}, latest_offset}}));
  EXPECT_THAT(good(c.poll(50ms)), SizeIs(0));
  ASSERT_EQ(good(c.end_offsets({{t, 0}})).at(0), 0);
  while (good(c.position({t, 0})) != 0) good(c.poll(10ms));
  std::thread writer([&] { produce(t, 10); });
  EXPECT_THAT(read(c, 10), SizeIs(10));
  writer.join();
}

TEST_F(the_client, wakes_a_waiting_poll) {
  const auto t = topic(1);
  auto c = consumer();
  good(c.assign(from_start(t, 1)));
  good(c.poll(10ms));
  const auto begun = std::chrono::steady_clock::now();
  std::thread waker([&] { c.wake_up(); });
  EXPECT_THAT(good(c.poll(20s)), SizeIs(0));
  waker.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
}

TEST_F(the_client, looks_offsets_up) {
  const auto t = topic(2);
  auto p = producer();
  for (std::int64_t ms : {1000, 2000, 3000})
    good(p.send({.topic = t, .value = "v", .partition = 0, .timestamp_ms = 1'600'000'000'000 + ms}));
  good(p.flush(10s));
  auto c = consumer();
  const std::vector<topic_partition> both{{t, 0}, {t, 1}};
  EXPECT_THAT(good(c.beginning_offsets(both)), ElementsAre(0, 0));
  EXPECT_THAT(good(c.end_offsets(both)), ElementsAre(3, 0));
  EXPECT_THAT(good(c.offsets_for_time(both, 1'600'000'001'500)), ElementsAre(1, no_offset));
  EXPECT_THAT(good(c.partitions_of(t)), ElementsAre(topic_partition{t, 0}, topic_partition{t, 1}));
}

TEST_F(the_client, says_when_an_offset_does_not_exist) {
  const auto t = topic(1);
  produce(t, 100, {}, 0);
  EXPECT_THAT(good(admin().delete_records({{{t, 0}, 60}})), ElementsAre(60));
  auto c = good(
      kafka::consumer::create({.bootstrap_servers = bootstrap, .auto_offset_reset = offset_reset::none}));
  good(c.assign({{{t, 0}, 10}}));
  result<std::vector<record_batch>> polled;
  for (int i = 0; i < 100 && polled; ++i) polled = c.poll(100ms);
  ASSERT_FALSE(polled);
  EXPECT_EQ(polled.error().kind(), errc::data_loss);
  good(c.seek({t, 0}, 90));
  EXPECT_THAT(read(c, 10), SizeIs(10));
}

TEST_F(the_client, commits_and_goes_on_where_it_was) {
  const auto t = topic(2), g = group();
  produce(t, 1000);
  std::size_t before = 0;
  {
    auto c = consumer({.group_id = g, .enable_auto_commit = false, .max_poll_bytes = 1000});
    good(c.subscribe({t}));
    before = read(c, 300).size();
    good(c.commit_sync());
    good(c.close(10s));
  }
  EXPECT_GE(before, 300u);
  auto c = consumer({.group_id = g});
  good(c.subscribe({t}));
  EXPECT_THAT(read(c, 1000 - before), SizeIs(1000 - before));
  good(c.commit_sync());
  auto offsets = good(admin().group_offsets(g));
  std::int64_t sum = 0;
  for (const auto& o : offsets) sum += o.position.offset;
  EXPECT_EQ(sum, 1000);
  EXPECT_EQ(
      good(c.committed({{t, 0}})).at(0).position.offset + good(c.committed({{t, 1}})).at(0).position.offset,
      1000);
}

TEST_F(the_client, commits_by_itself_what_was_handed_out) {
  const auto t = topic(1), g = group();
  produce(t, 100);
  {
    auto c = consumer({.group_id = g, .auto_commit_interval = 10ms});
    good(c.subscribe({t}));
    EXPECT_THAT(read(c, 100), SizeIs(100));
  }
  EXPECT_EQ(good(admin().group_offsets(g)).at(0).position.offset, 100);
}

TEST_F(the_client, shares_a_group_and_hands_partitions_over) {
  const auto t = topic(4), g = group();
  produce(t, 2000);
  struct member {
    kafka::consumer c;
    std::vector<topic_partition> mine;
    std::size_t got = 0;
  };
  const auto join = [&](member& m) {
    good(m.c.subscribe({t}, {.assigned = [&m](const auto& list) { m.mine = list; },
                             .revoked = [&m](const auto&) { m.mine.clear(); },
                             .lost = [&m](const auto&) { m.mine.clear(); }}));
  };
  const auto turn = [&](member& m) {
    for (const auto& batch : good(m.c.poll(10ms)))
      for (const auto& r : batch.records()) m.got += r.value.size() > 0 ? 1 : 0;
  };
  const auto until = [&](auto done) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!done() && std::chrono::steady_clock::now() < deadline) {
    }
    return done();
  };
  member a{consumer({.group_id = g}), {}}, b{consumer({.group_id = g}), {}};
  join(a);
  EXPECT_TRUE(until([&] { return turn(a), a.got == 2000 && a.mine.size() == 4; }));
  join(b);
  EXPECT_TRUE(until([&] { return turn(a), turn(b), a.mine.size() == 2 && b.mine.size() == 2; }));
  std::set<topic_partition> all(a.mine.begin(), a.mine.end());
  all.insert(b.mine.begin(), b.mine.end());
  EXPECT_THAT(all, SizeIs(4));
  const auto info = good(admin().describe_group(g));
  EXPECT_EQ(info.state, "Stable");
  EXPECT_EQ(info.protocol, "range");
  EXPECT_THAT(info.members, SizeIs(2));
  produce(t, 1000);
  EXPECT_TRUE(until([&] { return turn(a), turn(b), a.got + b.got == 3000; })) << a.got << " + " << b.got;
  EXPECT_GT(b.got, 0u);
  good(a.c.close(10s));
  EXPECT_TRUE(until([&] { return turn(b), b.mine.size() == 4; }));
  produce(t, 100);
  EXPECT_TRUE(until([&] { return turn(b), a.got + b.got == 3100; })) << a.got << " + " << b.got;
}

TEST_F(the_client, stays_in_its_group_while_the_application_is_busy) {
  const auto t = topic(1), g = group();
  auto c = consumer({.group_id = g});
  int revoked = 0;
  good(c.subscribe({t},
                   {.revoked = [&](const auto&) { ++revoked; }, .lost = [&](const auto&) { ++revoked; }}));
  produce(t, 10);
  EXPECT_THAT(read(c, 10), SizeIs(10));
  // Longer than the session's timeout, which only heartbeats of another thread survive.
  std::this_thread::sleep_for(session_timeout() + 600ms);
  produce(t, 10);
  EXPECT_THAT(read(c, 10), SizeIs(10));
  good(c.commit_sync());
  EXPECT_EQ(revoked, 0);
}

TEST_F(the_client, sends_from_many_threads) {
  const auto t = topic(3);
  auto p = producer({.linger = 1ms, .buffer_memory = 100'000});
  std::atomic<std::int64_t> acknowledged = 0;
  p.on_delivery(
      [&](const delivery& d) { acknowledged += d.outcome == persistence::persisted ? d.records : 0; });
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&, n] {
      for (int i = 0; i < 2500; ++i) {
        const auto value = fmt::format("{}-{}", n, i);
        if (auto sent = p.send({.topic = t, .key = value, .value = value}); !sent)
          ADD_FAILURE() << sent.error().message();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  good(p.flush(30s));
  EXPECT_EQ(acknowledged, 10'000);
  EXPECT_EQ(p.statistics().acknowledged, 10'000u);
  auto c = consumer();
  good(c.assign(from_start(t, 3)));
  const auto values = read(c, 10'000);
  EXPECT_EQ(std::set<std::string>(values.begin(), values.end()).size(), 10'000u);
}

TEST_F(the_client, counts_the_time_of_each_step_of_a_transaction) {
  const auto t = topic(1);
  auto p = producer({.transactional_id = name("txn")});
  std::map<std::string, double> before;
  const auto grown = [&](const std::string& step) {
    const double now =
        find_metric(p.metrics(), "producer-metrics", fmt::format("txn-{}-time-ns-total", step));
    return now > std::exchange(before[step], now);
  };
  const std::vector<std::string> steps{"init", "begin", "send-offsets", "commit", "abort"};
  const auto those_that_grew = [&] {
    std::vector<std::string> names;
    std::copy_if(steps.begin(), steps.end(), std::back_inserter(names), grown);
    return names;
  };
  EXPECT_THAT(those_that_grew(), ElementsAre());
  good(p.init_transactions(30s));
  EXPECT_THAT(those_that_grew(), ElementsAre("init"));
  good(p.begin_transaction());
  good(p.send({.topic = t, .key = {}, .value = "v"}));
  EXPECT_THAT(those_that_grew(), ElementsAre("begin"));
  good(p.send_offsets({{{t, 0}, 1}}, {.group_id = group()}, 30s));
  EXPECT_THAT(those_that_grew(), ElementsAre("send-offsets"));
  good(p.commit_transaction(30s));
  EXPECT_THAT(those_that_grew(), ElementsAre("commit"));
  good(p.begin_transaction());
  good(p.abort_transaction(30s));
  EXPECT_THAT(those_that_grew(), ElementsAre("begin", "abort"));
}

// While its broker is away a producer takes what buffer.memory holds, waits max.block.ms for room and then
// says so: what it took is delivered later, what it did not take is not, and nothing is dropped.
TEST_F(the_client, feels_back_pressure_instead_of_dropping_records) {
  if (!broker) GTEST_SKIP() << "stops and starts the broker";
  const auto t = topic(1);
  auto p = producer({.linger = 0ms, .buffer_memory = 50'000, .max_block = 200ms});
  good(p.send({.topic = t, .key = {}, .value = "first"}));
  good(p.flush(30s));
  const auto port = broker->port();
  ASSERT_TRUE(broker->stop());
  broker.reset();
  const std::string value(1000, 'x');
  int taken = 1;
  std::optional<error> refused;
  std::chrono::steady_clock::duration waited{};
  while (!refused && taken < 1000) {
    const auto before = std::chrono::steady_clock::now();
    if (const auto sent = p.send({.topic = t, .key = {}, .value = value}); sent)
      ++taken;
    else
      refused = sent.error();
    waited = std::chrono::steady_clock::now() - before;
  }
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->retriable());
  EXPECT_THAT(refused->message(), HasSubstr("max.block.ms"));
  EXPECT_GE(waited, 190ms);
  EXPECT_GT(taken, 30);
  EXPECT_LE(taken, 51);
  const auto measured = p.metrics();
  const auto metric = [&](std::string_view n) { return find_metric(measured, "producer-metrics", n); };
  EXPECT_GE(metric("bufferpool-wait-time-ns-total"), 190e6);
  EXPECT_GT(metric("bufferpool-wait-ratio"), 0);
  EXPECT_EQ(metric("waiting-threads"), 0);
  EXPECT_EQ(metric("buffer-exhausted-total"), 1);
  EXPECT_GT(metric("metadata-wait-time-ns-total"), 0);
  EXPECT_GT(metric("flush-time-ns-total"), 0);
  EXPECT_EQ(metric("txn-commit-time-ns-total"), 0);
  EXPECT_FALSE(good(p.try_send({.topic = t, .key = {}, .value = value})));  // the one that never waits
  // With a broker again the same call waits for room and gets it.
  start_broker({.directory = directory.string(),
                .port = port,
                .auto_create_topics = false,
                .group_min_session_timeout = 100ms});
  auto patient = std::chrono::steady_clock::now() + 30s;
  for (int more = 0; more < 100 && std::chrono::steady_clock::now() < patient;)
    if (p.send({.topic = t, .key = {}, .value = value})) ++more, ++taken;
  good(p.flush(30s));
  auto c = consumer();
  EXPECT_EQ(good(c.end_offsets({{t, 0}})).at(0), taken);
}

TEST_F(the_client, administers_topics) {
  auto a = admin();
  const auto t = topic(2, {{"retention.ms", "123456"}});
  EXPECT_THAT(good(a.list_topics()), ::testing::Contains(t));
  const auto again = a.create_topics({{.name = t, .partitions = 1, .replication_factor = 1}});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), errc::already_exists);
  EXPECT_THAT(again.error().message(), HasSubstr(t));
  auto infos = good(a.describe_topics({t}));
  ASSERT_THAT(infos.at(0).partitions, SizeIs(2));
  EXPECT_GE(infos[0].partitions[1].leader, 0);
  const auto config = [&](const std::string& name) {
    for (const auto& c : good(a.describe_configs(config_resource::topic, t)))
      if (c.name == name) return c.value.value_or("null");
    return std::string("missing");
  };
  EXPECT_EQ(config("retention.ms"), "123456");
  good(
      a.alter_configs(config_resource::topic, t, {{"retention.ms", "99999"}, {"cleanup.policy", "compact"}}));
  const auto becomes = [&](const std::string& name, const std::string& value) {
    return eventually([&] { return config(name) == value; });  // brokers learn of it a moment later
  };
  EXPECT_TRUE(becomes("retention.ms", "99999"));
  good(a.alter_configs(config_resource::topic, t, {{"cleanup.policy", std::nullopt}}));
  EXPECT_TRUE(becomes("cleanup.policy", "delete"));
  good(a.create_partitions(t, 5));
  good(a.await_topics({t}, 10s));
  EXPECT_THAT(good(a.describe_topics({t})).at(0).partitions, SizeIs(5));
  good(a.delete_topics({t}));
  for (int i = 0; i < 100 && a.describe_topics({t}); ++i) std::this_thread::sleep_for(20ms);
  const auto gone = a.describe_topics({t});
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind(), errc::not_found);
  EXPECT_FALSE(a.delete_topics({t}));
  EXPECT_FALSE(good(a.describe_cluster()).brokers.empty());
}

TEST_F(the_client, administers_groups) {
  auto a = admin();
  const auto t = topic(2), g = group();
  EXPECT_FALSE(a.describe_group(g));
  good(a.alter_group_offsets(g, {{{t, 1}, {.offset = 7, .metadata = "note"}}}));
  const auto offsets = good(a.group_offsets(g));
  ASSERT_THAT(offsets, SizeIs(1));
  EXPECT_EQ(offsets[0].position.offset, 7);
  EXPECT_EQ(offsets[0].position.metadata, "note");
  const auto groups = good(a.list_groups());
  EXPECT_TRUE(std::any_of(groups.begin(), groups.end(), [&](const auto& x) { return x.group_id == g; }));
  good(a.delete_group(g));
  EXPECT_THAT(good(a.group_offsets(g)), SizeIs(0));
}

TEST_F(the_client, names_what_is_not_there) {
  auto p = producer({.max_block = 500ms});
  auto sent = p.send({.topic = "no-such-topic-x", .value = "v"});
  if (std::getenv("KAFKA_BOOTSTRAP") == nullptr) {  // another broker may make the topic
    ASSERT_FALSE(sent);
    EXPECT_THAT(sent.error().message(), HasSubstr("no-such-topic-x"));
  }
  auto c = consumer();
  auto none = c.partitions_of("no-such-topic-y");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), errc::not_found);
  auto nobody = good(kafka::admin::create(
      {.bootstrap_servers = "127.0.0.1:1", .connection = {.default_api_timeout = 300ms}}));
  auto refused = nobody.list_topics();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("127.0.0.1:1"));
}

}  // namespace
}  // namespace penstock::kafka
