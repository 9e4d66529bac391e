// SPDX-License-Identifier: Apache-2.0
// What holds for every file system, and what is the machine's own.
#include "io/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <numeric>

#include "io/clock.h"
#include "io/simulated_file_system.h"
#include "io/test_support.h"

namespace penstock::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct subject {
  virtual ~subject() = default;
  virtual file_system& fs() = 0;
  virtual std::string root() = 0;
};
struct real final : subject {
  scratch_directory scratch;
  file_system& fs() override { return file_system::system(); }
  std::string root() override { return scratch.path(); }
};
struct simulated final : subject {
  simulated_file_system files;
  simulated() { EXPECT_TRUE(files.make_directories("/root")); }
  file_system& fs() override { return files; }
  std::string root() override { return "/root"; }
};

template <typename Subject>
class any_file_system : public ::testing::Test {
 protected:
  std::string at(const std::string& name) { return root_ + "/" + name; }
  std::vector<std::string> names(const std::string& directory) {
    std::vector<std::string> found;
    const auto entries = fs_.list(directory).value();
    for (const auto& e : entries) found.push_back(e.name);
    return found;
  }
  std::string content(const std::string& name) { return read_file(fs_, at(name)).value(); }

  Subject subject_;
  file_system& fs_ = subject_.fs();
  std::string root_ = subject_.root();
};
using subjects = ::testing::Types<real, simulated>;
TYPED_TEST_SUITE(any_file_system, subjects);

TYPED_TEST(any_file_system, writes_pieces_one_behind_the_other) {
  auto f = this->fs_.open(this->at("f"), open_mode::create_new).value();
  EXPECT_EQ(f->path(), this->at("f"));
  // More pieces than one system call takes, with empty ones among them.
  const auto bytes = random_bytes(5'000);
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0, n; i < bytes.size(); i += n) {
    n = std::min<std::size_t>(i % 4, bytes.size() - i);
    pieces.push_back(std::string_view(bytes).substr(i, n));
    if (n == 0) pieces.push_back(std::string_view(bytes).substr(i, n = 1));
  }
  ASSERT_GT(pieces.size(), 1'024u);
  ASSERT_TRUE(f->write_at(3, pieces));
  EXPECT_EQ(f->size(), bytes.size() + 3);
  EXPECT_EQ(this->content("f"), std::string(3, '\0') + bytes);
  ASSERT_TRUE(f->write_at(0, std::span<const std::string_view>{}));
  ASSERT_TRUE(f->write_at(1, "ab"));
  EXPECT_EQ(this->content("f").substr(0, 4), std::string("\0ab", 3) + bytes[0]);
}

TYPED_TEST(any_file_system, reads_up_to_the_end) {
  auto f = this->fs_.open(this->at("f"), open_mode::read_write).value();
  ASSERT_TRUE(f->write_at(0, "0123456789"));
  std::string out(4, 'x');
  EXPECT_EQ(f->read_at(2, out), 4u);
  EXPECT_EQ(out, "2345");
  EXPECT_EQ(f->read_at(8, out), 2u);
  EXPECT_EQ(out, "8945");
  EXPECT_EQ(f->read_at(10, out), 0u);
  EXPECT_EQ(f->read_at(1'000, out), 0u);
}

TYPED_TEST(any_file_system, truncates_and_grows_with_zeros) {
  auto f = this->fs_.open(this->at("f"), open_mode::read_write).value();
  ASSERT_TRUE(f->write_at(0, "abcdef"));
  ASSERT_TRUE(f->truncate(2));
  ASSERT_TRUE(f->truncate(4));
  EXPECT_EQ(this->content("f"), std::string("ab\0\0", 4));
  EXPECT_TRUE(f->sync());
}

TYPED_TEST(any_file_system, open_modes) {
  EXPECT_EQ(this->fs_.open(this->at("f"), open_mode::read).error().kind(), errc::not_found);
  EXPECT_EQ(this->fs_.open(this->at("none/f"), open_mode::read_write).error().kind(), errc::not_found);
  ASSERT_TRUE(this->fs_.open(this->at("f"), open_mode::read_write).value()->write_at(0, "kept"));
  const auto again = this->fs_.open(this->at("f"), open_mode::create_new);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), errc::already_exists);
  EXPECT_THAT(again.error().message(), HasSubstr(this->at("f")));
  ASSERT_TRUE(this->fs_.open(this->at("f"), open_mode::read_write));
  EXPECT_EQ(this->content("f"), "kept");
  const auto f = this->fs_.open(this->at("f"), open_mode::read).value();
  const auto refused = f->write_at(0, "x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), errc::io);
  EXPECT_THAT(refused.error().message(), HasSubstr(this->at("f")));
}

TYPED_TEST(any_file_system, directories) {
  ASSERT_TRUE(this->fs_.make_directories(this->at("a/b/c")));
  ASSERT_TRUE(this->fs_.make_directories(this->at("a/b/c/")));
  ASSERT_TRUE(write_file_atomically(this->fs_, this->at("a/z"), "123"));
  ASSERT_TRUE(this->fs_.open(this->at("a/y"), open_mode::create_new));
  const auto entries = this->fs_.list(this->at("a")).value();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "b");
  EXPECT_TRUE(entries[0].is_directory);
  EXPECT_EQ(entries[1].name, "y");
  EXPECT_EQ(entries[2].name, "z");
  EXPECT_FALSE(entries[2].is_directory);
  EXPECT_EQ(entries[2].size, 3u);
  EXPECT_GT(entries[2].modified_ms, 1'600'000'000'000);
  EXPECT_TRUE(this->fs_.exists(this->at("a/b")));
  EXPECT_TRUE(this->fs_.exists(this->at("a/y")));
  EXPECT_FALSE(this->fs_.exists(this->at("a/x")));
  EXPECT_EQ(this->fs_.list(this->at("none")).error().kind(), errc::not_found);
  EXPECT_FALSE(this->fs_.list(this->at("a/z")));
  EXPECT_FALSE(this->fs_.make_directories(this->at("a/z"))) << "a file is in the way";
  EXPECT_FALSE(this->fs_.make_directories(this->at("a/z/d")));
  EXPECT_TRUE(this->fs_.sync_directory(this->at("a")));
  EXPECT_EQ(this->fs_.sync_directory(this->at("none")).error().kind(), errc::not_found);
}

TYPED_TEST(any_file_system, renames_replace) {
  ASSERT_TRUE(write_file_atomically(this->fs_, this->at("a"), "new"));
  ASSERT_TRUE(write_file_atomically(this->fs_, this->at("b"), "old"));
  ASSERT_TRUE(this->fs_.rename(this->at("a"), this->at("b")));
  EXPECT_EQ(this->content("b"), "new");
  EXPECT_THAT(this->names(this->root_), ElementsAre("b"));
  EXPECT_EQ(this->fs_.rename(this->at("a"), this->at("b")).error().kind(), errc::not_found);
  ASSERT_TRUE(this->fs_.make_directories(this->at("d/e")));
  ASSERT_TRUE(this->fs_.rename(this->at("b"), this->at("d/e/f")));
  ASSERT_TRUE(this->fs_.rename(this->at("d"), this->at("g")));
  EXPECT_EQ(this->content("g/e/f"), "new");
  EXPECT_THAT(this->names(this->root_), ElementsAre("g"));
}

TYPED_TEST(any_file_system, removes) {
  ASSERT_TRUE(this->fs_.make_directories(this->at("a/b")));
  ASSERT_TRUE(write_file_atomically(this->fs_, this->at("a/f"), "x"));
  EXPECT_EQ(this->fs_.remove(this->at("none")).error().kind(), errc::not_found);
  EXPECT_FALSE(this->fs_.remove(this->at("a"))) << "not empty";
  const auto open = this->fs_.open(this->at("a/f"), open_mode::read).value();
  EXPECT_TRUE(this->fs_.remove(this->at("a/f")));
  std::string out(1, ' ');
  EXPECT_EQ(open->read_at(0, out), 1u) << "an open file lives on";
  EXPECT_TRUE(this->fs_.remove(this->at("a/b")));
  ASSERT_TRUE(this->fs_.make_directories(this->at("a/c/d")));
  EXPECT_TRUE(this->fs_.remove_all(this->at("a")));
  EXPECT_TRUE(this->fs_.remove_all(this->at("a")));
  EXPECT_THAT(this->names(this->root_), ElementsAre());
}

TYPED_TEST(any_file_system, a_lock_is_held_once) {
  auto first = this->fs_.lock_file(this->at("lock"));
  ASSERT_TRUE(first);
  const auto second = this->fs_.lock_file(this->at("lock"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), errc::already_exists);
  first->reset();
  EXPECT_TRUE(this->fs_.lock_file(this->at("lock")));
}

TYPED_TEST(any_file_system, read_file_keeps_to_its_limit) {
  ASSERT_TRUE(write_file_atomically(this->fs_, this->at("f"), "12345"));
  EXPECT_EQ(read_file(this->fs_, this->at("f"), 5), "12345");
  const auto over = read_file(this->fs_, this->at("f"), 4);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().kind(), errc::exhausted);
}

TYPED_TEST(any_file_system, write_file_atomically_clears_a_leftover) {
  ASSERT_TRUE(
      this->fs_.open(this->at("f.tmp"), open_mode::create_new).value()->write_at(0, "longer than the new"));
  ASSERT_TRUE(write_file_atomically(this->fs_, this->at("f"), "new"));
  EXPECT_EQ(this->content("f"), "new");
  EXPECT_THAT(this->names(this->root_), ElementsAre("f"));
}

TYPED_TEST(any_file_system, tells_the_free_space) {
  EXPECT_GT(this->fs_.free_bytes(this->root_).value(), 0u);
  EXPECT_FALSE(this->fs_.free_bytes(this->at("none")));
}

TEST(posix_file, continues_after_a_short_write) {
  // A file size limit makes pwritev take a part first; the rest then fails as it should.
  scratch_directory scratch;
  auto f = file_system::system().open(scratch.path() + "/f", open_mode::create_new).value();
  EXPECT_GE(f->descriptor(), 0);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{10, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const std::string_view pieces[] = {"12345", "67890", "abc"};
  const auto r = f->write_at(0, pieces);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind(), errc::io);
  EXPECT_EQ(read_file(file_system::system(), f->path()), "1234567890");
}

TEST(posix_file, a_full_disk_is_told_apart) {
  auto full = file_system::system().open("/dev/full", open_mode::read_write);
  if (!full) GTEST_SKIP() << full.error().message();
  const auto r = (*full)->write_at(0, "x");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind(), errc::exhausted);
}

TEST(posix_file, a_failed_sync_is_never_taken_back) {
  auto none = file_system::system().open("/dev/null", open_mode::read_write).value();  // fdatasync: EINVAL
  EXPECT_FALSE(none->sync());
  const auto again = none->sync();
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message(), HasSubstr("earlier"));
}

TEST(directory_of, is_the_part_before_the_last_slash) {
  EXPECT_EQ(directory_of("/a/b"), "/a");
  EXPECT_EQ(directory_of("/a/b/"), "/a");
  EXPECT_EQ(directory_of("/a"), "/");
  EXPECT_EQ(directory_of("a"), ".");
  EXPECT_EQ(directory_of("a/b"), "a");
}

TEST(clock, the_machines_clocks_go_forward) {
  const auto& c = clock::system();
  const auto before = c.now();
  const auto wall = c.wall_ms();
  EXPECT_GT(wall, 1'600'000'000'000);
  while (c.now() == before) {
  }
  EXPECT_GT(c.now(), before);
  EXPECT_GE(c.wall_ms(), wall - 1'000) << "unless somebody sets it";
}

TEST(random_source, the_kernels_does_not_repeat_and_the_seeded_one_does) {
  EXPECT_NE(random_source::system().next(), random_source::system().next());
  seeded_random a(7), b(7), c(8);
  EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(a.next(), c.next());
}

}  // namespace
}  // namespace penstock::io
