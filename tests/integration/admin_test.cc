// SPDX-License-Identifier: Apache-2.0
// The admin client against a broker: the embedded one, or, with KAFKA_BOOTSTRAP set, any other. What a broker
// does not have must be said in one sentence that names the API; what it has must work.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

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

class the_admin : public with_broker {
 protected:
  void SetUp() override { a.emplace(admin()); }
  void produce(const std::string& t, int records, bool old = false) {
    auto p = kafka::producer::create({.bootstrap_servers = bootstrap,
                                      .idempotence = !old,
                                      .compression = old ? compression::snappy : compression::none,
                                      .linger = 20ms});
    ASSERT_TRUE(p) << p.error().message();
    for (int i = 0; i < records; ++i) {
      const auto value = fmt::format("value-{:05}", i);
      ASSERT_TRUE(p->send({.topic = t, .value = value, .partition = 0}));
    }
    const auto flushed = p->flush(30s);
    ASSERT_TRUE(flushed) << flushed.error().message();
  }
  // True if the broker has it. If not it must say so.
  template <typename Result>
  bool there(const Result& r) {
    if (r) return true;
    EXPECT_EQ(r.error().kind(), errc::unsupported) << r.error().message();
    EXPECT_THAT(r.error().message(), HasSubstr("too old, it has no"));
    return false;
  }

  std::optional<kafka::admin> a;
};

TEST_F(the_admin, gives_each_topic_its_own_result) {
  const auto one = name("one"), two = name("two");
  const auto tried = a->create_topics({{.name = one, .partitions = 1, .replication_factor = 1},
                                       {.name = "not/a/name", .partitions = 1, .replication_factor = 1}},
                                      true);
  ASSERT_THAT(tried.each(), SizeIs(2));
  EXPECT_TRUE(tried.each()[0]) << tried.each()[0].error().message();
  EXPECT_THAT(tried.each()[1].error().message(), HasSubstr("not/a/name"));
  EXPECT_EQ(a->describe_topics({one}).error().kind(), errc::not_found);  // only tried
  const auto brokers = a->describe_cluster();
  ASSERT_TRUE(brokers);
  const auto id = brokers->brokers.at(0).id;
  const auto made = a->create_topics(
      {{.name = one, .assignment = {{id}, {id}}}, {.name = two, .partitions = 3, .replication_factor = 1}});
  ASSERT_TRUE(made) << made.error().message();
  ASSERT_TRUE(a->await_topics({one, two}, 15s));
  const auto seen = a->describe_topics({one, name("none"), two});
  ASSERT_FALSE(seen);
  ASSERT_TRUE(seen.each()[0] && seen.each()[2]);
  EXPECT_THAT(seen.each()[0]->partitions, SizeIs(2));
  EXPECT_THAT(seen.each()[0]->partitions[1].replicas, ElementsAre(id));
  EXPECT_EQ(seen.each()[1].error().kind(), errc::not_found);
  const auto by_id = a->delete_topics_by_id({seen.each()[0]->id, seen.each()[2]->id});
  if (seen.each()[0]->id.empty()) {
    EXPECT_FALSE(by_id);
    EXPECT_TRUE(a->delete_topics({one, two}));
  } else if (there(by_id)) {
    for (int i = 0; i < 100 && a->describe_topics({one}); ++i) std::this_thread::sleep_for(20ms);
    EXPECT_EQ(a->describe_topics({one}).error().kind(), errc::not_found);
  }
}

TEST_F(the_admin, changes_configurations_whatever_the_broker_has_for_it) {
  const auto t = topic(1);
  using kind = config_change::kind;
  const auto value = [&](const std::string& what) -> std::string {
    auto all = a->describe_configs({{config_resource::topic, t}}, true);
    if (!all) return all.error().message();
    for (const auto& e : all->front())
      if (e.name == what) return e.value.value_or("null");
    return "missing";
  };
  const auto changed = a->alter_configs(
      {{{config_resource::topic, t},
        {{"retention.ms", kind::set, "123456"}, {"cleanup.policy", kind::append, "compact"}}}});
  if (!there(changed)) return;
  // Brokers learn of a change a moment after the controller has answered.
  EXPECT_TRUE(eventually([&] { return value("retention.ms") == "123456"; }));
  EXPECT_THAT(value("cleanup.policy"), HasSubstr("compact"));
  const auto refused =
      a->alter_configs({{{config_resource::topic, t}, {{"retention.ms", kind::set, "soon"}}}}, true);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr(t));
  ASSERT_TRUE(a->alter_configs({{{config_resource::topic, t}, {{"cleanup.policy", kind::reset, ""}}}}));
  EXPECT_TRUE(eventually([&] { return value("cleanup.policy") == "delete"; }));
  EXPECT_EQ(value("retention.ms"), "123456");
  const auto broker_config =
      a->describe_configs(config_resource::broker, std::to_string(a->describe_cluster()->brokers.at(0).id));
  ASSERT_TRUE(broker_config) << broker_config.error().message();
  EXPECT_GT(broker_config->size(), 20U);
}

TEST_F(the_admin, moves_and_forgets_the_offsets_of_groups) {
  const auto t = topic(2), g = name("g");
  const auto set = a->alter_group_offsets(g, {{{t, 0}, {.offset = 3}}, {{t, 1}, {.offset = 4}}});
  ASSERT_TRUE(set) << set.error().message();
  const auto gone = a->delete_group_offsets(g, {{t, 0}});
  if (there(gone)) {
    const auto left = a->group_offsets(g);
    ASSERT_TRUE(left);
    ASSERT_THAT(*left, SizeIs(1));
    EXPECT_EQ(left->front().partition.partition, 1);
  }
  const auto infos = a->describe_groups({g, name("nobody")});
  ASSERT_TRUE(infos.each()[0]) << infos.each()[0].error().message();
  EXPECT_EQ(infos.each()[1].error().kind(), errc::not_found);
  const auto empty = a->list_groups({.states = {"Empty"}});
  if (there(empty)) {
    EXPECT_TRUE(std::any_of(empty->begin(), empty->end(), [&](const auto& x) { return x.group_id == g; }));
  }
  const auto deleted = a->delete_groups({g, name("nobody")});
  if (deleted.each()[0]) {
    EXPECT_FALSE(deleted.each()[1]);
  }
}

TEST_F(the_admin, throws_members_out) {
  const auto t = topic(1), g = name("g");
  auto c = kafka::consumer::create({.bootstrap_servers = bootstrap, .group_id = g});
  ASSERT_TRUE(c) << c.error().message();
  ASSERT_TRUE(c->subscribe({t}));
  result<group_info> info = fail(errc::not_found, "not yet");
  for (int i = 0; i < 200 && !(info && info->state == "Stable"); ++i) {
    ASSERT_TRUE(c->poll(50ms));
    info = a->describe_group(g);
  }
  ASSERT_TRUE(info) << info.error().message();
  ASSERT_THAT(info->members, SizeIs(1));
  EXPECT_THAT(info->members[0].assignment, ElementsAre(topic_partition{t, 0}));
  const auto gone =
      a->remove_members(g, {{.member_id = info->members[0].member_id}, {.member_id = "nobody"}}, "test");
  if (gone.each()[0].has_value()) {
    EXPECT_FALSE(gone.each()[1]);
  } else {
    there(gone);
  }
}

TEST_F(the_admin, deletes_records) {
  const auto t = topic(1);
  produce(t, 50, true);  // as Kafka 0.10 can take them
  EXPECT_EQ(a->list_offsets({{t, 0}}, latest_offset).value(), std::vector<std::int64_t>{50});
  const auto left = a->delete_records({{{t, 0}, 20}, {{t, 9}, 1}});
  if (left.each()[0]) {
    EXPECT_EQ(*left.each()[0], 20);
    EXPECT_FALSE(left.each()[1]);
    EXPECT_EQ(a->list_offsets({{t, 0}}, earliest_offset).value(), std::vector<std::int64_t>{20});
  } else {
    there(left);
  }
  auto c = kafka::consumer::create({.bootstrap_servers = bootstrap});
  ASSERT_TRUE(c);
  ASSERT_TRUE(c->assign({{{t, 0}, 30}}));
  std::vector<std::string> values;
  for (int i = 0; i < 200 && values.size() < 20; ++i) {
    const auto batches = c->poll(100ms);
    ASSERT_TRUE(batches) << batches.error().message();
    for (const auto& b : *batches)
      for (const auto& r : b.records()) values.emplace_back(r.value);
  }
  ASSERT_THAT(values, SizeIs(20));
  EXPECT_EQ(values.front(), "value-00030");
}

TEST_F(the_admin, tells_of_the_cluster) {
  if (const auto dirs = a->describe_log_dirs(); there(dirs)) {
    EXPECT_FALSE(dirs->front().directories.front().path.empty());
  }
  const auto features = a->describe_features();
  there(features);
  if (const auto quorum = a->describe_quorum(); there(quorum)) {
    EXPECT_TRUE(features && !features->empty());  // with ZooKeeper there may be none
    EXPECT_GE(quorum->leader_id, 0);
    EXPECT_THAT(quorum->voters, SizeIs(1));
  }
  if (const auto fenced = a->describe_cluster(true); there(fenced)) {
    EXPECT_FALSE(fenced->brokers.empty());
  }
  const auto t = topic(1);
  if (const auto moves = a->list_reassignments(); there(moves)) {
    EXPECT_THAT(*moves, SizeIs(0));
  }
  if (const auto elected = a->elect_leaders(election::preferred, {{t, 0}}); there(elected)) {
    EXPECT_THAT(elected.each(), SizeIs(1));
  }
  const auto id = a->describe_cluster()->brokers.at(0).id;
  const auto moved = a->alter_reassignments({{{t, 0}, std::vector{id}}, {{t, 5}, std::vector{id}}});
  if (moved.each()[0].has_value()) {
    EXPECT_FALSE(moved.each()[1]);
  } else {
    there(moved);
  }
  const auto here = [&] { return a->list_config_resources({config_resource::topic}); };
  if (const auto all = here(); there(all)) {
    EXPECT_TRUE(std::any_of(all->begin(), all->end(), [&](const auto& k) { return k.name == t; }));
  }
}

TEST_F(the_admin, keeps_users_and_quotas) {
  const auto user = name("user");
  const auto made = a->alter_scram_users({{.user = user, .password = "secret", .iterations = 4096}});
  if (there(made)) {
    EXPECT_TRUE(eventually([&] { return a->describe_scram_users({user}).has_value(); }));
    const auto users = a->describe_scram_users({user, "nobody"});
    ASSERT_TRUE(users.each()[0]) << users.each()[0].error().message();
    EXPECT_THAT(users.each()[0]->credentials, ElementsAre(scram_credential{scram_mechanism::sha_256, 4096}));
    EXPECT_EQ(users.each()[1].error().kind(), errc::not_found);
    const auto weak = a->alter_scram_users({{.user = user, .password = "secret", .iterations = 1}});
    ASSERT_FALSE(weak);
    EXPECT_EQ(weak.error().message().find("secret"), std::string::npos);
    EXPECT_TRUE(a->alter_scram_users({{.user = user}}));
    EXPECT_TRUE(eventually([&] { return !a->describe_scram_users({user}); }));
  }
  const quota_entity entity{{"user", user}};
  const auto limited = a->alter_client_quotas({{entity, {{"producer_byte_rate", 1e6}}}});
  if (!there(limited)) return;
  const quota_filter mine{{{"user", quota_filter::match::exact, user}}};
  result<std::vector<client_quota>> quotas;
  for (int i = 0; i < 100 && (!quotas || quotas->empty()); ++i) {
    quotas = a->describe_client_quotas(mine);
    if (quotas && quotas->empty()) std::this_thread::sleep_for(20ms);
  }
  ASSERT_TRUE(quotas && !quotas->empty());
  EXPECT_EQ(quotas->front().entity, entity);
  EXPECT_EQ(quotas->front().limits, (std::map<std::string, double>{{"producer_byte_rate", 1e6}}));
  EXPECT_TRUE(a->alter_client_quotas({{entity, {{"producer_byte_rate", std::nullopt}}}}));
}

TEST_F(the_admin, looks_after_transactions) {
  const auto t = topic(1), id = name("tx");
  produce(t, 3, !there(a->describe_producers({{t, 0}})));
  if (const auto producers = a->describe_producers({{t, 0}, {t, 7}}); producers.each()[0]) {
    ASSERT_THAT(*producers.each()[0], SizeIs(1));
    EXPECT_EQ(producers.each()[0]->front().last_sequence, 2);
    EXPECT_EQ(producers.each()[0]->front().transaction_begin, no_offset);
    EXPECT_EQ(producers.each()[1].error().kind(), errc::not_found);
  } else {
    there(producers);
  }
  const auto fenced = a->fence_producers({id});
  if (!fenced) return;  // no transactions there
  EXPECT_GE(fenced->front().producer_id, 0);
  if (const auto all = a->list_transactions({.states = {"Empty"}}); there(all)) {
    EXPECT_TRUE(
        std::any_of(all->begin(), all->end(), [&](const auto& x) { return x.transactional_id == id; }));
  }
  if (const auto infos = a->describe_transactions({id, name("none")}); infos.each()[0]) {
    EXPECT_EQ(infos.each()[0]->state, "Empty");
    EXPECT_EQ(infos.each()[0]->producer_id, fenced->front().producer_id);
    EXPECT_EQ(infos.each()[1].error().kind(), errc::not_found);
  } else {
    there(infos);
  }
  const auto wrong = a->list_transactions({.states = {"NoSuchState"}});
  EXPECT_FALSE(wrong);
}

TEST_F(the_admin, speaks_of_rights) {
  const acl right{.resource_name = name("r"), .pattern = acl_pattern::prefixed, .principal = "User:alice"};
  const auto made = a->create_acls({right});
  if (!made) {  // no API for it, or no authorizer
    EXPECT_TRUE(made.error().kind() == errc::unsupported ||
                made.error().message().find("SECURITY_DISABLED") != std::string::npos)
        << made.error().message();
    return;
  }
  const auto found = a->describe_acls({.resource_name = right.resource_name});
  ASSERT_TRUE(found);
  EXPECT_THAT(*found, ElementsAre(right));
  const auto gone = a->delete_acls({{.principal = "User:alice", .operation = acl_operation::read}});
  ASSERT_TRUE(gone) << gone.error().message();
  EXPECT_THAT(gone->front(), ElementsAre(right));
}

}  // namespace
}  // namespace penstock::kafka
