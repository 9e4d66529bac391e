// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/kafka/admin.h>
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>
#include <penstock/kafka/properties.h>

#include <chrono>
#include <fstream>
#include <set>
#include <sstream>

#include "client/setting.h"
#include "client/settings_foreign.h"

namespace penstock::kafka {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

properties parsed(std::string_view text) {
  auto p = properties::parse(text, "test.properties");
  EXPECT_TRUE(p) << p.error().message();
  return p.value_or(properties());
}

std::string value(const properties& p, std::string_view name) {
  const auto* v = p.find(name);
  return v == nullptr ? "(none)" : *v;
}

std::string why_not(const result<producer_settings>& s) { return s ? "(taken)" : s.error().message(); }

properties set(std::initializer_list<std::pair<std::string, std::string>> pairs) {
  properties p;
  for (const auto& [name, v] : pairs) p.set(name, v);
  return p;
}

TEST(properties, reads_names_and_values_however_they_are_parted) {
  const auto p = parsed("a=1\nb: 2\r\nc 3\rd   =   4\n\te\t5\nf\n\ng= \nh = x y ");
  EXPECT_EQ(p.entries().size(), 8u);
  EXPECT_EQ(value(p, "a"), "1");
  EXPECT_EQ(value(p, "b"), "2");
  EXPECT_EQ(value(p, "c"), "3");
  EXPECT_EQ(value(p, "d"), "4");
  EXPECT_EQ(value(p, "e"), "5");
  EXPECT_EQ(value(p, "f"), "");
  EXPECT_EQ(value(p, "g"), "");
  EXPECT_EQ(value(p, "h"), "x y ");
}

TEST(properties, passes_comments_and_joins_lines) {
  const auto p =
      parsed("# c=1\n  ! d=2\na = one,\\\n    two,\\\r\n\tthree\nb=\\\\\nc=x\\\n# no comment\nd=end\\");
  EXPECT_EQ(value(p, "a"), "one,two,three");
  EXPECT_EQ(value(p, "b"), "\\");
  EXPECT_EQ(value(p, "c"), "x# no comment");
  EXPECT_EQ(value(p, "d"), "end");
  EXPECT_EQ(p.entries()[0].origin, "test.properties, line 3");
  EXPECT_EQ(p.entries()[1].origin, "test.properties, line 6");
}

TEST(properties, understands_escapes) {
  const auto p =
      parsed("a\\ b\\=c=\\t\\n\\r\\f\\q\\\"\nu=\\u0041\\u00e4\\u20ac\\ud83d\\ude00!\n\xc3\xa4=\xc3\xb6");
  EXPECT_EQ(value(p, "a b=c"), "\t\n\r\fq\"");
  EXPECT_EQ(value(p, "u"), "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80!");
  EXPECT_EQ(value(p, "\xc3\xa4"), "\xc3\xb6");
}

TEST(properties, refuses_what_is_no_character_and_what_has_no_name) {
  for (const auto* bad : {"x=1\na=\\u12", "x=1\na=\\u12g4", "x=1\na=\\ud83d", "x=1\na=\\udc00",
                          "x=1\na=\\ud83d\\u0041", "x=1\n=3"}) {
    const auto p = properties::parse(bad, "f");
    ASSERT_FALSE(p) << bad;
    EXPECT_THAT(p.error().message(), HasSubstr("f, line 2: ")) << bad;
  }
  EXPECT_FALSE(properties::parse(std::string(properties::max_bytes + 1, 'a')));
  EXPECT_EQ(properties::read("/no/such/file").error().kind(), errc::not_found);
}

TEST(properties, pairs_are_not_repeated_in_complaints) {
  properties p;
  EXPECT_TRUE(p.set_pair("a=b=c"));
  EXPECT_EQ(value(p, "a"), "b=c");
  const auto bad = p.set_pair("hunter2", "-X");
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message(), Not(HasSubstr("hunter2")));
}

TEST(settings, set_the_typed_fields) {
  const auto p = producer_settings::from_properties(set({{"bootstrap.servers", "a:1, b:2"},
                                                         {"acks", "1"},
                                                         {"linger.ms", "20"},
                                                         {"client.id", "me"},
                                                         {"compression.zstd.level", "-5"},
                                                         {"compression.type", "zstd"},
                                                         {"enable.idempotence", "false"},
                                                         {"retry.backoff.ms", "7"},
                                                         {"batch.size", "1000"}}));
  ASSERT_TRUE(p) << p.error().message();
  EXPECT_EQ(p->bootstrap_servers, "a:1, b:2");
  EXPECT_EQ(p->acks, acks::leader);
  EXPECT_EQ(p->linger, 20ms);
  EXPECT_EQ(p->connection.client_id, "me");
  EXPECT_EQ(p->compression, compression::zstd);
  EXPECT_EQ(p->compression_level, -5);
  EXPECT_EQ(p->idempotence, false);
  EXPECT_EQ(p->connection.retry_backoff, 7ms);
  EXPECT_EQ(p->batch_size, 1000u);

  const auto c = consumer_settings::from_properties(
      set({{"group.id", "g"},
           {"auto.offset.reset", "earliest"},
           {"isolation.level", "read_committed"},
           {"partition.assignment.strategy", "sticky, org.apache.kafka.clients.consumer.RangeAssignor"},
           {"fetch.max.wait.ms", "0"},
           {"enable.auto.commit", "FALSE"}}));
  ASSERT_TRUE(c) << c.error().message();
  EXPECT_EQ(c->group_id, "g");
  EXPECT_EQ(c->auto_offset_reset, offset_reset::earliest);
  EXPECT_EQ(c->isolation_level, isolation_level::read_committed);
  EXPECT_EQ(c->assignors, (std::vector{assignor::sticky, assignor::range}));
  EXPECT_EQ(c->fetch_max_wait, 0ms);
  EXPECT_FALSE(c->enable_auto_commit);

  const auto a = admin_settings::from_properties(set({{"default.api.timeout.ms", "5000"}}));
  ASSERT_TRUE(a) << a.error().message();
  EXPECT_EQ(a->connection.default_api_timeout, 5s);
}

TEST(settings, apply_keeps_the_others_and_changes_nothing_on_an_error) {
  producer_settings p{.bootstrap_servers = "a:1", .linger = 3ms};
  ASSERT_TRUE(p.apply(set({{"batch.size", "5"}})));
  EXPECT_EQ(p.bootstrap_servers, "a:1");
  EXPECT_EQ(p.linger, 3ms);
  EXPECT_FALSE(p.apply(set({{"batch.size", "6"}, {"linger.ms", "soon"}})));
  EXPECT_EQ(p.batch_size, 5u);
}

TEST(settings, all_problems_are_told_at_once) {
  const auto p = producer_settings::from_properties(set({{"linger.ms", "soon"},
                                                         {"batch.size", "-1"},
                                                         {"acks", "2"},
                                                         {"lingr.ms", "5"},
                                                         {"enable.idempotence", "yes"}}));
  ASSERT_FALSE(p);
  EXPECT_EQ(p.error().kind(), errc::invalid_argument);
  EXPECT_THAT(p.error().message(),
              AllOf(HasSubstr("5 settings are wrong: "),
                    HasSubstr("linger.ms is \"soon\"; it must be a number, 0 to 86400000 ms"),
                    HasSubstr("batch.size is -1 bytes; it must be 0 to 1073741824 bytes"),
                    HasSubstr("acks is \"2\"; it must be one of all, 0, 1"),
                    HasSubstr("there is no setting lingr.ms; did you mean linger.ms?"),
                    HasSubstr("enable.idempotence is \"yes\"; it must be true or false")));
}

TEST(settings, typed_ones_are_checked_by_the_same_table) {
  producer_settings p{.bootstrap_servers = "x", .linger = -1ms, .max_in_flight = 0};
  p.connection.request_timeout = 0ms;
  const auto made = producer::create(p);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message(),
              AllOf(HasSubstr("4 settings are wrong: "), HasSubstr("bootstrap.servers"),
                    HasSubstr("linger.ms is -1 ms; it must be 0 to 86400000 ms"),
                    HasSubstr("max.in.flight.requests.per.connection is 0; it must be 1 to 1000000"),
                    HasSubstr("request.timeout.ms is 0 ms; it must be 1 to 86400000 ms")));
  EXPECT_THAT(consumer::create({.bootstrap_servers = "a:1", .session_timeout = 1s}).error().message(),
              HasSubstr("heartbeat.interval.ms is 3000; it must be less than session.timeout.ms"));
  EXPECT_THAT(admin::create({.bootstrap_servers = "a"}).error().message(), HasSubstr("bootstrap.servers"));
}

TEST(settings, names_of_other_clients_say_what_to_do_instead) {
  const auto p = producer_settings::from_properties(set({{"queue.buffering.max.ms", "5"}}));
  ASSERT_FALSE(p);
  EXPECT_EQ(p.error().kind(), errc::unsupported);
  EXPECT_EQ(p.error().message(), "queue.buffering.max.ms is not supported: write linger.ms");
  for (const auto& f : client::foreign_settings())
    for (const auto& row : client::settings_table())
      EXPECT_NE(f.name, row.name) << "is supported by now: take it out of settings_foreign.cc";
}

TEST(settings, of_another_kind_of_client_are_passed_over_in_files_only) {
  EXPECT_EQ(why_not(producer_settings::from_properties(parsed("group.id=x\nlinger.ms=1"))), "(taken)");
  EXPECT_EQ(why_not(producer_settings::from_properties(set({{"group.id", "x"}}))),
            "group.id is a setting of consumers, not of producers");
  EXPECT_EQ(why_not(producer_settings::from_properties(parsed("a=1\n\ngroup_di=x"))),
            "2 settings are wrong: test.properties, line 1: there is no setting a; test.properties, line 3: "
            "there is no setting group_di");
}

TEST(settings, the_last_of_two_holds) {
  const auto p = producer_settings::from_properties(parsed("linger.ms=bad\nlinger.ms=9"));
  ASSERT_TRUE(p) << p.error().message();
  EXPECT_EQ(p->linger, 9ms);
}

TEST(settings, secrets_and_strange_names_are_not_repeated) {
  for (const auto& row : client::settings_table()) {
    if (!row.secret) continue;
    const auto p = producer_settings::from_properties(
        set({{std::string(row.name), "hunter2"}, {"sasl.mechanism", "no such"}, {"linger.ms", "-1"}}));
    ASSERT_FALSE(p);
    EXPECT_THAT(p.error().message(), Not(HasSubstr("hunter2"))) << row.name;
  }
  EXPECT_THAT(
      why_not(producer_settings::from_properties(set({{"a\n\x1b[31m" + std::string(200, 'b'), "1"}}))),
      AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr(std::string(100, 'b')))));
}

TEST(settings, java_login_modules_and_other_names_are_understood) {
  producer_settings s;
  ASSERT_TRUE(s.apply(set({{"sasl.jaas.config",
                            "a.ScramLoginModule required username=\"me\" password = \"a\\\"b;c\" "
                            "serviceName=k x=\"y\" ;"},
                           {"ssl.truststore.location", "ca.pem"},
                           {"sasl.oauthbearer.client.secret", "s"},
                           {"ssl.enabled.protocols", "TLSv1.3"},
                           {"sasl.oauthbearer.extensions", "a=b, c=d"}})));
  const auto& security = s.connection.security;
  EXPECT_EQ(security.sasl_username, "me");
  EXPECT_EQ(security.sasl_password.reveal(), "a\"b;c");
  EXPECT_EQ(security.kerberos.service_name, "k");
  EXPECT_EQ(security.ca_file, "ca.pem");
  EXPECT_EQ(security.oauth.client_secret.reveal(), "s");
  EXPECT_TRUE(security.tls13_only);
  EXPECT_EQ(security.oauth.extensions.at("c"), "d");
  for (const auto* bad : {"", "x", "LoginModule", "LoginModule required", "LoginModule required hunter2",
                          "LoginModule required hunter2=;;", "LoginModule required password=\"hunter2",
                          "LoginModule required password=\"hunter2\"; hunter2"}) {
    const auto wrong = s.apply(set({{"sasl.jaas.config", bad}}));
    ASSERT_FALSE(wrong) << bad;
    EXPECT_THAT(wrong.error().message(), Not(HasSubstr("hunter2")));
  }
  EXPECT_FALSE(s.apply(set({{"ssl.keystore.type", "JKS"}})));
  EXPECT_FALSE(s.apply(set({{"ssl.enabled.protocols", "TLSv1.1,TLSv1.3"}})));
  EXPECT_FALSE(s.apply(set({{"sasl.login.refresh.window.factor", "2"}})));
}

TEST(settings, every_line_is_whole_and_says_what_it_sets_back) {
  for (const auto& row : client::settings_table()) {
    EXPECT_FALSE(row.name.empty());
    EXPECT_GT(row.text.size(), 10u) << row.name;
    EXPECT_EQ(row.text.back(), '.') << row.name;
    EXPECT_FALSE(row.type.empty()) << row.name;
    ASSERT_TRUE(row.set && row.get) << row.name;
    // What a default-constructed client has is valid, and setting it changes nothing.
    producer_settings p;
    consumer_settings c;
    admin_settings a;
    for (auto view : {client::view_of(p), client::view_of(c), client::view_of(a)}) {
      if ((row.of & static_cast<std::uint8_t>(view.kind)) == 0) continue;
      const auto standard = row.get(view);
      if (row.check) {
        EXPECT_EQ(row.check(view), std::nullopt) << row.name;
      }
      if (row.secret) continue;
      EXPECT_EQ(row.set(view, standard), std::nullopt) << row.name << " = " << standard;
      EXPECT_EQ(row.get(view), standard) << row.name;
    }
  }
}

TEST(settings, the_reference_page_is_current) {
  std::ifstream file(PENSTOCK_SOURCE_DIR "/docs/reference/client-settings.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), settings_reference())
      << "write it again: penstock settings --markdown > docs/reference/client-settings.md";
}

}  // namespace
}  // namespace penstock::kafka
