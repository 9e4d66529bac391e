// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

#include "log/test_support.h"

namespace penstock::log {
namespace {

using namespace testing;

class Compaction : public ::testing::Test {
 protected:
  static log_config config() {
    log_config c{.segment_bytes = 300, .index_interval_bytes = 50};
    c.retention_age = std::chrono::milliseconds(-1);
    c.cleanup_delete = false;
    c.cleanup_compact = true;
    c.delete_retention = std::chrono::seconds(10);
    return c;
  }
  void SetUp() override { log_ = must_open(options_for(fs_, clock_, config())); }
  void put(const std::string& key, std::optional<std::string> value) {
    must_append(*log_, make_batch({{key, std::move(value), clock_.wall_ms()}}));
  }
  /// Moves everything before into closed segments.
  void fill_segment() {
    for (int i = 0; i < 8; ++i) put("filler", "f");
  }
  std::vector<std::int64_t> offsets_of(const std::string& key) {
    std::vector<std::int64_t> offsets;
    for (const auto& r : read_all(*log_, log_->log_start_offset())) {
      if (r.record.key == key) offsets.push_back(r.offset);
    }
    return offsets;
  }

  io::simulated_file_system fs_{5};
  io::manual_clock clock_;
  std::unique_ptr<partition_log> log_;
};

TEST_F(Compaction, KeepsTheLastOfEachKeyAtItsOffset) {
  for (int i = 0; i < 30; ++i) put("k" + std::to_string(i % 3), "v" + std::to_string(i));
  fill_segment();
  const std::int64_t end = log_->end_offset();
  auto done = log_->compact();
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_TRUE(done->ran);
  EXPECT_LT(done->bytes_after, done->bytes_before);
  EXPECT_EQ(offsets_of("k0"), std::vector<std::int64_t>{27});
  EXPECT_EQ(offsets_of("k1"), std::vector<std::int64_t>{28});
  EXPECT_EQ(offsets_of("k2"), std::vector<std::int64_t>{29});
  EXPECT_EQ(log_->end_offset(), end);
  // Any offset may be asked for, removed or not.
  for (std::int64_t from = 0; from < end; ++from) EXPECT_EQ(read_all(*log_, from).back().offset, end - 1);
  auto slice = log_->read({.offset = 3});
  ASSERT_TRUE(slice);
  EXPECT_GT(slice->length, 0u);
  // Clean enough now.
  EXPECT_FALSE(log_->compact()->ran);
}

TEST_F(Compaction, IsOnlyForCompactedTopics) {
  log_->set_config({.segment_bytes = 300});
  for (int i = 0; i < 30; ++i) put("k", "v");
  EXPECT_FALSE(log_->compact(true)->ran);
}

TEST_F(Compaction, TombstonesGoAfterTheirRetention) {
  put("gone", "once");
  put("gone", std::nullopt);
  fill_segment();
  ASSERT_TRUE(log_->compact(true)->ran);
  EXPECT_EQ(offsets_of("gone"), std::vector<std::int64_t>{1});
  const auto stamp = read_all(*log_, 1).front().record.timestamp_ms;
  EXPECT_EQ(stamp, clock_.wall_ms());  // the horizon in the batch leaves timestamps as they were
  clock_.advance(std::chrono::seconds(9));
  fill_segment();
  ASSERT_TRUE(log_->compact(true)->ran);
  EXPECT_EQ(offsets_of("gone"), std::vector<std::int64_t>{1});
  clock_.advance(std::chrono::seconds(2));
  fill_segment();
  ASSERT_TRUE(log_->compact(true)->ran);
  EXPECT_TRUE(offsets_of("gone").empty());
}

TEST_F(Compaction, TheMinimalLagProtectsYoungRecords) {
  auto c = config();
  c.min_compaction_lag = std::chrono::seconds(5);
  log_->set_config(c);
  for (int i = 0; i < 10; ++i) put("k", "v");
  fill_segment();
  EXPECT_FALSE(log_->compact()->ran);
  clock_.advance(std::chrono::seconds(6));
  EXPECT_TRUE(log_->compact()->ran);
}

TEST_F(Compaction, CompressedBatchesAndHeadersStayWhole) {
  std::vector<test_record> records;
  for (int i = 0; i < 20; ++i)
    records.push_back({"k" + std::to_string(i % 7), std::string(20, 'x'), 1'000 + i});
  for (const auto codec : {compression::gzip, compression::snappy, compression::lz4, compression::zstd})
    must_append(*log_, make_batch(records, {.codec = codec}));
  fill_segment();
  fill_segment();
  ASSERT_TRUE(log_->compact(true)->ran);
  ASSERT_TRUE(log_->verify());
  for (int k = 0; k < 7; ++k) {
    const auto offsets = offsets_of("k" + std::to_string(k));
    ASSERT_EQ(offsets.size(), 1u);
    EXPECT_EQ(offsets[0] % 20 % 7, k);
    EXPECT_GE(offsets[0], 60 + 13);
  }
}

TEST_F(Compaction, OpenTransactionsAreLeftAlone) {
  const auto data = [&](std::int32_t sequence) {
    return make_batch(
        {{"t", "v", clock_.wall_ms()}},
        {.producer_id = 3, .producer_epoch = 0, .base_sequence = sequence, .transactional = true});
  };
  must_append(*log_, data(0));
  must_append(*log_, data(1));
  fill_segment();
  EXPECT_FALSE(log_->compact(true)->ran);  // open: nothing behind its begin may be touched
  wire::scratch_buffer marker;
  wire::append_marker_batch({wire::marker_type::commit, 0}, 3, 0, clock_.wall_ms(), 0, marker);
  must_append(*log_, std::string(marker.view()), {.check_producer = false});
  fill_segment();
  ASSERT_TRUE(log_->compact(true)->ran);
  EXPECT_EQ(offsets_of("t"), std::vector<std::int64_t>{1});  // committed: as any other
}

// What was committed counts like any other record; what was aborted goes, and never stands for its key.
TEST_F(Compaction, AbortedRecordsGoAndCommittedOnesAreCompacted) {
  std::int32_t sequence = 0;
  const auto data = [&](const char* key, const char* value) {
    must_append(*log_, make_batch({{key, value, clock_.wall_ms()}}, {.producer_id = 3,
                                                                     .producer_epoch = 0,
                                                                     .base_sequence = sequence++,
                                                                     .transactional = true}));
  };
  const auto end = [&](wire::marker_type how) {
    wire::scratch_buffer marker;
    wire::append_marker_batch({how, 0}, 3, 0, clock_.wall_ms(), 0, marker);
    must_append(*log_, std::string(marker.view()), {.check_producer = false});
  };
  data("a", "1");                  // 0
  data("b", "1");                  // 1
  end(wire::marker_type::commit);  // 2
  data("a", "never");              // 3
  data("c", "never");              // 4
  end(wire::marker_type::abort);   // 5
  data("b", "2");                  // 6
  end(wire::marker_type::commit);  // 7
  put("d", "1");                   // 8
  fill_segment();
  fill_segment();
  const auto aborted = log_->aborted_transactions(0, 100);
  ASSERT_TRUE(log_->compact(true)->ran);
  ASSERT_TRUE(log_->verify());
  EXPECT_EQ(offsets_of("a"), std::vector<std::int64_t>{0});
  EXPECT_EQ(offsets_of("b"), std::vector<std::int64_t>{6});
  EXPECT_TRUE(offsets_of("c").empty());
  EXPECT_EQ(offsets_of("d"), std::vector<std::int64_t>{8});
  EXPECT_EQ(log_->aborted_transactions(0, 100).value(), aborted.value());  // readers skip nothing else by it
  // The producer goes on where it was, also after a restart without snapshots.
  log_.reset();
  const auto entries = fs_.list(directory);
  for (const auto& e : *entries) {
    if (!e.name.ends_with(".snapshot")) continue;
    ASSERT_TRUE(fs_.remove(std::string(directory) + "/" + e.name));
  }
  log_ = must_open(options_for(fs_, clock_, config()));
  EXPECT_EQ(offsets_of("b"), std::vector<std::int64_t>{6});
  data("b", "3");
  end(wire::marker_type::commit);
  EXPECT_EQ(offsets_of("b").size(), 2u);
}

TEST_F(Compaction, AProducersLastSequenceOutlivesItsRecord) {
  must_append(*log_, make_batch({{"a", "1", clock_.wall_ms()}},
                                {.producer_id = 1, .producer_epoch = 0, .base_sequence = 0}));
  put("a", "2");
  fill_segment();
  ASSERT_TRUE(log_->compact(true)->ran);
  EXPECT_EQ(offsets_of("a"), std::vector<std::int64_t>{1});
  log_.reset();
  // Without any snapshot the state comes from the batches alone.
  auto entries = fs_.list(directory);
  for (const auto& e : *entries) {
    if (!e.name.ends_with(".snapshot")) continue;
    ASSERT_TRUE(fs_.remove(std::string(directory) + "/" + e.name));
  }
  log_ = must_open(options_for(fs_, clock_, config()));
  auto again = must_append(*log_, make_batch({{"a", "1", clock_.wall_ms()}},
                                             {.producer_id = 1, .producer_epoch = 0, .base_sequence = 0}));
  EXPECT_EQ(again.status, append_status::duplicate);
  EXPECT_EQ(again.base_offset, 0);
}

TEST_F(Compaction, AnEmptyBatchHasNoTimestampToFind) {
  put("a", "1");
  must_append(*log_, make_batch({{"b", "late", clock_.wall_ms() + 1'000}},
                                {.producer_id = 1, .producer_epoch = 0, .base_sequence = 0}));
  put("b", "2");
  fill_segment();
  ASSERT_TRUE(log_->compact(true)->ran);
  auto latest = log_->max_timestamp();
  ASSERT_TRUE(latest);
  ASSERT_TRUE(latest->has_value());
  EXPECT_EQ((*latest)->timestamp_ms, clock_.wall_ms());
  EXPECT_FALSE(log_->offset_for_timestamp(clock_.wall_ms() + 1)->has_value());
}

TEST_F(Compaction, HeldSlicesStayReadable) {
  for (int i = 0; i < 30; ++i) put("k", "v" + std::to_string(i));
  fill_segment();
  auto held = log_->read({.offset = 0});
  ASSERT_TRUE(held);
  const std::string before = bytes_of(*held);
  ASSERT_TRUE(log_->compact(true)->ran);
  clock_.advance(std::chrono::minutes(2));
  ASSERT_TRUE(log_->remove_deleted_files());
  EXPECT_EQ(bytes_of(*held), before);
}

TEST_F(Compaction, RunsBesideAppendsAndReads) {
  constexpr std::int64_t records = 3'000;
  const std::string dir = ::testing::TempDir() + "penstock_log_compaction";
  ASSERT_TRUE(io::file_system::system().remove_all(dir));
  auto options = options_for(io::file_system::system(), io::clock::system(), config());
  options.directory = dir + "/t-0";
  options.config.segment_bytes = 4'000;
  auto log = must_open(options);
  std::atomic<bool> done{false};
  std::thread cleaner([&] {
    while (!done) {
      auto compacted = log->compact(true);
      ASSERT_TRUE(compacted) << compacted.error().message();
    }
  });
  std::thread reader([&] {
    std::int64_t offset = 0;
    while (offset < records) {
      auto slice = log->read({.offset = offset, .max_bytes = 700});
      ASSERT_TRUE(slice) << slice.error().message();
      const std::string bytes = bytes_of(*slice);
      for (std::string_view rest = bytes; !rest.empty();) {
        auto header = wire::parse_batch_header(rest);
        ASSERT_TRUE(header && wire::crc_matches(rest.substr(0, header->total_size())));
        rest.remove_prefix(header->total_size());
      }
      ASSERT_TRUE(slice->next_offset > offset || slice->length == 0);
      offset = slice->next_offset;
      auto found = log->offset_for_timestamp(1'000 + offset / 2);
      ASSERT_TRUE(found) << found.error().message();
    }
  });
  for (std::int64_t i = 0; i < records; ++i)
    must_append(*log, make_batch({{"k" + std::to_string(i % 20), std::to_string(i), 1'000 + i}}));
  reader.join();
  done = true;
  cleaner.join();
  ASSERT_TRUE(log->verify());
  std::map<std::string, std::string> table;
  for (const auto& r : read_all(*log, 0)) table[*r.record.key] = *r.record.value;
  EXPECT_EQ(table.size(), 20u);
  for (std::int64_t i = records - 20; i < records; ++i)
    EXPECT_EQ(table["k" + std::to_string(i % 20)], std::to_string(i));
  log.reset();
  ASSERT_TRUE(io::file_system::system().remove_all(dir));
}

}  // namespace
}  // namespace penstock::log
