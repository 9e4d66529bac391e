// SPDX-License-Identifier: Apache-2.0
// The group coordinator alone: a clock that stands still, a journal in memory, no sockets.
#include "broker/group_coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace penstock::broker {
namespace {

using namespace std::chrono_literals;
using wire::error_code;

class memory_journal final : public group_journal {
 public:
  void write(const std::string&, std::vector<state_record> records,
             unique_function<void(error_code)> done) override {
    if (hold) {
      held.push_back(std::move(done));
      return;
    }
    if (answer == error_code::none)
      for (auto& r : records) all.push_back(std::move(r));
    done(answer);
  }
  void write_in_transaction(const std::string& group, std::vector<state_record> records, producer_identity,
                            unique_function<void(error_code)> done) override {
    write(group, std::move(records), std::move(done));
  }
  std::int32_t partition_of(const std::string&) const override { return 0; }
  std::vector<state_record> all;
  std::vector<unique_function<void(error_code)>> held;
  error_code answer = error_code::none;
  bool hold = false;
};

struct fixture : ::testing::Test {
  explicit fixture(group_settings s = {}) : groups(s, journal, clock, random) {}

  struct joining {
    std::shared_ptr<std::optional<join_answer>> slot = std::make_shared<std::optional<join_answer>>();
    bool answered() const { return slot->has_value(); }
    const join_answer& operator*() const { return **slot; }
    const join_answer* operator->() const { return &**slot; }
  };
  joining join(std::string member_id, std::string topic = "t", std::optional<std::string> instance = {},
               std::vector<std::string> protocols = {"range"}) {
    join_request r;
    r.group = "g";
    r.member_id = std::move(member_id);
    r.instance_id = std::move(instance);
    r.client_id = "client";
    r.client_host = "/127.0.0.1";
    r.session_timeout = 10s;
    r.rebalance_timeout = 30s;
    r.protocol_type = "consumer";
    for (auto& p : protocols) r.protocols.push_back({p, topic});
    r.needs_member_id = needs_id;
    r.may_skip_assignment = may_skip;
    joining j;
    groups.join(std::move(r), [slot = j.slot](join_answer a) { *slot = std::move(a); });
    return j;
  }
  struct syncing {
    std::shared_ptr<std::optional<sync_answer>> slot = std::make_shared<std::optional<sync_answer>>();
    bool answered() const { return slot->has_value(); }
    const sync_answer* operator->() const { return &**slot; }
  };
  syncing sync(const std::string& member_id, std::int32_t generation,
               std::map<std::string, std::string> assignments = {}) {
    sync_request r;
    r.group = "g";
    r.member_id = member_id;
    r.generation = generation;
    r.assignments = std::move(assignments);
    syncing s;
    groups.sync(std::move(r), [slot = s.slot](sync_answer a) { *slot = std::move(a); });
    return s;
  }
  error_code heartbeat(const std::string& id, std::int32_t generation) {
    return groups.heartbeat("g", {id, std::nullopt, generation});
  }
  error_code commit(const std::string& id, std::int32_t generation, std::int64_t offset = 7) {
    std::optional<error_code> got;
    groups.commit("g", {id, std::nullopt, generation}, {{{"t", 0}, {offset, 1, "note", clock.wall_ms()}}},
                  [&](error_code e) { got = e; });
    return got.value_or(error_code::unknown_server_error);
  }
  group_state state() const { return groups.find("g")->state; }
  void pass(std::chrono::milliseconds by) {
    clock.advance(by);
    groups.tick();
  }
  // A group of two, stable: ids of leader and follower.
  std::pair<std::string, std::string> stable_pair() {
    needs_id = false;
    const auto a1 = join("");
    const auto b1 = join("");
    EXPECT_FALSE(b1.answered());
    const auto a2 = join(a1->member_id);
    EXPECT_TRUE(a2.answered() && b1.answered());
    sync(b1->member_id, b1->generation);
    sync(a2->member_id, a2->generation, {{a2->member_id, "A"}, {b1->member_id, "B"}});
    EXPECT_EQ(state(), group_state::stable);
    return {a2->member_id, b1->member_id};
  }

  memory_journal journal;
  io::manual_clock clock;
  io::seeded_random random{1};
  group_coordinator groups;
  bool needs_id = true;
  bool may_skip = false;
};

using GroupTest = fixture;

TEST_F(GroupTest, ANewMemberIsGivenAnIdAndComesBackWithIt) {
  const auto first = join("");
  ASSERT_TRUE(first.answered());
  EXPECT_EQ(first->error, error_code::member_id_required);
  EXPECT_TRUE(first->member_id.starts_with("client-"));
  const auto second = join(first->member_id);
  ASSERT_TRUE(second.answered());
  EXPECT_EQ(second->error, error_code::none);
  EXPECT_EQ(second->generation, 1);
  EXPECT_EQ(second->leader, first->member_id);
  ASSERT_EQ(second->members.size(), 1u);
  EXPECT_EQ(second->members[0].metadata, "t");
}

TEST_F(GroupTest, AnIdThatIsNotUsedIsForgotten) {
  const auto first = join("");
  pass(11s);
  EXPECT_EQ(groups.find("g"), nullptr);
  EXPECT_EQ(join(first->member_id)->error, error_code::unknown_member_id);
}

TEST_F(GroupTest, RefusesImpossibleJoins) {
  join_request r;
  r.session_timeout = 10s;
  std::optional<error_code> got;
  groups.join(r, [&](join_answer a) { got = a.error; });
  EXPECT_EQ(got, error_code::invalid_group_id);
  r.group = "g";
  r.session_timeout = 1s;
  groups.join(r, [&](join_answer a) { got = a.error; });
  EXPECT_EQ(got, error_code::invalid_session_timeout);
  r.session_timeout = 10s;
  groups.join(r, [&](join_answer a) { got = a.error; });
  EXPECT_EQ(got, error_code::inconsistent_group_protocol);
  EXPECT_EQ(join("never given out")->error, error_code::unknown_member_id);
  EXPECT_EQ(groups.find("g"), nullptr);
}

TEST_F(GroupTest, TwoMembersShareAnAssignment) {
  const auto [leader, follower] = stable_pair();
  EXPECT_EQ(sync(leader, 2)->assignment, "A");
  EXPECT_EQ(sync(follower, 2)->assignment, "B");
  EXPECT_EQ(heartbeat(leader, 2), error_code::none);
  EXPECT_EQ(heartbeat(leader, 1), error_code::illegal_generation);
  EXPECT_EQ(heartbeat("nobody", 2), error_code::unknown_member_id);
}

TEST_F(GroupTest, SyncWaitsForTheLeaderAndAMemberWithoutAssignmentGetsNone) {
  needs_id = false;
  const auto a = join("");
  const auto b = join("");
  join(a->member_id);
  const auto waiting = sync(b->member_id, 2);
  EXPECT_FALSE(waiting.answered());
  sync(a->member_id, 2, {{a->member_id, "all"}, {"a stranger", "x"}});
  ASSERT_TRUE(waiting.answered());
  EXPECT_EQ(waiting->error, error_code::none);
  EXPECT_EQ(waiting->assignment, "");
}

TEST_F(GroupTest, AnAssignmentThatCannotBeWrittenStartsOver) {
  needs_id = false;
  const auto a = join("");
  journal.answer = error_code::kafka_storage_error;
  EXPECT_EQ(sync(a->member_id, 1, {{a->member_id, "A"}})->error, error_code::kafka_storage_error);
  EXPECT_EQ(state(), group_state::preparing_rebalance);
}

TEST_F(GroupTest, AnAssignmentIsAnsweredOnlyOnceItIsWritten) {
  needs_id = false;
  const auto a = join("");
  journal.hold = true;
  const auto s = sync(a->member_id, 1, {{a->member_id, "A"}});
  EXPECT_FALSE(s.answered());
  journal.held.at(0)(error_code::none);
  ASSERT_TRUE(s.answered());
  EXPECT_EQ(s->assignment, "A");
}

TEST_F(GroupTest, AnUnchangedFollowerGetsTheCurrentGenerationAtOnce) {
  const auto [leader, follower] = stable_pair();
  const auto again = join(follower);
  ASSERT_TRUE(again.answered());
  EXPECT_EQ(again->generation, 2);
  EXPECT_TRUE(again->members.empty());
  EXPECT_EQ(state(), group_state::stable);
}

TEST_F(GroupTest, TheLeaderOrAChangedFollowerStartsARebalance) {
  const auto [leader, follower] = stable_pair();
  const auto changed = join(follower, "another topic");
  EXPECT_FALSE(changed.answered());
  EXPECT_EQ(state(), group_state::preparing_rebalance);
  EXPECT_EQ(heartbeat(leader, 2), error_code::rebalance_in_progress);
  const auto lead = join(leader);
  ASSERT_TRUE(lead.answered() && changed.answered());
  EXPECT_EQ(lead->generation, 3);
  EXPECT_EQ(lead->leader, leader);
  EXPECT_EQ(lead->members.size(), 2u);
}

TEST_F(GroupTest, ARebalanceGoesOnWithoutTheOneThatDoesNotCome) {
  const auto [leader, follower] = stable_pair();
  const auto waiting = join(leader);
  EXPECT_FALSE(waiting.answered());
  for (int i = 0; i < 5; ++i) {
    heartbeat(follower, 2);
    pass(6s);
  }
  ASSERT_TRUE(waiting.answered());
  EXPECT_EQ(waiting->error, error_code::none);
  EXPECT_EQ(waiting->generation, 3);
  EXPECT_EQ(waiting->members.size(), 1u);
  EXPECT_EQ(heartbeat(follower, 3), error_code::unknown_member_id);
}

TEST_F(GroupTest, ASilentMemberIsDroppedAfterItsSession) {
  const auto [leader, follower] = stable_pair();
  pass(9s);
  EXPECT_EQ(heartbeat(leader, 2), error_code::none);
  pass(2s);
  EXPECT_EQ(heartbeat(leader, 2), error_code::rebalance_in_progress);
  EXPECT_EQ(heartbeat(follower, 2), error_code::unknown_member_id);
}

TEST_F(GroupTest, AMemberThatDoesNotSyncIsDropped) {
  needs_id = false;
  const auto a = join("");
  const auto b = join("");
  join(a->member_id);
  sync(a->member_id, 2, {{a->member_id, "A"}, {b->member_id, "B"}});
  for (int i = 0; i < 4; ++i) {
    heartbeat(a->member_id, 2);
    heartbeat(b->member_id, 2);
    pass(8s);
  }
  EXPECT_EQ(heartbeat(b->member_id, 2), error_code::unknown_member_id);
  EXPECT_EQ(heartbeat(a->member_id, 2), error_code::rebalance_in_progress);
}

TEST_F(GroupTest, LeavingStartsARebalanceAndTheLastOneEmptiesTheGroup) {
  const auto [leader, follower] = stable_pair();
  EXPECT_EQ(groups.leave("g", leader, std::nullopt), error_code::none);
  EXPECT_EQ(groups.leave("g", leader, std::nullopt), error_code::unknown_member_id);
  const auto alone = join(follower);
  ASSERT_TRUE(alone.answered());
  EXPECT_EQ(alone->leader, follower);
  EXPECT_EQ(groups.leave("g", follower, std::nullopt), error_code::none);
  EXPECT_EQ(state(), group_state::empty);
  EXPECT_EQ(join(follower)->error, error_code::unknown_member_id);
}

TEST_F(GroupTest, TheProtocolMustBeKnownToAllAndTheMajorityChooses) {
  needs_id = false;
  const auto a = join("", "t", {}, {"range", "sticky"});
  const auto b = join("", "t", {}, {"sticky", "range"});
  const auto c = join("", "t", {}, {"sticky"});
  const auto refused = join("", "t", {}, {"range"});
  EXPECT_EQ(refused->error, error_code::inconsistent_group_protocol);
  const auto again = join(a->member_id, "t", {}, {"range", "sticky"});
  ASSERT_TRUE(again.answered());
  EXPECT_EQ(again->protocol, "sticky");
  EXPECT_EQ(again->members.size(), 3u);
}

TEST_F(GroupTest, AStaticMemberComesBackWithoutARebalance) {
  needs_id = true;
  const auto first = join("", "t", "instance");
  ASSERT_TRUE(first.answered());
  ASSERT_EQ(first->error, error_code::none);
  sync(first->member_id, 1, {{first->member_id, "A"}});
  may_skip = true;
  const auto back = join("", "t", "instance");
  ASSERT_TRUE(back.answered());
  EXPECT_EQ(back->generation, 1);
  EXPECT_NE(back->member_id, first->member_id);
  EXPECT_TRUE(back->skip_assignment);
  EXPECT_EQ(back->leader, back->member_id);
  EXPECT_EQ(sync(back->member_id, 1)->assignment, "A");
  EXPECT_EQ(groups.heartbeat("g", {first->member_id, "instance", 1}), error_code::fenced_instance_id);
  may_skip = false;
  const auto old_client = join("", "t", "instance");
  EXPECT_EQ(old_client->leader, back->member_id) << "told of another leader it does not assign";
  EXPECT_TRUE(old_client->members.empty());
}

TEST_F(GroupTest, AStaticMemberKeepsItsPlaceInARebalance) {
  needs_id = false;
  const auto s = join("", "t", "instance");
  const auto d = join("");
  join(s->member_id, "t", "instance");
  sync(d->member_id, 2);
  sync(s->member_id, 2, {});
  const auto waiting = join(d->member_id, "other");
  EXPECT_FALSE(waiting.answered());
  EXPECT_EQ(groups.leave("g", "", "instance"), error_code::none);
  ASSERT_TRUE(waiting.answered());
  EXPECT_EQ(waiting->members.size(), 1u);
}

TEST_F(GroupTest, CommitsNeedTheCurrentGeneration) {
  const auto [leader, follower] = stable_pair();
  EXPECT_EQ(commit(leader, 2), error_code::none);
  EXPECT_EQ(commit(leader, 1), error_code::illegal_generation);
  EXPECT_EQ(commit("nobody", 2), error_code::unknown_member_id);
  EXPECT_EQ(commit("", -1), error_code::unknown_member_id) << "an outsider, while there are members";
  join(leader);
  EXPECT_EQ(commit(follower, 2), error_code::none) << "still of this generation while the next prepares";
  join(follower);
  EXPECT_EQ(commit(follower, 3), error_code::rebalance_in_progress);
  EXPECT_EQ(groups.find("g")->offsets.at({"t", 0}).offset, 7);
}

TEST_F(GroupTest, AnybodyMayCommitForAGroupWithoutMembers) {
  EXPECT_EQ(commit("", 5), error_code::illegal_generation);
  EXPECT_EQ(commit("", -1, 42), error_code::none);
  EXPECT_EQ(groups.find("g")->offsets.at({"t", 0}), (committed_offset{42, 1, "note", clock.wall_ms()}));
}

TEST_F(GroupTest, WhatCannotBeWrittenIsNotCommitted) {
  journal.answer = error_code::kafka_storage_error;
  EXPECT_EQ(commit("", -1), error_code::kafka_storage_error);
  EXPECT_TRUE(groups.find("g")->offsets.empty());
}

TEST_F(GroupTest, OffsetsOfAnEmptyGroupExpireAndThenTheGroup) {
  commit("", -1);
  clock.advance(24h * 6);
  groups.expire_offsets();
  EXPECT_NE(groups.find("g"), nullptr);
  clock.advance(25h);
  groups.expire_offsets();
  EXPECT_EQ(groups.find("g"), nullptr);
  EXPECT_FALSE(journal.all.back().value.has_value());
}

TEST_F(GroupTest, OnlyEmptyGroupsAreDeleted) {
  const auto [leader, follower] = stable_pair();
  std::optional<error_code> got;
  const auto remove = [&] { groups.remove_group("g", [&](error_code e) { got = e; }); };
  remove();
  EXPECT_EQ(got, error_code::non_empty_group);
  groups.leave("g", leader, std::nullopt);
  groups.leave("g", follower, std::nullopt);
  remove();
  EXPECT_EQ(got, error_code::none);
  remove();
  EXPECT_EQ(got, error_code::group_id_not_found);
}

TEST_F(GroupTest, TheJournalGivesEverythingBack) {
  const auto [leader, follower] = stable_pair();
  commit(leader, 2, 99);
  group_coordinator after({}, journal, clock, random);
  const auto records = journal.all;
  for (const auto& r : records) {
    const auto restored =
        after.restore(r.key, r.value ? std::optional<std::string_view>(*r.value) : std::nullopt);
    ASSERT_TRUE(restored) << restored.error().message();
  }
  const group* g = after.find("g");
  ASSERT_NE(g, nullptr);
  EXPECT_EQ(g->state, group_state::stable);
  EXPECT_EQ(g->generation, 2);
  EXPECT_EQ(g->leader, leader);
  EXPECT_EQ(g->members.at(follower).assignment, "B");
  EXPECT_EQ(g->offsets.at({"t", 0}).offset, 99);
  EXPECT_EQ(after.heartbeat("g", {follower, std::nullopt, 2}), error_code::none);
  ASSERT_TRUE(after.next_deadline().has_value());
}

TEST_F(GroupTest, ForgettingATopicDropsItsOffsetsEverywhere) {
  commit("", -1);
  groups.forget_topic("t");
  EXPECT_TRUE(groups.find("g")->offsets.empty());
  EXPECT_FALSE(journal.all.back().value.has_value());
}

struct InitialDelayTest : fixture {
  InitialDelayTest()
      : fixture([] {
          group_settings s;
          s.initial_delay = 3s;
          return s;
        }()) {
    needs_id = false;
  }
};

TEST_F(InitialDelayTest, TheFirstRebalanceWaitsForMoreMembersAndEachPutsItOff) {
  const auto a = join("");
  EXPECT_FALSE(a.answered());
  pass(2s);
  const auto b = join("");
  pass(2s);
  EXPECT_FALSE(a.answered()) << "somebody came: once more the delay";
  pass(3s);
  ASSERT_TRUE(a.answered() && b.answered());
  EXPECT_EQ(a->generation, 1);
  EXPECT_EQ(a->members.size() + b->members.size(), 2u);
}

TEST(GroupRecordsTest, DamagedRecordsAreRefused) {
  const std::string key = encode(offset_key{"g", "t", 3});
  for (std::size_t n = 0; n < key.size(); ++n)
    EXPECT_FALSE(decode_state_key(key.substr(0, n)).has_value()) << n;
  const std::string value =
      encode(stored_group{"consumer", 1, "range", "m", 5, {{"m", "i", "c", "h", 1, 2, "s", "a"}}});
  for (std::size_t n = 0; n < value.size(); ++n)
    EXPECT_FALSE(decode_stored_group(value.substr(0, n)).has_value()) << n;
  ASSERT_TRUE(decode_stored_group(value).has_value());
  EXPECT_EQ(decode_stored_group(value)->members.at(0).instance_id, "i");
}

}  // namespace
}  // namespace penstock::broker
