// SPDX-License-Identifier: Apache-2.0
#include "io/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "io/random.h"
#include "io/test_support.h"

namespace penstock::io {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(endpoint, parses_what_it_prints) {
  for (const auto& e : {endpoint{"localhost", 9092}, endpoint{"::1", 0}, endpoint{"10.0.0.1", 65535}})
    EXPECT_EQ(parse_endpoint(to_string(e)), e);
  EXPECT_EQ(to_string(endpoint{"::1", 7}), "[::1]:7");
}

TEST(endpoint, refuses_what_is_not_one) {
  for (const auto* text :
       {"", "host", ":9092", "host:", "host:65536", "host:-1", "host:9o", "::1:9092", "[]:1", "[::1]"}) {
    const auto parsed = parse_endpoint(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind(), errc::invalid_argument);
    EXPECT_THAT(parsed.error().message(), HasSubstr(text));
  }
}

/// Two ends of one TCP connection on one loop.
class tcp_pair : public ::testing::Test {
 protected:
  void SetUp() override {
    auto listening =
        listen(loop_, {"127.0.0.1", 0}, [this](std::unique_ptr<stream> s) { server_ = std::move(s); });
    ASSERT_TRUE(listening) << listening.error().message();
    listener_ = std::move(*listening);
    connect(loop_, listener_->local(), 5s, [this](result<std::unique_ptr<stream>> s) {
      ASSERT_TRUE(s) << s.error().message();
      client_ = std::move(*s);
    });
    ASSERT_TRUE(run_until_true(loop_, [this] { return client_ && server_; }));
  }

  /// Reads until `from` ends or `most` bytes are there.
  void collect(stream& from, std::string& into, std::size_t most = SIZE_MAX) {
    from.read_some(buffer_, [this, &from, &into, most](result<std::size_t> n) {
      if (!n) {
        end_ = n.error().kind();
        return;
      }
      into.append(buffer_.data(), *n);
      if (into.size() < most) collect(from, into, most);
    });
  }

  event_loop loop_;
  std::unique_ptr<listener> listener_;
  std::unique_ptr<stream> client_, server_;
  std::vector<char> buffer_ = std::vector<char>(1 << 20);
  std::optional<errc> end_;
};

TEST_F(tcp_pair, gathers_memory_and_file_ranges_in_order) {
  scratch_directory scratch;
  const auto content = random_bytes(5'000'000);
  auto f = *file_system::system().open(scratch.path() + "/segment", open_mode::create_new);
  ASSERT_TRUE(f->write_at(0, content));
  const auto memory = random_bytes(3'000'000);
  std::vector<write_piece> pieces;
  std::string expected;
  const auto add_memory = [&](std::size_t at, std::size_t n) {
    pieces.push_back({.bytes = std::string_view(memory).substr(at, n)});
    expected.append(memory, at, n);
  };
  const auto add_file = [&](std::size_t at, std::size_t n) {
    pieces.push_back({.from = f.get(), .position = at, .length = n});
    expected.append(content, at, n);
  };
  for (std::size_t i = 0; i < 300; ++i) add_memory(i * 7, i % 5);  // many, some empty
  add_file(10, 3'000'000);
  add_memory(0, 4);
  add_file(4'999'999, 1);
  add_file(0, 0);
  add_file(17, 1'900'000);
  add_memory(0, 3'000'000);

  bool written = false;
  server_->write(std::move(pieces), [&](result<> r) {
    EXPECT_TRUE(r) << r.error().message();
    written = true;
  });
  EXPECT_FALSE(written) << "a handler ran inside the call that registered it";
  std::string got;
  collect(*client_, got, expected.size());
  ASSERT_TRUE(run_until_true(loop_, [&] { return written && got.size() >= expected.size(); }));
  EXPECT_TRUE(got == expected);
}

TEST_F(tcp_pair, keeps_the_owner_of_a_piece_until_the_write_is_over) {
  auto owner = std::make_shared<std::string>(random_bytes(20'000'000));  // more than the socket takes at once
  std::weak_ptr<std::string> alive = owner;
  std::vector<write_piece> pieces{{.bytes = *owner, .keep = owner}};
  const std::size_t size = owner->size();
  owner.reset();
  bool written = false;
  server_->write(std::move(pieces), [&](result<> r) { written = r.has_value(); });
  EXPECT_FALSE(alive.expired());
  std::string got;
  collect(*client_, got, size);
  ASSERT_TRUE(run_until_true(loop_, [&] { return written && got.size() == size; }));
  EXPECT_TRUE(alive.expired());
}

TEST_F(tcp_pair, both_directions_at_once) {
  const auto a = random_bytes(8'000'000), b = random_bytes(8'000'000);
  int written = 0;
  client_->write({{.bytes = a}}, [&](result<> r) { written += r.has_value(); });
  server_->write({{.bytes = b}}, [&](result<> r) { written += r.has_value(); });
  std::string at_server, at_client;
  std::vector<char> other(100'000);
  unique_function<void()> read_other = [&] {
    server_->read_some(other, [&](result<std::size_t> n) {
      at_server.append(other.data(), n.value());
      if (at_server.size() < a.size()) read_other();
    });
  };
  read_other();
  collect(*client_, at_client, b.size());
  ASSERT_TRUE(run_until_true(
      loop_, [&] { return written == 2 && at_server.size() == a.size() && at_client.size() == b.size(); }));
  EXPECT_TRUE(at_server == a);
  EXPECT_TRUE(at_client == b);
}

TEST_F(tcp_pair, one_large_read_takes_all_that_is_there) {
  const auto bytes = random_bytes(400'000);
  bool written = false;
  server_->write({{.bytes = bytes}}, [&](result<> r) { written = r.has_value(); });
  ASSERT_TRUE(run_until_true(loop_, [&] { return written; }));
  std::size_t first = 0;
  client_->read_some(buffer_, [&](result<std::size_t> n) { first = n.value(); });
  EXPECT_EQ(first, 0u);
  ASSERT_TRUE(run_until_true(loop_, [&] { return first > 0; }));
  EXPECT_GT(first, 65'536u);
}

TEST_F(tcp_pair, try_read_does_not_wait) {
  EXPECT_EQ(client_->try_read(buffer_), 0u);
  bool written = false;
  server_->write({{.bytes = "abc"}}, [&](result<> r) { written = r.has_value(); });
  ASSERT_TRUE(run_until_true(loop_, [&] { return written && client_->try_read({buffer_.data(), 2}) == 2u; }));
  EXPECT_EQ(client_->try_read(buffer_), 1u);
  EXPECT_EQ(client_->try_read(buffer_), 0u);
  server_.reset();
  result<std::size_t> r = 0;
  ASSERT_TRUE(run_until_true(loop_, [&] { return !(r = client_->try_read(buffer_)); }));
  EXPECT_EQ(r.error().kind(), errc::closed);
}

TEST_F(tcp_pair, reads_wait_for_bytes_that_come_after_a_try_read) {
  // A wait for readiness must not rely on an edge that try_read has used up.
  std::string got;
  for (int round = 0; round < 200; ++round) {
    server_->write({{.bytes = "0123456789"}}, [](result<> r) { EXPECT_TRUE(r); });
    (void)loop_.poll();
    const auto n = client_->try_read({buffer_.data(), static_cast<std::size_t>(round % 10)});
    ASSERT_TRUE(n);
    got.append(buffer_.data(), *n);
    while (got.size() < 10u * (static_cast<std::size_t>(round) + 1)) {
      bool more = false;
      client_->read_some({buffer_.data(), 3}, [&](result<std::size_t> k) {
        got.append(buffer_.data(), k.value());
        more = true;
      });
      ASSERT_TRUE(run_until_true(loop_, [&] { return more; })) << round;
    }
  }
  EXPECT_EQ(got.size(), 2000u);
}

TEST_F(tcp_pair, after_a_half_close_the_other_direction_goes_on) {
  ASSERT_TRUE(client_->shutdown_write());
  std::string at_server, at_client;
  collect(*server_, at_server);
  ASSERT_TRUE(run_until_true(loop_, [&] { return end_.has_value(); }));
  EXPECT_EQ(end_, errc::closed);
  EXPECT_TRUE(server_->is_open());
  bool written = false;
  server_->write({{.bytes = "still here"}}, [&](result<> r) { written = r.has_value(); });
  collect(*client_, at_client, 10);
  ASSERT_TRUE(run_until_true(loop_, [&] { return written && at_client.size() == 10; }));
  EXPECT_EQ(at_client, "still here");
}

TEST_F(tcp_pair, the_peers_end_is_known_before_its_last_bytes_are_read) {
  bool written = false;
  client_->write({{.bytes = "last words"}}, [&](result<> r) { written = r.has_value(); });
  ASSERT_TRUE(run_until_true(loop_, [&] { return written; }));
  EXPECT_FALSE(server_->peer_ended());
  client_.reset();
  EXPECT_TRUE(run_until_true(loop_, [&] { return server_->peer_ended(); }));
  EXPECT_EQ(server_->try_read(buffer_), 10u);
  EXPECT_TRUE(server_->peer_ended());
}

TEST_F(tcp_pair, destroying_a_stream_cancels_what_waits) {
  const auto lots = random_bytes(50'000'000);  // nobody reads it, so the write waits
  std::vector<errc> outcomes;
  server_->write({{.bytes = lots}}, [&](result<> r) { outcomes.push_back(r.error().kind()); });
  server_->read_some(buffer_, [&](result<std::size_t> r) { outcomes.push_back(r.error().kind()); });
  (void)loop_.poll();
  server_.reset();
  EXPECT_TRUE(outcomes.empty()) << "they run from the loop";
  ASSERT_TRUE(run_until_true(loop_, [&] { return outcomes.size() == 2; }));
  EXPECT_THAT(outcomes, ElementsAre(errc::cancelled, errc::cancelled));
}

TEST_F(tcp_pair, a_closed_stream_refuses) {
  client_->close();
  EXPECT_FALSE(client_->is_open());
  std::vector<errc> outcomes;
  client_->write({{.bytes = "x"}}, [&](result<> r) { outcomes.push_back(r.error().kind()); });
  client_->read_some(buffer_, [&](result<std::size_t> r) { outcomes.push_back(r.error().kind()); });
  EXPECT_TRUE(outcomes.empty());
  ASSERT_TRUE(run_until_true(loop_, [&] { return outcomes.size() == 2; }));
  EXPECT_THAT(outcomes, ElementsAre(errc::cancelled, errc::cancelled));
  EXPECT_EQ(client_->try_read(buffer_).error().kind(), errc::cancelled);
  EXPECT_FALSE(client_->shutdown_write());
}

TEST_F(tcp_pair, writing_to_a_peer_that_is_gone_fails_and_does_not_end_the_process) {
  scratch_directory scratch;
  auto f = *file_system::system().open(scratch.path() + "/segment", open_mode::create_new);
  ASSERT_TRUE(f->write_at(0, random_bytes(100'000)));
  client_.reset();
  std::optional<errc> outcome;
  unique_function<void()> write = [&] {
    server_->write({{.bytes = "head"}, {.from = f.get(), .length = 100'000}}, [&](result<> r) {
      if (r) return write();
      outcome = r.error().kind();
    });
  };
  write();
  ASSERT_TRUE(run_until_true(loop_, [&] { return outcome.has_value(); }));
  EXPECT_EQ(outcome, errc::closed);
}

TEST_F(tcp_pair, a_file_that_is_shorter_than_promised_fails_the_write) {
  scratch_directory scratch;
  auto f = *file_system::system().open(scratch.path() + "/segment", open_mode::create_new);
  ASSERT_TRUE(f->write_at(0, "short"));
  std::optional<error> outcome;
  server_->write({{.from = f.get(), .position = 1, .length = 5}}, [&](result<> r) { outcome = r.error(); });
  ASSERT_TRUE(run_until_true(loop_, [&] { return outcome.has_value(); }));
  EXPECT_EQ(outcome->kind(), errc::io);
  EXPECT_THAT(outcome->message(), HasSubstr(f->path()));
}

TEST_F(tcp_pair, a_stream_may_be_destroyed_by_its_own_handler) {
  bool ran = false;
  client_->read_some(buffer_, [&](result<std::size_t> n) {
    EXPECT_EQ(n, 1u);
    client_.reset();
    ran = true;
  });
  server_->write({{.bytes = "x"}}, [](result<> r) { EXPECT_TRUE(r); });
  ASSERT_TRUE(run_until_true(loop_, [&] { return ran; }));
}

TEST_F(tcp_pair, a_loop_that_goes_drops_the_handlers) {
  auto token = std::make_shared<int>(1);
  client_->read_some(buffer_, [token](result<std::size_t>) { ADD_FAILURE() << "called"; });
  EXPECT_EQ(token.use_count(), 2);
  client_.reset();
  server_.reset();
  listener_.reset();
  std::destroy_at(&loop_);
  EXPECT_EQ(token.use_count(), 1);
  std::construct_at(&loop_);
}

TEST(listener, says_which_port_it_has_and_refuses_a_taken_one) {
  event_loop loop;
  auto first = listen(loop, {"127.0.0.1", 0}, [](std::unique_ptr<stream>) {});
  ASSERT_TRUE(first);
  const auto at = (*first)->local();
  EXPECT_EQ(at.host, "127.0.0.1");
  EXPECT_NE(at.port, 0);
  const auto second = listen(loop, at, [](std::unique_ptr<stream>) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), errc::io);
  EXPECT_THAT(second.error().message(), HasSubstr(to_string(at)));
  first->reset();
  EXPECT_TRUE(listen(loop, at, [](std::unique_ptr<stream>) {})) << "closing gives the port back";
}

TEST(listener, accepts_no_more_once_destroyed) {
  event_loop loop;
  int accepted = 0;
  std::unique_ptr<listener> l = *listen(loop, {"127.0.0.1", 0}, [&](std::unique_ptr<stream>) {
    ++accepted;
    l.reset();
  });
  const auto at = l->local();
  int answered = 0;
  for (int i = 0; i < 3; ++i) connect(loop, at, 5s, [&](const auto&) { ++answered; });
  ASSERT_TRUE(run_until_true(loop, [&] { return answered == 3 && accepted > 0; }));
  (void)loop.poll();
  EXPECT_EQ(accepted, 1);
}

TEST(listener, waits_out_a_lack_of_descriptors) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizers need descriptors themselves";
#endif
  event_loop loop;
  std::vector<std::unique_ptr<stream>> accepted;
  auto l =
      *listen(loop, {"127.0.0.1", 0}, [&](std::unique_ptr<stream> s) { accepted.push_back(std::move(s)); });
  std::unique_ptr<stream> client;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // One descriptor is left for our side of the connection, none for the accepted one.
  const int next = ::dup(0);
  ::close(next);
  const rlimit tight{static_cast<rlim_t>(next) + 1, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  connect(loop, l->local(), 5s, [&](auto s) { client = std::move(s.value()); });
  EXPECT_TRUE(run_until_true(loop, [&] { return client != nullptr; }));
  (void)loop.poll();
  EXPECT_TRUE(accepted.empty());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(run_until_true(loop, [&] { return accepted.size() == 1; }));
}

TEST(connect, is_refused_where_nobody_listens) {
  event_loop loop;
  auto l = *listen(loop, {"127.0.0.1", 0}, [](std::unique_ptr<stream>) {});
  const auto at = l->local();
  l.reset();
  std::optional<error> outcome;
  connect(loop, at, 5s, [&](const auto& s) { outcome = s.error(); });
  EXPECT_FALSE(outcome);
  ASSERT_TRUE(run_until_true(loop, [&] { return outcome.has_value(); }));
  EXPECT_EQ(outcome->kind(), errc::io);
  EXPECT_TRUE(outcome->retriable());
  EXPECT_THAT(outcome->message(), HasSubstr(to_string(at)));
  EXPECT_THAT(outcome->message(), HasSubstr("refused"));
  const auto first = outcome->message().find(to_string(at));
  EXPECT_EQ(outcome->message().find(to_string(at), first + 1), std::string::npos) << outcome->message();
}

TEST(connect, gives_up_after_the_timeout) {
  // A socket with a full backlog swallows further handshakes.
  event_loop loop;
  const full_backlog deaf;
  std::optional<error> outcome;
  const auto began = std::chrono::steady_clock::now();
  connect(loop, deaf.at(), 50ms, [&](const auto& s) {
    ASSERT_FALSE(s);
    outcome = s.error();
  });
  ASSERT_TRUE(run_until_true(loop, [&] { return outcome.has_value(); }));
  EXPECT_EQ(outcome->kind(), errc::timeout);
  EXPECT_TRUE(outcome->retriable());
  EXPECT_GE(std::chrono::steady_clock::now() - began, 50ms);
}

TEST(connect, tries_the_addresses_of_a_name_in_turn) {
  // "localhost" is ::1 and 127.0.0.1 on most machines; only the latter listens.
  event_loop loop;
  std::unique_ptr<stream> accepted;
  auto l = *listen(loop, {"127.0.0.1", 0}, [&](std::unique_ptr<stream> s) { accepted = std::move(s); });
  std::unique_ptr<stream> client;
  connect(loop, {"localhost", l->local().port}, 10s, [&](auto s) {
    ASSERT_TRUE(s) << s.error().message();
    client = std::move(*s);
  });
  ASSERT_TRUE(run_until_true(
      loop, [&] { return client && accepted; }, 15s));
  EXPECT_EQ(client->peer(), to_string(l->local()));
}

TEST(connect, names_the_host_that_does_not_resolve) {
  event_loop loop;
  std::optional<error> outcome;
  connect(loop, {"no such host", 1}, 10s, [&](const auto& s) { outcome = s.error(); });
  ASSERT_TRUE(run_until_true(
      loop, [&] { return outcome.has_value(); }, 15s));
  EXPECT_THAT(outcome->message(), HasSubstr("no such host"));
}

TEST(connect, a_loop_may_go_while_a_name_is_resolved) {
  auto token = std::make_shared<int>(0);
  {
    event_loop loop;
    connect(loop, {"localhost", 1}, 10s, [token](const auto&) {});
  }
  EXPECT_EQ(token.use_count(), 1);
}

}  // namespace
}  // namespace penstock::io
