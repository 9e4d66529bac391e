// SPDX-License-Identifier: Apache-2.0
// Where the fetcher reads: sessions, topic ids, replicas nearby, and logs that were cut back.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "client/fake_cluster.h"
#include "client/fetcher.h"
#include "wire/batch_builder.h"
#include "wire/messages/list_offsets.h"
#include "wire/messages/offset_for_leader_epoch.h"

namespace penstock::client {
namespace {

using testing::fake_cluster;
using testing::reaction;
using testing::run_until;
using testing::seen_request;
using wire::api_key;
using wire::error_code;
using namespace std::chrono_literals;

class a_reader : public ::testing::Test {
 protected:
  a_reader() : kafka(loop, 2) {
    connection.request_timeout = 2s;
    connection.retry_backoff = 2ms;
    connection.retry_backoff_max = 10ms;
    connection.metadata_max_age = 20ms;
    settings.max_wait = 20ms;
    settings.reset = kafka::offset_reset::earliest;
    kafka.add_topic("t", 4);
    for (std::int32_t p = 0; p < 4; ++p) kafka.partition("t", p).leader = 0;
    c = std::move(*cluster::create(loop, kafka.bootstrap(), connection));
  }
  void start() { f = std::make_unique<fetcher>(*c, settings); }
  void take() {
    std::vector<fetched> out;
    if (auto taken = f->poll(out, 1 << 20); !taken) errors.push_back(taken.error());
    for (auto& b : out) {
      record_view r;
      while (b.records.next(r)) values.emplace_back(fmt::format("{}:{}", b.partition->partition, r.value));
    }
  }
  bool read(std::size_t n) {
    return run_until(loop, [&] {
      take();
      return values.size() >= n || !errors.empty();
    });
  }
  // Has all fetches from now on looked at.
  void watch_fetches() {
    kafka.always(api_key::fetch, [this](const seen_request& r) {
      seen.push_back(r.as<wire::fetch_request>());
      brokers.push_back(r.broker);
      return reaction{};
    });
  }
  // A batch of one record under a leader epoch.
  void append(std::int32_t p, const std::string& value, std::int32_t epoch) {
    kafka.append("t", p, {value});
    wire::set_leader_epoch(kafka.partition("t", p).batches.back().data(), epoch);
  }
  void answer_epochs(std::int32_t epoch, std::int64_t end) {
    kafka.always(api_key::offset_for_leader_epoch, [=, this](const seen_request& r) {
      const auto ask = r.as<wire::offset_for_leader_epoch_request>();
      asked_epochs.push_back(ask.topics.at(0).partitions.at(0).leader_epoch);
      wire::offset_for_leader_epoch_response a;
      a.topics.push_back({"t", {{0, ask.topics.at(0).partitions.at(0).partition, epoch, end}}});
      return reaction::with(a, r.header.version);
    });
  }

  io::event_loop loop;
  fake_cluster kafka;
  kafka::connection_settings connection;
  fetcher_settings settings;
  std::unique_ptr<cluster> c;
  std::unique_ptr<fetcher> f;
  std::vector<std::string> values;
  std::vector<error> errors;
  std::vector<wire::fetch_request> seen;
  std::vector<std::int32_t> brokers, asked_epochs;
};

TEST_F(a_reader, tells_a_broker_with_sessions_only_what_changed) {
  kafka.fetch_sessions = true;
  for (std::int32_t p = 0; p < 4; ++p) kafka.append("t", p, {"a"});
  start();
  watch_fetches();
  for (std::int32_t p = 0; p < 4; ++p) f->assign({"t", p}, 0);
  ASSERT_TRUE(read(4));
  // Nothing new: requests that name no partition.
  const auto before = seen.size();
  ASSERT_TRUE(run_until(loop, [&] { return seen.size() > before + 3; }));
  EXPECT_TRUE(seen.back().topics.empty());
  EXPECT_GT(seen.back().session_id, 0);
  EXPECT_GT(seen.back().session_epoch, 1);
  seen.clear();
  kafka.append("t", 2, {"b"});
  ASSERT_TRUE(read(5));
  ASSERT_TRUE(run_until(loop, [&] { return seen.size() >= 2; }));
  ASSERT_EQ(seen[0].topics.size(), 1u);
  ASSERT_EQ(seen[0].topics[0].partitions.size(), 1u);
  EXPECT_EQ(seen[0].topics[0].partitions[0].partition, 2);
  EXPECT_EQ(seen[0].topics[0].partitions[0].fetch_offset, 2);
  // Taken away and given again at once: that is no news but for the offset.
  values.clear();
  f->remove({"t", 0});
  f->assign({"t", 0}, 0);
  ASSERT_TRUE(read(1));
  EXPECT_EQ(values[0], "0:a");
  kafka.append("t", 0, {"c"});
  ASSERT_TRUE(read(2));
  f->remove({"t", 1});
  f->pause({"t", 3});
  const auto forgets = [&] { return !seen.empty() && !seen.back().forgotten_topics_data.empty(); };
  ASSERT_TRUE(run_until(loop, forgets));
  EXPECT_THAT(seen.back().forgotten_topics_data[0].partitions, ::testing::UnorderedElementsAre(1, 3));
}

TEST_F(a_reader, closes_its_sessions) {
  kafka.fetch_sessions = true;
  for (std::int32_t p = 0; p < 2; ++p) kafka.append("t", p, {"a"});
  kafka.move_leader("t", 1, 1);
  start();
  f->assign({"t", 0}, 0);
  f->assign({"t", 1}, 0);
  ASSERT_TRUE(read(2));
  EXPECT_EQ(kafka.kept_fetch_sessions(), 2u);  // one a broker, and fetches that wait at both
  f->remove({"t", 0});
  f->remove({"t", 1});
  bool done = false;
  f->close_sessions([&] { done = true; });
  ASSERT_TRUE(run_until(loop, [&] { return done; }));
  EXPECT_EQ(kafka.kept_fetch_sessions(), 0u);
  f->close_sessions([&] { done = false; });  // nothing is left to say
  EXPECT_FALSE(done);
}

TEST_F(a_reader, begins_a_new_session_when_the_broker_forgot_the_old_one) {
  kafka.fetch_sessions = true;
  kafka.append("t", 0, {"a"});
  start();
  f->assign({"t", 0}, 0);
  ASSERT_TRUE(read(1));
  kafka.forget_fetch_sessions();
  kafka.append("t", 0, {"b"});
  ASSERT_TRUE(read(2));
  // An epoch that the broker does not expect, and a connection that breaks.
  for (const auto wrong : {error_code::invalid_fetch_session_epoch, error_code::fetch_session_topic_id_error})
    kafka.script(api_key::fetch, [wrong](const seen_request& r) {
      wire::fetch_response a;
      a.error_code = static_cast<std::int16_t>(wrong);
      return reaction::with(a, r.header.version);
    });
  kafka.script(api_key::fetch, [](const seen_request&) { return reaction{reaction::kind::cut, {}}; });
  kafka.append("t", 0, {"c"});
  ASSERT_TRUE(read(3));
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(values, (std::vector<std::string>{"0:a", "0:b", "0:c"}));
}

TEST_F(a_reader, names_topics_by_their_ids) {
  kafka.set_topic_id("t", {1, 7});
  kafka.fetch_sessions = true;
  kafka.append("t", 0, {"a"});
  kafka.append("t", 1, {"b"});
  start();
  watch_fetches();
  f->assign({"t", 0}, 0);
  f->assign({"t", 1}, 0);
  ASSERT_TRUE(read(2));
  EXPECT_EQ(seen[0].topics.at(0).topic_id, (wire::uuid{1, 7}));
  EXPECT_TRUE(seen[0].topics.at(0).topic.empty());
}

TEST_F(a_reader, begins_a_topic_that_was_made_anew_at_its_start) {
  kafka.set_topic_id("t", {1, 7});
  for (const char* v : {"a", "b", "c"}) kafka.append("t", 0, {v});
  start();
  f->assign({"t", 0}, 0);
  ASSERT_TRUE(read(3));
  kafka.partition("t", 0) = {};
  kafka.set_topic_id("t", {1, 8});
  for (const char* v : {"A", "B", "C", "D"}) kafka.append("t", 0, {v});
  ASSERT_TRUE(read(7));
  EXPECT_EQ(values[3], "0:A");
  EXPECT_EQ(values.size(), 7u);
}

TEST_F(a_reader, says_that_a_topic_was_made_anew_if_it_is_to_be_told) {
  settings.reset = kafka::offset_reset::none;
  kafka.set_topic_id("t", {1, 7});
  kafka.append("t", 0, {"a"});
  start();
  f->assign({"t", 0}, 0);
  ASSERT_TRUE(read(1));
  kafka.set_topic_id("t", {1, 8});
  ASSERT_TRUE(read(2));
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].kind(), errc::data_loss);
  EXPECT_NE(errors[0].message().find("topic 't', partition 0: the topic was deleted and made anew"),
            std::string::npos);
}

TEST_F(a_reader, reads_from_the_replica_that_its_leader_recommends) {
  settings.rack = "here";
  connection.metadata_max_age = 300ms;
  c = std::move(*cluster::create(loop, kafka.bootstrap(), connection));
  start();
  kafka.append("t", 0, {"a"});
  std::vector<std::int32_t> from;
  kafka.always(api_key::fetch, [&](const seen_request& r) {
    const auto ask = r.as<wire::fetch_request>();
    from.push_back(r.broker);
    EXPECT_EQ(ask.rack_id, "here");
    wire::fetch_response a;
    auto& p = a.responses.emplace_back(wire::fetch_response::fetchable_topic_response{"t", {}, {}})
                  .partitions.emplace_back();
    p.high_watermark = 1;
    p.records.null = false;
    if (r.broker == 0)
      p.preferred_read_replica = 1;
    else if (ask.topics.at(0).partitions.at(0).fetch_offset == 0)
      p.records = wire::records_field::borrow(kafka.partition("t", 0).batches[0]);
    return reaction::with(a, r.header.version);
  });
  f->assign({"t", 0}, 0);
  ASSERT_TRUE(read(1));
  ASSERT_GE(from.size(), 2u);
  EXPECT_EQ(from[0], 0);
  EXPECT_EQ(from[1], 1);
  // The recommendation expires, and an error there leads back to the leader.
  from.clear();
  ASSERT_TRUE(run_until(loop, [&] { return std::count(from.begin(), from.end(), 0) > 0; }));
  from.clear();
  kafka.script(api_key::fetch, [&](const seen_request& r) {
    from.push_back(r.broker);
    wire::fetch_response a;
    a.responses.emplace_back(wire::fetch_response::fetchable_topic_response{"t", {}, {}})
        .partitions.emplace_back()
        .error_code = static_cast<std::int16_t>(error_code::offset_out_of_range);
    return reaction::with(a, r.header.version);
  });
  ASSERT_TRUE(run_until(loop, [&] { return from.size() >= 2; }));
  EXPECT_EQ(from[0], 1);
  EXPECT_EQ(from[1], 0);
  EXPECT_TRUE(errors.empty());
}

TEST_F(a_reader, goes_back_to_where_a_log_was_cut_when_its_leader_changed) {
  start();
  append(0, "a", 0);
  append(0, "b", 0);
  append(0, "c", 0);
  f->assign({"t", 0}, 0);
  ASSERT_TRUE(read(3));
  // The new leader had only the first, and others since.
  auto& p = kafka.partition("t", 0);
  p.batches.resize(1);
  p.end = 1;
  answer_epochs(0, 1);
  p.leader = 1;
  p.leader_epoch = 1;
  for (const char* v : {"B", "C", "D"}) append(0, v, 1);
  ASSERT_TRUE(read(6));
  EXPECT_EQ(values, (std::vector<std::string>{"0:a", "0:b", "0:c", "0:B", "0:C", "0:D"}));
  EXPECT_EQ(asked_epochs.at(0), 0);
}

TEST_F(a_reader, says_that_a_log_was_cut_if_it_is_to_be_told) {
  settings.reset = kafka::offset_reset::none;
  start();
  append(0, "a", 0);
  append(0, "b", 0);
  f->assign({"t", 0}, 0);
  ASSERT_TRUE(read(2));
  answer_epochs(0, 1);
  kafka.partition("t", 0).leader_epoch = 1;
  ASSERT_TRUE(read(3));
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].kind(), errc::data_loss);
  EXPECT_NE(errors[0].message().find("cut back to offset 1"), std::string::npos) << errors[0].message();
}

TEST_F(a_reader, goes_on_where_the_new_leader_has_everything) {
  start();
  append(0, "a", 0);
  f->assign({"t", 0}, 0);
  ASSERT_TRUE(read(1));
  answer_epochs(0, 1);
  kafka.move_leader("t", 0, 1);
  append(0, "b", 1);
  ASSERT_TRUE(read(2));
  EXPECT_EQ(asked_epochs.size(), 1u);
  // Also a committed position is checked, by the epoch it was committed with.
  values.clear();
  f->assign({"t", 0}, 1, 0, 0);
  ASSERT_TRUE(read(1));
  EXPECT_EQ(asked_epochs.size(), 2u);
}

TEST_F(a_reader, sees_a_divergence_in_the_answer_to_a_fetch) {
  start();
  append(0, "a", 3);
  append(0, "b", 3);
  f->assign({"t", 0}, 0);
  ASSERT_TRUE(read(2));
  wire::fetch_request asked;
  kafka.script(api_key::fetch, [&](const seen_request& r) {
    asked = r.as<wire::fetch_request>();
    wire::fetch_response a;
    auto& p = a.responses.emplace_back(wire::fetch_response::fetchable_topic_response{"t", {}, {}})
                  .partitions.emplace_back();
    p.diverging_epoch = {2, 1};
    p.records.null = false;
    return reaction::with(a, r.header.version);
  });
  ASSERT_TRUE(read(3));
  EXPECT_EQ(asked.topics.at(0).partitions.at(0).last_fetched_epoch, 3);
  EXPECT_EQ(values.back(), "0:b");
}

TEST_F(a_reader, begins_at_a_time) {
  start();
  for (const char* v : {"a", "b", "c"}) kafka.append("t", 0, {v});
  for (const auto& [time, offset] : {std::pair{1000, 1}, {5000, -1}}) {
    kafka.script(api_key::list_offsets, [time = time, offset = offset](const seen_request& r) {
      EXPECT_EQ(r.as<wire::list_offsets_request>().topics.at(0).partitions.at(0).timestamp, time);
      wire::list_offsets_response a;
      auto& p = a.topics.emplace_back(wire::list_offsets_response::list_offsets_topic_response{"t", {}})
                    .partitions.emplace_back();
      p.offset = offset;
      return reaction::with(a, r.header.version);
    });
  }
  f->assign_at_time({"t", 0}, 1000);
  ASSERT_TRUE(run_until(loop, [&] { return f->position({"t", 0}) == 1; }));
  // Nothing is that young: at the end.
  f->assign_at_time({"t", 0}, 5000);
  ASSERT_TRUE(run_until(loop, [&] { return f->position({"t", 0}) == 3; }));
}

TEST_F(a_reader, keeps_what_is_parked_for_paused_partitions_within_its_bound) {
  settings.max_buffered_bytes = 40'000;
  settings.max_bytes = 10'000;
  settings.partition_max_bytes = 10'000;
  start();
  for (int i = 0; i < 400; ++i)
    for (std::int32_t p = 0; p < 4; ++p) kafka.append("t", p, {std::string(100, 'x')});
  for (std::int32_t p = 0; p < 4; ++p) f->assign({"t", p}, 0);
  ASSERT_TRUE(run_until(loop, [&] { return f->buffered_bytes() > 25'000; }));
  for (std::int32_t p = 0; p < 3; ++p) f->pause({"t", p});
  ASSERT_TRUE(read(400));  // the fourth is not starved
  EXPECT_LE(f->buffered_bytes(), 40'000u);
  for (std::int32_t p = 0; p < 3; ++p) f->resume({"t", p});
  ASSERT_TRUE(read(1600));
  EXPECT_EQ(values.size(), 1600u);
}

}  // namespace
}  // namespace penstock::client
