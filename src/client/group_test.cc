// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/assignors.h"
#include "client/fake_cluster.h"
#include "client/group_member.h"
#include "client/offsets.h"
#include "wire/messages/leave_group.h"
#include "wire/messages/offset_commit.h"
#include "wire/messages/offset_fetch.h"

namespace penstock::client {
namespace {

using kafka::assignor;
using kafka::topic_partition;
using testing::fake_cluster;
using testing::reaction;
using testing::run_until;
using testing::seen_request;
using wire::api_key;
using wire::error_code;
using namespace std::chrono_literals;

std::string show(const group_assignment& a) {
  std::string text;
  for (const auto& [member, partitions] : a) {
    text += member + ":";
    for (const auto& tp : partitions) text += fmt::format(" {}{}", tp.topic, tp.partition);
    text += "; ";
  }
  return text;
}

// The expected results are those of Kafka's RangeAssignor and RoundRobinAssignor, from their documentation.
TEST(assignors, range_gives_consecutive_partitions_of_each_topic) {
  const std::map<std::string, std::int32_t> topics{{"s", 3}, {"t", 3}};
  EXPECT_EQ(show(share_out(assignor::range, {{"c1", "", {"s", "t"}}, {"c0", "", {"t", "s"}}}, topics)),
            "c0: s0 s1 t0 t1; c1: s2 t2; ");
  EXPECT_EQ(show(share_out(assignor::range,
                           {{"a", "", {"s"}}, {"b", "", {"s"}}, {"c", "", {"s"}}, {"d", "", {"s"}}}, topics)),
            "a: s0; b: s1; c: s2; d:; ");
  // A static member's place is by its instance id.
  EXPECT_EQ(show(share_out(assignor::range, {{"a", "", {"s"}}, {"z", "i1", {"s"}}}, topics)),
            "a: s2; z: s0 s1; ");
}

TEST(assignors, round_robin_deals_partitions_out_in_turn) {
  const std::map<std::string, std::int32_t> topics{{"s", 3}, {"t", 3}};
  EXPECT_EQ(show(share_out(assignor::round_robin, {{"c0", "", {"s", "t"}}, {"c1", "", {"s", "t"}}}, topics)),
            "c0: s0 s2 t1; c1: s1 t0 t2; ");
  const std::map<std::string, std::int32_t> sizes{{"x", 1}, {"y", 2}, {"z", 3}};
  EXPECT_EQ(show(share_out(assignor::round_robin,
                           {{"c0", "", {"x"}}, {"c1", "", {"x", "y"}}, {"c2", "", {"x", "y", "z"}}}, sizes)),
            "c0: x0; c1: y0; c2: y1 z0 z1 z2; ");
}

TEST(assignors, sticky_is_balanced_and_moves_little) {
  const std::map<std::string, std::int32_t> topics{{"t", 9}};
  std::vector<group_subscription> members{{"a", "", {"t"}}, {"b", "", {"t"}}};
  auto first = share_out(assignor::sticky, members, topics);
  EXPECT_EQ(first["a"].size() + first["b"].size(), 9u);
  members.push_back({"c", "", {"t"}});
  members[0].owned = first["a"];
  members[1].owned = first["b"];
  auto second = share_out(assignor::sticky, members, topics);
  std::size_t kept = 0;
  for (const auto* m : {"a", "b"})
    for (const auto& tp : second[m]) kept += std::count(first[m].begin(), first[m].end(), tp) > 0 ? 1 : 0;
  EXPECT_EQ(kept, 6u);
  EXPECT_EQ(second["c"].size(), 3u);
  // Two claims: the later generation's counts.
  members = {{"a", "", {"t"}, {{"t", 0}}, 4}, {"b", "", {"t"}, {{"t", 0}}, 5}};
  EXPECT_THAT(share_out(assignor::sticky, members, {{"t", 2}})["b"],
              ::testing::ElementsAre(topic_partition{"t", 0}));
}

TEST(assignors, every_partition_goes_to_exactly_one_who_wants_it) {
  io::seeded_random random(11);
  for (int round = 0; round < 200; ++round) {
    std::map<std::string, std::int32_t> topics;
    for (const char* t : {"a", "b", "c"}) topics[t] = static_cast<std::int32_t>(random.next() % 7);
    std::vector<group_subscription> members;
    for (std::uint64_t m = 0; m <= random.next() % 5; ++m) {
      auto& s = members.emplace_back(group_subscription{fmt::format("m{}", m), "", {}});
      for (const auto& [t, n] : topics)
        if (random.next() % 2 == 0) s.topics.push_back(t);
    }
    for (const auto how : {assignor::range, assignor::round_robin, assignor::sticky}) {
      std::map<topic_partition, int> owners;
      for (const auto& [id, list] : share_out(how, members, topics)) {
        const auto& m =
            *std::find_if(members.begin(), members.end(), [&](const auto& x) { return x.member_id == id; });
        for (const auto& tp : list) {
          ++owners[tp];
          EXPECT_THAT(m.topics, ::testing::Contains(tp.topic));
        }
      }
      for (const auto& [t, n] : topics) {
        const bool wanted = std::any_of(members.begin(), members.end(), [&](const auto& m) {
          return std::find(m.topics.begin(), m.topics.end(), t) != m.topics.end();
        });
        for (std::int32_t p = 0; p < n; ++p) EXPECT_EQ((owners[{t, p}]), wanted ? 1 : 0);
      }
    }
  }
}

TEST(consumer_protocol, comes_back_as_it_went) {
  group_subscription s{"m", "i", {"x", "y"}, {{"x", 1}, {"y", 0}}, 7, "rack", std::string("a\0b", 3)};
  auto back = decode_subscription("own", "m", "i", encode_subscription(s));
  EXPECT_EQ(back.topics, s.topics);
  EXPECT_EQ(back.owned, s.owned);
  EXPECT_EQ(back.generation, 7);
  EXPECT_EQ(back.rack, "rack");
  EXPECT_EQ(back.user_data, s.user_data);
  // The sticky assignor's memory is in its user data, whatever else is said.
  s.user_data = encode_sticky_memory({{"y", 2}}, 5);
  back = decode_subscription("sticky", "m", "i", encode_subscription(s));
  EXPECT_THAT(back.owned, ::testing::ElementsAre(topic_partition{"y", 2}));
  EXPECT_EQ(back.generation, 5);
  const kafka::member_share a{{{"x", 1}, {"x", 3}, {"y", 0}}, "told"};
  EXPECT_EQ(decode_assignment(encode_assignment(a)).partitions, a.partitions);
  EXPECT_EQ(decode_assignment(encode_assignment(a)).user_data, "told");
  for (const char* bad : {"", "\0", "\0\1\x7f\xff\xff\xff", "\xff\xff\0\0\0\0"}) {
    EXPECT_TRUE(decode_assignment(bad).partitions.empty());
    EXPECT_TRUE(decode_subscription("range", "m", "", bad).topics.empty());
  }
}

class a_member : public ::testing::Test {
 protected:
  a_member() : kafka(loop, 2) {
    connection.request_timeout = 2s;
    connection.retry_backoff = 2ms;
    connection.retry_backoff_max = 10ms;
    connection.reconnect_backoff = 2ms;
    settings.group_id = "g";
    settings.assignors = {make_assignor(assignor::range)};
    settings.session_timeout = 500ms;
    settings.heartbeat_interval = 5ms;
    settings.rebalance_timeout = 5s;
    kafka.add_topic("t", 3);
    kafka.coordinator = 1;
    always_join();
    kafka.always(api_key::sync_group, [this](const seen_request& r) {
      const auto ask = r.as<wire::sync_group_request>();
      wire::sync_group_response a;
      for (const auto& given : ask.assignments)
        if (given.member_id == ask.member_id) a.assignment = given.assignment;
      ++syncs;
      return reaction::with(a, r.header.version);
    });
    kafka.always(api_key::heartbeat, [](const seen_request& r) {
      return reaction::with(wire::heartbeat_response{}, r.header.version);
    });
    kafka.always(api_key::leave_group, [this](const seen_request& r) {
      for (const auto& m : r.as<wire::leave_group_request>().members) left.push_back(m.member_id);
      return reaction::with(wire::leave_group_response{}, r.header.version);
    });
  }
  // A coordinator with one member, which leads.
  void always_join() {
    kafka.always(api_key::join_group, [this](const seen_request& r) {
      const auto ask = r.as<wire::join_group_request>();
      wire::join_group_response a;
      if (ask.member_id.empty()) {
        a.error_code = static_cast<std::int16_t>(error_code::member_id_required);
        a.member_id = fmt::format("member-{}", ++members);
        return reaction::with(a, r.header.version);
      }
      a.generation_id = ++generations;
      a.leader = a.member_id = ask.member_id;
      a.protocol_name = ask.protocols.at(0).name;
      a.members.push_back({ask.member_id, std::nullopt, ask.protocols.at(0).metadata});
      return reaction::with(a, r.header.version);
    });
  }
  void start() {
    c = std::move(*cluster::create(loop, kafka.bootstrap(), connection));
    group_handlers h;
    h.assigned = [this](const group_generation& g) { assigned.push_back(g); };
    h.renamed = [](const std::string&, std::int32_t) {};
    h.rebalance = [this] {
      ++rebalances;
      if (prompt) member->rejoin();
    };
    h.lost = [this](const error& e) {
      lost.push_back(e.message());
      if (prompt) member->rejoin();
    };
    h.failed = [this](const error& e) { failed.push_back(e.message()); };
    h.last_poll = [this] { return last_poll.value_or(loop.time().now()); };
    member = std::make_unique<group_member>(*c, settings, std::move(h));
    member->start(topic_selection::names({"t"}));
  }
  void heartbeat_fails(error_code code) {
    kafka.script(api_key::heartbeat, [code](const seen_request& r) {
      wire::heartbeat_response a;
      a.error_code = static_cast<std::int16_t>(code);
      return reaction::with(a, r.header.version);
    });
  }
  bool wait_for(std::size_t assignments) {
    return run_until(loop, [&] { return assigned.size() >= assignments; });
  }

  io::event_loop loop;
  fake_cluster kafka;
  kafka::connection_settings connection;
  group_settings settings;
  std::unique_ptr<cluster> c;
  std::unique_ptr<group_member> member;
  int members = 0, generations = 0, syncs = 0, rebalances = 0;
  bool prompt = true;
  std::optional<io::instant> last_poll;
  std::vector<group_generation> assigned;
  std::vector<std::string> lost, failed, left;
};

TEST_F(a_member, joins_leads_and_gets_everything) {
  start();
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(assigned[0].member_id, "member-1");
  EXPECT_EQ(assigned[0].id, 1);
  EXPECT_THAT(assigned[0].partitions, ::testing::ElementsAre(topic_partition{"t", 0}, topic_partition{"t", 1},
                                                             topic_partition{"t", 2}));
  const auto beats = kafka.count(api_key::heartbeat);
  EXPECT_TRUE(run_until(loop, [&] { return kafka.count(api_key::heartbeat) > beats + 3; }));
  EXPECT_EQ(rebalances, 0);
}

TEST_F(a_member, rebalances_when_the_group_does) {
  start();
  ASSERT_TRUE(wait_for(1));
  heartbeat_fails(error_code::rebalance_in_progress);
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(rebalances, 1);
  EXPECT_EQ(assigned[1].id, 2);
  EXPECT_EQ(assigned[1].member_id, "member-1");
}

TEST_F(a_member, goes_on_with_heartbeats_until_the_application_is_ready) {
  prompt = false;
  start();
  ASSERT_TRUE(wait_for(1));
  heartbeat_fails(error_code::rebalance_in_progress);
  ASSERT_TRUE(run_until(loop, [&] { return rebalances == 1; }));
  const auto beats = kafka.count(api_key::heartbeat);
  ASSERT_TRUE(run_until(loop, [&] { return kafka.count(api_key::heartbeat) > beats + 3; }));
  EXPECT_EQ(assigned.size(), 1u);
  member->rejoin();
  EXPECT_TRUE(wait_for(2));
}

TEST_F(a_member, joins_anew_when_the_coordinator_forgot_it) {
  start();
  ASSERT_TRUE(wait_for(1));
  heartbeat_fails(error_code::unknown_member_id);
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(lost.size(), 1u);
  EXPECT_EQ(assigned[1].member_id, "member-2");
  heartbeat_fails(error_code::illegal_generation);
  ASSERT_TRUE(wait_for(3));
  EXPECT_EQ(assigned[2].member_id, "member-2");
}

TEST_F(a_member, finds_a_coordinator_that_moved) {
  start();
  ASSERT_TRUE(wait_for(1));
  kafka.coordinator = 0;
  heartbeat_fails(error_code::not_coordinator);
  const auto asked = kafka.count(api_key::find_coordinator);
  ASSERT_TRUE(run_until(loop, [&] { return kafka.count(api_key::find_coordinator) > asked; }));
  const auto beats = kafka.count(api_key::heartbeat);
  ASSERT_TRUE(run_until(loop, [&] { return kafka.count(api_key::heartbeat) > beats + 2; }));
  EXPECT_EQ(assigned.size(), 1u);
  EXPECT_EQ(lost.size(), 0u);
}

TEST_F(a_member, survives_answers_that_pass_while_joining) {
  const auto once = [&](api_key key, auto response, error_code code) {
    response.error_code = static_cast<std::int16_t>(code);
    kafka.script(key,
                 [response](const seen_request& r) { return reaction::with(response, r.header.version); });
  };
  once(api_key::join_group, wire::join_group_response{}, error_code::coordinator_load_in_progress);
  once(api_key::join_group, wire::join_group_response{}, error_code::not_coordinator);
  kafka.script(api_key::join_group, [](const seen_request&) { return reaction{reaction::kind::cut, {}}; });
  once(api_key::sync_group, wire::sync_group_response{}, error_code::rebalance_in_progress);
  once(api_key::sync_group, wire::sync_group_response{}, error_code::illegal_generation);
  once(api_key::sync_group, wire::sync_group_response{}, error_code::unknown_member_id);
  start();
  EXPECT_TRUE(wait_for(1));
  EXPECT_EQ(failed.size(), 0u);
}

TEST_F(a_member, fails_for_good_where_trying_again_is_no_use) {
  kafka.script(api_key::join_group, [](const seen_request& r) {
    wire::join_group_response a;
    a.error_code = static_cast<std::int16_t>(error_code::inconsistent_group_protocol);
    return reaction::with(a, r.header.version);
  });
  start();
  ASSERT_TRUE(run_until(loop, [&] { return !failed.empty(); }));
  EXPECT_NE(failed[0].find("group 'g'"), std::string::npos) << failed[0];
}

TEST_F(a_member, notices_new_partitions_when_it_leads) {
  connection.metadata_max_age = 10ms;
  start();
  ASSERT_TRUE(wait_for(1));
  kafka.add_topic("t", 5);
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(assigned[1].partitions.size(), 5u);
}

TEST_F(a_member, gives_its_partitions_up_when_the_application_does_not_poll) {
  settings.rebalance_timeout = 50ms;
  prompt = false;
  start();
  ASSERT_TRUE(wait_for(1));
  last_poll = loop.time().now();
  ASSERT_TRUE(run_until(loop, [&] { return !lost.empty(); }));
  EXPECT_NE(lost[0].find("max.poll.interval.ms"), std::string::npos);
  ASSERT_TRUE(run_until(loop, [&] { return !left.empty(); }));
  EXPECT_EQ(left[0], "member-1");
  last_poll.reset();
  member->rejoin();
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(assigned[1].member_id, "member-2");
}

TEST_F(a_member, leaves) {
  start();
  ASSERT_TRUE(wait_for(1));
  bool done = false;
  member->leave([&] { done = true; });
  ASSERT_TRUE(run_until(loop, [&] { return done; }));
  EXPECT_THAT(left, ::testing::ElementsAre("member-1"));
}

TEST_F(a_member, commits_and_reads_offsets_through_the_coordinator) {
  std::map<std::pair<std::string, std::int32_t>, std::int64_t> stored;
  kafka.script(api_key::offset_commit, [](const seen_request& r) {
    wire::offset_commit_response a;
    a.topics.push_back({"t", {}, {{0, static_cast<std::int16_t>(error_code::not_coordinator)}}});
    return reaction::with(a, r.header.version);
  });
  kafka.always(api_key::offset_commit, [&](const seen_request& r) {
    const auto ask = r.as<wire::offset_commit_request>();
    wire::offset_commit_response a;
    for (const auto& t : ask.topics) {
      auto& out = a.topics.emplace_back();
      out.name = t.name;
      for (const auto& p : t.partitions) {
        out.partitions.push_back({p.partition_index, 0});
        stored[{t.name, p.partition_index}] = p.committed_offset;
      }
    }
    return reaction::with(a, r.header.version);
  });
  kafka.always(api_key::offset_fetch, [&](const seen_request& r) {
    const auto ask = r.as<wire::offset_fetch_request>();
    wire::offset_fetch_response a;
    auto& g = a.groups.emplace_back();
    g.group_id = "g";
    for (const auto& t : *ask.groups.at(0).topics) {
      auto& out = g.topics.emplace_back();
      out.name = t.name;
      for (const auto p : t.partition_indexes) {
        const auto it = stored.find({t.name, p});
        out.partitions.push_back({p, it == stored.end() ? -1 : it->second, -1, "", 0});
      }
    }
    return reaction::with(a, r.header.version);
  });
  kafka.limit(api_key::offset_fetch, 0, 9);
  c = std::move(*cluster::create(loop, kafka.bootstrap(), connection));
  const auto deadline = loop.time().now() + 5s;
  std::optional<result<>> committed;
  commit_offsets(*c, {.group_id = "g"}, {{{"t", 0}, {.offset = 5}}, {{"t", 2}, {.offset = 9}}}, deadline,
                 [&](result<> r) { committed = std::move(r); });
  ASSERT_TRUE(run_until(loop, [&] { return committed.has_value(); }));
  ASSERT_TRUE(*committed) << committed->error().message();
  std::optional<result<std::vector<kafka::partition_offset>>> found;
  fetch_committed(*c, "g", {{"t", 2}, {"t", 1}, {"t", 0}}, deadline, [&](auto r) { found = std::move(r); });
  ASSERT_TRUE(run_until(loop, [&] { return found.has_value(); }));
  ASSERT_TRUE(*found) << found->error().message();
  ASSERT_EQ((*found)->size(), 3u);
  EXPECT_EQ((**found)[0].position.offset, 9);
  EXPECT_EQ((**found)[1].position.offset, kafka::no_offset);
  EXPECT_EQ((**found)[2].position.offset, 5);
}

}  // namespace
}  // namespace penstock::client
