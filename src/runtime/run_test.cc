// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <penstock/kafka.h>
#include <penstock/run.h>
#include <penstock/topology.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace penstock {
namespace {

using namespace std::chrono_literals;

/// Takes connections and never says a word, as a broker does whose machine hangs.
class silent_broker {
 public:
  silent_broker() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::listen(socket_, 8), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    address = fmt::format("127.0.0.1:{}", ntohs(at.sin_port));
  }
  ~silent_broker() {
    if (taken_ >= 0) ::close(taken_);
    ::close(socket_);
  }
  /// Returns when somebody has connected and has sent something.
  void await_request() {
    taken_ = ::accept(socket_, nullptr, nullptr);
    char byte = 0;
    EXPECT_EQ(::recv(taken_, &byte, 1, MSG_PEEK), 1);
  }
  std::string address;

 private:
  int socket_;
  int taken_ = -1;
};

void copy(topology& topo) {
  topo.read("in", kafka::source{.topics = {"in"}}, text).write("out", kafka::sink{.topic = "out"}, text);
}

class stopped_while_starting : public ::testing::TestWithParam<guarantee> {};

TEST_P(stopped_while_starting, by_a_signal) {
  silent_broker broker;
  topology topo("copy");
  copy(topo);
  run_options options{.delivery = GetParam(), .settings = {{"bootstrap.servers", broker.address}}};
  std::thread sender([&] {
    broker.await_request();
    ::kill(::getpid(), SIGTERM);
  });
  const auto began = std::chrono::steady_clock::now();
  const auto done = run(topo, {.run = options, .progress = false});
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
  EXPECT_TRUE(done) << done.error().message();
  sender.join();
}

TEST_P(stopped_while_starting, by_a_token) {
  silent_broker broker;
  topology topo("copy");
  copy(topo);
  std::stop_source stop;
  std::thread sender([&] {
    broker.await_request();
    stop.request_stop();
  });
  const auto started = job::start(topo, {.delivery = GetParam(),
                                         .stop = stop.get_token(),
                                         .settings = {{"bootstrap.servers", broker.address}}});
  sender.join();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind(), errc::cancelled) << started.error().message();
}

INSTANTIATE_TEST_SUITE_P(run, stopped_while_starting,
                         ::testing::Values(guarantee::at_least_once, guarantee::exactly_once),
                         [](const auto& i) {
                           return i.param == guarantee::exactly_once ? "exactly_once" : "at_least_once";
                         });

}  // namespace
}  // namespace penstock
