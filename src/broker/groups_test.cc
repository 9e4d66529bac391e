// SPDX-License-Identifier: Apache-2.0
// Groups over a socket, and what is left of them after a restart. The rules themselves are in
// group_coordinator_test.cc.
#include <gmock/gmock.h>

#include "broker/offsets_journal.h"
#include "broker/test_support.h"

namespace penstock::broker {
namespace {

using namespace testing;
using ::testing::ElementsAre;

struct GroupsTest : broker_fixture {
  GroupsTest() {
    start();
    create("t", 2);
  }
  wire::join_group_response join(const std::string& member, std::int16_t version = 9) {
    wire::join_group_request q;
    q.group_id = "g";
    q.session_timeout_ms = 10'000;
    if (version >= 1) q.rebalance_timeout_ms = 10'000;
    q.member_id = member;
    q.protocol_type = "consumer";
    q.protocols.push_back({"range", "meta"});
    return client->call<wire::join_group_response>(q, version);
  }
  wire::join_group_response joined() {
    const auto first = join("");
    EXPECT_EQ(first.error_code, code(error_code::member_id_required));
    const auto r = join(first.member_id);
    EXPECT_EQ(r.error_code, 0);
    return r;
  }
  std::string synced(const wire::join_group_response& j, std::int16_t version = 5) {
    wire::sync_group_request q;
    q.group_id = "g";
    q.generation_id = j.generation_id;
    q.member_id = j.member_id;
    q.assignments.push_back({j.member_id, "assigned"});
    const auto r = client->call<wire::sync_group_response>(q, version);
    EXPECT_EQ(r.error_code, 0);
    return r.assignment;
  }
  std::int16_t heartbeat(const wire::join_group_response& j, std::int16_t version = 4) {
    wire::heartbeat_request q;
    q.group_id = "g";
    q.generation_id = j.generation_id;
    q.member_id = j.member_id;
    return client->call<wire::heartbeat_response>(q, version).error_code;
  }
  std::int16_t commit(const std::string& topic, std::int64_t offset, std::int32_t generation = -1,
                      const std::string& member = "", std::int16_t version = 9,
                      std::string metadata = "note") {
    wire::offset_commit_request q;
    q.group_id = "g";
    q.generation_id_or_member_epoch = generation;
    q.member_id = member;
    auto& t = q.topics.emplace_back();
    t.name = topic;
    auto& p = t.partitions.emplace_back();
    p.partition_index = 1;
    p.committed_offset = offset;
    if (version >= 6) p.committed_leader_epoch = 3;
    p.committed_metadata = std::move(metadata);
    return client->call<wire::offset_commit_response>(q, version).topics.at(0).partitions.at(0).error_code;
  }
  wire::offset_fetch_response::offset_fetch_response_group offsets(
      std::optional<std::vector<std::int32_t>> partitions) {
    wire::offset_fetch_request q;
    auto& g = q.groups.emplace_back();
    g.group_id = "g";
    if (partitions) {
      auto& t = g.topics.emplace().emplace_back();
      t.name = "t";
      t.partition_indexes = *partitions;
    }
    return client->call<wire::offset_fetch_response>(q, 9).groups.at(0);
  }
};

TEST_F(GroupsTest, AMemberJoinsSyncsBeatsCommitsAndLeaves) {
  const auto j = joined();
  EXPECT_EQ(j.leader, j.member_id);
  EXPECT_EQ(j.protocol_name, "range");
  ASSERT_EQ(j.members.size(), 1u);
  EXPECT_EQ(j.members[0].metadata, "meta");
  EXPECT_EQ(synced(j), "assigned");
  EXPECT_EQ(heartbeat(j), 0);
  EXPECT_EQ(commit("t", 41, j.generation_id, j.member_id), 0);
  EXPECT_EQ(commit("t", 42, j.generation_id + 1, j.member_id), code(error_code::illegal_generation));
  wire::leave_group_request leave;
  leave.group_id = "g";
  leave.members.push_back({j.member_id, std::nullopt, std::nullopt});
  EXPECT_EQ(client->call<wire::leave_group_response>(leave).members.at(0).error_code, 0);
  EXPECT_EQ(heartbeat(j), code(error_code::unknown_member_id));
}

TEST_F(GroupsTest, OldVersionsJoinAtOnce) {
  for (std::int16_t v = 0; v <= 3; ++v) {
    const auto j = join("", v);
    EXPECT_EQ(j.error_code, 0) << v;
    EXPECT_EQ(synced(j, v), "assigned");
    wire::leave_group_request leave;
    leave.group_id = "g";
    leave.member_id = j.member_id;
    EXPECT_EQ(client->call<wire::leave_group_response>(leave, 1).error_code, 0);
  }
}

TEST_F(GroupsTest, CommittedOffsetsComeBackWholeInEveryVersion) {
  for (std::int16_t v = 2; v <= 9; ++v) EXPECT_EQ(commit("t", 100 + v, -1, "", v), 0) << v;
  const auto g = offsets(std::vector<std::int32_t>{0, 1});
  const auto& p = g.topics.at(0).partitions;
  EXPECT_EQ(p.at(0).committed_offset, -1);
  EXPECT_EQ(p.at(0).error_code, 0);
  EXPECT_EQ(p.at(1).committed_offset, 109);
  EXPECT_EQ(p.at(1).committed_leader_epoch, 3);
  EXPECT_EQ(p.at(1).metadata, "note");
  EXPECT_EQ(offsets(std::nullopt).topics.at(0).partitions.at(0).partition_index, 1);
  wire::offset_fetch_request q;
  q.group_id = "g";
  q.topics.emplace().push_back({"t", {1}});
  for (std::int16_t v = 1; v <= 7; ++v)
    EXPECT_EQ(client->call<wire::offset_fetch_response>(q, v).topics.at(0).partitions.at(0).committed_offset,
              109)
        << v;
}

TEST_F(GroupsTest, CommitsAreChecked) {
  EXPECT_EQ(commit("nowhere", 1), code(error_code::unknown_topic_or_partition));
  EXPECT_EQ(commit("t", 1, -1, "", 9, std::string(4097, 'x')), code(error_code::offset_metadata_too_large));
}

TEST_F(GroupsTest, EverythingIsThereAfterARestart) {
  const auto j = joined();
  synced(j);
  EXPECT_EQ(commit("t", 55, j.generation_id, j.member_id), 0);
  stop();
  start();
  EXPECT_EQ(heartbeat(j), 0) << "members go on without a rebalance";
  EXPECT_EQ(offsets(std::vector<std::int32_t>{1}).topics.at(0).partitions.at(0).committed_offset, 55);
}

TEST_F(GroupsTest, GroupsAreListedAndDescribed) {
  const auto j = joined();
  synced(j);
  wire::list_groups_request list;
  const auto all = client->call<wire::list_groups_response>(list).groups;
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].group_state, "Stable");
  EXPECT_EQ(all[0].group_type, "classic");
  list.states_filter = {"empty"};
  EXPECT_TRUE(client->call<wire::list_groups_response>(list).groups.empty());
  wire::describe_groups_request q;
  q.groups = {"g", "none"};
  for (std::int16_t v = 0; v <= 6; ++v) {
    const auto d = client->call<wire::describe_groups_response>(q, v).groups;
    EXPECT_EQ(d.at(0).group_state, "Stable");
    EXPECT_EQ(d.at(0).protocol_data, "range");
    EXPECT_EQ(d.at(0).members.at(0).member_assignment, "assigned");
    EXPECT_EQ(d.at(0).members.at(0).client_id, "test");
    EXPECT_EQ(d.at(0).members.at(0).client_host, "/127.0.0.1");
    EXPECT_EQ(d.at(1).group_state, "Dead");
    EXPECT_EQ(d.at(1).error_code, v >= 6 ? code(error_code::group_id_not_found) : 0);
  }
}

TEST_F(GroupsTest, GroupsAndOffsetsAreDeleted) {
  commit("t", 5);
  wire::offset_delete_request o;
  o.group_id = "g";
  o.topics.push_back({"t", {{1}, {9}}});
  const auto r = client->call<wire::offset_delete_response>(o);
  EXPECT_EQ(r.error_code, 0);
  EXPECT_EQ(r.topics.at(0).partitions.at(0).error_code, 0);
  EXPECT_EQ(r.topics.at(0).partitions.at(1).error_code, code(error_code::unknown_topic_or_partition));
  EXPECT_EQ(offsets(std::vector<std::int32_t>{1}).topics.at(0).partitions.at(0).committed_offset, -1);
  wire::delete_groups_request q;
  q.groups_names = {"g", "none"};
  const auto d = client->call<wire::delete_groups_response>(q, 2).results;
  EXPECT_EQ(d.at(0).error_code, 0);
  EXPECT_EQ(d.at(1).error_code, code(error_code::group_id_not_found));
  stop();
  start();
  EXPECT_TRUE(client->call<wire::list_groups_response>(wire::list_groups_request{}).groups.empty());
}

TEST_F(GroupsTest, OffsetsOfADeletedTopicAreForgotten) {
  commit("t", 5);
  remove("t");
  create("t", 2);
  EXPECT_EQ(offsets(std::vector<std::int32_t>{1}).topics.at(0).partitions.at(0).committed_offset, -1);
}

TEST_F(GroupsTest, TheOffsetsTopicIsSeenAndGuarded) {
  commit("t", 5);
  wire::metadata_request q;
  const auto all = client->call<wire::metadata_response>(q).topics;
  const auto it =
      std::find_if(all.begin(), all.end(), [](const auto& t) { return *t.name == "__consumer_offsets"; });
  ASSERT_NE(it, all.end());
  EXPECT_TRUE(it->is_internal);
  EXPECT_EQ(it->partitions.size(), 50u);
  EXPECT_EQ(produce(*client, "__consumer_offsets", make_batch({"x"})).error_code,
            code(error_code::invalid_topic_exception));
  const auto p = fetch(*client, fetch_request("__consumer_offsets", 0, state_partition("g", 50)));
  EXPECT_EQ(values_of(p).size(), 1u);
}

TEST(GroupPartitionTest, IsJavasHash) {
  // "g".hashCode() is 103; "grp1" 3181412; "groß" with an umlaut and a pair of surrogates below.
  EXPECT_EQ(state_partition("g", 50), 103 % 50);
  EXPECT_EQ(state_partition("grp1", 50), 48);
  EXPECT_EQ(state_partition("\xc3\xa4", 1 << 20), 0xe4);
  EXPECT_EQ(state_partition("\xf0\x9f\x98\x80", 1 << 30), (0xd83d * 31 + 0xde00) % (1 << 30));
}

}  // namespace
}  // namespace penstock::broker
