// SPDX-License-Identifier: Apache-2.0
// Members that keep their partitions through rebalances: cooperative ones, and those whose broker assigns.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/assigned_member.h"
#include "client/assignors.h"
#include "client/fake_cluster.h"
#include "client/group_member.h"
#include "wire/messages/leave_group.h"

namespace penstock::client {
namespace {

using kafka::assignor;
using kafka::topic_partition;
using ::testing::ElementsAre;
using testing::fake_cluster;
using ::testing::IsEmpty;
using testing::reaction;
using testing::run_until;
using testing::seen_request;
using wire::api_key;
using wire::error_code;
using namespace std::chrono_literals;

std::string show(const std::vector<topic_partition>& partitions) {
  std::string text;
  for (const auto& tp : partitions) text += fmt::format("{}{} ", tp.topic, tp.partition);
  return text;
}

group_subscription owner(std::string id, std::vector<topic_partition> owned, std::int32_t generation = 1) {
  return {std::move(id), "", {"t"}, std::move(owned), generation};
}

TEST(cooperative_sticky, gives_nothing_away_before_it_is_free) {
  const partition_counts four{{"t", 4}};
  const auto a = owner("a", {{"t", 0}, {"t", 1}, {"t", 2}, {"t", 3}});
  auto first = share_out(assignor::cooperative_sticky, {a, owner("b", {}, -1)}, four);
  EXPECT_EQ(show(first["a"]), "t0 t1 ");
  EXPECT_EQ(show(first["b"]), "");
  auto second = share_out(assignor::cooperative_sticky, {owner("a", first["a"], 2), owner("b", {}, 2)}, four);
  EXPECT_EQ(show(second["a"]), "t0 t1 ");
  EXPECT_EQ(show(second["b"]), "t2 t3 ");
}

TEST(cooperative_sticky, believes_the_latest_of_two_claims_and_neither_of_equal_ones) {
  const partition_counts two{{"t", 2}};
  auto shares = share_out(assignor::cooperative_sticky,
                          {owner("a", {{"t", 0}}, 4), owner("b", {{"t", 0}, {"t", 1}}, 5)}, two);
  EXPECT_EQ(show(shares["b"]), "t0 ");
  shares =
      share_out(assignor::cooperative_sticky, {owner("a", {{"t", 0}}, 5), owner("b", {{"t", 0}}, 5)}, two);
  EXPECT_EQ(show(shares["a"]) + show(shares["b"]), "t1 ");
}

TEST(sticky, moves_single_partitions_where_subscriptions_differ) {
  const partition_counts topics{{"t", 4}, {"u", 4}};
  auto shares = share_out(
      assignor::sticky,
      {{"a", "", {"t", "u"}, {{"t", 0}, {"t", 1}, {"t", 2}, {"t", 3}}, 1}, {"b", "", {"u"}}}, topics);
  EXPECT_EQ(show(shares["a"]), "t0 t1 t2 t3 ");
  EXPECT_EQ(show(shares["b"]), "u0 u1 u2 u3 ");
}

// The bytes of Kafka's ConsumerProtocol, version 3.
TEST(consumer_protocol, is_kafkas) {
  const group_subscription s{"m", "", {"t"}, {{"t", 1}}, 7, "r", "u"};
  const std::string expected(
      "\0\3"                           // version
      "\0\0\0\1\0\1t"                  // topics
      "\0\0\0\1u"                      // user data
      "\0\0\0\1\0\1t\0\0\0\1\0\0\0\1"  // owned partitions
      "\0\0\0\7"                       // generation
      "\0\1r",                         // rack
      36);
  EXPECT_EQ(encode_subscription(s), expected);
  const auto sticky = encode_sticky_memory({{"t", 1}, {"t", 2}}, 3);
  EXPECT_EQ(sticky, std::string("\0\0\0\1\0\1t\0\0\0\2\0\0\0\1\0\0\0\2\0\0\0\3", 23));
  // What older members send.
  EXPECT_THAT(
      decode_subscription("range", "m", "", std::string_view("\0\0\0\0\0\1\0\1t\xff\xff\xff\xff", 13)).topics,
      ElementsAre("t"));
  auto old = decode_subscription("cooperative-sticky", "m", "",
                                 std::string_view("\0\1\0\0\0\1\0\1t\0\0\0\4\0\0\0\x9\0\0\0\0", 21));
  EXPECT_EQ(old.generation, 9);
}

/// Counts calls and gives everything to the member whose user data is the greatest.
class greatest_first : public kafka::partition_assignor {
 public:
  std::string_view name() const override { return "greatest"; }
  std::string user_data(const std::vector<std::string>& /*topics*/) override { return "mine"; }
  std::map<std::string, kafka::member_share> share_out(const std::vector<kafka::group_member_info>& members,
                                                       const partition_counts& partitions) override {
    seen = members;
    const auto& best = *std::max_element(members.begin(), members.end(), [](const auto& a, const auto& b) {
      return a.user_data < b.user_data;
    });
    std::map<std::string, kafka::member_share> shares;
    for (const auto& [topic, count] : partitions)
      for (std::int32_t p = 0; p < count; ++p) shares[best.member_id].partitions.push_back({topic, p});
    shares[best.member_id].user_data = "yours";
    return shares;
  }
  void on_assignment(const kafka::member_share& mine, std::int32_t /*generation*/) override { told = mine; }

  std::vector<kafka::group_member_info> seen;
  kafka::member_share told;
};

class a_group : public ::testing::Test {
 protected:
  a_group() : kafka(loop, 1) {
    connection.request_timeout = 2s;
    connection.retry_backoff = 2ms;
    connection.retry_backoff_max = 10ms;
    connection.metadata_max_age = 10ms;
    settings.group_id = "g";
    settings.heartbeat_interval = 5ms;
    settings.session_timeout = 500ms;
    settings.rebalance_timeout = 5s;
    settings.assignors = {make_assignor(assignor::cooperative_sticky)};
    kafka.add_topic("t", 4);
    kafka.set_topic_id("t", {0, 1});
    serve_classic();
  }
  // A classic coordinator whose other members are made up: their subscriptions are in `others`.
  void serve_classic() {
    kafka.always(api_key::join_group, [this](const seen_request& r) {
      const auto ask = r.as<wire::join_group_request>();
      wire::join_group_response a;
      a.generation_id = ++generation;
      a.leader = a.member_id = "me";
      a.protocol_name = ask.protocols.at(0).name;
      joined.push_back(decode_subscription(*a.protocol_name, "me", "", ask.protocols.at(0).metadata));
      a.members.push_back({"me", std::nullopt, ask.protocols.at(0).metadata});
      for (const auto& o : others) a.members.push_back({o.member_id, std::nullopt, encode_subscription(o)});
      return reaction::with(a, r.header.version);
    });
    kafka.always(api_key::sync_group, [this](const seen_request& r) {
      wire::sync_group_response a;
      shares.clear();
      for (const auto& given : r.as<wire::sync_group_request>().assignments) {
        shares[given.member_id] = decode_assignment(given.assignment).partitions;
        if (given.member_id == "me") a.assignment = given.assignment;
      }
      return reaction::with(a, r.header.version);
    });
    kafka.always(api_key::heartbeat, [](const seen_request& r) {
      return reaction::with(wire::heartbeat_response{}, r.header.version);
    });
    kafka.always(api_key::leave_group, [](const seen_request& r) {
      return reaction::with(wire::leave_group_response{}, r.header.version);
    });
  }
  // A coordinator of the newer protocol.
  void serve_assigned() {
    kafka.always(api_key::consumer_group_heartbeat, [this](const seen_request& r) {
      const auto ask = r.as<wire::consumer_group_heartbeat_request>();
      beats.push_back(ask);
      wire::consumer_group_heartbeat_response a;
      a.member_id = ask.member_id;
      a.heartbeat_interval_ms = 5;
      if (ask.member_epoch < 0) {
        a.member_epoch = ask.member_epoch;
        return reaction::with(a, r.header.version);
      }
      if (ask.member_epoch == 0) ++epoch;
      a.member_epoch = epoch;
      if (target && (ask.member_epoch == 0 || std::exchange(fresh, false))) {
        a.assignment.emplace();
        a.assignment->topic_partitions.push_back({{0, 1}, *target});
      }
      return reaction::with(a, r.header.version);
    });
  }
  template <typename Member>
  void start(topic_selection topics) {
    c = std::move(*cluster::create(loop, kafka.bootstrap(), connection));
    group_handlers h;
    h.assigned = [this](const group_generation& g) {
      assigned.push_back(g);
      if (prompt) member->reconciled();
    };
    h.renamed = [this](const std::string& id, std::int32_t g) { names.emplace_back(id, g); };
    h.rebalance = [this] { ++rebalances; };
    h.lost = [this](const error& e) {
      lost.push_back(e.message());
      member->rejoin();
    };
    h.failed = [this](const error& e) { failed.push_back(e); };
    h.last_poll = [this] { return last_poll.value_or(loop.time().now()); };
    member = std::make_unique<Member>(*c, settings, std::move(h));
    member->start(std::move(topics));
  }
  bool until(std::function<bool()> done) { return run_until(loop, std::move(done)); }
  void fail_heartbeat(api_key key, error_code code) {
    kafka.script(key, [code, key](const seen_request& r) {
      wire::heartbeat_response a;
      wire::consumer_group_heartbeat_response b;
      a.error_code = b.error_code = static_cast<std::int16_t>(code);
      return key == api_key::heartbeat ? reaction::with(a, r.header.version)
                                       : reaction::with(b, r.header.version);
    });
  }

  io::event_loop loop;
  fake_cluster kafka;
  kafka::connection_settings connection;
  group_settings settings;
  std::unique_ptr<cluster> c;
  std::unique_ptr<membership> member;
  std::vector<group_subscription> joined, others;
  group_assignment shares;
  std::int32_t generation = 0, epoch = 0;
  std::vector<wire::consumer_group_heartbeat_request> beats;
  std::optional<std::vector<std::int32_t>> target;
  bool fresh = false, prompt = true;
  std::optional<io::instant> last_poll;
  std::vector<group_generation> assigned;
  std::vector<std::pair<std::string, std::int32_t>> names;
  std::vector<std::string> lost;
  std::vector<error> failed;
  int rebalances = 0;
};

TEST_F(a_group, rebalances_in_two_steps_without_stopping) {
  start<group_member>(topic_selection::names({"t"}));
  ASSERT_TRUE(until([&] { return assigned.size() == 1; }));
  EXPECT_EQ(show(assigned[0].partitions), "t0 t1 t2 t3 ");
  EXPECT_TRUE(assigned[0].incremental);
  EXPECT_THAT(joined[0].owned, IsEmpty());
  // Another member comes. First this one gives two up, then the other gets them.
  others = {owner("other", {}, -1)};
  prompt = false;
  fail_heartbeat(api_key::heartbeat, error_code::rebalance_in_progress);
  ASSERT_TRUE(until([&] { return assigned.size() == 2; }));
  EXPECT_EQ(show(joined[1].owned), "t0 t1 t2 t3 ");
  EXPECT_EQ(joined[1].generation, 1);
  EXPECT_EQ(show(assigned[1].partitions), "t0 t1 ");
  EXPECT_EQ(show(shares["other"]), "");
  // Nothing more happens before the application has given them up, whatever the coordinator says.
  fail_heartbeat(api_key::heartbeat, error_code::rebalance_in_progress);
  const auto beats_before = kafka.count(api_key::heartbeat);
  ASSERT_TRUE(until([&] { return kafka.count(api_key::heartbeat) > beats_before + 3; }));
  EXPECT_EQ(joined.size(), 2u);
  prompt = true;
  member->reconciled();
  ASSERT_TRUE(until([&] { return assigned.size() == 3; }));
  EXPECT_EQ(show(joined[2].owned), "t0 t1 ");
  EXPECT_EQ(show(shares["other"]), "t2 t3 ");
  EXPECT_EQ(rebalances, 0);
  EXPECT_THAT(lost, IsEmpty());
}

TEST_F(a_group, loses_everything_when_the_coordinator_forgot_a_cooperative_member) {
  start<group_member>(topic_selection::names({"t"}));
  ASSERT_TRUE(until([&] { return assigned.size() == 1; }));
  fail_heartbeat(api_key::heartbeat, error_code::rebalance_in_progress);
  kafka.script(api_key::join_group, [](const seen_request& r) {
    wire::join_group_response a;
    a.error_code = static_cast<std::int16_t>(error_code::unknown_member_id);
    return reaction::with(a, r.header.version);
  });
  ASSERT_TRUE(until([&] { return assigned.size() == 2; }));
  EXPECT_EQ(lost.size(), 1u);
  EXPECT_THAT(joined.back().owned, IsEmpty());
}

TEST_F(a_group, is_eager_as_soon_as_one_assignor_is) {
  settings.assignors.push_back(make_assignor(assignor::range));
  start<group_member>(topic_selection::names({"t"}));
  ASSERT_TRUE(until([&] { return assigned.size() == 1; }));
  EXPECT_FALSE(assigned[0].incremental);
  fail_heartbeat(api_key::heartbeat, error_code::rebalance_in_progress);
  ASSERT_TRUE(until([&] { return rebalances == 1; }));
}

TEST_F(a_group, asks_an_assignor_of_the_applications_own) {
  const auto own = std::make_shared<greatest_first>();
  settings.assignors = {own, make_assignor(assignor::range)};
  others = {{"other", "", {"t"}, {}, -1, "", "more"}};
  start<group_member>(topic_selection::names({"t"}));
  ASSERT_TRUE(until([&] { return assigned.size() == 1; }));
  EXPECT_EQ(show(shares["other"]), "t0 t1 t2 t3 ");
  ASSERT_EQ(own->seen.size(), 2u);
  EXPECT_EQ(own->seen[0].user_data, "mine");
  others[0].user_data = "a";
  fail_heartbeat(api_key::heartbeat, error_code::rebalance_in_progress);
  ASSERT_TRUE(until([&] { return rebalances == 1; }));
  member->rejoin();
  ASSERT_TRUE(until([&] { return assigned.size() == 2; }));
  EXPECT_EQ(show(assigned[1].partitions), "t0 t1 t2 t3 ");
  EXPECT_EQ(own->told.user_data, "yours");
}

TEST_F(a_group, finds_topics_by_a_pattern_also_those_that_come_later) {
  kafka.add_topic("orders-1", 1);
  kafka.add_topic("my-orders-1", 1);
  start<group_member>(*topic_selection::matching("orders-.*"));
  ASSERT_TRUE(until([&] { return assigned.size() == 1; }));
  EXPECT_EQ(show(assigned[0].partitions), "orders-10 ");
  kafka.add_topic("orders-2", 2);
  ASSERT_TRUE(until([&] { return assigned.size() == 2; }));
  EXPECT_EQ(show(assigned[1].partitions), "orders-10 orders-20 orders-21 ");
  const auto bad = topic_selection::matching("orders-(");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind(), errc::invalid_argument);
}

TEST_F(a_group, takes_and_gives_up_what_the_broker_says) {
  serve_assigned();
  target = {0, 1, 2};
  settings.remote_assignor = "uniform";
  settings.rack = "r";
  start<assigned_member>(topic_selection::names({"t"}));
  ASSERT_TRUE(until([&] { return assigned.size() == 1; }));
  EXPECT_EQ(show(assigned[0].partitions), "t0 t1 t2 ");
  EXPECT_EQ(assigned[0].id, 1);
  EXPECT_EQ(beats[0].member_epoch, 0);
  EXPECT_EQ(beats[0].server_assignor, "uniform");
  EXPECT_EQ(beats[0].rack_id, "r");
  EXPECT_EQ(beats[0].subscribed_topic_names, (std::vector<std::string>{"t"}));
  EXPECT_EQ(beats[0].rebalance_timeout_ms, 5000);
  // It says what it has, once; then only that it lives.
  const auto has = [&](std::vector<std::int32_t> partitions) {
    return std::any_of(beats.begin(), beats.end(), [&](const auto& b) {
      return b.topic_partitions && b.topic_partitions->size() == 1 &&
             b.topic_partitions->at(0).partitions == partitions;
    });
  };
  ASSERT_TRUE(until([&] { return has({0, 1, 2}); }));
  const auto before = beats.size();
  ASSERT_TRUE(until([&] { return beats.size() > before + 3; }));
  EXPECT_FALSE(beats.back().topic_partitions);
  EXPECT_FALSE(beats.back().subscribed_topic_names);
  EXPECT_EQ(beats.back().rebalance_timeout_ms, -1);
  // The broker wants two of them back: they are acknowledged only when the application has let go.
  prompt = false;
  target = {0};
  fresh = true;
  ++epoch;
  ASSERT_TRUE(until([&] { return assigned.size() == 2; }));
  EXPECT_EQ(show(assigned[1].partitions), "t0 ");
  const auto then = beats.size();
  ASSERT_TRUE(until([&] { return beats.size() > then + 3; }));
  EXPECT_FALSE(has({0}));
  member->reconciled();
  ASSERT_TRUE(until([&] { return has({0}); }));
  EXPECT_EQ(names.back().second, 2);
}

TEST_F(a_group, joins_again_when_it_was_fenced) {
  serve_assigned();
  target = {0};
  start<assigned_member>(topic_selection::names({"t"}));
  ASSERT_TRUE(until([&] { return assigned.size() == 1; }));
  fail_heartbeat(api_key::consumer_group_heartbeat, error_code::fenced_member_epoch);
  ASSERT_TRUE(until([&] { return assigned.size() == 2; }));
  EXPECT_EQ(lost.size(), 1u);
  EXPECT_EQ(names.back().second, 2);
  // A heartbeat that is lost is said again with everything, since nobody knows whether it arrived.
  kafka.script(api_key::consumer_group_heartbeat, [](const seen_request&) {
    return reaction{reaction::kind::cut, {}};
  });
  const auto before = beats.size();
  ASSERT_TRUE(until([&] { return beats.size() > before; }));
  EXPECT_TRUE(beats[before].subscribed_topic_names);
  EXPECT_TRUE(beats[before].topic_partitions);
  EXPECT_EQ(lost.size(), 1u);
}

TEST_F(a_group, leaves_for_good_or_as_a_static_member_for_a_while) {
  for (const auto* instance : {"", "i"}) {
    settings.instance_id = instance;
    serve_assigned();
    start<assigned_member>(topic_selection::names({"t"}));
    ASSERT_TRUE(until([&] { return !names.empty(); }));
    bool done = false;
    member->leave([&] { done = true; });
    ASSERT_TRUE(until([&] { return done; }));
    EXPECT_EQ(beats.back().member_epoch, *instance == 0 ? -1 : -2);
    EXPECT_EQ(beats.back().instance_id.value_or(""), instance);
    names.clear();
  }
}

TEST_F(a_group, says_why_it_cannot_be_a_member) {
  kafka.script(api_key::consumer_group_heartbeat, [](const seen_request& r) {
    wire::consumer_group_heartbeat_response a;
    a.error_code = static_cast<std::int16_t>(error_code::unreleased_instance_id);
    a.error_message = "i is in use";
    return reaction::with(a, r.header.version);
  });
  settings.instance_id = "i";
  start<assigned_member>(topic_selection::names({"t"}));
  ASSERT_TRUE(until([&] { return !failed.empty(); }));
  EXPECT_NE(failed[0].message().find("i is in use"), std::string::npos) << failed[0].message();
}

TEST_F(a_group, gives_the_brokers_partitions_up_when_the_application_does_not_poll) {
  serve_assigned();
  target = {0};
  settings.rebalance_timeout = 50ms;
  start<assigned_member>(topic_selection::names({"t"}));
  ASSERT_TRUE(until([&] { return assigned.size() == 1; }));
  last_poll = loop.time().now();
  ASSERT_TRUE(until([&] { return !lost.empty(); }));
  EXPECT_NE(lost[0].find("max.poll.interval.ms"), std::string::npos);
  EXPECT_TRUE(std::any_of(beats.begin(), beats.end(), [](const auto& b) { return b.member_epoch == -1; }) ||
              until([&] { return beats.back().member_epoch == -1; }));
}

TEST_F(a_group, hands_a_pattern_to_the_broker) {
  serve_assigned();
  target = {0};
  start<assigned_member>(*topic_selection::matching("t.*"));
  ASSERT_TRUE(until([&] { return assigned.size() == 1; }));
  EXPECT_EQ(beats[0].subscribed_topic_regex, "t.*");
  EXPECT_FALSE(beats[0].subscribed_topic_names);
  EXPECT_EQ(show(assigned[0].partitions), "t0 ");
}

}  // namespace
}  // namespace penstock::client
