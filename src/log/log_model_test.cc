// SPDX-License-Identifier: Apache-2.0
// Random operations on a log beside a model of it, over a file system that loses power. Whatever the seed:
// what was flushed is there after a crash, in order, nothing twice, nothing invented. A failure prints its
// seed.
#include <gtest/gtest.h>

#include <map>

#include "log/test_support.h"

namespace penstock::log {
namespace {

using namespace testing;

/// What the log must hold: every batch that append was called with, and how far they are promised.
class model {
 public:
  struct batch {
    std::int64_t base;
    std::vector<test_record> records;
    std::int64_t producer = -1;
    std::int32_t sequence = -1;
    std::int64_t end() const { return base + static_cast<std::int64_t>(records.size()); }
  };
  std::vector<batch> batches;
  std::vector<batch> unanswered;  // of an append that failed: may be there after a restart, or not
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::int64_t flushed = 0;

  std::vector<found_record> records_from(std::int64_t offset) const {
    std::vector<found_record> all;
    for (const auto& b : batches) {
      for (std::size_t i = 0; i < b.records.size(); ++i) {
        const std::int64_t at = b.base + static_cast<std::int64_t>(i);
        if (at >= offset) all.push_back({at, b.records[i]});
      }
    }
    return all;
  }
  /// After a restart the log ends with `log_end`: batches behind it are lost, unanswered ones before it are
  /// not.
  void settle(std::int64_t log_end) {
    for (auto& b : unanswered) batches.push_back(std::move(b));
    unanswered.clear();
    while (!batches.empty() && batches.back().base >= log_end) batches.pop_back();
    end = flushed = log_end;
  }
};

class random_run {
 public:
  explicit random_run(std::uint64_t seed) : random_(seed), fs_(random_.next()) {
    config_.segment_bytes = 500 + static_cast<std::uint32_t>(pick(3'000));
    config_.index_interval_bytes = 1 + static_cast<std::uint32_t>(pick(400));
    config_.retention_age = std::chrono::milliseconds(-1);
    reopen(false);
  }

  void run(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) step();
  }

 private:
  std::uint64_t pick(std::uint64_t n) { return random_.next() % n; }

  void reopen(bool clean) {
    log_.reset();
    auto options = options_for(fs_, clock_, config_);
    options.clean_shutdown = clean;
    options.verify_when_clean = pick(2) == 0 ? 100 : 1u << 20;
    log_ = must_open(options);
    ASSERT_NE(log_, nullptr);
    ASSERT_GE(log_->end_offset(), model_.flushed);
    std::int64_t possible = model_.end;
    for (const auto& b : model_.unanswered) possible = std::max(possible, b.end());
    ASSERT_LE(log_->end_offset(), possible);
    ASSERT_GE(log_->log_start_offset(), model_.start);
    model_.settle(log_->end_offset());
    model_.start = log_->log_start_offset();
    ASSERT_EQ(log_->recovery_point(), log_->end_offset());
    check();
    check_duplicates();
  }

  void check() {
    const auto verified = log_->verify();
    ASSERT_TRUE(verified) << verified.error().message();
    ASSERT_EQ(log_->end_offset(), model_.end);
    ASSERT_EQ(read_all(*log_, model_.start, 1 + pick(3'000)), model_.records_from(model_.start));
    if (model_.start == model_.end) return;
    const std::int64_t from =
        model_.start + static_cast<std::int64_t>(pick(static_cast<std::uint64_t>(model_.end - model_.start)));
    ASSERT_EQ(read_all(*log_, from, 1 + pick(3'000)), model_.records_from(from));
    const std::int64_t stamp = 1'000 + static_cast<std::int64_t>(pick(5'000));
    std::int64_t expected = -1;
    for (const auto& r : model_.records_from(model_.start)) {
      if (expected < 0 && r.record.timestamp_ms >= stamp) expected = r.offset;
    }
    auto found = log_->offset_for_timestamp(stamp);
    ASSERT_TRUE(found) << found.error().message();
    ASSERT_EQ(*found ? (*found)->offset : -1, expected) << "timestamp " << stamp;
  }

  // E18: sending the last batch of each producer again appends nothing; the sequences go on behind it.
  void check_duplicates() {
    std::map<std::int64_t, const model::batch*> last;
    for (const auto& b : model_.batches) {
      if (b.producer >= 0) last[b.producer] = &b;
    }
    sequences_.clear();
    for (const auto& [producer, b] : last) {
      sequences_[producer] = b->sequence + static_cast<std::int32_t>(b->records.size());
      auto again = must_append(*log_, bytes_of(*b));
      ASSERT_EQ(again.status, append_status::duplicate);
      ASSERT_EQ(again.base_offset, b->base);
    }
  }

  static std::string bytes_of(const model::batch& b) {
    return make_batch(b.records, {.producer_id = b.producer,
                                  .producer_epoch = static_cast<std::int16_t>(b.producer < 0 ? -1 : 0),
                                  .base_sequence = b.sequence});
  }

  model::batch next_batch(std::int64_t base) {
    model::batch b{.base = base, .records = {}};
    const auto n = 1 + pick(4);
    for (std::uint64_t i = 0; i < n; ++i) {
      stamp_ += static_cast<std::int64_t>(pick(20)) - 5;
      b.records.push_back({"k" + std::to_string(pick(50)),
                           std::string(pick(60), 'v') + std::to_string(serial_++),
                           std::max<std::int64_t>(1'000, stamp_)});
    }
    if (pick(3) != 0) {
      b.producer = static_cast<std::int64_t>(pick(3));
      b.sequence = sequences_[b.producer];
    }
    return b;
  }

  void append() {
    std::vector<model::batch> batches;
    std::vector<std::string> bytes;
    const auto before = sequences_;
    std::int64_t base = model_.end;
    for (std::uint64_t n = 1 + pick(3); n > 0; --n) {
      batches.push_back(next_batch(base));
      base = batches.back().end();
      if (batches.back().producer >= 0)
        sequences_[batches.back().producer] += static_cast<std::int32_t>(batches.back().records.size());
      bytes.push_back(bytes_of(batches.back()));
    }
    std::vector<append_batch> appends;
    for (auto& b : bytes) appends.push_back({.bytes = b});
    auto summary = log_->append(appends);
    if (!summary) sequences_ = before;
    for (std::size_t i = 0; i < batches.size(); ++i) {
      if (summary && appends[i].status == append_status::appended) {
        ASSERT_EQ(appends[i].base_offset, batches[i].base);
        model_.end = batches[i].end();
        model_.batches.push_back(std::move(batches[i]));
      } else {
        ASSERT_TRUE(broken_) << (summary ? "not written" : summary.error().message());
        model_.unanswered.push_back(std::move(batches[i]));
      }
    }
    if (broken_ && !model_.unanswered.empty()) restart_broken();
  }

  void flush() {
    auto flushed = log_->flush();
    if (flushed) {
      ASSERT_EQ(*flushed, model_.end);
      model_.flushed = model_.end;
    } else {
      ASSERT_TRUE(broken_) << flushed.error().message();
      restart_broken();
    }
  }

  void restart_broken() {
    fs_.fail_write(0);
    fs_.fail_sync(0);
    broken_ = false;
    if (pick(2) == 0) fs_.crash();
    reopen(false);
  }

  void drop() {
    if (broken_) return;
    if (pick(2) == 0) {
      const auto to = model_.start + static_cast<std::int64_t>(
                                         pick(static_cast<std::uint64_t>(model_.end - model_.start) + 1));
      auto start = log_->delete_records(to);
      ASSERT_TRUE(start) << start.error().message();
      model_.start = *start;
    } else {
      log_config sized = config_;
      sized.retention_bytes = static_cast<std::int64_t>(pick(10'000));
      log_->set_config(sized);
      ASSERT_TRUE(log_->apply_retention());
      log_->set_config(config_);
      ASSERT_GE(log_->log_start_offset(), model_.start);
      model_.start = log_->log_start_offset();
      if (pick(2) == 0) {
        clock_.advance(std::chrono::minutes(2));
        ASSERT_TRUE(log_->remove_deleted_files());
      }
    }
    model_.flushed = std::max(model_.flushed, log_->recovery_point());
  }

  void step() {
    const auto what = pick(100);
    if (what < 55) {
      append();
    } else if (what < 70) {
      flush();
    } else if (what < 78) {
      check();
    } else if (what < 82) {
      drop();
    } else if (what < 88) {
      fs_.crash();
      restart_broken();
    } else if (what < 92) {
      fs_.fail_write(0);
      fs_.fail_sync(0);
      broken_ = false;
      reopen(false);  // the process died
    } else if (what < 96) {
      if (broken_) return;
      auto closed = log_->close();
      ASSERT_TRUE(closed) << closed.error().message();
      model_.flushed = model_.end;
      if (pick(2) == 0) fs_.crash();
      reopen(true);
    } else if (!broken_) {
      broken_ = true;
      pick(2) == 0 ? fs_.fail_write(1 + pick(6)) : fs_.fail_sync(1 + pick(3));
    }
  }

  io::seeded_random random_;
  io::simulated_file_system fs_;
  io::manual_clock clock_;
  log_config config_;
  std::unique_ptr<partition_log> log_;
  model model_;
  std::map<std::int64_t, std::int32_t> sequences_;
  std::int64_t stamp_ = 1'000;
  int serial_ = 0;
  bool broken_ = false;
};

TEST(LogModel, RandomOperationsAndCrashes) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    random_run(seed).run(80);
    if (HasFailure()) return;
  }
}

/// Compaction: what must be left of a sequence of keyed records.
class compaction_model {
 public:
  explicit compaction_model(std::uint64_t seed) : random_(seed), fs_(random_.next()) {
    config_.segment_bytes = 400 + static_cast<std::uint32_t>(pick(1'500));
    config_.index_interval_bytes = 1 + static_cast<std::uint32_t>(pick(300));
    config_.retention_age = std::chrono::milliseconds(-1);
    config_.cleanup_delete = false;
    config_.cleanup_compact = true;
    config_.delete_retention = std::chrono::milliseconds(1'000);
    config_.compaction_memory = pick(3) == 0 ? 1'000 : 1u << 20;
    reopen();
  }

  void run() {
    for (int i = 0; i < 60 && !::testing::Test::HasFailure(); ++i) step();
  }

 private:
  std::uint64_t pick(std::uint64_t n) { return random_.next() % n; }

  void reopen() {
    log_.reset();
    log_ = must_open(options_for(fs_, clock_, config_));
    ASSERT_NE(log_, nullptr);
    ASSERT_GE(log_->end_offset(), flushed_);
    std::erase_if(written_, [&](const found_record& r) { return r.offset >= log_->end_offset(); });
    flushed_ = log_->end_offset();
    check();
  }

  void check() {
    ASSERT_TRUE(log_->verify()) << log_->verify().error().message();
    std::map<std::int64_t, test_record> written;
    std::map<std::string, found_record> last;
    for (const auto& r : written_) {
      written[r.offset] = r.record;
      last[*r.record.key] = r;
    }
    std::map<std::string, test_record> table;
    std::int64_t before = -1;
    for (const auto& r : read_all(*log_, 0, 1 + pick(2'000))) {
      ASSERT_GT(r.offset, before);
      before = r.offset;
      ASSERT_TRUE(written.contains(r.offset)) << "offset " << r.offset << " was never written";
      ASSERT_EQ(written[r.offset], r.record) << r.offset;
      table[*r.record.key] = r.record;
    }
    for (const auto& [key, r] : last) {
      if (r.record.value) {
        ASSERT_TRUE(table.contains(key)) << key;
        ASSERT_EQ(table[key], r.record) << key;
      } else {
        ASSERT_TRUE(!table.contains(key) || !table[key].value) << key << " is back";
      }
    }
    // A reader that begins anywhere, holes included, gets on.
    if (log_->end_offset() > 0)
      read_all(*log_, static_cast<std::int64_t>(pick(static_cast<std::uint64_t>(log_->end_offset()))), 200);
  }

  void append() {
    std::vector<test_record> records;
    for (std::uint64_t n = 1 + pick(5); n > 0; --n) {
      test_record r{"k" + std::to_string(pick(12)), std::nullopt, clock_.wall_ms()};
      if (pick(4) != 0) r.value = std::string(pick(30), 'x') + std::to_string(serial_++);
      records.push_back(std::move(r));
    }
    const compression codec = pick(3) == 0 ? compression::lz4 : compression::none;
    auto done = must_append(
        *log_,
        make_batch(records,
                   {.codec = codec, .producer_id = 7, .producer_epoch = 0, .base_sequence = sequence_}));
    ASSERT_EQ(done.status, append_status::appended);
    sequence_ += static_cast<std::int32_t>(records.size());
    for (std::size_t i = 0; i < records.size(); ++i)
      written_.push_back({done.base_offset + static_cast<std::int64_t>(i), records[i]});
  }

  void compact() {
    auto done = log_->compact(pick(2) == 0);
    ASSERT_TRUE(done) << done.error().message();
    flushed_ = std::max(flushed_, log_->recovery_point());
    check();
  }

  // The power goes in the middle of a compaction: at one of its writes or syncs.
  void compact_and_crash() {
    pick(2) == 0 ? fs_.fail_write(1 + pick(8)) : fs_.fail_sync(1 + pick(8));
    (void)log_->compact(true);
    flushed_ = std::max(flushed_, log_->recovery_point());
    fs_.fail_write(0);
    fs_.fail_sync(0);
    crash();
  }

  void crash() {
    fs_.crash();
    reopen();
    // The sequence goes on behind what survived.
    for (const auto& p : log_->producers()) sequence_ = p.last_sequence() + 1;
    if (written_.empty()) sequence_ = 0;
  }

  void step() {
    const auto what = pick(100);
    if (what < 60) {
      append();
    } else if (what < 68) {
      ASSERT_TRUE(log_->flush());
      flushed_ = log_->end_offset();
    } else if (what < 80) {
      compact();
    } else if (what < 86) {
      clock_.advance(std::chrono::milliseconds(pick(2'000)));
      ASSERT_TRUE(log_->remove_deleted_files());
    } else if (what < 92) {
      crash();
    } else {
      compact_and_crash();
    }
  }

  io::seeded_random random_;
  io::simulated_file_system fs_;
  io::manual_clock clock_;
  log_config config_;
  std::unique_ptr<partition_log> log_;
  std::vector<found_record> written_;
  std::int64_t flushed_ = 0;
  std::int32_t sequence_ = 0;
  int serial_ = 0;
};

TEST(LogModel, CompactionAndCrashes) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    compaction_model(seed).run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace penstock::log
