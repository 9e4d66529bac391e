// SPDX-License-Identifier: Apache-2.0
// What a broker keeps when it is stopped, when the power goes, when a disk fails or is full; and who may use
// a directory. The disk is simulated where it must misbehave.
#include <gmock/gmock.h>

#include <condition_variable>

#include "broker/test_support.h"
#include "io/simulated_file_system.h"

namespace penstock::broker {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct DurabilityTest : broker_fixture {};

TEST_F(DurabilityTest, TwoBrokersNeverShareADirectory) {
  start();
  const auto second = server::start(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), errc::already_exists);
  EXPECT_THAT(second.error().message(), HasSubstr(directory.path()));
  stop();
  start();
}

TEST_F(DurabilityTest, ListensOnLoopbackOnly) {
  options.listen_host = "0.0.0.0";
  const auto s = server::start(options);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().kind(), errc::unsupported);
  EXPECT_THAT(s.error().message(), HasSubstr("TLS"));
}

TEST_F(DurabilityTest, OptionsAreChecked) {
  options.default_partitions = 0;
  EXPECT_EQ(server::start(options).error().kind(), errc::invalid_argument);
  options.default_partitions = 1;
  options.directory.clear();
  EXPECT_EQ(server::start(options).error().kind(), errc::invalid_argument);
}

TEST_F(DurabilityTest, ADamagedMetadataFileIsRefused) {
  start();
  create("t");
  stop();
  const std::string path = directory.path() + "/penstock-meta";
  auto text = *io::read_file(io::file_system::system(), path);
  text[20] ^= 1;
  ASSERT_TRUE(io::write_file_atomically(io::file_system::system(), path, text));
  const auto s = server::start(options);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().kind(), errc::corrupt);
}

TEST_F(DurabilityTest, StoppingTwiceIsFine) {
  start();
  EXPECT_TRUE(broker->stop());
  EXPECT_TRUE(broker->stop());
}

TEST_F(DurabilityTest, StoppingAnswersWhoWaits) {
  start();
  create("t");
  auto q = fetch_request("t", 0);
  q.max_wait_ms = 20'000;
  const auto waiting = client->send(q, 12);
  auto other = connect();
  fetch(*other, fetch_request("t", 0));
  ASSERT_TRUE(broker->stop());
  EXPECT_EQ(client->receive<wire::fetch_response>(12, waiting).responses.at(0).partitions.at(0).error_code,
            0);
  EXPECT_TRUE(client->closed_by_peer());
}

struct SimulatedDiskTest : broker_fixture {
  SimulatedDiskTest() {
    options.directory = "/data";
    options.on_failure = [this](const error& e) {
      const std::lock_guard lock(mutex);
      failure = e.message();
      failed.notify_all();
    };
  }
  ~SimulatedDiskTest() override { broker.reset(); }  // it closes its logs on the disk, which goes before it
  void start_on_disk() { start({.files = &disk}); }
  bool wait_for_failure() {
    std::unique_lock lock(mutex);
    return failed.wait_for(lock, 20s, [this] { return !failure.empty(); });
  }
  io::simulated_file_system disk{7};
  std::mutex mutex;
  std::condition_variable failed;
  std::string failure;
};

TEST_F(SimulatedDiskTest, WithFlushEachNothingAcknowledgedIsLostWithThePower) {
  options.flush = flush_policy::each;
  for (int round = 0; round < 5; ++round) {
    start_on_disk();
    if (round == 0) {
      create("t");
    }
    for (int i = 0; i < 5; ++i)
      ASSERT_EQ(produce(*client, "t", make_batch({"x"})).base_offset, round * 5 + i);
    wire::offset_commit_request commit;
    commit.group_id = "g";
    commit.topics.push_back({"t", {}, {{0, round * 5, -1, -1, ""}}});
    ASSERT_EQ(client->call<wire::offset_commit_response>(commit, 9).topics.at(0).partitions.at(0).error_code,
              0);
    client.reset();
    disk.crash();
    (void)broker->stop();
    broker.reset();
  }
  start_on_disk();
  EXPECT_EQ(values_of(fetch(*client, fetch_request("t", 0))).size(), 25u);
  wire::offset_fetch_request q;
  q.group_id = "g";
  q.topics.emplace().push_back({"t", {0}});
  EXPECT_EQ(client->call<wire::offset_fetch_response>(q, 7).topics.at(0).partitions.at(0).committed_offset,
            20);
}

TEST_F(SimulatedDiskTest, WithFlushEachRequestsThatWaitTogetherShareASync) {
  options.flush = flush_policy::each;
  start_on_disk();
  create("t");
  produce(*client, "t", make_batch({"first"}));
  const std::string batch = make_batch({"x"});
  const auto before = disk.syncs();
  std::vector<std::int32_t> waiting;
  for (int i = 0; i < 100; ++i) waiting.push_back(client->send(produce_request("t", 0, batch), 12));
  for (const auto id : waiting)
    EXPECT_EQ(
        client->receive<wire::produce_response>(12, id).responses.at(0).partition_responses.at(0).error_code,
        0);
  EXPECT_LT(disk.syncs() - before, 200u);
  EXPECT_EQ(fetch(*client, fetch_request("t", 0)).high_watermark, 101);
}

TEST_F(SimulatedDiskTest, AFailedSyncStopsTheBrokerAndAcknowledgesNothing) {
  options.flush = flush_policy::each;
  start_on_disk();
  create("t");
  produce(*client, "t", make_batch({"good"}));
  disk.fail_sync(1);
  const std::string batch = make_batch({"bad"});
  client->send(produce_request("t", 0, batch), 12);
  EXPECT_TRUE(client->closed_by_peer());
  EXPECT_TRUE(wait_for_failure());
  client.reset();
  const auto stopped = broker->stop();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind(), errc::io);
  broker.reset();
  start_on_disk();
  EXPECT_GE(fetch(*client, fetch_request("t", 0)).high_watermark, 1);
}

TEST_F(SimulatedDiskTest, AFullDiskRefusesRecordsServesReadsAndRecovers) {
  start_on_disk();
  create("t");
  EXPECT_EQ(produce(*client, "t", make_batch({"before"})).error_code, 0);
  disk.limit_space(1);
  EXPECT_EQ(produce(*client, "t", make_batch({"refused"})).error_code, code(error_code::kafka_storage_error));
  EXPECT_THAT(values_of(fetch(*client, fetch_request("t", 0))), ElementsAre("0:before"));
  disk.limit_space(1u << 30);
  EXPECT_EQ(produce(*client, "t", make_batch({"after"})).base_offset, 1);
}

TEST_F(SimulatedDiskTest, AfterACrashWithoutSyncsEachLogIsAPrefix) {
  options.flush = flush_policy::none;
  start_on_disk();
  create("t", 4);
  for (int i = 0; i < 40; ++i) produce(*client, "t", make_batch({std::to_string(i / 4)}), i % 4);
  client.reset();
  disk.crash();
  (void)broker->stop();
  broker.reset();
  start_on_disk();
  ASSERT_THAT(topics(), ElementsAre("t")) << "a topic that was made is there";
  for (int p = 0; p < 4; ++p) {
    const auto values = values_of(fetch(*client, fetch_request("t", 0, p)));
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(values[i], std::to_string(i) + ":" + std::to_string(i));
  }
}

}  // namespace
}  // namespace penstock::broker
