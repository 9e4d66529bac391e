// SPDX-License-Identifier: Apache-2.0
// The client's TLS and SASL against a real Kafka that security_test.py has set up and describes in the
// environment; it runs this program.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/kafka/admin.h>
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>

#include "base/base64.h"
#include "client/cluster.h"
#include "client/fake_cluster.h"
#include "wire/messages/list_groups.h"

namespace penstock::kafka {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string env(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(fmt::format("{} is not set: run security_test.py", name));
  return value;
}

template <typename T>
auto good(result<T> r) {
  if (!r) throw std::runtime_error(r.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

std::string url_safe(const std::string& json) {
  auto text = base::base64_encode(json);
  while (text.ends_with('=')) text.pop_back();
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

std::string unsecured_jwt(std::chrono::seconds life) {
  const auto now = std::chrono::system_clock::now().time_since_epoch() / 1s;
  const auto claims = fmt::format(R"({{"sub":"user","iat":{},"exp":{}}})", now - 200, now + life.count());
  return url_safe(R"({"alg":"none"})") + "." + url_safe(claims) + ".";
}

/// How a user of the test's cluster is let in.
security_settings let_in(const std::string& mechanism) {
  security_settings s{.protocol = security_protocol::sasl_ssl,
                      .sasl_mechanism = mechanism,
                      .ca_file = env("SECURITY_DIR") + "/ca.pem"};
  if (mechanism == "OAUTHBEARER") {
    s.oauth.provider = []() -> result<oauth_token> {
      return oauth_token{.value = unsecured_jwt(60s),
                         .expires = std::chrono::system_clock::now() + 60s,
                         .principal = "user"};
    };
  } else if (mechanism == "GSSAPI") {
    s.kerberos = {.principal = env("SECURITY_PRINCIPAL"), .keytab = env("SECURITY_DIR") + "/user.keytab"};
  } else {
    s.sasl_username = "user";
    s.sasl_password = env("SECURITY_PASSWORD");
  }
  return s;
}

connection_settings over(security_settings s) {
  connection_settings c;
  c.security = std::move(s);
  c.default_api_timeout = 20s;
  return c;
}

std::string refusal(const std::string& bootstrap, const security_settings& s) {
  auto a = admin::create({.bootstrap_servers = bootstrap, .connection = over(s)});
  const auto topics = a ? a->list_topics() : result<std::vector<std::string>>(fail(a.error()));
  if (topics) return "let in";
  EXPECT_THAT(topics.error().message(), Not(HasSubstr(env("SECURITY_PASSWORD"))));
  EXPECT_FALSE(topics.error().retriable()) << topics.error().message();
  // The producer and the consumer tell the same, at once instead of after their time.
  const auto began = std::chrono::steady_clock::now();
  if (auto p = producer::create({.bootstrap_servers = bootstrap, .connection = over(s)})) {
    const auto sent = p->send({.topic = "t", .value = "v"});
    EXPECT_FALSE(sent);
    EXPECT_EQ(sent ? 0 : sent.error().kafka_code(), topics.error().kafka_code());
    static_cast<void>(p->close(0s));
  }
  if (auto c = consumer::create({.bootstrap_servers = bootstrap, .connection = over(s)})) {
    const auto parts = c->partitions_of("t");
    EXPECT_FALSE(parts);
    EXPECT_EQ(parts ? errc::internal : parts.error().kind(), topics.error().kind());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
  return topics.error().message();
}

std::string new_topic(const std::string& bootstrap, const security_settings& s, std::int32_t partitions) {
  static std::atomic<int> next = 0;
  auto name = fmt::format("t{}", next++);
  auto a = good(admin::create({.bootstrap_servers = bootstrap, .connection = over(s)}));
  good(a.create_topics({{.name = name, .partitions = partitions, .replication_factor = 1, .configs = {}}}));
  good(a.await_topics({name}, 20s));
  return name;
}

/// Produces for `length`, consumes at the same time, and looks whether each record came once and in order.
void carry(const std::string& bootstrap, const security_settings& s, std::chrono::milliseconds length) {
  constexpr std::int32_t partitions = 3;
  const auto topic = new_topic(bootstrap, s, partitions);
  std::atomic<std::int64_t> sent = 0, persisted = 0;
  std::atomic<bool> over_now = false;
  std::thread writer([&] {
    auto p = good(producer::create({.bootstrap_servers = bootstrap, .connection = over(s)}));
    p.on_delivery([&](const delivery& d) {
      if (d.outcome == persistence::persisted) persisted += d.records;
    });
    const auto until = std::chrono::steady_clock::now() + length;
    while (std::chrono::steady_clock::now() < until) {
      for (int i = 0; i < 50; ++i) {
        const auto n = sent++;
        const auto value = std::to_string(n);
        good(
            p.send({.topic = topic, .value = value, .partition = static_cast<std::int32_t>(n % partitions)}));
      }
      std::this_thread::sleep_for(2ms);
    }
    good(p.flush(60s));
    over_now = true;
  });
  auto c = good(consumer::create(
      {.bootstrap_servers = bootstrap, .auto_offset_reset = offset_reset::earliest, .connection = over(s)}));
  std::vector<start_position> all;
  for (auto& tp : good(c.partitions_of(topic))) all.push_back({tp});
  good(c.assign(std::move(all)));
  std::vector<std::int64_t> expected(partitions);
  for (std::int32_t p = 0; p < partitions; ++p) expected[static_cast<std::size_t>(p)] = p;
  std::int64_t seen = 0;
  const auto patience = std::chrono::steady_clock::now() + length + 60s;
  while (!(over_now && seen >= sent) && std::chrono::steady_clock::now() < patience) {
    for (const auto& r : good(c.poll_records(200ms))) {
      auto& next = expected[static_cast<std::size_t>(r.partition)];
      ASSERT_EQ(*r.value, std::to_string(next)) << "partition " << r.partition;
      next += partitions;
      ++seen;
    }
  }
  writer.join();
  EXPECT_EQ(seen, sent);
  EXPECT_EQ(persisted, sent);
  EXPECT_GT(sent, 1000);
}

class a_mechanism : public ::testing::TestWithParam<const char*> {};

TEST_P(a_mechanism, lets_records_through) { carry(env("SECURITY_SASL_SSL"), let_in(GetParam()), 1500ms); }

// connections.max.reauth.ms is 2000 there.
TEST_P(a_mechanism, is_renewed_under_load_with_nothing_lost) {
  carry(env("SECURITY_SASL_SSL"), let_in(GetParam()), 7s);
}

// Nothing is tried again here: a request of a session that the broker has ended would fail.
TEST_P(a_mechanism, keeps_its_connection_for_longer_than_a_session) {
  io::event_loop loop;
  auto c = good(client::cluster::create(loop, env("SECURITY_SASL_SSL"), over(let_in(GetParam()))));
  std::optional<error> failed;
  int answered = 0, under_way = 0;
  const std::function<void()> ask = [&] {
    ++under_way;
    c->call<wire::list_groups_response>(client::any_broker, wire::list_groups_request{}, {}, [&](auto r) {
      --under_way;
      ++answered;
      if (!r) failed = r.error();
    });
  };
  const auto until = loop.time().now() + 7s;
  while (loop.time().now() < until && !failed) {
    while (under_way < 5) ask();
    loop.run_some_until(until);
  }
  EXPECT_FALSE(failed) << failed->message();
  EXPECT_GT(answered, 100);
  ASSERT_TRUE(client::testing::run_until(loop, [&] { return under_way == 0; }));
}

TEST_P(a_mechanism, refuses_wrong_credentials) {
  auto s = let_in(GetParam());
  s.sasl_password = "not it";
  if (s.sasl_mechanism == "OAUTHBEARER")
    s.oauth.provider = []() -> result<oauth_token> {
      return oauth_token{.value = unsecured_jwt(-100s), .expires = std::chrono::system_clock::now() + 60s};
    };
  EXPECT_THAT(refusal(env("SECURITY_SASL_SSL"), s),
              AllOf(HasSubstr("SASL " + s.sasl_mechanism), HasSubstr("SASL_AUTHENTICATION_FAILED")));
  if (s.sasl_mechanism == "OAUTHBEARER") return;
  s = let_in(GetParam());
  s.sasl_username = "nobody";
  EXPECT_THAT(refusal(env("SECURITY_SASL_SSL"), s), HasSubstr("SASL_AUTHENTICATION_FAILED"));
}

INSTANTIATE_TEST_SUITE_P(of_kafka, a_mechanism,
                         ::testing::Values("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(kerberos, lets_records_through_and_is_renewed) {
  if (std::getenv("SECURITY_PRINCIPAL") == nullptr) GTEST_SKIP() << "no KDC (krb5-kdc) on this machine";
  carry(env("SECURITY_SASL_SSL"), let_in("GSSAPI"), 5s);
}

TEST(kerberos, tells_why_there_is_no_ticket) {
  if (std::getenv("SECURITY_PRINCIPAL") == nullptr) GTEST_SKIP() << "no KDC (krb5-kdc) on this machine";
  auto s = let_in("GSSAPI");
  s.kerberos.keytab = env("SECURITY_DIR") + "/none.keytab";
  EXPECT_THAT(refusal(env("SECURITY_SASL_SSL"), s), AllOf(HasSubstr("Kerberos"), HasSubstr("none.keytab")));
  s = let_in("GSSAPI");
  s.kerberos.service_name = "nosuch";
  EXPECT_THAT(refusal(env("SECURITY_SASL_SSL"), s),
              AllOf(HasSubstr("nosuch@localhost"), HasSubstr("Kerberos")));
}

TEST(sasl_without_tls, lets_records_through) {
  auto s = let_in("SCRAM-SHA-256");
  s.protocol = security_protocol::sasl_plaintext;
  carry(env("SECURITY_SASL_PLAINTEXT"), s, 1s);
}

TEST(sasl_without_tls, says_which_mechanisms_are_enabled) {
  auto s = let_in("PLAIN");
  s.protocol = security_protocol::sasl_plaintext;
  EXPECT_THAT(refusal(env("SECURITY_SASL_PLAINTEXT"), s), HasSubstr("it offers SCRAM-SHA-256"));
}

class tls : public ::testing::Test {
 protected:
  static security_settings certified() {
    const auto dir = env("SECURITY_DIR");
    return {.protocol = security_protocol::ssl,
            .ca_file = dir + "/ca.pem",
            .certificate_file = dir + "/client.pem",
            .key_file = dir + "/client.key",
            .key_password = env("SECURITY_PASSWORD")};
  }
  std::string at = env("SECURITY_SSL");
};

TEST_F(tls, lets_records_through_with_a_certificate) { carry(at, certified(), 1500ms); }

TEST_F(tls, refuses_an_unknown_authority_on_either_side) {
  auto s = certified();
  s.ca_file = env("SECURITY_DIR") + "/other-ca.pem";
  EXPECT_THAT(refusal(at, s), AllOf(HasSubstr("TLS with localhost"), HasSubstr("CN=localhost"),
                                    HasSubstr("is not accepted")));
  s = certified();
  s.ca_file.clear();
  EXPECT_THAT(refusal(at, s), HasSubstr("is not accepted"));
  s = certified();
  s.certificate_file = env("SECURITY_DIR") + "/stranger.pem";
  s.key_file = env("SECURITY_DIR") + "/stranger.key";
  s.key_password = {};
  EXPECT_THAT(refusal(at, s), HasSubstr("refuses"));
}

TEST_F(tls, says_that_a_certificate_is_wanted) {
  auto s = certified();
  s.certificate_file.clear();
  s.key_file.clear();
  EXPECT_THAT(refusal(at, s), HasSubstr("certificate"));
}

TEST_F(tls, checks_the_host_name) {
  auto s = certified();
  auto elsewhere = at;
  elsewhere.replace(0, std::string("localhost").size(), "127.0.0.1");
  EXPECT_THAT(refusal(elsewhere, s), HasSubstr("its certificate is for DNS:localhost and not for 127.0.0.1"));
  s.verify_host_name = false;
  EXPECT_EQ(refusal(elsewhere, s), "let in");
}

}  // namespace
}  // namespace penstock::kafka
