// SPDX-License-Identifier: Apache-2.0
#include "io/simulated_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "io/test_support.h"

namespace penstock::io {
namespace {

constexpr std::uint64_t seeds = 300;

std::unique_ptr<file> make(simulated_file_system& fs, const std::string& path) {
  return fs.open(path, open_mode::read_write).value();
}

TEST(crash, keeps_what_was_synced_whatever_the_seed) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    simulated_file_system fs(seed);
    ASSERT_TRUE(fs.make_directories("/d/e"));
    auto f = make(fs, "/d/e/f");
    ASSERT_TRUE(f->write_at(0, "synced"));
    ASSERT_TRUE(f->write_at(6, " twice"));
    ASSERT_TRUE(f->sync());
    ASSERT_TRUE(fs.sync_directory("/d/e"));
    ASSERT_TRUE(f->write_at(12, ", and this not"));
    fs.crash();
    const auto content = read_file(fs, "/d/e/f");
    ASSERT_TRUE(content) << "seed " << seed;
    EXPECT_EQ(content->substr(0, 12), "synced twice") << "seed " << seed;
  }
}

TEST(crash, may_leave_any_part_of_what_was_not_synced) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    simulated_file_system fs(seed);
    auto f = make(fs, "f");
    ASSERT_TRUE(f->sync());
    ASSERT_TRUE(fs.sync_directory("."));
    ASSERT_TRUE(f->write_at(0, "ab"));
    ASSERT_TRUE(f->write_at(2, "cd"));
    fs.crash();
    outcomes.insert(read_file(fs, "f").value());
  }
  const auto z = [](std::string s) {
    for (auto& c : s)
      if (c == '.') c = '\0';
    return s;
  };
  for (const auto* expected : {"", "abcd", "ab", "a", "..", "..cd", "..c", "abc", "ab..", "....", "a.cd"})
    EXPECT_TRUE(outcomes.contains(z(expected))) << expected;
}

TEST(crash, an_overwrite_leaves_old_or_new_bytes) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    simulated_file_system fs(seed);
    auto f = make(fs, "f");
    ASSERT_TRUE(f->write_at(0, "old!"));
    ASSERT_TRUE(f->sync());
    ASSERT_TRUE(fs.sync_directory("."));
    ASSERT_TRUE(f->write_at(0, "NEW?"));
    fs.crash();
    EXPECT_THAT(read_file(fs, "f").value(), testing::AnyOf("old!", "NEW?", "Nld!", "NEd!", "NEW!")) << seed;
  }
}

TEST(crash, what_follows_a_lost_truncate_is_lost_too) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    simulated_file_system fs(seed);
    auto f = make(fs, "f");
    ASSERT_TRUE(f->write_at(0, "headtail"));
    ASSERT_TRUE(f->sync());
    ASSERT_TRUE(fs.sync_directory("."));
    ASSERT_TRUE(f->truncate(4));
    ASSERT_TRUE(f->write_at(4, "X"));
    fs.crash();
    outcomes.insert(read_file(fs, "f").value());
  }
  EXPECT_THAT(outcomes, testing::ElementsAre("head", std::string("head\0", 5), "headX", "headtail"));
}

TEST(crash, names_survive_as_a_whole_or_not) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    simulated_file_system fs(seed);
    for (const auto* name : {"a", "b"}) {
      auto f = make(fs, name);
      ASSERT_TRUE(f->write_at(0, name));
      ASSERT_TRUE(f->sync());
    }
    ASSERT_TRUE(fs.sync_directory("/"));
    ASSERT_TRUE(fs.rename("a", "b"));
    ASSERT_TRUE(make(fs, "new")->sync());
    fs.crash();
    std::string outcome;
    const auto entries = fs.list("/").value();
    for (const auto& e : entries) outcome += e.name + "=" + read_file(fs, e.name).value() + " ";
    outcomes.insert(outcome);
  }
  EXPECT_THAT(outcomes, testing::ElementsAre("a=a b=b ", "a=a b=b new= ", "b=a ", "b=a new= "));
}

TEST(crash, a_removal_is_durable_once_the_directory_is_synced) {
  std::set<bool> without_sync;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    simulated_file_system fs(seed);
    for (const auto* name : {"synced", "not"}) {
      ASSERT_TRUE(fs.make_directories(name));
      ASSERT_TRUE(make(fs, std::string(name) + "/f")->sync());
      ASSERT_TRUE(fs.sync_directory(name));
      ASSERT_TRUE(fs.remove(std::string(name) + "/f"));
    }
    ASSERT_TRUE(fs.sync_directory("synced"));
    fs.crash();
    EXPECT_FALSE(fs.exists("synced/f")) << seed;
    without_sync.insert(fs.exists("not/f"));
  }
  EXPECT_EQ(without_sync.size(), 2u);
}

TEST(crash, a_move_between_directories_never_loses_or_doubles_the_file) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    for (const int synced : {0, 1, 2}) {
      simulated_file_system fs(seed);
      ASSERT_TRUE(fs.make_directories("a"));
      ASSERT_TRUE(fs.make_directories("b"));
      ASSERT_TRUE(make(fs, "a/f")->sync());
      if (synced != 2) {
        ASSERT_TRUE(fs.sync_directory("a"));
      }
      ASSERT_TRUE(fs.rename("a/f", "b/f"));
      if (synced != 0) {
        ASSERT_TRUE(fs.sync_directory("b"));
      }
      fs.crash();
      EXPECT_EQ(fs.exists("a/f") + fs.exists("b/f"), 1) << seed;
      EXPECT_TRUE(synced == 0 || fs.exists("b/f")) << seed;
    }
  }
}

TEST(crash, replacing_atomically_leaves_the_old_or_the_new) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    simulated_file_system fs(seed);
    ASSERT_TRUE(write_file_atomically(fs, "/checkpoint", "old"));
    fs.fail_sync(1 + seed % 3);  // in the file, in the directory, or none
    const bool done = write_file_atomically(fs, "/checkpoint", "new").has_value();
    fs.crash();
    const auto content = read_file(fs, "/checkpoint").value();
    if (done) {
      EXPECT_EQ(content, "new") << seed;
    } else {
      EXPECT_THAT(content, testing::AnyOf("old", "new")) << seed;
    }
  }
}

TEST(crash, kills_open_files_and_releases_locks) {
  simulated_file_system fs;
  auto f = make(fs, "f");
  auto lock = fs.lock_file("lock");
  ASSERT_TRUE(fs.sync_directory("."));
  fs.crash();
  EXPECT_FALSE(f->write_at(0, "x"));
  EXPECT_FALSE(f->sync());
  EXPECT_FALSE(f->size());
  EXPECT_FALSE(f->truncate(0));
  std::string out(1, ' ');
  EXPECT_FALSE(f->read_at(0, out));
  auto again = fs.lock_file("lock");
  EXPECT_TRUE(again);
  lock->reset();  // of the time before: must not take the new one away
  EXPECT_FALSE(fs.lock_file("lock"));
}

TEST(crash, the_same_seed_gives_the_same_outcome) {
  const auto outcome = [](std::uint64_t seed) {
    simulated_file_system fs(seed);
    std::string all;
    for (int round = 0; round < 5; ++round) {
      for (const auto* name : {"a", "b", "c"}) {
        auto f = make(fs, name);
        EXPECT_TRUE(f->write_at(f->size().value(), random_bytes(100, static_cast<std::uint64_t>(round))));
      }
      fs.crash();
      const auto entries = fs.list("/").value();
      for (const auto& e : entries) all += e.name + read_file(fs, e.name).value();
    }
    return all;
  };
  EXPECT_EQ(outcome(5), outcome(5));
  EXPECT_NE(outcome(5), outcome(6));
}

TEST(faults, the_nth_write_fails_and_may_leave_a_prefix) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    simulated_file_system fs(seed);
    auto f = make(fs, "f");
    fs.fail_write(2);
    ASSERT_TRUE(f->write_at(0, "1"));
    const auto r = f->write_at(1, "23");
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().kind(), errc::io);
    outcomes.insert(read_file(fs, "f").value());
    ASSERT_TRUE(f->write_at(1, "23")) << "once only";
  }
  EXPECT_THAT(outcomes, testing::ElementsAre("1", "12", "123"));
}

TEST(faults, after_a_failed_sync_a_good_one_promises_nothing) {
  bool lost = false;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    simulated_file_system fs(seed);
    auto f = make(fs, "f");
    ASSERT_TRUE(fs.sync_directory("."));
    ASSERT_TRUE(f->write_at(0, "data"));
    fs.fail_sync(1);
    ASSERT_FALSE(f->sync());
    ASSERT_TRUE(f->sync());
    EXPECT_EQ(read_file(fs, "f"), "data") << "as long as the power is there";
    fs.crash();
    lost = lost || read_file(fs, "f") != "data";
  }
  EXPECT_TRUE(lost);
}

TEST(faults, a_full_disk_takes_what_fits) {
  simulated_file_system fs;
  ASSERT_TRUE(make(fs, "other")->write_at(0, "1234"));
  fs.limit_space(10);
  EXPECT_EQ(fs.free_bytes("/"), 6u);
  auto f = make(fs, "f");
  const auto r = f->write_at(0, "abcdefgh");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind(), errc::exhausted);
  EXPECT_EQ(f->size(), 6u);
  EXPECT_TRUE(f->write_at(0, "ABCDEF")) << "an overwrite needs no space";
  EXPECT_EQ(fs.free_bytes("/"), 0u);
  ASSERT_TRUE(fs.remove("other"));
  EXPECT_TRUE(f->write_at(6, "gh"));
}

TEST(faults, syncs_are_counted) {
  simulated_file_system fs;
  ASSERT_TRUE(make(fs, "f")->sync());
  ASSERT_TRUE(fs.sync_directory("/"));
  EXPECT_EQ(fs.syncs(), 2u);
}

}  // namespace
}  // namespace penstock::io
