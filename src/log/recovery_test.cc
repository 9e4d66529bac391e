// SPDX-License-Identifier: Apache-2.0
// What a log does with files that a crash, a disk or a person has changed (E18, E20).
#include <gtest/gtest.h>

#include "log/test_support.h"

namespace penstock::log {
namespace {

using namespace testing;

constexpr log_config small_segments{.segment_bytes = 700, .index_interval_bytes = 150};

class Recovery : public ::testing::Test {
 protected:
  std::unique_ptr<partition_log> open(log_config config = small_segments, bool accept = false,
                                      bool clean = false) {
    auto options = options_for(fs_, clock_, config);
    options.accept_data_loss = accept;
    options.clean_shutdown = clean;
    return must_open(options);
  }
  error refusal(log_config config = small_segments) {
    auto log = partition_log::open(options_for(fs_, clock_, config));
    return log ? error(errc::internal, "it opened") : log.error();
  }
  std::string content(const std::string& path) { return io::read_file(fs_, path).value_or(""); }
  void replace(const std::string& path, std::string_view bytes) {
    auto file = fs_.open(path, io::open_mode::read_write);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->truncate(0));
    ASSERT_TRUE((*file)->write_at(0, bytes));
    ASSERT_TRUE((*file)->sync());
  }
  /// `batches` of one record, each flushed or not, and the log let go as if the process died.
  std::vector<found_record> write(int batches, bool flushed, log_config config = small_segments) {
    auto log = open(config);
    for (int i = 0; i < batches; ++i) must_append(*log, make_batch(make_records(1, 1'000 + i)));
    if (flushed) {
      EXPECT_TRUE(log->flush());
    }
    return read_all(*log, 0);
  }

  io::simulated_file_system fs_{3};
  io::manual_clock clock_;
};

TEST_F(Recovery, AfterAProcessDiesEverythingIsThere) {
  const auto before = write(30, false);
  auto log = open();
  EXPECT_EQ(read_all(*log, 0), before);
  EXPECT_EQ(log->recovery_point(), 30);  // E20: synced before it is served
  EXPECT_EQ(log->recovery().bytes_truncated, 0u);
}

TEST_F(Recovery, E20_ATornTailOfAnyLengthIsCutOff) {
  const log_config one_segment{.index_interval_bytes = 150};
  auto before = write(5, false, one_segment);
  const std::string whole = content(file_name(0, ".log"));
  const std::size_t last = whole.size() / 5 * 4;
  before.pop_back();
  for (std::size_t size = last + 1; size < whole.size(); ++size) {
    for (const char fill : {'\0', '\x7f', '\x02'}) {
      // The bytes behind the cut are gone, or are there and wrong.
      for (const bool filled : {false, true}) {
        std::string torn = whole.substr(0, size);
        if (filled) torn.resize(whole.size(), fill);
        if (torn == whole) continue;
        replace(file_name(0, ".log"), torn);
        auto log = open(one_segment);
        ASSERT_EQ(read_all(*log, 0), before) << size;
        ASSERT_EQ(log->recovery().bytes_truncated, torn.size() - last);
        ASSERT_EQ(must_append(*log, make_batch(make_records(1))).base_offset, 4);
        log.reset();
        ASSERT_TRUE(fs_.remove(std::string(directory) + "/recovery-point"));
      }
    }
  }
}

TEST_F(Recovery, E20_ZerosBehindTheEndAreCutOff) {
  const auto before = write(5, true);
  std::string bytes = content(file_name(0, ".log"));
  const std::size_t size = bytes.size();
  replace(file_name(0, ".log"), bytes + std::string(100'000, '\0'));
  auto log = open();
  EXPECT_EQ(read_all(*log, 0), before);
  EXPECT_EQ(content(file_name(0, ".log")).size(), size);
}

TEST_F(Recovery, E20_DamageBelowTheRecoveryPointRefusesAndNamesThePlace) {
  const log_config one_segment{};
  const auto before = write(9, true, one_segment);
  std::string bytes = content(file_name(0, ".log"));
  const std::size_t batch = bytes.size() / 9;
  bytes[batch * 4 + 70] ^= 1;
  replace(file_name(0, ".log"), bytes);
  const error refused = refusal(one_segment);
  EXPECT_EQ(refused.kind(), errc::corrupt);
  EXPECT_NE(refused.message().find(file_name(0, ".log")), std::string::npos) << refused.message();
  EXPECT_NE(refused.message().find("position " + std::to_string(batch * 4) + " (offset 4)"),
            std::string::npos)
      << refused.message();
  EXPECT_EQ(content(file_name(0, ".log")), bytes);  // nothing was touched

  auto expected = before;
  expected.erase(expected.begin() + 4);
  {
    auto log = open(one_segment, true);
    EXPECT_EQ(read_all(*log, 0), expected);
    EXPECT_EQ(log->end_offset(), 9);
    EXPECT_FALSE(log->recovery().remarks.empty());
  }
  EXPECT_EQ(read_all(*open(one_segment), 0), expected);  // and then it is in order
}

// A batch's base offset is outside of its checksum: one flipped bit may claim an offset that no filler
// reaches.
TEST_F(Recovery, E20_ABatchThatClaimsAFarOffsetIsLeftOutToo) {
  const log_config one_segment{};
  const auto before = write(9, true, one_segment);
  std::string bytes = content(file_name(0, ".log"));
  const std::size_t batch = bytes.size() / 9;
  bytes[batch * 3 + 70] ^= 1;
  bytes[batch * 4] ^= 0x20;
  replace(file_name(0, ".log"), bytes);
  EXPECT_EQ(refusal(one_segment).kind(), errc::corrupt);

  auto expected = before;
  expected.erase(expected.begin() + 3, expected.begin() + 5);
  auto log = open(one_segment, true);
  EXPECT_EQ(read_all(*log, 0), expected);
  EXPECT_EQ(log->end_offset(), 9);
}

// Not even when nothing else is wrong: indexes could not hold it.
TEST_F(Recovery, E20_ABatchThatClaimsAFarOffsetIsDamage) {
  const log_config one_segment{};
  write(9, true, one_segment);
  std::string bytes = content(file_name(0, ".log"));
  bytes[bytes.size() / 9 * 8] ^= 0x20;  // the last one: none behind it begins below
  replace(file_name(0, ".log"), bytes);
  const error refused = refusal(one_segment);
  EXPECT_EQ(refused.kind(), errc::corrupt);
  EXPECT_NE(refused.message().find("claims the offset 2305843009213693960"), std::string::npos)
      << refused.message();
}

TEST_F(Recovery, E20_DamageOfTheLastSyncedBatchRefusesToo) {
  write(9, true, {});
  std::string bytes = content(file_name(0, ".log"));
  bytes.back() ^= 1;
  replace(file_name(0, ".log"), bytes);
  EXPECT_EQ(refusal({}).kind(), errc::corrupt);
  auto log = open({}, true);
  EXPECT_EQ(read_all(*log, 0).size(), 8u);
  EXPECT_EQ(log->end_offset(), 9);  // its offset is not given again
}

TEST_F(Recovery, E20_WithoutSyncsDamageBeforeWholeBatchesRefuses) {
  const log_config never{.flush = flush_policy::none};
  write(9, false, never);
  std::string bytes = content(file_name(0, ".log"));
  const std::size_t batch = bytes.size() / 9;
  bytes[batch * 3 + 20] ^= 1;
  replace(file_name(0, ".log"), bytes);
  EXPECT_EQ(refusal(never).kind(), errc::corrupt);
  bytes.resize(batch * 3 + 65);
  replace(file_name(0, ".log"), bytes);
  EXPECT_EQ(read_all(*open(never), 0).size(), 3u);  // now it is the tail
}

TEST_F(Recovery, E20_DamageInAnOlderSegmentRefuses) {
  const log_config never{.segment_bytes = 700, .index_interval_bytes = 150, .flush = flush_policy::none};
  write(40, false, never);
  auto entries = fs_.list(directory);
  ASSERT_TRUE(entries);
  std::vector<std::string> logs;
  for (const auto& e : *entries) {
    if (e.name.ends_with(".log")) logs.push_back(std::string(directory) + "/" + e.name);
  }
  ASSERT_GT(logs.size(), 4u);
  std::string bytes = content(logs[2]);
  replace(logs[2], bytes.substr(0, bytes.size() - 5));
  EXPECT_EQ(refusal(never).kind(), errc::corrupt);
  auto log = open(never, true);
  EXPECT_EQ(read_all(*log, 0).size(), 39u);
  EXPECT_EQ(log->end_offset(), 40);
}

TEST_F(Recovery, E20_AMissingSegmentRefuses) {
  write(40, true);
  auto entries = fs_.list(directory);
  std::vector<std::string> logs;
  for (const auto& e : *entries) {
    if (e.name.ends_with(".log")) logs.push_back(std::string(directory) + "/" + e.name);
  }
  ASSERT_TRUE(fs_.remove(logs[2]));
  EXPECT_EQ(refusal().kind(), errc::corrupt);
  {
    auto log = open(small_segments, true);
    EXPECT_LT(read_all(*log, 0).size(), 40u);
    EXPECT_EQ(log->end_offset(), 40);
  }
  ASSERT_TRUE(fs_.remove(logs[0]));
  EXPECT_EQ(refusal().kind(), errc::data_loss);
  ASSERT_TRUE(fs_.remove(logs.back()));
  EXPECT_EQ(refusal().kind(), errc::data_loss);
}

TEST_F(Recovery, IndexesAreBuiltAgain) {
  const auto before = write(60, true);
  const std::vector<std::string> bad = {"", "x", std::string(8, '\0'), std::string(24, '\xff'),
                                        std::string(1'200, '\x01')};
  for (const bool clean : {false, true}) {
    for (std::size_t i = 0; i <= bad.size(); ++i) {
      if (clean) {
        ASSERT_TRUE(open()->close());
      }
      auto entries = fs_.list(directory);
      for (const auto& e : *entries) {
        if (!e.name.ends_with("index")) continue;
        const std::string path = std::string(directory) + "/" + e.name;
        if (i == bad.size()) {
          ASSERT_TRUE(fs_.remove(path));
        } else {
          replace(path, bad[i]);
        }
      }
      auto log = open(small_segments, false, clean);
      ASSERT_EQ(read_all(*log, 0), before) << i;
      for (const auto& r : before) {
        ASSERT_EQ(read_all(*log, r.offset).front(), r) << i;
        auto found = log->offset_for_timestamp(r.record.timestamp_ms);
        ASSERT_TRUE(found && *found) << i;
        ASSERT_EQ((*found)->offset, r.offset) << i << " clean " << clean;
      }
    }
  }
}

TEST_F(Recovery, DamagedSmallFilesAreBuiltAgain) {
  {
    auto log = open();
    for (int i = 0; i < 40; ++i)
      must_append(*log,
                  make_batch(make_records(1), {.producer_id = 1, .producer_epoch = 0, .base_sequence = i}),
                  {.leader_epoch = i / 10});
    ASSERT_TRUE(log->close());
  }
  for (const char* name : {"leader-epoch-checkpoint", "recovery-point", ".snapshot"}) {
    for (const std::string_view bytes : {std::string_view(""), std::string_view("garbage garbage garbage")}) {
      auto entries = fs_.list(directory);
      for (const auto& e : *entries) {
        if (e.name.ends_with(name)) replace(std::string(directory) + "/" + e.name, bytes);
      }
      auto log = open(small_segments, false, true);
      EXPECT_EQ(log->end_offset(), 40);
      EXPECT_EQ(log->end_offset_for_epoch(2), (epoch_end_offset{2, 30})) << name;
      auto again = must_append(
          *log, make_batch(make_records(1), {.producer_id = 1, .producer_epoch = 0, .base_sequence = 36}));
      EXPECT_EQ(again.status, append_status::duplicate) << name;
      EXPECT_EQ(again.base_offset, 36);
      ASSERT_TRUE(log->close());
    }
  }
}

TEST_F(Recovery, E18_IdempotenceSurvivesACrash) {
  auto log = open();
  for (int i = 0; i < 25; ++i) {
    must_append(*log,
                make_batch(make_records(2), {.producer_id = 1, .producer_epoch = 3, .base_sequence = i * 2}));
    must_append(*log,
                make_batch(make_records(1), {.producer_id = 2, .producer_epoch = 0, .base_sequence = i}));
  }
  ASSERT_TRUE(log->flush());
  log.reset();
  fs_.crash();
  log = open();
  for (int i = 20; i < 25; ++i) {
    auto again = must_append(
        *log, make_batch(make_records(2), {.producer_id = 1, .producer_epoch = 3, .base_sequence = i * 2}));
    EXPECT_EQ(again.status, append_status::duplicate);
    EXPECT_EQ(again.base_offset, i * 3);
  }
  auto skipped = must_append(
      *log, make_batch(make_records(1), {.producer_id = 2, .producer_epoch = 0, .base_sequence = 26}));
  EXPECT_EQ(skipped.status, append_status::out_of_order_sequence);
  auto old = must_append(
      *log, make_batch(make_records(1), {.producer_id = 1, .producer_epoch = 2, .base_sequence = 50}));
  EXPECT_EQ(old.status, append_status::invalid_producer_epoch);
  EXPECT_EQ(log->end_offset(), 75);
}

TEST_F(Recovery, TransactionsAndTheirEndsAreKnownAgain) {
  const auto marker = [](wire::marker_type type, std::int64_t producer) {
    wire::scratch_buffer out;
    wire::append_marker_batch({.type = type, .coordinator_epoch = 1}, producer, 0, 2'000, 0, out);
    return std::string(out.view());
  };
  const auto data = [](std::int64_t producer, std::int32_t sequence) {
    return make_batch(
        make_records(1),
        {.producer_id = producer, .producer_epoch = 0, .base_sequence = sequence, .transactional = true});
  };
  auto log = open();
  must_append(*log, data(1, 0));                   // 0
  must_append(*log, data(2, 0));                   // 1
  must_append(*log, make_batch(make_records(1)));  // 2
  EXPECT_EQ(log->last_stable_offset(), 0);
  must_append(*log, marker(wire::marker_type::abort, 1), {.check_producer = false});  // 3
  EXPECT_EQ(log->last_stable_offset(), 1);
  must_append(*log, marker(wire::marker_type::commit, 2), {.check_producer = false});  // 4
  EXPECT_EQ(log->last_stable_offset(), 5);
  for (int i = 0; i < 30; ++i) must_append(*log, data(3, i));  // 5..34
  const std::vector<aborted_transaction> aborted{{1, 0, 3, 1}};
  const auto check = [&] {
    EXPECT_EQ(log->last_stable_offset(), 5);
    EXPECT_EQ(*log->aborted_transactions(0, 5), aborted);
    EXPECT_EQ(*log->aborted_transactions(3, 35), aborted);
    EXPECT_TRUE(log->aborted_transactions(4, 35)->empty());
  };
  check();
  log = open();
  check();
  ASSERT_TRUE(log->close());
  log = open(small_segments, false, true);
  check();
  auto wrong = must_append(
      *log, make_batch(make_records(1), {.producer_id = 3, .producer_epoch = 0, .base_sequence = 30}));
  EXPECT_EQ(wrong.status, append_status::invalid_txn_state);
}

}  // namespace
}  // namespace penstock::log
