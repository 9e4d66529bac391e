// SPDX-License-Identifier: Apache-2.0
#include "log/partition_log.h"

#include <gtest/gtest.h>

#include <thread>

#include "log/test_support.h"
#include "wire/error_code.h"

namespace penstock::log {
namespace {

using namespace testing;

class PartitionLog : public ::testing::Test {
 protected:
  std::unique_ptr<partition_log> open(log_config config = {}) {
    return must_open(options_for(fs_, clock_, config));
  }

  io::simulated_file_system fs_{7};
  io::manual_clock clock_;
};

TEST_F(PartitionLog, StartsEmpty) {
  auto log = open();
  EXPECT_EQ(log->log_start_offset(), 0);
  EXPECT_EQ(log->end_offset(), 0);
  EXPECT_EQ(log->last_stable_offset(), 0);
  auto slice = log->read({.offset = 0});
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->length, 0u);
  EXPECT_EQ(log->read({.offset = 1}).error().kafka_code(),
            static_cast<std::int16_t>(wire::error_code::offset_out_of_range));
  EXPECT_FALSE(log->offset_for_timestamp(0)->has_value());
  EXPECT_FALSE(log->max_timestamp()->has_value());
}

TEST_F(PartitionLog, AssignsOffsetsInPlaceAndReadsThemBack) {
  auto log = open();
  std::string first = make_batch(make_records(3)), second = make_batch(make_records(2));
  std::vector<append_batch> batches{{.bytes = first}, {.bytes = second}};
  auto summary = log->append(batches, {.leader_epoch = 4});
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->end_offset, 5);
  EXPECT_EQ(batches[0].base_offset, 0);
  EXPECT_EQ(batches[0].last_offset, 2);
  EXPECT_EQ(batches[1].base_offset, 3);
  EXPECT_EQ(wire::parse_batch_header(second)->base_offset, 3);
  EXPECT_EQ(wire::parse_batch_header(second)->leader_epoch, 4);
  EXPECT_EQ(read_all(*log, 0).size(), 5u);
  EXPECT_EQ(log->latest_leader_epoch(), 4);
  // An offset within a batch gives the whole batch.
  auto slice = log->read({.offset = 4});
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->base_offset, 3);
  EXPECT_EQ(bytes_of(*slice), second);
}

TEST_F(PartitionLog, RollsBySizeAndReadsAcross) {
  auto log = open({.segment_bytes = 400, .index_interval_bytes = 100});
  for (int i = 0; i < 50; ++i) must_append(*log, make_batch(make_records(2)));
  EXPECT_GT(log->segment_count(), 10u);
  for (const std::uint64_t max_bytes : {1u, 150u, 1000u, 1000000u}) {
    const auto all = read_all(*log, 0, max_bytes);
    ASSERT_EQ(all.size(), 100u);
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].offset, static_cast<std::int64_t>(i));
  }
  for (std::int64_t from = 0; from < 100; ++from) EXPECT_EQ(read_all(*log, from).front().offset, from);
}

TEST_F(PartitionLog, RollsByAgeAndByIndexSize) {
  auto log = open({.segment_age = std::chrono::seconds(10)});
  must_append(*log, make_batch(make_records(1, 1'000)));
  must_append(*log, make_batch(make_records(1, 11'000)));
  EXPECT_EQ(log->segment_count(), 1u);
  must_append(*log, make_batch(make_records(1, 11'001)));
  EXPECT_EQ(log->segment_count(), 2u);
  log->set_config({.index_interval_bytes = 1, .index_bytes = 24});
  for (int i = 0; i < 9; ++i) must_append(*log, make_batch(make_records(1, 12'000 + i)));
  EXPECT_GT(log->segment_count(), 4u);
}

TEST_F(PartitionLog, RollsBeforeARelativeOffsetOverflows) {
  auto log = open();
  must_append(*log, make_batch(make_records(1)));
  auto huge = make_batch(make_records(1), {.last_offset_delta = 2'147'483'647});
  must_append(*log, huge);
  EXPECT_EQ(log->segment_count(), 2u);
  must_append(*log, make_batch(make_records(1)));
  EXPECT_EQ(log->segment_count(), 3u);
  EXPECT_EQ(log->end_offset(), 2'147'483'650);
}

TEST_F(PartitionLog, ABatchLargerThanASegmentIsRefusedAlone) {
  auto log = open({.segment_bytes = 300});
  auto small = make_batch(make_records(1)), large = make_batch(make_records(1, 0, 1000));
  std::vector<append_batch> batches{{.bytes = large}, {.bytes = small}};
  ASSERT_TRUE(log->append(batches));
  EXPECT_EQ(batches[0].status, append_status::too_large);
  EXPECT_EQ(batches[1].base_offset, 0);
}

TEST_F(PartitionLog, ReadBoundsAreKept) {
  auto log = open({.index_interval_bytes = 300});
  std::size_t batch_size = 0;
  for (int i = 0; i < 40; ++i) {
    auto batch = make_batch(make_records(1));
    batch_size = batch.size();
    must_append(*log, std::move(batch));
  }
  auto none = log->read({.offset = 3, .max_bytes = batch_size - 1, .at_least_one = false});
  ASSERT_TRUE(none);
  EXPECT_EQ(none->length, 0u);
  EXPECT_EQ(none->next_offset, 3);
  auto one = log->read({.offset = 3, .max_bytes = 1});
  ASSERT_TRUE(one);
  EXPECT_EQ(one->length, batch_size);
  EXPECT_EQ(one->next_offset, 4);
  for (std::int64_t upper = 0; upper <= 41; ++upper) {
    const auto found = read_all(*log, 0, 100'000, upper);
    ASSERT_EQ(found.size(), static_cast<std::size_t>(std::min<std::int64_t>(upper, 40)));
  }
  for (std::uint64_t max = batch_size; max < batch_size * 45; max += batch_size / 2) {
    auto slice = log->read({.offset = 0, .max_bytes = max});
    ASSERT_TRUE(slice);
    EXPECT_LE(slice->length, max);
    EXPECT_GT(slice->length, 0u);
  }
}

TEST_F(PartitionLog, LogAppendTimeIsSetAndTheChecksumHolds) {
  auto log = open({.log_append_time = true});
  auto done = must_append(*log, make_batch(make_records(3, 5)));
  EXPECT_EQ(done.log_append_time_ms, clock_.wall_ms());
  for (const auto& r : read_all(*log, 0)) EXPECT_EQ(r.record.timestamp_ms, clock_.wall_ms());
}

TEST_F(PartitionLog, FindsOffsetsByTimestamp) {
  auto log = open({.segment_bytes = 600, .index_interval_bytes = 100});
  // Out of order on purpose: 100, 90, 80 ... within a rising trend.
  std::vector<std::int64_t> stamps;
  for (int i = 0; i < 60; ++i) {
    std::vector<test_record> records;
    for (int j = 0; j < 3; ++j) {
      stamps.push_back(1'000 + i * 10 - (i * 7 % 50) + j * (i % 2 == 0 ? 1 : -1));
      records.push_back({"k", "v", stamps.back()});
    }
    must_append(*log, make_batch(records, {.codec = i % 3 == 0 ? compression::lz4 : compression::none}));
  }
  for (std::int64_t target = 900; target < 1'700; ++target) {
    const auto first =
        std::find_if(stamps.begin(), stamps.end(), [&](std::int64_t t) { return t >= target; });
    auto found = log->offset_for_timestamp(target);
    ASSERT_TRUE(found) << found.error().message();
    ASSERT_EQ(found->has_value(), first != stamps.end()) << target;
    if (!*found) continue;
    EXPECT_EQ((*found)->offset, first - stamps.begin()) << target;
    EXPECT_EQ((*found)->timestamp_ms, *first);
  }
  const auto largest = std::max_element(stamps.begin(), stamps.end());
  EXPECT_EQ((*log->max_timestamp())->offset, largest - stamps.begin());
  // Records below the log start do not count.
  ASSERT_TRUE(log->delete_records((largest - stamps.begin()) + 1));
  const auto left = std::max_element(largest + 1, stamps.end());
  auto found = log->max_timestamp();
  ASSERT_TRUE(found);
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->timestamp_ms, *left);
  EXPECT_EQ((*found)->offset, left - stamps.begin());
}

TEST_F(PartitionLog, LeaderEpochs) {
  auto log = open();
  must_append(*log, make_batch(make_records(2)), {.leader_epoch = 1});
  must_append(*log, make_batch(make_records(3)), {.leader_epoch = 1});
  must_append(*log, make_batch(make_records(2)), {.leader_epoch = 4});
  EXPECT_EQ(log->end_offset_for_epoch(4), (epoch_end_offset{4, 7}));
  EXPECT_EQ(log->end_offset_for_epoch(5), (epoch_end_offset{-1, -1}));
  EXPECT_EQ(log->end_offset_for_epoch(2), (epoch_end_offset{1, 5}));
  EXPECT_EQ(log->end_offset_for_epoch(1), (epoch_end_offset{1, 5}));
  EXPECT_EQ(log->end_offset_for_epoch(0), (epoch_end_offset{0, 0}));
  EXPECT_EQ(log->leader_epoch_of(4), 1);
  EXPECT_EQ(log->leader_epoch_of(5), 4);
}

TEST_F(PartitionLog, DeleteRecordsSurvivesACrash) {
  auto log = open();
  for (int i = 0; i < 10; ++i) must_append(*log, make_batch(make_records(1)));
  EXPECT_EQ(*log->delete_records(4), 4);
  EXPECT_EQ(*log->delete_records(2), 4);
  EXPECT_FALSE(log->delete_records(11));
  EXPECT_FALSE(log->read({.offset = 3}));
  EXPECT_EQ(read_all(*log, 4).size(), 6u);
  log.reset();
  fs_.crash();
  log = open();
  EXPECT_EQ(log->log_start_offset(), 4);
  EXPECT_EQ(log->end_offset(), 10);
  EXPECT_EQ(*log->delete_records(-1), 10);
  EXPECT_TRUE(read_all(*log, 10).empty());
}

TEST_F(PartitionLog, RetentionBySizeKeepsHeldSlicesReadable) {
  auto log =
      open({.segment_bytes = 500, .retention_bytes = 1000, .retention_age = std::chrono::milliseconds(-1)});
  for (int i = 0; i < 40; ++i) must_append(*log, make_batch(make_records(1)));
  auto held = log->read({.offset = 0});
  ASSERT_TRUE(held);
  const std::string before = bytes_of(*held);
  auto dropped = log->apply_retention();
  ASSERT_TRUE(dropped);
  EXPECT_GT(dropped->segments, 0u);
  EXPECT_GE(log->size_bytes(), 1000u);
  EXPECT_LT(log->size_bytes(), 1500u);
  EXPECT_GT(log->log_start_offset(), 0);
  EXPECT_EQ(*log->remove_deleted_files(), 0u);
  clock_.advance(std::chrono::seconds(60));
  EXPECT_GT(*log->remove_deleted_files(), 0u);
  EXPECT_EQ(bytes_of(*held), before);
  EXPECT_EQ(read_all(*log, log->log_start_offset()).back().offset, 39);
}

TEST_F(PartitionLog, RetentionByAgeEmptiesAnIdleLog) {
  auto log = open({.retention_age = std::chrono::seconds(100)});
  must_append(*log, make_batch(make_records(5, clock_.wall_ms())));
  clock_.advance(std::chrono::seconds(100));
  EXPECT_EQ(log->apply_retention()->segments, 0u);
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(log->apply_retention()->segments, 1u);
  EXPECT_EQ(log->log_start_offset(), 5);
  EXPECT_EQ(log->size_bytes(), 0u);
  EXPECT_EQ(must_append(*log, make_batch(make_records(1))).base_offset, 5);
}

// E19: no acknowledgement after a failed write or sync, and no second try.
TEST_F(PartitionLog, E19_AFailedWritePoisonsTheLog) {
  auto log = open();
  must_append(*log, make_batch(make_records(1)));
  fs_.fail_write(1);
  std::string batch = make_batch(make_records(1));
  EXPECT_EQ(log->append(std::span<char>(batch)).error().kind(), errc::io);
  EXPECT_EQ(log->append(std::span<char>(batch)).error().kind(), errc::io);
  EXPECT_EQ(log->flush().error().kind(), errc::io);
  EXPECT_EQ(log->end_offset(), 1);
  EXPECT_EQ(read_all(*log, 0).size(), 1u);
}

TEST_F(PartitionLog, E19_AFailedSyncPoisonsTheLog) {
  auto log = open();
  must_append(*log, make_batch(make_records(1)));
  fs_.fail_sync(1);
  EXPECT_FALSE(log->flush());
  EXPECT_EQ(log->recovery_point(), 0);
  EXPECT_FALSE(log->flush());
  std::string batch = make_batch(make_records(1));
  EXPECT_FALSE(log->append(std::span<char>(batch)));
  EXPECT_EQ(read_all(*log, 0).size(), 1u);
}

TEST_F(PartitionLog, E19_AFullDiskRefusesUntilThereIsRoom) {
  auto log = open();
  must_append(*log, make_batch(make_records(1)));
  ASSERT_TRUE(log->flush());
  fs_.limit_space(1);
  std::string batch =
      make_batch(make_records(2), {.producer_id = 9, .producer_epoch = 0, .base_sequence = 0});
  EXPECT_EQ(log->append(std::span<char>(batch)).error().kind(), errc::exhausted);
  EXPECT_EQ(read_all(*log, 0).size(), 1u);
  fs_.limit_space(1u << 30);
  EXPECT_EQ(must_append(*log, batch).base_offset, 1);  // its sequence was not taken for used
  EXPECT_EQ(read_all(*log, 0).size(), 3u);
  EXPECT_EQ(*log->flush(), 3);
}

TEST_F(PartitionLog, FlushPolicies) {
  auto each = open({.flush = flush_policy::each});
  must_append(*each, make_batch(make_records(1)));
  EXPECT_EQ(each->recovery_point(), 1);
  each->set_config({.flush = flush_policy::interval, .flush_bytes = 500});
  bool wanted = false;
  int appends = 0;
  while (!wanted) {
    std::string batch = make_batch(make_records(1));
    append_batch b{.bytes = batch};
    wanted = each->append({&b, 1})->flush_wanted;
    ASSERT_LT(++appends, 100);
  }
  EXPECT_GT(appends, 3);
  EXPECT_EQ(each->recovery_point(), 1);
  EXPECT_TRUE(each->needs_flush());
  ASSERT_TRUE(each->flush());
  EXPECT_FALSE(each->needs_flush());
}

TEST_F(PartitionLog, ClosedLogsOpenWithoutReplay) {
  auto log = open({.segment_bytes = 2000, .index_interval_bytes = 200});
  for (int i = 0; i < 60; ++i)
    must_append(*log,
                make_batch(make_records(1), {.producer_id = 5, .producer_epoch = 1, .base_sequence = i}));
  ASSERT_TRUE(log->close());
  std::string late = make_batch(make_records(1));
  EXPECT_EQ(log->append(std::span<char>(late)).error().kind(), errc::closed);
  const auto before = read_all(*log, 0);
  log.reset();
  auto options = options_for(fs_, clock_, {.segment_bytes = 2000, .index_interval_bytes = 200});
  options.clean_shutdown = true;
  options.verify_when_clean = 300;
  log = must_open(options);
  EXPECT_LT(log->recovery().bytes_verified, 700u);
  EXPECT_EQ(read_all(*log, 0), before);
  EXPECT_EQ(log->end_offset(), 60);
  // E18: the last five batches are known.
  for (int i = 55; i < 60; ++i) {
    auto again = must_append(
        *log, make_batch(make_records(1), {.producer_id = 5, .producer_epoch = 1, .base_sequence = i}));
    EXPECT_EQ(again.status, append_status::duplicate);
    EXPECT_EQ(again.base_offset, i);
  }
  auto next = must_append(
      *log, make_batch(make_records(1), {.producer_id = 5, .producer_epoch = 1, .base_sequence = 60}));
  EXPECT_EQ(next.base_offset, 60);
}

TEST_F(PartitionLog, ATopicsFilesAreNotTakenForAnothers) {
  { ASSERT_TRUE(open()->close()); }
  auto options = options_for(fs_, clock_);
  options.topic_id = "AAAAAAAAAAAAAAAAAAAAAg";
  auto other = partition_log::open(options);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message().find("another topic"), std::string::npos);
}

TEST_F(PartitionLog, AppendsFlushesAndReadsRunAtOnce) {
  const std::string dir = ::testing::TempDir() + "penstock_log_threads";
  ASSERT_TRUE(io::file_system::system().remove_all(dir));
  auto options = options_for(io::file_system::system(), io::clock::system(),
                             {.segment_bytes = 20'000,
                              .index_interval_bytes = 500,
                              .retention_bytes = 100'000,
                              .retention_age = std::chrono::milliseconds(-1)});
  options.directory = dir + "/t-0";
  auto log = must_open(options);
  std::atomic<bool> done{false};
  std::thread flusher([&] {
    while (!done) {
      auto flushed = log->flush();
      ASSERT_TRUE(flushed) << flushed.error().message();
      ASSERT_TRUE(log->apply_retention());
    }
  });
  std::thread reader([&] {
    std::int64_t offset = 0;
    while (offset < 4000) {
      auto slice = log->read({.offset = offset, .max_bytes = 3000});
      if (!slice) {
        ASSERT_EQ(slice.error().kind(), errc::kafka) << slice.error().message();
        offset = std::max(offset, log->log_start_offset());
        continue;
      }
      const std::string bytes = bytes_of(*slice);
      for (std::string_view rest = bytes; !rest.empty();) {
        auto header = wire::parse_batch_header(rest);
        ASSERT_TRUE(header);
        ASSERT_TRUE(wire::crc_matches(rest.substr(0, header->total_size())));
        ASSERT_LE(header->base_offset, offset);
        offset = header->next_offset();
        rest.remove_prefix(header->total_size());
      }
    }
  });
  const std::string batch = make_batch(make_records(4, 1'700'000'000'000, 50));
  for (int i = 0; i < 1000; ++i) must_append(*log, batch);
  reader.join();
  done = true;
  flusher.join();
  EXPECT_EQ(log->end_offset(), 4000);
  log.reset();
  ASSERT_TRUE(io::file_system::system().remove_all(dir));
}

}  // namespace
}  // namespace penstock::log
