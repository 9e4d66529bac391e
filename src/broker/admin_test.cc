// SPDX-License-Identifier: Apache-2.0
// Topics, configs and the cluster, over a socket.
#include <gmock/gmock.h>

#include <map>

#include "broker/test_support.h"

namespace penstock::broker {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct AdminTest : broker_fixture {
  AdminTest() { start(); }
  wire::metadata_response metadata(std::vector<std::string> names, std::int16_t version = 13,
                                   bool make = true) {
    wire::metadata_request q;
    q.topics.emplace();
    for (auto& n : names) q.topics->push_back({{}, n});
    q.allow_auto_topic_creation = make;
    return client->call<wire::metadata_response>(q, version);
  }
  std::map<std::string, std::pair<std::string, int>> configs_of(std::int8_t kind, const std::string& name) {
    wire::describe_configs_request q;
    q.resources.push_back({kind, name, std::nullopt});
    q.include_synonyms = true;
    std::map<std::string, std::pair<std::string, int>> all;
    const auto r = client->call<wire::describe_configs_response>(q).results.at(0);
    EXPECT_EQ(r.error_code, 0) << r.error_message.value_or("");
    for (const auto& c : r.configs) all[c.name] = {c.value.value_or("(null)"), c.config_source};
    return all;
  }
  wire::incremental_alter_configs_response::alter_configs_resource_response alter(
      std::int8_t kind, const std::string& resource, const std::string& name, std::int8_t operation,
      std::optional<std::string> value) {
    wire::incremental_alter_configs_request q;
    q.resources.push_back({kind, resource, {{name, operation, std::move(value)}}});
    return client->call<wire::incremental_alter_configs_response>(q).responses.at(0);
  }
};

TEST_F(AdminTest, ApiVersionsTellsWhatIsServedInOrder) {
  for (std::int16_t v = 0; v <= 4; ++v) {
    const auto r =
        client->call<wire::api_versions_response>(wire::api_versions_request{"test-client", "1.0"}, v);
    EXPECT_EQ(r.error_code, 0);
    EXPECT_TRUE(std::is_sorted(r.api_keys.begin(), r.api_keys.end(),
                               [](const auto& a, const auto& b) { return a.api_key < b.api_key; }));
    EXPECT_EQ(r.api_keys.at(0), (wire::api_versions_response::api_version{0, 0, 13}));
    EXPECT_EQ(r.finalized_features.empty(), v < 3);
  }
}

TEST_F(AdminTest, AnApiVersionsRequestFromTheFutureIsAnsweredInVersionZero) {
  const std::string body("\x00\x12\x00\x63\x00\x00\x00\x07whatever", 16);
  std::string frame(4, '\0');
  base::store_be(frame.data(), static_cast<std::int32_t>(body.size()));
  client->send_raw(frame + body);
  const auto r = client->receive<wire::api_versions_response>(0, 7);
  EXPECT_EQ(r.error_code, code(error_code::unsupported_version));
  EXPECT_THAT(r.api_keys, ElementsAre(wire::api_versions_response::api_version{18, 0, 4}));
}

TEST_F(AdminTest, ASoftwareNameMustBeOne) {
  const auto r = client->call<wire::api_versions_response>(wire::api_versions_request{"-no", "1"}, 3);
  EXPECT_EQ(r.error_code, code(error_code::invalid_request));
}

TEST_F(AdminTest, MetadataMakesTopicsWhenAllowed) {
  const auto made = metadata({"new"});
  ASSERT_EQ(made.topics.size(), 1u);
  EXPECT_EQ(made.topics[0].error_code, 0);
  EXPECT_EQ(made.topics[0].partitions.size(), 1u);
  EXPECT_FALSE(made.topics[0].topic_id.is_zero());
  EXPECT_EQ(made.brokers.at(0).port, broker->endpoint().port);
  EXPECT_EQ(made.cluster_id, broker->cluster_id());
  EXPECT_EQ(metadata({"other"}, 13, false).topics[0].error_code,
            code(error_code::unknown_topic_or_partition));
  EXPECT_EQ(metadata({"bad name"}).topics[0].error_code, code(error_code::invalid_topic_exception));
  EXPECT_THAT(topics(), ElementsAre("new"));
  stop();
  options.auto_create_topics = false;
  start();
  EXPECT_EQ(metadata({"third"}).topics[0].error_code, code(error_code::unknown_topic_or_partition));
  EXPECT_EQ(metadata({"new"}).topics[0].topic_id, made.topics[0].topic_id) << "the id stays";
}

TEST_F(AdminTest, MetadataOfAllOrNone) {
  create("a");
  create("b");
  wire::metadata_request q;
  q.topics.emplace();
  EXPECT_EQ(client->call<wire::metadata_response>(q, 0).topics.size(), 2u) << "version 0: empty is all";
  for (std::int16_t v = 1; v <= 13; ++v)
    EXPECT_EQ(client->call<wire::metadata_response>(q, v).topics.size(), 0u);
  q.topics.reset();
  for (std::int16_t v = 1; v <= 13; ++v)
    EXPECT_EQ(client->call<wire::metadata_response>(q, v).topics.size(), 2u);
}

TEST_F(AdminTest, CreateTopicsChecksWhatItIsAsked) {
  EXPECT_EQ(create("t", 3).error_code, 0);
  EXPECT_EQ(create("t").error_code, code(error_code::topic_already_exists));
  EXPECT_EQ(create("..").error_code, code(error_code::invalid_topic_exception));
  EXPECT_EQ(create(std::string(250, 'a')).error_code, code(error_code::invalid_topic_exception));
  EXPECT_EQ(create("a.b").error_code, 0);
  EXPECT_EQ(create("a_b").error_code, code(error_code::invalid_topic_exception))
      << "would collide in metrics";
  EXPECT_EQ(create("u", 0).error_code, code(error_code::invalid_partitions));
  EXPECT_EQ(create("u", 1, {}, 3).error_code, code(error_code::invalid_replication_factor));
  EXPECT_EQ(create("u", 1, {{"no.such", "1"}}).error_code, code(error_code::invalid_config));
  EXPECT_EQ(create("u", 1, {{"retention.ms", "soon"}}).error_code, code(error_code::invalid_config));
  const auto good = create("u", -1, {{"retention.ms", "1000"}}, -1);
  EXPECT_EQ(good.error_code, 0);
  EXPECT_EQ(good.num_partitions, 1);
  EXPECT_EQ(good.replication_factor, 1);
  ASSERT_TRUE(good.configs.has_value());
  EXPECT_EQ(metadata({"t"}).topics[0].partitions.size(), 3u);
}

TEST_F(AdminTest, ValidateOnlyMakesNothing) {
  wire::create_topics_request q;
  auto& t = q.topics.emplace_back();
  t.name = "t";
  t.num_partitions = 2;
  t.replication_factor = 1;
  q.validate_only = true;
  for (std::int16_t v = 2; v <= 7; ++v)
    EXPECT_EQ(client->call<wire::create_topics_response>(q, v).topics.at(0).error_code, 0) << v;
  EXPECT_THAT(topics(), ElementsAre());
}

TEST_F(AdminTest, ManyTopicsAtOnceAreMadeTogether) {
  wire::create_topics_request q;
  for (int i = 0; i < 500; ++i) {
    auto& t = q.topics.emplace_back();
    t.name = i == 499 ? "n0" : "n" + std::to_string(i);
    t.num_partitions = 1;
    t.replication_factor = 1;
  }
  const auto r = client->call<wire::create_topics_response>(q).topics;
  EXPECT_EQ(r.at(0).error_code, code(error_code::invalid_request)) << "named twice";
  EXPECT_EQ(r.at(499).error_code, code(error_code::invalid_request));
  for (int i = 1; i < 499; ++i) EXPECT_EQ(r.at(static_cast<std::size_t>(i)).error_code, 0);
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) names.push_back("m" + std::to_string(i));
  for (const auto& t : metadata(names).topics) EXPECT_EQ(t.error_code, 0);
  EXPECT_EQ(topics().size(), 998u);
}

TEST_F(AdminTest, AReplicationFactorMayBeClamped) {
  stop();
  options.clamp_replication = true;
  start();
  EXPECT_EQ(create("t", 1, {}, 3).error_code, 0);
}

TEST_F(AdminTest, ADeletedTopicIsGoneAndItsNameIsFree) {
  create("t", 2);
  produce(*client, "t", make_batch({"old"}));
  const auto old_id = metadata({"t"}).topics[0].topic_id;
  EXPECT_EQ(remove("t"), 0);
  EXPECT_EQ(remove("t"), code(error_code::unknown_topic_or_partition));
  EXPECT_THAT(topics(), ElementsAre());
  EXPECT_FALSE(std::filesystem::exists(directory.path() + "/t-0"));
  EXPECT_EQ(create("t").error_code, 0);
  EXPECT_NE(metadata({"t"}).topics[0].topic_id, old_id);
  EXPECT_EQ(fetch(*client, fetch_request("t", 0)).high_watermark, 0);
  wire::delete_topics_request q;
  q.topics.push_back({std::nullopt, metadata({"t"}).topics[0].topic_id});
  EXPECT_EQ(client->call<wire::delete_topics_response>(q).responses.at(0).name, "t");
}

TEST_F(AdminTest, AFetchThatWaitsIsToldThatItsTopicWent) {
  create("t");
  auto q = fetch_request("t", 0);
  q.max_wait_ms = 20'000;
  auto other = connect();
  const auto waiting = other->send(q, 12);
  remove("t");
  const auto r = other->receive<wire::fetch_response>(12, waiting);
  EXPECT_EQ(r.responses.at(0).partitions.at(0).error_code, code(error_code::unknown_topic_or_partition));
}

TEST_F(AdminTest, TopicsOnlyGrow) {
  create("t", 2);
  const auto grow = [&](std::int32_t n) {
    wire::create_partitions_request q;
    auto& t = q.topics.emplace_back();
    t.name = "t";
    t.count = n;
    return client->call<wire::create_partitions_response>(q).results.at(0).error_code;
  };
  EXPECT_EQ(grow(1), code(error_code::invalid_partitions));
  EXPECT_EQ(grow(2), code(error_code::invalid_partitions));
  EXPECT_EQ(grow(5), 0);
  EXPECT_EQ(produce(*client, "t", make_batch({"x"}), 4).error_code, 0);
  stop();
  start();
  EXPECT_EQ(metadata({"t"}).topics[0].partitions.size(), 5u);
  EXPECT_THAT(values_of(fetch(*client, fetch_request("t", 0, 4))), ElementsAre("0:x"));
}

TEST_F(AdminTest, TopicConfigsAreToldWithTheirSourceAndChange) {
  create("t", 1, {{"cleanup.policy", "compact"}});
  auto all = configs_of(2, "t");
  EXPECT_EQ(all.at("cleanup.policy"), std::pair(std::string("compact"), 1));
  EXPECT_EQ(all.at("retention.ms"), std::pair(std::string("604800000"), 5));
  EXPECT_GE(all.size(), 30u);
  EXPECT_EQ(alter(2, "t", "retention.ms", 0, "77").error_code, 0);
  EXPECT_EQ(alter(2, "t", "cleanup.policy", 2, "delete").error_code, 0);
  EXPECT_EQ(configs_of(2, "t").at("cleanup.policy").first, "compact,delete");
  EXPECT_EQ(alter(2, "t", "cleanup.policy", 3, "compact").error_code, 0);
  EXPECT_EQ(configs_of(2, "t").at("cleanup.policy").first, "delete");
  EXPECT_EQ(alter(2, "t", "retention.ms", 2, "1").error_code, code(error_code::invalid_config));
  EXPECT_EQ(alter(2, "t", "retention.ms", 0, "never").error_code, code(error_code::invalid_config));
  EXPECT_EQ(alter(2, "t", "no.such", 0, "1").error_code, code(error_code::invalid_config));
  EXPECT_EQ(alter(2, "nowhere", "retention.ms", 0, "1").error_code,
            code(error_code::unknown_topic_or_partition));
  stop();
  start();
  EXPECT_EQ(configs_of(2, "t").at("retention.ms"), std::pair(std::string("77"), 1));
  EXPECT_EQ(alter(2, "t", "retention.ms", 1, std::nullopt).error_code, 0);
  EXPECT_EQ(configs_of(2, "t").at("retention.ms").second, 5);
  wire::alter_configs_request q;
  q.resources.push_back({2, "t", {{"segment.bytes", "2000000"}}});
  EXPECT_EQ(client->call<wire::alter_configs_response>(q).responses.at(0).error_code, 0);
  all = configs_of(2, "t");
  EXPECT_EQ(all.at("segment.bytes").first, "2000000");
  EXPECT_EQ(all.at("cleanup.policy").second, 5) << "what is not named goes back to its default";
}

TEST_F(AdminTest, BrokerConfigsAreToldAndSomeChange) {
  const auto all = configs_of(4, "1");
  EXPECT_EQ(all.at("num.partitions"), std::pair(std::string("1"), 4));
  EXPECT_EQ(all.at("default.replication.factor").first, "1");
  EXPECT_EQ(all.at("auto.create.topics.enable").first, "true");
  EXPECT_TRUE(all.contains("log.retention.ms"));
  create("t");
  EXPECT_EQ(alter(4, "1", "log.retention.ms", 0, "5000").error_code, 0);
  EXPECT_EQ(configs_of(2, "t").at("retention.ms"), std::pair(std::string("5000"), 2));
  EXPECT_EQ(alter(4, "", "message.max.bytes", 0, "100").error_code, 0);
  EXPECT_EQ(produce(*client, "t", make_batch({std::string(200, 'x')})).error_code,
            code(error_code::message_too_large));
  EXPECT_EQ(alter(4, "1", "num.partitions", 0, "5").error_code, code(error_code::invalid_request));
  EXPECT_EQ(alter(4, "9", "log.retention.ms", 0, "5").error_code, code(error_code::invalid_request));
}

TEST_F(AdminTest, TheClusterIsThisBroker) {
  const auto r = client->call<wire::describe_cluster_response>(wire::describe_cluster_request{});
  EXPECT_EQ(r.cluster_id, broker->cluster_id());
  EXPECT_EQ(r.cluster_id.size(), 22u);
  EXPECT_EQ(r.controller_id, 1);
  ASSERT_EQ(r.brokers.size(), 1u);
  EXPECT_EQ(r.brokers[0].host, "127.0.0.1");
}

TEST_F(AdminTest, TopicsPageByPage) {
  create("a", 3);
  create("b", 2);
  wire::describe_topic_partitions_request q;
  q.response_partition_limit = 2;
  std::vector<std::string> seen;
  for (int page = 0; page < 10; ++page) {
    const auto r = client->call<wire::describe_topic_partitions_response>(q);
    for (const auto& t : r.topics)
      for (const auto& p : t.partitions) seen.push_back(*t.name + std::to_string(p.partition_index));
    if (!r.next_cursor) break;
    q.cursor.emplace();
    q.cursor->topic_name = r.next_cursor->topic_name;
    q.cursor->partition_index = r.next_cursor->partition_index;
  }
  EXPECT_THAT(seen, ElementsAre("a0", "a1", "a2", "b0", "b1"));
}

TEST_F(AdminTest, NothingIsBeingReassigned) {
  const auto r =
      client->call<wire::list_partition_reassignments_response>(wire::list_partition_reassignments_request{});
  EXPECT_TRUE(r.topics.empty());
}

}  // namespace
}  // namespace penstock::broker
