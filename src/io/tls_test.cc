// SPDX-License-Identifier: Apache-2.0
#include "io/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "io/memory_stream.h"
#include "io/test_certificates.h"
#include "io/test_support.h"

namespace penstock::io {
namespace {

using namespace std::chrono_literals;
using io::testing::authority;
using io::testing::certificate;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const authority& our_authority() {
  static const authority one("Our Authority");
  return one;
}
const certificate& broker_certificate() {
  static const certificate one = our_authority().issue();
  return one;
}
std::shared_ptr<const tls_context> good(result<std::shared_ptr<const tls_context>> c) {
  if (!c) throw std::runtime_error(c.error().message());
  return *c;
}

class a_tls_connection : public ::testing::Test {
 protected:
  /// Shakes hands over a wire in memory; what became of each side is in the members.
  void shake(const tls_options& client, const tls_options& server, const std::string& host = "localhost",
             memory_link_options wire = {}) {
    auto wires = connect_in_memory(loop, wire);
    auto& files = file_system::system();
    start_tls(loop, std::move(wires.first), good(tls_context::client(client, files)), {host, 9093}, 5s,
              [this](auto s) { at_client = std::move(s); });
    accept_tls(loop, std::move(wires.second), good(tls_context::server(server, files)), 5s,
               [this](auto s) { at_server = std::move(s); });
    EXPECT_FALSE(at_client || at_server) << "called within the call";
    ASSERT_TRUE(run_until_true(loop, [&] { return at_client && at_server; }));
  }
  static tls_options server_with(const certificate& c) {
    return {.certificate_pem = c.pem, .key_pem = c.key};
  }
  stream& client() { return *at_client->value(); }
  stream& server() { return *at_server->value(); }
  std::string failure() {
    if (!at_client || *at_client) return "no failure";
    EXPECT_EQ(at_client->error().kind(), errc::authentication);
    EXPECT_FALSE(at_client->error().retriable());
    return at_client->error().message();
  }
  void collect(stream& from, std::size_t most = SIZE_MAX) {
    from.read_some(buffer, [this, &from, most](result<std::size_t> n) {
      while (n && *n > 0) {
        arrived.append(buffer.data(), *n);
        n = from.try_read(buffer);
      }
      if (!n)
        ended = n.error();
      else if (arrived.size() < most)
        collect(from, most);
    });
  }

  event_loop loop;
  std::optional<result<std::unique_ptr<stream>>> at_client, at_server;
  std::vector<char> buffer = std::vector<char>(100'000);
  std::string arrived;
  std::optional<error> ended;
  std::string ca = our_authority().pem();
};

TEST_F(a_tls_connection, carries_bytes_and_files_in_order_both_ways) {
  shake({.ca_pem = ca}, server_with(broker_certificate()));
  ASSERT_TRUE(*at_client) << at_client->error().message();
  ASSERT_TRUE(*at_server) << at_server->error().message();
  scratch_directory scratch;
  const auto content = random_bytes(700'000);
  auto f = *file_system::system().open(scratch.path() + "/segment", open_mode::create_new);
  ASSERT_TRUE(f->write_at(0, content));
  const auto memory = random_bytes(1'500'000, 2);
  std::vector<write_piece> pieces;
  std::string expected;
  for (std::size_t i = 0; i < 40; ++i) {  // small ones and large ones in turn
    const auto size = i % 3 == 0 ? 100'000 : i * 37;
    pieces.push_back({.bytes = std::string_view(memory).substr(i * 30'000, size)});
    expected += pieces.back().bytes;
    pieces.push_back({.from = f.get(), .position = i * 1000, .length = i * 400});
    expected += content.substr(i * 1000, i * 400);
  }
  for (auto* from : {&client(), &server()}) {
    arrived.clear();
    bool written = false;
    collect(from == &client() ? server() : client(), expected.size());
    from->write(pieces, [&](result<> r) { written = r.has_value(); });
    EXPECT_FALSE(written);
    ASSERT_TRUE(run_until_true(loop, [&] { return arrived.size() >= expected.size() && written; }));
    EXPECT_TRUE(arrived == expected);
  }
}

TEST_F(a_tls_connection, puts_together_what_comes_in_small_parts) {
  shake({.ca_pem = ca}, server_with(broker_certificate()), "localhost", {.most_a_read = 7});
  ASSERT_TRUE(*at_client && *at_server);
  const auto bytes = random_bytes(50'000);
  bool written = false;
  server().write({{.bytes = bytes}}, [&](result<> r) { written = r.has_value(); });
  collect(client(), bytes.size());
  ASSERT_TRUE(run_until_true(loop, [&] { return arrived.size() == bytes.size() && written; }));
  EXPECT_TRUE(arrived == bytes);
}

TEST_F(a_tls_connection, works_over_tcp_and_ends_after_the_last_byte) {
  auto& files = file_system::system();
  const auto context = good(tls_context::server(server_with(broker_certificate()), files));
  auto listening = listen(loop, {"127.0.0.1", 0}, [&](std::unique_ptr<stream> s) {
    accept_tls(loop, std::move(s), context, 5s, [&](auto t) { at_server = std::move(t); });
  });
  ASSERT_TRUE(listening);
  connect(loop, (*listening)->local(), 5s, [&](auto s) {
    start_tls(loop, std::move(*s), good(tls_context::client({.ca_pem = ca}, files)), (*listening)->local(),
              5s, [&](auto t) { at_client = std::move(t); });
  });
  ASSERT_TRUE(run_until_true(loop, [&] { return at_client && at_server; }));
  ASSERT_TRUE(*at_client) << at_client->error().message();
  ASSERT_TRUE(*at_server) << at_server->error().message();
  const auto bytes = random_bytes(20'000'000);
  collect(client());
  server().write({{.bytes = bytes}}, [&](result<> r) {
    ASSERT_TRUE(r) << r.error().message();
    EXPECT_TRUE(server().shutdown_write());
  });
  ASSERT_TRUE(run_until_true(loop, [&] { return ended.has_value(); }));
  EXPECT_EQ(ended->kind(), errc::closed);
  EXPECT_TRUE(arrived == bytes);
}

TEST_F(a_tls_connection, completes_a_read_and_a_write_with_cancelled_when_it_is_closed) {
  shake({.ca_pem = ca}, server_with(broker_certificate()), "localhost", {.capacity = 1000});
  ASSERT_TRUE(*at_client && *at_server);
  const auto bytes = random_bytes(1'000'000);
  std::optional<errc> read, written;
  client().write({{.bytes = bytes}}, [&](result<> r) { written = r ? errc::internal : r.error().kind(); });
  client().read_some(buffer, [&](result<std::size_t> n) { read = n ? errc::internal : n.error().kind(); });
  loop.poll();
  EXPECT_FALSE(read || written);
  at_client->value().reset();
  EXPECT_FALSE(read || written) << "called within the call";
  ASSERT_TRUE(run_until_true(loop, [&] { return read && written; }));
  EXPECT_EQ(read, errc::cancelled);
  EXPECT_EQ(written, errc::cancelled);
}

TEST_F(a_tls_connection, refuses_an_authority_it_does_not_know) {
  const authority other("Somebody Else");
  const auto theirs = other.issue({.name = "evil"});
  shake({.ca_pem = ca}, server_with(theirs));
  EXPECT_THAT(failure(),
              AllOf(HasSubstr("localhost:9093"), HasSubstr("CN=evil"), HasSubstr("CN=Somebody Else"),
                    HasSubstr("unable to get local issuer certificate")));
  ASSERT_FALSE(*at_server);
  EXPECT_THAT(at_server->error().message(), HasSubstr("unknown ca"));
}

TEST_F(a_tls_connection, refuses_the_system_authorities_stranger) {
  shake({}, server_with(broker_certificate()));
  EXPECT_THAT(failure(), HasSubstr("is not accepted"));
}

TEST_F(a_tls_connection, refuses_a_certificate_that_is_too_old_or_too_new) {
  shake({.ca_pem = ca}, server_with(our_authority().issue({.valid_to_hours = -1})));
  EXPECT_THAT(failure(), AllOf(HasSubstr("CN=broker"), HasSubstr("certificate has expired")));
  at_client.reset();
  at_server.reset();
  shake({.ca_pem = ca}, server_with(our_authority().issue({.valid_from_hours = 1})));
  EXPECT_THAT(failure(), HasSubstr("certificate is not yet valid"));
}

TEST_F(a_tls_connection, checks_the_name_that_was_dialled) {
  const auto named = our_authority().issue({.for_names = "DNS:*.example.org,IP:10.0.0.1"});
  const auto try_name = [&](const std::string& host, bool verify = true) {
    at_client.reset();
    at_server.reset();
    shake({.ca_pem = ca, .verify_host_name = verify}, server_with(named), host);
    return at_client->has_value();
  };
  EXPECT_TRUE(try_name("kafka1.example.org"));
  EXPECT_TRUE(try_name("kafka1.example.org."));
  EXPECT_TRUE(try_name("10.0.0.1"));
  EXPECT_FALSE(try_name("10.0.0.2"));
  EXPECT_FALSE(try_name("a.b.example.org"));
  EXPECT_FALSE(try_name("localhost"));
  EXPECT_THAT(failure(),
              HasSubstr("its certificate is for DNS:*.example.org, IP:10.0.0.1 and not for localhost"));
  EXPECT_TRUE(try_name("localhost", false));
  EXPECT_TRUE(try_name("10.0.0.2", false));
}

TEST_F(a_tls_connection, shows_its_own_certificate_when_asked) {
  const auto ours = our_authority().issue({.name = "client", .for_names = ""});
  auto wants = server_with(broker_certificate());
  wants.ca_pem = ca;
  wants.require_certificate = true;
  const auto encrypted = io::testing::encrypt_key(ours.key, "key word");
  shake({.ca_pem = ca, .certificate_pem = ours.pem, .key_pem = encrypted, .key_password = "key word"}, wants);
  EXPECT_TRUE(*at_client && *at_server);
}

TEST_F(a_tls_connection, says_that_the_peer_wants_a_certificate) {
  auto wants = server_with(broker_certificate());
  wants.ca_pem = ca;
  wants.require_certificate = true;
  shake({.ca_pem = ca}, wants);
  EXPECT_FALSE(*at_server);
  ASSERT_TRUE(*at_client);  // TLS 1.3: the client is told afterwards
  collect(client());
  ASSERT_TRUE(run_until_true(loop, [&] { return ended.has_value(); }));
  EXPECT_EQ(ended->kind(), errc::authentication);
  EXPECT_THAT(ended->message(), HasSubstr("certificate required"));
}

TEST_F(a_tls_connection, says_that_nobody_speaks_tls_there) {
  for (const auto& answer :
       {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string("\0\0\0\x04\0\0\0\0", 8)}) {
    auto wires = connect_in_memory(loop);
    at_client.reset();
    start_tls(loop, std::move(wires.first), good(tls_context::client({}, file_system::system())), {"h", 1},
              5s, [this](auto s) { at_client = std::move(s); });
    wires.second->write({{.bytes = answer}}, [](result<>) {});
    ASSERT_TRUE(run_until_true(loop, [&] { return at_client.has_value(); }));
    EXPECT_THAT(failure(), AllOf(HasSubstr("TLS with h:1"), HasSubstr("does not speak TLS")));
  }
}

TEST_F(a_tls_connection, gives_up_after_its_time) {
  auto wires = connect_in_memory(loop);
  start_tls(loop, std::move(wires.first), good(tls_context::client({}, file_system::system())), {"h", 1},
            20ms, [this](auto s) { at_client = std::move(s); });
  ASSERT_TRUE(run_until_true(loop, [&] { return at_client.has_value(); }));
  EXPECT_EQ(at_client->error().kind(), errc::timeout);
  EXPECT_TRUE(at_client->error().retriable());
}

TEST_F(a_tls_connection, survives_garbage_after_the_handshake) {
  auto wires = connect_in_memory(loop);
  auto& files = file_system::system();
  // A wire with us in the middle: what the server says goes through until the client is there.
  auto far = connect_in_memory(loop);
  std::vector<char> up(65'536), down(65'536);
  std::function<void(stream&, stream&, std::vector<char>&)> relay = [&](stream& from, stream& to,
                                                                        std::vector<char>& with) {
    from.read_some(with, [&](result<std::size_t> n) {
      if (!n) return;
      auto bytes = std::make_shared<std::string>(with.data(), *n);
      to.write({{.bytes = *bytes, .keep = bytes}}, [&, bytes](result<>) { relay(from, to, with); });
    });
  };
  relay(*wires.second, *far.first, up);
  relay(*far.first, *wires.second, down);
  start_tls(loop, std::move(wires.first), good(tls_context::client({.ca_pem = ca}, files)), {"localhost", 1},
            5s, [this](auto s) { at_client = std::move(s); });
  accept_tls(loop, std::move(far.second), good(tls_context::server(server_with(broker_certificate()), files)),
             5s, [this](auto s) { at_server = std::move(s); });
  ASSERT_TRUE(run_until_true(loop, [&] { return at_client && at_server; }));
  ASSERT_TRUE(*at_client);
  for (int i = 0; i < 20; ++i) loop.poll();  // tickets of the server
  const std::string garbage("\x17\x03\x03\x00\x20" + random_bytes(32));
  wires.second->write({{.bytes = garbage}}, [](result<>) {});
  collect(client());
  ASSERT_TRUE(run_until_true(loop, [&] { return ended.has_value(); }));
  EXPECT_EQ(ended->kind(), errc::corrupt);
  EXPECT_TRUE(arrived.empty());
}

TEST(a_tls_context, says_what_is_wrong_and_no_secret) {
  auto& files = file_system::system();
  const auto ours = our_authority().issue();
  const auto other = our_authority().issue();
  const auto encrypted = io::testing::encrypt_key(ours.key, "the right word");
  const auto why = [&](const tls_options& o) {
    const auto made = tls_context::client(o, files);
    if (made) return std::string("no failure");
    EXPECT_THAT(made.error().message(), Not(HasSubstr("word of mine")));
    return made.error().message();
  };
  EXPECT_THAT(why({.ca_file = "/no/such/ca.pem"}),
              AllOf(HasSubstr("authorities"), HasSubstr("/no/such/ca.pem"), HasSubstr("No such file")));
  EXPECT_THAT(why({.ca_pem = "nonsense"}), HasSubstr("no certificate of an authority"));
  EXPECT_THAT(why({.certificate_pem = "nonsense"}), HasSubstr("no certificate in"));
  EXPECT_THAT(why({.certificate_pem = ours.pem}), HasSubstr("no private key in"));
  EXPECT_THAT(why({.certificate_pem = ours.pem, .key_pem = other.key}), HasSubstr("does not belong"));
  EXPECT_THAT(why({.certificate_pem = ours.pem, .key_pem = encrypted}), HasSubstr("is encrypted"));
  EXPECT_THAT(why({.certificate_pem = ours.pem, .key_pem = encrypted, .key_password = "word of mine"}),
              HasSubstr("does not open"));
  EXPECT_THAT(why({.key_pem = ours.key}), HasSubstr("no certificate"));
  EXPECT_THAT(why({.cipher_suites = "NOT-A-CIPHER"}), HasSubstr("NOT-A-CIPHER"));
  const auto both = ours.pem + ours.key;
  EXPECT_EQ(why({.certificate_pem = both}), "no failure");
  const auto damaged =
      our_authority().pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  EXPECT_THAT(why({.ca_pem = damaged}), HasSubstr("damaged"));
}

}  // namespace
}  // namespace penstock::io
