// SPDX-License-Identifier: Apache-2.0
// What the tests of this room share: a broker with a directory that goes with the test, and a client that
// sends one request after the other over a real socket.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "broker/server.h"
#include "wire/api.h"
#include "wire/batch_builder.h"
#include "wire/error_code.h"
#include "wire/messages/every_message.h"
#include "wire/records_reader.h"

namespace penstock::broker::testing {

class scratch_directory {
 public:
  scratch_directory() {
    std::string pattern = std::filesystem::temp_directory_path() / "penstock-broker-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// A blocking connection. Everything that goes wrong throws: a test that expects it catches it.
class test_client {
 public:
  explicit test_client(const io::endpoint& to) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(to.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval limit{20, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("cannot connect");
  }
  ~test_client() { ::close(socket_); }
  test_client(const test_client&) = delete;
  test_client& operator=(const test_client&) = delete;

  void send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) throw std::runtime_error("cannot send");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  /// Sends a request and returns its correlation id.
  template <typename Request>
  std::int32_t send(const Request& request, std::int16_t version) {
    std::string bytes;
    wire::writer out(bytes);
    auto written =
        wire::encode_frame(out, wire::request_header{Request::key, version, ++correlation_, "test"}, request);
    if (!written) throw std::runtime_error(written.error().message());
    send_raw(bytes);
    return correlation_;
  }
  /// The next answer, which must be to `correlation`. Records borrow from this client until the next call.
  template <typename Response>
  Response receive(std::int16_t version, std::int32_t correlation) {
    char length[4];
    read_exactly(length, 4);
    frame_.resize(base::load_be<std::uint32_t>(length));
    read_exactly(frame_.data(), frame_.size());
    wire::reader in(frame_);
    wire::response_header header;
    Response response;
    if (!header.decode(in, Response::key, version)) throw std::runtime_error("bad response header");
    if (header.correlation_id != correlation) throw std::runtime_error("answer out of order");
    if (auto decoded = response.decode(in, version); !decoded)
      throw std::runtime_error(decoded.error().message());
    if (in.left() != 0) throw std::runtime_error("bytes behind the answer");
    return response;
  }
  template <typename Response, typename Request>
  Response call(const Request& request, std::int16_t version = Request::max_version) {
    return receive<Response>(version, send(request, version));
  }
  /// True when the broker closed the connection, after whatever it still sent.
  bool closed_by_peer() {
    char byte[256];
    ssize_t n;
    while ((n = ::recv(socket_, byte, sizeof byte, 0)) > 0) {
    }
    return n == 0 || errno == ECONNRESET;
  }
  /// True when there is something to read already.
  bool readable() {
    char byte;
    return ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }

 private:
  void read_exactly(char* to, std::size_t n) {
    while (n > 0) {
      const auto got = ::recv(socket_, to, n, 0);
      if (got <= 0) throw std::runtime_error(got == 0 ? "closed by the broker" : "no answer");
      to += got;
      n -= static_cast<std::size_t>(got);
    }
  }
  int socket_;
  std::int32_t correlation_ = 0;
  std::string frame_;
};

/// Codes, for EXPECT_EQ against an error_code field.
inline std::int16_t code(wire::error_code e) { return static_cast<std::int16_t>(e); }
using wire::error_code;

inline std::int64_t now_ms() { return io::clock::system().wall_ms(); }

struct test_producer {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
  std::int32_t sequence = -1;
  bool transactional = false;
};

/// A batch of records with these values and the keys "k0", "k1", ...
inline std::string make_batch(const std::vector<std::string>& values, compression codec = compression::none,
                              test_producer producer = {}) {
  wire::batch_builder b;
  for (std::size_t i = 0; i < values.size(); ++i) b.append("k" + std::to_string(i), values[i], now_ms());
  wire::batch_builder::seal_options o;
  o.codec = codec;
  o.producer_id = producer.id;
  o.producer_epoch = producer.epoch;
  o.base_sequence = producer.sequence;
  o.transactional = producer.transactional;
  return std::string(*b.seal(o));
}

using produced = wire::produce_response::partition_produce_response;
using fetched = wire::fetch_response::partition_data;

inline wire::produce_request produce_request(const std::string& topic, std::int32_t partition,
                                             std::string_view batch, std::int16_t acks = -1) {
  wire::produce_request q;
  q.acks = acks;
  q.timeout_ms = 1000;
  auto& t = q.topic_data.emplace_back();
  t.name = topic;
  auto& p = t.partition_data.emplace_back();
  p.index = partition;
  p.records = wire::records_field::borrow(batch);
  return q;
}
inline produced produce(test_client& c, const std::string& topic, std::string_view batch,
                        std::int32_t partition = 0, std::int16_t version = 12) {
  return c.call<wire::produce_response>(produce_request(topic, partition, batch), version)
      .responses.at(0)
      .partition_responses.at(0);
}

inline wire::fetch_request fetch_request(const std::string& topic, std::int64_t offset,
                                         std::int32_t partition = 0) {
  wire::fetch_request q;
  q.max_wait_ms = 0;
  q.min_bytes = 1;
  q.max_bytes = 50'000'000;
  auto& t = q.topics.emplace_back();
  t.topic = topic;
  auto& p = t.partitions.emplace_back();
  p.partition = partition;
  p.fetch_offset = offset;
  p.partition_max_bytes = 1 << 20;
  return q;
}
inline fetched fetch(test_client& c, const wire::fetch_request& q, std::int16_t version = 12) {
  return c.call<wire::fetch_response>(q, version).responses.at(0).partitions.at(0);
}

/// The values in a fetched record section, from `offset` on; with their offsets in front: "3:value".
inline std::vector<std::string> values_of(const fetched& p, std::int64_t offset = 0) {
  std::vector<std::string> values;
  wire::records_reader reader(p.records.bytes, {.fetch_offset = offset});
  wire::scratch_buffer scratch;
  wire::fetched_batch batch;
  for (;;) {
    auto more = reader.next(batch, scratch);
    if (!more) throw std::runtime_error(more.error().message());
    if (!*more) return values;
    record_view r;
    while (batch.cursor.next(r)) values.push_back(std::to_string(r.offset) + ":" + std::string(r.value));
  }
}

/// A broker, and a client of it.
struct broker_fixture : ::testing::Test {
  broker_fixture() { options.directory = directory.path(); }

  void start(environment env = {}) {
    auto s = server::start(options, env);
    ASSERT_TRUE(s) << s.error().message();
    broker = std::move(*s);
    client = connect();
  }
  void stop() {
    client.reset();
    const auto stopped = broker->stop();
    EXPECT_TRUE(stopped) << stopped.error().message();
    broker.reset();
  }
  std::unique_ptr<test_client> connect() { return std::make_unique<test_client>(broker->endpoint()); }

  wire::create_topics_response::creatable_topic_result create(
      const std::string& name, std::int32_t partitions = 1,
      std::vector<std::pair<std::string, std::string>> configs = {}, std::int16_t replication = 1) {
    wire::create_topics_request q;
    auto& t = q.topics.emplace_back();
    t.name = name;
    t.num_partitions = partitions;
    t.replication_factor = replication;
    for (auto& [key, value] : configs) t.configs.push_back({key, value});
    return client->call<wire::create_topics_response>(q).topics.at(0);
  }
  std::int16_t remove(const std::string& name) {
    wire::delete_topics_request q;
    q.topics.push_back({name, {}});
    return client->call<wire::delete_topics_response>(q).responses.at(0).error_code;
  }
  /// The names of all topics.
  std::vector<std::string> topics() {
    wire::metadata_request q;
    std::vector<std::string> names;
    for (const auto& t : client->call<wire::metadata_response>(q).topics) names.push_back(*t.name);
    return names;
  }

  scratch_directory directory;
  server_options options;
  std::unique_ptr<server> broker;
  std::unique_ptr<test_client> client;
};

}  // namespace penstock::broker::testing
