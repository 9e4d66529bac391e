// SPDX-License-Identifier: Apache-2.0
#include "client/fetcher.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/fake_cluster.h"
#include "client/offsets.h"
#include "wire/batch_builder.h"
#include "wire/messages/list_offsets.h"
#include "wire/messages/metadata.h"

namespace penstock::client {
namespace {

using testing::fake_cluster;
using testing::reaction;
using testing::run_until;
using testing::seen_request;
using wire::api_key;
using wire::error_code;
using namespace std::chrono_literals;

class a_fetcher : public ::testing::Test {
 protected:
  a_fetcher() : kafka(loop, 2) {
    connection.request_timeout = 2s;
    connection.retry_backoff = 2ms;
    connection.retry_backoff_max = 10ms;
    connection.reconnect_backoff = 2ms;
    connection.reconnect_backoff_max = 10ms;
    settings.max_wait = 50ms;
    kafka.add_topic("t", 2);
  }
  void start() {
    f.reset();
    c = std::move(*cluster::create(loop, kafka.bootstrap(), connection));
    f = std::make_unique<fetcher>(*c, settings);
  }
  // Polls until there are `records` values, or an error.
  void read(std::size_t records) {
    ASSERT_TRUE(run_until(loop,
                          [&] {
                            std::vector<fetched> out;
                            auto taken = f->poll(out, 1 << 20);
                            if (!taken) errors.push_back(taken.error());
                            for (auto& b : out) {
                              record_view r;
                              while (b.records.next(r)) {
                                values[b.partition->partition].emplace_back(r.value);
                                offsets[b.partition->partition].push_back(r.offset);
                              }
                              tags.push_back(b.tag);
                              if (keep) kept.push_back(std::move(b));
                            }
                            return total() >= records || !errors.empty();
                          }))
        << "got " << total();
  }
  std::size_t total() const {
    std::size_t n = 0;
    for (const auto& [p, v] : values) n += v.size();
    return n;
  }
  std::vector<std::string> numbered(int from, int to) {
    std::vector<std::string> all;
    for (int i = from; i < to; ++i) all.push_back(fmt::format("value-{:05}", i));
    return all;
  }
  void fill(std::int32_t p, int records, int a_batch = 10, compression codec = compression::none) {
    for (int i = 0; i < records; i += a_batch) kafka.append("t", p, numbered(i, i + a_batch), codec);
  }

  io::event_loop loop;
  fake_cluster kafka;
  kafka::connection_settings connection;
  fetcher_settings settings;
  std::unique_ptr<cluster> c;
  std::unique_ptr<fetcher> f;
  std::map<std::int32_t, std::vector<std::string>> values;
  std::map<std::int32_t, std::vector<std::int64_t>> offsets;
  std::vector<std::int64_t> tags;
  std::vector<error> errors;
  std::vector<fetched> kept;
  bool keep = false;
};

TEST_F(a_fetcher, reads_all_partitions_in_order) {
  settings.partition_max_bytes = 500;
  start();
  fill(0, 300);
  fill(1, 200);
  f->assign({"t", 0}, 0, 7);
  f->assign({"t", 1}, kafka::earliest_offset, 8);
  read(500);
  EXPECT_EQ(values[0], numbered(0, 300));
  EXPECT_EQ(values[1], numbered(0, 200));
  EXPECT_EQ(f->position({"t", 0}), 300);
  EXPECT_EQ(f->high_watermark({"t", 1}), 200);
  EXPECT_TRUE(std::all_of(tags.begin(), tags.end(), [](auto t) { return t == 7 || t == 8; }));
  EXPECT_GT(kafka.count(api_key::fetch), 10);
}

TEST_F(a_fetcher, tells_when_data_come_to_the_end_of_a_partition) {
  start();
  fill(0, 10);
  f->assign({"t", 0}, kafka::latest_offset);
  int told = 0;
  f->on_ready([&] { ++told; });
  ASSERT_TRUE(run_until(loop, [&] { return f->position({"t", 0}) == 10; }));
  loop.run_until(loop.time().now() + 20ms);
  EXPECT_EQ(told, 0);
  kafka.append("t", 0, {"new"});
  ASSERT_TRUE(run_until(loop, [&] { return told > 0; }));
  read(1);
  EXPECT_EQ(values[0], (std::vector<std::string>{"new"}));
}

TEST_F(a_fetcher, begins_in_the_middle_of_a_batch) {
  start();
  fill(0, 100, 50);
  f->assign({"t", 0}, 73);
  read(27);
  EXPECT_EQ(offsets[0].front(), 73);
  EXPECT_EQ(values[0], numbered(73, 100));
}

TEST_F(a_fetcher, reads_compressed_batches_and_keeps_their_memory_alive) {
  start();
  keep = true;
  for (const auto codec : {compression::gzip, compression::snappy, compression::lz4, compression::zstd})
    fill(0, 100, 50, codec);
  fill(0, 100, 50);
  f->assign({"t", 0}, 0);
  read(500);
  ASSERT_EQ(kept.size(), 10u);
  f.reset();
  c.reset();
  std::size_t n = 0;
  for (auto& b : kept) {
    auto again = wire::record_cursor(b.records);
    EXPECT_EQ(again.left(), 0);
    n += static_cast<std::size_t>(b.header.record_count);
  }
  EXPECT_EQ(n, 500u);
}

TEST_F(a_fetcher, says_when_its_position_does_not_exist) {
  start();
  fill(0, 10);
  fill(1, 10);
  kafka.partition("t", 0).log_start = 5;
  f->assign({"t", 0}, 2);
  f->assign({"t", 1}, 0);
  read(11);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].kind(), errc::data_loss);
  EXPECT_NE(errors[0].message().find("topic 't', partition 0: offset 2"), std::string::npos)
      << errors[0].message();
  errors.clear();
  f->seek({"t", 0}, 5);
  values.clear();
  read(5);
}

TEST_F(a_fetcher, begins_again_where_the_policy_says) {
  for (const auto reset : {kafka::offset_reset::earliest, kafka::offset_reset::latest}) {
    settings.reset = reset;
    start();
    kafka.partition("t", 0) = {};
    fill(0, 20);
    kafka.partition("t", 0).log_start = 10;
    f->assign({"t", 0}, 5000);
    const std::int64_t expected = reset == kafka::offset_reset::earliest ? 10 : 20;
    ASSERT_TRUE(run_until(loop, [&] { return f->position({"t", 0}) == expected; }));
  }
}

TEST_F(a_fetcher, follows_the_leader) {
  start();
  fill(0, 50);
  f->assign({"t", 0}, 0);
  read(50);
  kafka.move_leader("t", 0, 1);
  kafka.append("t", 0, numbered(50, 60));
  read(60);
  EXPECT_EQ(values[0], numbered(0, 60));
}

TEST_F(a_fetcher, survives_broken_connections) {
  settings.partition_max_bytes = 400;
  start();
  fill(0, 500);
  io::seeded_random random(3);
  kafka.always(api_key::fetch, [&](const seen_request&) {
    return random.next() % 4 == 0 ? reaction{reaction::kind::cut, {}} : reaction{};
  });
  f->assign({"t", 0}, 0);
  read(500);
  EXPECT_EQ(values[0], numbered(0, 500));
}

TEST_F(a_fetcher, stops_at_a_damaged_batch_and_reads_the_others) {
  start();
  fill(0, 30);
  fill(1, 30);
  kafka.partition("t", 0).batches[1][80] ^= 1;
  f->assign({"t", 0}, 0);
  f->assign({"t", 1}, 0);
  while (errors.empty()) read(1000);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].kind(), errc::corrupt);
  EXPECT_NE(errors[0].message().find("topic 't', partition 0"), std::string::npos) << errors[0].message();
  errors.clear();
  read(40);
  EXPECT_EQ(values[0], numbered(0, 10));
  EXPECT_EQ(values[1], numbered(0, 30));
  f->seek({"t", 0}, 20);
  read(50);
  EXPECT_EQ(values[0].back(), "value-00029");
}

TEST_F(a_fetcher, holds_no_more_than_it_may) {
  settings.max_buffered_bytes = 20'000;
  settings.max_bytes = 5'000;
  settings.partition_max_bytes = 5'000;
  start();
  fill(0, 3000, 20);
  f->assign({"t", 0}, 0);
  ASSERT_TRUE(run_until(loop, [&] { return f->buffered_bytes() > 10'000; }));
  loop.run_until(loop.time().now() + 50ms);
  EXPECT_LE(f->buffered_bytes(), 20'000u);
  read(3000);
  EXPECT_EQ(values[0], numbered(0, 3000));
}

TEST_F(a_fetcher, pauses_resumes_and_seeks) {
  start();
  fill(0, 50);
  fill(1, 50);
  f->assign({"t", 0}, 0);
  f->assign({"t", 1}, 0);
  ASSERT_TRUE(run_until(loop, [&] { return f->buffered_bytes() > 0; }));
  f->pause({"t", 0});
  read(50);
  EXPECT_EQ(values[0].size(), 0u);
  EXPECT_GT(f->buffered_bytes(), 0u);  // what arrived for the paused one waits, and counts
  f->resume({"t", 0});
  read(100);
  EXPECT_EQ(values[0], numbered(0, 50));
  f->seek({"t", 0}, 40);
  values.clear();
  read(10);
  EXPECT_EQ(values[0], numbered(40, 50));
  f->remove({"t", 0});
  EXPECT_EQ(f->position({"t", 0}), std::nullopt);
}

TEST_F(a_fetcher, names_a_topic_or_partition_that_does_not_exist) {
  settings.unknown_topic_after = 30ms;
  start();
  f->assign({"nowhere", 0}, 0);
  ASSERT_TRUE(run_until(loop, [&] { return f->ready(); }));
  std::vector<fetched> out;
  auto none = f->poll(out, 1000);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), errc::not_found);
  EXPECT_EQ(none.error().message(), "topic 'nowhere' does not exist");
  f->assign({"t", 9}, 0);
  ASSERT_TRUE(run_until(loop, [&] { return f->ready(); }));
  none = f->poll(out, 1000);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message(), "topic 't' has no partition 9, it has 2");
}

TEST_F(a_fetcher, leaves_out_control_batches_and_aborted_transactions) {
  settings.isolation = kafka::isolation_level::read_committed;
  start();
  wire::batch_builder b;
  b.append({}, "aborted", 1);
  const auto sealed =
      *b.seal({.producer_id = 5, .producer_epoch = 0, .base_sequence = 0, .transactional = true});
  wire::scratch_buffer section;
  section.append(sealed);
  wire::scratch_buffer marker;
  wire::append_marker_batch({wire::marker_type::abort, 0}, 5, 0, 1, 0, marker);
  wire::set_base_offset(marker.data(), 1);
  section.append(marker.view());
  b.reset(2);
  b.append({}, "committed", 1);
  section.append(*b.seal({.producer_id = 5, .producer_epoch = 0, .base_sequence = 1, .transactional = true}));
  kafka.script(api_key::fetch, [&](const seen_request& r) {
    wire::fetch_response a;
    auto& p = a.responses.emplace_back(wire::fetch_response::fetchable_topic_response{"t", {}, {}})
                  .partitions.emplace_back();
    p.high_watermark = p.last_stable_offset = 3;
    p.aborted_transactions = {{5, 0}};
    p.records = wire::records_field::borrow(section.view());
    return reaction::with(a, r.header.version);
  });
  f->assign({"t", 0}, 0);
  read(1);
  EXPECT_EQ(values[0], (std::vector<std::string>{"committed"}));
  EXPECT_EQ(f->position({"t", 0}), 3);
}

TEST_F(a_fetcher, takes_no_harm_from_answers_about_something_else) {
  start();
  fill(0, 10);
  kafka.script(api_key::fetch, [&](const seen_request& r) {
    wire::fetch_response a;
    for (const auto* topic : {"other", "t"}) {
      auto& t = a.responses.emplace_back();
      t.topic = topic;
      t.partitions.emplace_back().partition_index = 77;
      t.partitions.emplace_back().partition_index = -1;
    }
    return reaction::with(a, r.header.version);
  });
  f->assign({"t", 0}, 0);
  read(10);
}

TEST_F(a_fetcher, and_list_offsets_find_the_leaders) {
  start();
  fill(0, 10);
  fill(1, 20);
  kafka.partition("t", 0).log_start = 3;
  std::vector<result<std::int64_t>> found;
  list_offsets(*c,
               {{{"t", 1}, kafka::latest_offset},
                {{"t", 0}, kafka::earliest_offset},
                {{"t", 0}, kafka::latest_offset}},
               kafka::isolation_level::read_uncommitted, loop.time().now() + 5s,
               [&](auto r) { found = std::move(r); });
  kafka.script(api_key::list_offsets, [](const seen_request&) { return reaction{reaction::kind::cut, {}}; });
  ASSERT_TRUE(run_until(loop, [&] { return !found.empty(); }));
  std::vector<std::int64_t> offsets_found;
  for (const auto& one : found) offsets_found.push_back(one.value());
  EXPECT_EQ(offsets_found, (std::vector<std::int64_t>{20, 3, 10}));
}

TEST_F(a_fetcher, and_list_offsets_do_not_let_one_partition_spoil_the_others) {
  kafka.add_topic("u", 1);
  start();
  fill(0, 10);
  kafka.partition("u", 0).leader = -1;  // of which nobody has the records any more
  // A leader that refuses one of its partitions, for good.
  kafka.always(api_key::list_offsets, [&](const seen_request& r) {
    const auto ask = r.as<wire::list_offsets_request>();
    wire::list_offsets_response a;
    for (const auto& t : ask.topics) {
      auto& topic = a.topics.emplace_back();
      topic.name = t.name;
      for (const auto& p : t.partitions) {
        auto& out = topic.partitions.emplace_back();
        out.partition_index = p.partition_index;
        out.offset = 10;
        if (p.partition_index == 1)
          out.error_code = static_cast<std::int16_t>(error_code::topic_authorization_failed);
      }
    }
    return reaction::with(a, r.header.version);
  });
  std::vector<result<std::int64_t>> found;
  list_offsets(*c, {{{"u", 0}}, {{"t", 1}}, {{"t", 0}}, {{"t", 9}}}, kafka::isolation_level::read_uncommitted,
               loop.time().now() + 300ms, [&](auto r) { found = std::move(r); });
  ASSERT_TRUE(run_until(loop, [&] { return !found.empty(); }));
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].error().kind(), errc::timeout);
  EXPECT_NE(found[0].error().message().find("topic 'u', partition 0"), std::string::npos);
  EXPECT_EQ(static_cast<error_code>(found[1].error().kafka_code()), error_code::topic_authorization_failed);
  EXPECT_EQ(found[2].value(), 10);
  EXPECT_FALSE(found[3]);
}

// Brokers of a cluster with ZooKeeper answer before the controller has told them anything.
TEST_F(a_fetcher, does_not_believe_a_broker_that_knows_of_no_brokers) {
  settings.unknown_topic_after = 0ms;
  start();
  fill(0, 10);
  kafka.script(3, api_key::metadata, [](const seen_request& r) {
    wire::metadata_response a;
    auto& t = a.topics.emplace_back();
    t.name = "t";
    t.error_code = static_cast<std::int16_t>(error_code::unknown_topic_or_partition);
    return reaction::with(a, r.header.version);
  });
  f->assign({"t", 0}, 0);
  read(10);
  EXPECT_TRUE(errors.empty()) << errors.front().message();
}

TEST_F(a_fetcher, makes_no_topic_where_asking_for_one_makes_it) {
  kafka.limit(api_key::metadata, 0, 2);  // Kafka 0.10
  settings.unknown_topic_after = 30ms;
  start();
  fill(0, 10);
  std::vector<bool> by_name;
  kafka.always(api_key::metadata, [&](const seen_request& r) {
    const auto ask = r.as<wire::metadata_request>();
    by_name.push_back(ask.topics && !ask.topics->empty());
    return reaction{};
  });
  f->assign({"t", 0}, 0);
  read(10);
  f->assign({"nowhere", 0}, 0);
  ASSERT_TRUE(run_until(loop, [&] { return f->ready(); }));
  std::vector<fetched> out;
  EXPECT_EQ(f->poll(out, 1000).error().message(), "topic 'nowhere' does not exist");
  EXPECT_THAT(by_name, ::testing::Each(false));
  c->watch_topic("new", true);  // but a producer's may be made
  ASSERT_TRUE(run_until(loop, [&] { return by_name.back(); }));
}

}  // namespace
}  // namespace penstock::client
