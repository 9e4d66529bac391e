// SPDX-License-Identifier: Apache-2.0
#include "io/memory_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "io/simulated_file_system.h"
#include "io/test_support.h"

namespace penstock::io {
namespace {

using namespace std::chrono_literals;

class memory_stream : public ::testing::Test {
 protected:
  void connect(memory_link_options options = {}) { pair_.emplace(connect_in_memory(loop_, options)); }
  stream& first() { return *pair_->first; }
  stream& second() { return *pair_->second; }

  void read(stream& from) {
    from.read_some(buffer_, [this](result<std::size_t> n) {
      if (n) {
        got_.append(buffer_.data(), *n);
      } else {
        failed_ = n.error().kind();
      }
    });
  }
  void write(stream& to, std::string_view bytes) {
    to.write({{.bytes = bytes}}, [this](result<> r) { written_ = r ? "written" : r.error().message(); });
  }
  void drain() {
    while (loop_.poll() > 0) {
    }
  }

  manual_clock time_;
  event_loop loop_{time_};
  std::optional<memory_pair> pair_;
  std::vector<char> buffer_ = std::vector<char>(100);
  std::string got_, written_;
  std::optional<errc> failed_;
};

TEST_F(memory_stream, carries_bytes_after_the_delay) {
  connect({.delay = 10ms});
  read(second());
  write(first(), "hello");
  EXPECT_EQ(written_, "") << "a handler ran inside the call that registered it";
  drain();
  EXPECT_EQ(written_, "written");
  time_.advance(9ms);
  drain();
  EXPECT_EQ(got_, "");
  EXPECT_EQ(second().peer(), "memory:1");
  time_.advance(1ms);
  drain();
  EXPECT_EQ(got_, "hello");
}

TEST_F(memory_stream, takes_messages_apart) {
  connect({.most_a_read = 3});
  write(first(), "hello");
  drain();
  EXPECT_EQ(second().try_read(buffer_), 3u);
  read(second());
  drain();
  EXPECT_EQ(got_, "lo");
  EXPECT_EQ(second().try_read(buffer_), 0u);
}

TEST_F(memory_stream, a_write_waits_for_a_slow_reader) {
  connect({.capacity = 4});
  write(first(), "0123");
  drain();
  EXPECT_EQ(written_, "written");
  written_.clear();
  write(first(), "4");
  drain();
  EXPECT_EQ(written_, "");
  EXPECT_EQ(second().try_read({buffer_.data(), 1}), 1u);
  drain();
  EXPECT_EQ(written_, "written");
  read(second());
  drain();
  EXPECT_EQ(got_, "1234");
}

TEST_F(memory_stream, a_read_that_waits_lets_the_next_write_in) {
  connect({.capacity = 2});
  write(first(), "more than that");
  read(second());
  drain();
  EXPECT_EQ(got_, "more than that");
  written_.clear();
  write(first(), "again");
  drain();
  EXPECT_EQ(written_, "written");
}

TEST_F(memory_stream, the_end_comes_after_the_last_byte) {
  connect({.delay = 5ms});
  write(first(), "last");
  ASSERT_TRUE(first().shutdown_write());
  write(second(), "still open");
  EXPECT_FALSE(second().peer_ended()) << "the end is still flying";
  time_.advance(5ms);
  drain();
  EXPECT_TRUE(second().peer_ended()) << "known before the last byte is read";
  EXPECT_FALSE(first().peer_ended());
  read(second());
  drain();
  EXPECT_EQ(got_, "last");
  EXPECT_FALSE(failed_);
  read(second());
  drain();
  EXPECT_EQ(failed_, errc::closed);
  EXPECT_EQ(first().try_read(buffer_), 10u);
}

TEST_F(memory_stream, holding_delays_and_cutting_loses) {
  connect();
  pair_->link.hold(true);
  write(first(), "held");
  read(second());
  drain();
  EXPECT_EQ(got_, "");
  pair_->link.hold(false);
  drain();
  EXPECT_EQ(got_, "held");
  pair_->link.hold(true);
  write(first(), "lost");
  drain();
  read(second());
  pair_->link.cut();
  drain();
  EXPECT_EQ(got_, "held");
  EXPECT_EQ(failed_, errc::closed);
  write(first(), "x");
  drain();
  EXPECT_NE(written_, "written");
}

TEST_F(memory_stream, closing_cancels_here_and_ends_there) {
  connect();
  std::optional<errc> there;
  std::vector<char> other(10);
  second().read_some(other, [&](result<std::size_t> n) { there = n.error().kind(); });
  read(first());
  pair_->first.reset();
  EXPECT_FALSE(failed_);
  drain();
  EXPECT_EQ(failed_, errc::cancelled);
  EXPECT_EQ(there, errc::closed);
  write(second(), "x");
  drain();
  EXPECT_NE(written_, "written");
  second().close();
  failed_.reset();
  read(second());
  drain();
  EXPECT_EQ(failed_, errc::cancelled);
}

TEST_F(memory_stream, sends_file_ranges) {
  connect();
  simulated_file_system fs;
  auto f = fs.open("f", open_mode::create_new).value();
  ASSERT_TRUE(f->write_at(0, "0123456789"));
  first().write({{.bytes = "<"}, {.from = f.get(), .position = 3, .length = 4}, {.bytes = ">"}},
                [](result<> r) { EXPECT_TRUE(r); });
  read(second());
  drain();
  EXPECT_EQ(got_, "<3456>");
  first().write({{.from = f.get(), .position = 9, .length = 2}},
                [this](result<> r) { written_ = r.error().message(); });
  drain();
  EXPECT_EQ(written_, "cannot send f: it ends early");
}

}  // namespace
}  // namespace penstock::io
