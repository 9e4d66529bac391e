// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <set>

#include "client/admin_client.h"
#include "client/fake_cluster.h"
#include "wire/messages/alter_configs.h"
#include "wire/messages/alter_user_scram_credentials.h"
#include "wire/messages/consumer_group_describe.h"
#include "wire/messages/create_acls.h"
#include "wire/messages/create_topics.h"
#include "wire/messages/delete_records.h"
#include "wire/messages/describe_acls.h"
#include "wire/messages/describe_configs.h"
#include "wire/messages/describe_groups.h"
#include "wire/messages/describe_topic_partitions.h"
#include "wire/messages/elect_leaders.h"
#include "wire/messages/find_coordinator.h"
#include "wire/messages/init_producer_id.h"
#include "wire/messages/leave_group.h"
#include "wire/messages/list_groups.h"
#include "wire/messages/offset_delete.h"
#include "wire/messages/write_txn_markers.h"

namespace penstock::client {
namespace {

using testing::code;
using ::testing::ElementsAre;
using testing::fake_cluster;
using ::testing::HasSubstr;
using testing::reaction;
using testing::run_until;
using testing::seen_request;
using ::testing::SizeIs;
using wire::api_key;
using wire::error_code;
using namespace std::chrono_literals;

class an_admin : public ::testing::Test {
 protected:
  an_admin() : kafka(loop, 3) {
    kafka::connection_settings s;
    s.retry_backoff = 2ms;
    s.retry_backoff_max = 10ms;
    s.reconnect_backoff = 2ms;
    s.default_api_timeout = 5s;
    c = std::move(*cluster::create(loop, kafka.bootstrap(), s));
    admin.emplace(*c);
    kafka.add_topic("t", 3);
    for (int p = 0; p < 3; ++p) kafka.move_leader("t", p, p);
  }
  // Runs an operation to its end.
  template <typename T, typename Start>
  result<T> run(Start start) {
    std::unique_ptr<result<T>> outcome;
    start([&](result<T> r) { outcome = std::make_unique<result<T>>(std::move(r)); });
    EXPECT_TRUE(run_until(loop, [&] { return outcome != nullptr; }));
    return outcome ? std::move(*outcome) : fail(errc::timeout, "the test waited too long");
  }
  // Answers every request of a kind, and notes which brokers were asked.
  template <typename Request, typename Response>
  void answer(std::function<Response(const Request&, const seen_request&)> f) {
    kafka.always(Request::key, [this, f](const seen_request& r) {
      asked.push_back(r.broker);
      version = r.header.version;
      return reaction::with(f(r.as<Request>(), r), r.header.version);
    });
  }

  io::event_loop loop;
  fake_cluster kafka;
  std::unique_ptr<cluster> c;
  std::optional<admin_client> admin;
  std::vector<std::int32_t> asked;
  std::int16_t version = -1;
};

TEST(outcomes, are_a_result_for_all_and_one_for_each) {
  const kafka::outcomes<int> mixed({1, fail(errc::not_found, "second"), 3});
  EXPECT_FALSE(mixed);
  EXPECT_EQ(mixed.error().message(), "second");
  EXPECT_EQ(mixed.each().at(2).value(), 3);
  const kafka::outcomes<int> good({1, 2});
  EXPECT_THAT(good.value(), ElementsAre(1, 2));
  const result<> whole = kafka::outcomes<>({result<>(), result<>()});
  EXPECT_TRUE(whole);
}

TEST_F(an_admin, makes_topics_at_the_controller_and_says_what_became_of_each) {
  kafka.controller = 2;
  kafka.script(api_key::create_topics, [this](const seen_request& r) {
    EXPECT_EQ(r.broker, 2);
    kafka.controller = 1;
    wire::create_topics_response a;
    for (const auto& t : r.as<wire::create_topics_request>().topics) {
      auto& out = a.topics.emplace_back();
      out.name = t.name;
      out.error_code = code(error_code::not_controller);
    }
    return reaction::with(a, r.header.version);
  });
  answer<wire::create_topics_request, wire::create_topics_response>([](const auto& ask, const auto&) {
    EXPECT_EQ(ask.topics.at(1).assignments.at(1).broker_ids, (std::vector<std::int32_t>{2, 0}));
    wire::create_topics_response a;
    a.topics.resize(2);
    a.topics[0].name = "b";
    a.topics[1].name = "a";
    a.topics[1].error_code = code(error_code::topic_already_exists);
    return a;
  });
  auto made = run<each<>>([&](auto done) {
    admin->create_topics({{.name = "a", .partitions = 1, .replication_factor = 1},
                          {.name = "b", .assignment = {{0, 1}, {2, 0}}}},
                         false, std::move(done));
  });
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_THAT(asked, ElementsAre(1));
  EXPECT_EQ(made->at(0).error().kind(), errc::already_exists);
  EXPECT_TRUE(made->at(1));
}

TEST_F(an_admin, reads_topics_page_by_page) {
  answer<wire::describe_topic_partitions_request, wire::describe_topic_partitions_response>(
      [](const auto& ask, const auto&) {
        wire::describe_topic_partitions_response a;
        auto& t = a.topics.emplace_back();
        t.name = "t";
        auto& p = t.partitions.emplace_back();
        p.partition_index = ask.cursor ? 0 : 1;  // in no order
        if (!ask.cursor) {
          a.next_cursor.emplace();
          a.next_cursor->topic_name = "t";
          a.next_cursor->partition_index = 2;
        } else {
          auto& missing = a.topics.emplace_back();
          missing.name = "x";
          missing.error_code = code(error_code::unknown_topic_or_partition);
        }
        return a;
      });
  auto seen = run<each<kafka::topic_info>>([&](auto done) {
    admin->describe_topics({"x", "t"}, std::move(done));
  });
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_EQ(seen->at(0).error().kind(), errc::not_found);
  ASSERT_TRUE(seen->at(1));
  ASSERT_THAT(seen->at(1)->partitions, SizeIs(2));
  EXPECT_EQ(seen->at(1)->partitions[1].partition, 1);
}

// Before version 4 of Metadata a broker may make a topic because somebody asked for it.
TEST_F(an_admin, makes_no_topic_by_asking_for_it) {
  kafka.limit(api_key::describe_topic_partitions, -1, -1);
  kafka.limit(api_key::metadata, 0, 3);
  kafka.always(api_key::metadata, [](const seen_request& r) {
    const auto names = r.as<wire::metadata_request>().topics;
    EXPECT_TRUE(!names || names->empty()) << "asked by name";
    return reaction();
  });
  auto seen = run<each<kafka::topic_info>>([&](auto done) {
    admin->describe_topics({"t", "x"}, std::move(done));
  });
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_TRUE(seen->at(0));
  EXPECT_EQ(seen->at(1).error().kind(), errc::not_found);
}

// A broker with ZooKeeper that has just started knows of nothing until its controller tells it.
TEST_F(an_admin, does_not_believe_a_broker_that_knows_of_no_brokers) {
  kafka.limit(api_key::describe_topic_partitions, -1, -1);
  kafka.script(2, api_key::metadata, [](const seen_request& r) {
    wire::metadata_response a;
    auto& t = a.topics.emplace_back();
    t.name = "t";
    t.error_code = code(error_code::unknown_topic_or_partition);
    return reaction::with(a, r.header.version);
  });
  auto seen =
      run<each<kafka::topic_info>>([&](auto done) { admin->describe_topics({"t"}, std::move(done)); });
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_TRUE(seen->at(0));
}

TEST_F(an_admin, says_that_an_old_broker_has_no_numbers_of_its_own_for_topics) {
  kafka.limit(api_key::create_topics, 0, 3);
  auto made = run<each<>>([&](auto done) { admin->create_topics({{.name = "a"}}, false, std::move(done)); });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), errc::unsupported);
  EXPECT_THAT(made.error().message(), HasSubstr("say the numbers instead"));
  EXPECT_THAT(made.error().message(), HasSubstr("which came with Kafka 2.4"));
}

TEST_F(an_admin, asks_older_brokers_for_metadata_instead) {
  kafka.limit(api_key::describe_topic_partitions, -1, -1);
  kafka.limit(api_key::describe_cluster, -1, -1);
  auto seen = run<each<kafka::topic_info>>([&](auto done) {
    admin->describe_topics({"t", "x"}, std::move(done));
  });
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_EQ(seen->at(0)->partitions.at(2).leader, 2);
  EXPECT_EQ(seen->at(1).error().kind(), errc::not_found);
  auto info = run<kafka::cluster_info>([&](auto done) { admin->describe_cluster(false, std::move(done)); });
  ASSERT_TRUE(info);
  EXPECT_THAT(info->brokers, SizeIs(3));
}

// Before Kafka 2.3 a configuration can only be replaced: what is set stays set, lists are changed here.
TEST_F(an_admin, changes_configurations_of_older_brokers_by_replacing_them) {
  kafka.limit(api_key::incremental_alter_configs, -1, -1);
  bool secret = false;
  kafka.always(api_key::describe_configs, [&](const seen_request& r) {
    wire::describe_configs_response a;
    auto& t = a.results.emplace_back();
    const auto add = [&](const char* name, std::optional<std::string> value, std::int8_t source) {
      auto& e = t.configs.emplace_back();
      e.name = name;
      e.value = std::move(value);
      e.config_source = source;
    };
    add("cleanup.policy", "delete", 5);
    add("max.message.bytes", "100", 1);
    add("retention.ms", "5000", 1);
    add("segment.bytes", "77", 4);
    if (secret) add("password", std::nullopt, 1);
    return reaction::with(a, r.header.version);
  });
  std::map<std::string, std::string> written;
  answer<wire::alter_configs_request, wire::alter_configs_response>([&](const auto& ask, const auto&) {
    for (const auto& e : ask.resources.at(0).configs) written[e.name] = e.value.value_or("null");
    wire::alter_configs_response a;
    a.responses.emplace_back();
    return a;
  });
  using kind = kafka::config_change::kind;
  const kafka::config_changes changes{{kafka::config_resource::topic, "t"},
                                      {{"cleanup.policy", kind::append, "compact"},
                                       {"retention.ms", kind::reset, ""},
                                       {"min.insync.replicas", kind::set, "2"}}};
  auto done = run<each<>>([&](auto done) { admin->alter_configs({changes}, false, std::move(done)); });
  ASSERT_TRUE(done && done->at(0)) << done->at(0).error().message();
  EXPECT_EQ(written, (std::map<std::string, std::string>{{"cleanup.policy", "delete,compact"},
                                                         {"max.message.bytes", "100"},
                                                         {"min.insync.replicas", "2"}}));
  secret = true;
  done = run<each<>>([&](auto done) { admin->alter_configs({changes}, false, std::move(done)); });
  ASSERT_FALSE(done->at(0));
  EXPECT_THAT(done->at(0).error().message(), HasSubstr("password is a secret"));
}

TEST_F(an_admin, finds_groups_of_both_protocols) {
  kafka.coordinator = 1;
  answer<wire::consumer_group_describe_request, wire::consumer_group_describe_response>(
      [](const auto& ask, const auto&) {
        wire::consumer_group_describe_response a;
        auto& g = a.groups.emplace_back();
        g.group_id = ask.group_ids.at(0);
        if (g.group_id != "new") g.error_code = code(error_code::group_id_not_found);
        g.group_state = "Stable";
        auto& m = g.members.emplace_back();
        m.member_id = "m";
        m.assignment.topic_partitions.push_back({{}, "t", {2, 0}});
        return a;
      });
  answer<wire::describe_groups_request, wire::describe_groups_response>([](const auto& ask, const auto&) {
    wire::describe_groups_response a;
    auto& g = a.groups.emplace_back();
    g.group_id = ask.groups.at(0);
    g.group_state = g.group_id == "old" ? "Empty" : "Dead";
    return a;
  });
  auto seen = run<each<kafka::group_info>>([&](auto done) {
    admin->describe_groups({"new", "old", "none"}, std::move(done));
  });
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->at(0)->type, "consumer");
  EXPECT_EQ(seen->at(0)->coordinator, 1);
  EXPECT_THAT(seen->at(0)->members.at(0).assignment,
              ElementsAre(kafka::topic_partition{"t", 0}, kafka::topic_partition{"t", 2}));
  EXPECT_EQ(seen->at(1)->type, "classic");
  EXPECT_EQ(seen->at(2).error().kind(), errc::not_found);
  EXPECT_EQ(std::set<std::int32_t>(asked.begin(), asked.end()), (std::set<std::int32_t>{1}));
}

TEST_F(an_admin, lists_the_groups_of_every_broker) {
  answer<wire::list_groups_request, wire::list_groups_response>([](const auto&, const seen_request& r) {
    wire::list_groups_response a;
    a.groups.push_back({"g" + std::to_string(r.broker), "consumer", "Stable", "classic"});
    return a;
  });
  auto groups =
      run<std::vector<kafka::group_listing>>([&](auto done) { admin->list_groups({}, std::move(done)); });
  ASSERT_TRUE(groups) << groups.error().message();
  ASSERT_THAT(*groups, SizeIs(3));
  EXPECT_EQ(groups->at(2).group_id, "g2");
}

TEST_F(an_admin, names_what_an_old_broker_does_not_have) {
  kafka.limit(api_key::list_groups, 0, 3);
  kafka.limit(api_key::offset_delete, -1, -1);
  auto groups = run<std::vector<kafka::group_listing>>(
      [&](auto done) { admin->list_groups({.states = {"Empty"}}, std::move(done)); });
  ASSERT_FALSE(groups);
  EXPECT_EQ(groups.error().kind(), errc::unsupported);
  EXPECT_THAT(groups.error().message(),
              HasSubstr("too old, it has no list_groups 4, which came with Kafka 2.6"));
  auto gone = run<each<>>([&](auto done) { admin->delete_group_offsets("g", {{"t", 0}}, std::move(done)); });
  ASSERT_FALSE(gone);
  EXPECT_THAT(gone.error().message(), HasSubstr("offset_delete 0, which came with Kafka 2.4"));
}

TEST_F(an_admin, removes_members_by_either_name) {
  answer<wire::leave_group_request, wire::leave_group_response>([](const auto& ask, const auto&) {
    wire::leave_group_response a;
    for (const auto& m : ask.members) a.members.push_back({m.member_id, m.group_instance_id, 0});
    a.members.at(1).error_code = code(error_code::unknown_member_id);
    return a;
  });
  auto gone = run<each<>>([&](auto done) {
    admin->remove_members("g", {{.instance_id = "i"}, {.member_id = "m"}}, "maintenance", std::move(done));
  });
  ASSERT_TRUE(gone);
  EXPECT_TRUE(gone->at(0));
  EXPECT_THAT(gone->at(1).error().message(), HasSubstr("member 'm' of group 'g'"));
}

TEST_F(an_admin, deletes_records_at_each_leader_and_follows_one_that_moves) {
  bool moved = false;
  answer<wire::delete_records_request, wire::delete_records_response>(
      [&](const auto& ask, const seen_request& r) {
        wire::delete_records_response a;
        auto& t = a.topics.emplace_back();
        t.name = "t";
        for (const auto& p : ask.topics.at(0).partitions) {
          const bool first = p.partition_index == 1 && !std::exchange(moved, true);
          if (first) kafka.move_leader("t", 1, 0);
          if (!first && p.partition_index == 1) {
            EXPECT_EQ(r.broker, 0);
          }
          t.partitions.push_back({p.partition_index, p.offset,
                                  first ? code(error_code::not_leader_or_follower) : std::int16_t{0}});
        }
        return a;
      });
  auto left = run<each<std::int64_t>>([&](auto done) {
    admin->delete_records({{{"t", 1}, 11}, {{"t", 2}, 12}, {{"t", 7}, 1}, {{"none", 0}, 1}}, std::move(done));
  });
  ASSERT_TRUE(left);
  EXPECT_EQ(left->at(0).value(), 11);
  EXPECT_EQ(left->at(1).value(), 12);
  EXPECT_THAT(left->at(2).error().message(), HasSubstr("has no partition 7"));
  EXPECT_EQ(left->at(3).error().kind(), errc::not_found);
}

TEST_F(an_admin, counts_a_leader_that_leads_already_as_elected) {
  answer<wire::elect_leaders_request, wire::elect_leaders_response>([](const auto&, const auto&) {
    wire::elect_leaders_response a;
    auto& t = a.replica_election_results.emplace_back();
    t.topic = "t";
    t.partition_result.push_back({0, code(error_code::election_not_needed), std::nullopt});
    t.partition_result.push_back({1, code(error_code::preferred_leader_not_available), "no"});
    return a;
  });
  auto elected = run<each<>>([&](auto done) {
    admin->elect_leaders(kafka::election::preferred, {{"t", 0}, {"t", 1}, {"t", 2}}, std::move(done));
  });
  ASSERT_TRUE(elected);
  EXPECT_TRUE(elected->at(0));
  EXPECT_FALSE(elected->at(1));
  EXPECT_TRUE(elected->at(2));
}

TEST_F(an_admin, speaks_of_rights_as_the_broker_can) {
  kafka.limit(api_key::describe_acls, 0, 0);
  kafka.limit(api_key::create_acls, 0, 0);
  answer<wire::describe_acls_request, wire::describe_acls_response>([](const auto& ask, const auto&) {
    EXPECT_FALSE(ask.resource_name_filter);
    wire::describe_acls_response a;
    auto& r = a.resources.emplace_back();
    r.resource_type = 2;
    r.resource_name = "orders";
    r.acls.push_back({"User:alice", "*", 3, 3});
    return a;
  });
  auto rights = run<std::vector<kafka::acl>>([&](auto done) { admin->describe_acls({}, std::move(done)); });
  ASSERT_TRUE(rights) << rights.error().message();
  EXPECT_THAT(*rights, ElementsAre(kafka::acl{.resource_name = "orders", .principal = "User:alice"}));
  auto made = run<each<>>([&](auto done) {
    admin->create_acls(
        {{.resource_name = "o", .pattern = kafka::acl_pattern::prefixed, .principal = "User:a"}},
        std::move(done));
  });
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message(), HasSubstr("create_acls 1, which came with Kafka 2.0"));
}

TEST(acl_names, are_kafkas) {
  EXPECT_EQ(to_string(kafka::acl_operation::remove), "DELETE");
  EXPECT_EQ(kafka::parse_acl_resource("transactional-id").value(), kafka::acl_resource::transactional_id);
  EXPECT_EQ(kafka::parse_acl_operation("Describe_Configs").value(), kafka::acl_operation::describe_configs);
  EXPECT_THAT(kafka::parse_acl_pattern("regex").error().message(), HasSubstr("LITERAL, PREFIXED"));
}

// RFC 5802's Hi(), word for word.
std::string hi(const std::string& password, const std::string& salt, int iterations) {
  const auto hmac = [&](const std::string& text) {
    std::string out(32, '\0');
    HMAC(EVP_sha256(), password.data(), static_cast<int>(password.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(out.data()), nullptr);
    return out;
  };
  auto u = hmac(salt + std::string("\0\0\0\1", 4)), all = u;
  for (int i = 1; i < iterations; ++i) {
    u = hmac(u);
    for (std::size_t k = 0; k < all.size(); ++k) all[k] = static_cast<char>(all[k] ^ u[k]);
  }
  return all;
}

TEST_F(an_admin, salts_passwords_before_they_leave) {
  answer<wire::alter_user_scram_credentials_request, wire::alter_user_scram_credentials_response>(
      [](const auto& ask, const auto&) {
        EXPECT_THAT(ask.deletions, SizeIs(1));
        const auto& u = ask.upsertions.at(0);
        EXPECT_EQ(u.salt.size(), 24U);
        EXPECT_EQ(u.salted_password, hi("pencil", u.salt, 4096));
        wire::alter_user_scram_credentials_response a;
        a.results.push_back({"bob", code(error_code::resource_not_found), std::nullopt});
        a.results.push_back({"alice", 0, std::nullopt});
        return a;
      });
  auto done = run<each<>>([&](auto done) {
    admin->alter_scram_users({{.user = "alice", .password = "pencil", .iterations = 4096}, {.user = "bob"}},
                             std::move(done));
  });
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_TRUE(done->at(0));
  EXPECT_EQ(done->at(1).error().kind(), errc::not_found);
}

TEST_F(an_admin, ends_transactions_at_the_leader_and_fences_at_the_coordinator) {
  answer<wire::write_txn_markers_request, wire::write_txn_markers_response>([](const auto& ask, const auto&) {
    const auto& m = ask.markers.at(0);
    EXPECT_EQ(std::tie(m.producer_id, m.producer_epoch, m.transaction_result, m.coordinator_epoch),
              std::make_tuple(std::int64_t{5}, std::int16_t{2}, false, 9));
    wire::write_txn_markers_response a;
    a.markers.push_back({5, {{"t", {{2, 0}}}}});
    return a;
  });
  auto ended = run<void>([&](auto done) { admin->abort_transaction({{"t", 2}, 5, 2, 9}, std::move(done)); });
  ASSERT_TRUE(ended) << ended.error().message();
  EXPECT_THAT(asked, ElementsAre(2));

  kafka.coordinator = 1;
  kafka.script(api_key::find_coordinator, [](const seen_request& r) {
    EXPECT_EQ(r.as<wire::find_coordinator_request>().key_type, 1);
    return reaction();
  });
  auto fenced =
      run<each<kafka::fenced_producer>>([&](auto done) { admin->fence_producers({"tx"}, std::move(done)); });
  ASSERT_TRUE(fenced);
  EXPECT_GE(fenced->at(0)->producer_id, 0);
}

// Whatever a broker leaves out is an error of that thing, not a wait.
TEST_F(an_admin, complains_of_answers_that_are_left_out) {
  answer<wire::offset_delete_request, wire::offset_delete_response>(
      [](const auto&, const auto&) { return wire::offset_delete_response(); });
  auto gone = run<each<>>([&](auto done) { admin->delete_group_offsets("g", {{"t", 0}}, std::move(done)); });
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->at(0).error().kind(), errc::corrupt);
}

TEST_F(an_admin, gives_up_at_its_deadline_and_says_what_was_last) {
  kafka::connection_settings s;
  s.retry_backoff = 2ms;
  s.default_api_timeout = 400ms;
  c = std::move(*cluster::create(loop, kafka.bootstrap(), s));
  admin.emplace(*c);
  answer<wire::offset_delete_request, wire::offset_delete_response>([](const auto&, const auto&) {
    wire::offset_delete_response a;
    a.error_code = code(error_code::not_coordinator);
    return a;
  });
  auto gone = run<each<>>([&](auto done) { admin->delete_group_offsets("g", {{"t", 0}}, std::move(done)); });
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind(), errc::timeout);
  EXPECT_THAT(gone.error().message(), HasSubstr("NOT_COORDINATOR"));
  EXPECT_GE(asked.size(), 2U);
}

}  // namespace
}  // namespace penstock::client
