// SPDX-License-Identifier: Apache-2.0
// The mechanisms by themselves: what they say, and what they refuse to hear.
#include "client/sasl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/base64.h"
#include "client/bootstrap.h"
#include "client/sasl_oauth.h"
#include "client/sasl_scram.h"

namespace penstock::client {
namespace {

using kafka::security_protocol;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

TEST(base64, gives_back_what_it_took) {
  for (std::size_t size = 0; size < 70; ++size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * 37 + size);
    EXPECT_EQ(base::base64_decode(base::base64_encode(bytes)), bytes);
  }
  EXPECT_EQ(base::base64_encode("any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
  EXPECT_EQ(base::base64_decode("YW55IGNhcm5hbCBwbGVhcw"), "any carnal pleas");
  for (const auto* bad : {"A", "A===", "YW55IGNhcm5hbCBwbGVhcw=", "Y W5", "YW5*", "YR=="})
    EXPECT_EQ(base::base64_decode(bad), std::nullopt) << bad;
}

TEST(a_secret, is_never_printed) {
  const kafka::secret word = "correct horse battery staple";
  std::ostringstream out;
  out << word;
  EXPECT_EQ(out.str(), "<hidden>");
  EXPECT_EQ(to_string(word), "<hidden>");
  EXPECT_EQ(to_string(kafka::secret()), "");
  EXPECT_EQ(::testing::PrintToString(word), "<hidden>");
  auto copy = word;
  const auto moved = std::move(copy);
  EXPECT_EQ(moved, word);
  EXPECT_TRUE(copy.empty());  // NOLINT: that it is empty is the promise
  EXPECT_EQ(without("it is correct horse battery staple, yes\n", word), "it is <hidden>, yes?");
}

TEST(security_protocols, are_parsed) {
  EXPECT_EQ(kafka::parse_security_protocol("sasl_ssl"), security_protocol::sasl_ssl);
  EXPECT_EQ(kafka::parse_security_protocol("SSL"), security_protocol::ssl);
  EXPECT_THAT(kafka::parse_security_protocol("TLS").error().message(), HasSubstr("SASL_PLAINTEXT"));
}

TEST(security_settings, are_checked_without_showing_a_secret) {
  const auto why = [](kafka::security_settings s) {
    kafka::connection_settings c;
    c.security = std::move(s);
    const auto valid = validate(c);
    if (valid) return std::string("valid");
    EXPECT_EQ(valid.error().kind(), errc::invalid_argument);
    EXPECT_THAT(valid.error().message(), Not(HasSubstr("hush")));
    return valid.error().message();
  };
  const auto sasl = security_protocol::sasl_plaintext;
  EXPECT_THAT(why({.protocol = sasl}), AllOf(HasSubstr("sasl.mechanism"), HasSubstr("SCRAM-SHA-512")));
  EXPECT_THAT(why({.protocol = sasl, .sasl_mechanism = "plain"}), HasSubstr("sasl.mechanism is 'plain'"));
  EXPECT_THAT(why({.sasl_mechanism = "PLAIN"}), HasSubstr("security.protocol is PLAINTEXT"));
  EXPECT_THAT(why({.protocol = sasl, .sasl_mechanism = "PLAIN", .sasl_password = "hush"}),
              HasSubstr("sasl.username"));
  EXPECT_THAT(why({.protocol = sasl, .sasl_mechanism = "PLAIN", .sasl_username = "u"}),
              HasSubstr("sasl.password"));
  EXPECT_THAT(why({.protocol = sasl,
                   .sasl_mechanism = "PLAIN",
                   .sasl_username = "u",
                   .sasl_password = std::string("hu\0hush", 7)}),
              HasSubstr("zero byte"));
  EXPECT_EQ(why({.protocol = sasl, .sasl_mechanism = "PLAIN", .sasl_username = "u", .sasl_password = "hush"}),
            "valid");
  EXPECT_THAT(why({.protocol = sasl, .sasl_mechanism = "OAUTHBEARER"}), HasSubstr("token.endpoint.url"));
  EXPECT_THAT(why({.protocol = sasl,
                   .sasl_mechanism = "OAUTHBEARER",
                   .oauth = {.token_endpoint = "https://a/t", .client_secret = "hush"}}),
              HasSubstr("client.id"));
  EXPECT_EQ(why({.protocol = security_protocol::ssl}), "valid");
}

// RFC 7677's example.
constexpr std::string_view nonce = "rOprNGfwEbeRWgbNEkqO";
const std::string server_first =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const std::string server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

class scram : public ::testing::Test {
 protected:
  scram_client client(std::string user = "user", kafka::secret password = "pencil") {
    return scram_client(scram_hash::sha256, std::move(user), std::move(password), std::string(nonce), keys);
  }
  std::string refusal(const std::string& message) {
    auto c = client();
    const auto answer = c.answer(message);
    if (answer) return "accepted";
    EXPECT_EQ(answer.error().kind(), errc::authentication);
    EXPECT_THAT(answer.error().message(), Not(HasSubstr("pencil")));
    return answer.error().message();
  }
  scram_keys keys;
};

TEST_F(scram, follows_the_example_of_the_rfc) {
  auto c = client();
  EXPECT_EQ(c.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  const auto answer = c.answer(server_first);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->reveal(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  EXPECT_TRUE(c.check(server_final));
  // Again with the keys that are kept.
  auto again = client();
  EXPECT_EQ(again.answer(server_first)->reveal(), answer->reveal());
}

TEST_F(scram, escapes_names) { EXPECT_EQ(client("a=b,c").first(), "n,,n=a=3Db=2Cc,r=" + std::string(nonce)); }

TEST_F(scram, does_not_trust_a_broker_without_the_password) {
  auto c = client();
  ASSERT_TRUE(c.answer(server_first));
  for (const auto* wrong : {"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "v=6rriTRBi23WpRR==", "v=AAAA",
                            "v=", "", "x", "r=1", "v=*"}) {
    const auto checked = c.check(wrong);
    ASSERT_FALSE(checked) << wrong;
    EXPECT_EQ(checked.error().kind(), errc::authentication);
  }
  EXPECT_THAT(c.check("e=invalid-proof,v=" + server_final).error().message(), HasSubstr("invalid-proof"));
  EXPECT_THAT(c.check("e=pencil").error().message(), Not(HasSubstr("pencil")));
  EXPECT_FALSE(client().check(server_final)) << "without the step before";
}

TEST_F(scram, refuses_what_breaks_its_rules) {
  const std::string r = "r=rOprNGfwEbeRWgbNEkqOmore";
  EXPECT_EQ(refusal(r + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), "accepted");
  EXPECT_THAT(refusal("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096"), HasSubstr("does not continue our nonce"));
  EXPECT_THAT(refusal("r=another,s=W22Z,i=4096"), HasSubstr("does not continue our nonce"));
  EXPECT_THAT(refusal("m=x," + r + ",s=W22Z,i=4096"), HasSubstr("extension"));
  EXPECT_THAT(refusal(r + ",s=W22Z,i=4095"), HasSubstr("4095 iterations"));
  EXPECT_THAT(refusal(r + ",s=W22Z,i=1000001"), HasSubstr("1000001 iterations"));
  EXPECT_THAT(refusal(r + ",s=W22Z,i=-4096"), HasSubstr("iterations"));
  for (const auto* i : {"", "4096x", "99999999999", " 4096", "0x1000"})
    EXPECT_THAT(refusal(r + ",s=W22Z,i=" + i), HasSubstr("has no iteration count")) << i;
  EXPECT_THAT(refusal(r + ",s=,i=4096"), HasSubstr("no salt"));
  EXPECT_THAT(refusal(r + ",s=W2*Z,i=4096"), HasSubstr("no salt"));
  EXPECT_THAT(refusal(r + ",i=4096"), HasSubstr("no salt"));
  EXPECT_THAT(refusal(r + ",s=" + std::string(4000, 'A') + ",i=4096"), HasSubstr("no salt"));
  EXPECT_THAT(refusal(std::string(20'000, 'r')), HasSubstr("too long"));
  EXPECT_THAT(refusal(""), HasSubstr("no nonce"));
}

std::string jwt(const std::string& claims) {
  return base::base64_encode(R"({"alg":"none"})") + "." + base::base64_encode(claims) + ".c2ln";
}

TEST(oauth, speaks_as_the_rfc_wants) {
  const auto message =
      oauth_first_message({.value = "abc.def.ghi", .extensions = {{"logicalCluster", "lkc-1"}}});
  ASSERT_TRUE(message);
  EXPECT_EQ(message->reveal(),
            "n,,\x01"
            "auth=Bearer abc.def.ghi\x01"
            "logicalCluster=lkc-1\x01\x01");
  for (const auto* bad : {"", "a b",
                          "a\x01"
                          "b",
                          "a,b", "\xc3\xa4"}) {
    const auto refused = oauth_first_message({.value = bad});
    ASSERT_FALSE(refused) << bad;
    const std::string_view token = bad;
    EXPECT_TRUE(token.empty() || refused.error().message().find(token) == std::string::npos);
  }
  EXPECT_FALSE(oauth_first_message({.value = std::string(300 << 10, 'a')}));
  EXPECT_FALSE(oauth_first_message({.value = "a", .extensions = {{"auth", "x"}}}));
  EXPECT_FALSE(oauth_first_message({.value = "a", .extensions = {{"a1", "x"}}}));
  EXPECT_FALSE(oauth_first_message({.value = "a", .extensions = {{"a", "x\x01y"}}}));
  EXPECT_EQ(oauth_refusal(R"({"status":"invalid_token","scope":"x"})"), "invalid_token");
  for (const auto* odd : {"", "{}", "[", "{\"status\":7}", "\x01"}) EXPECT_EQ(oauth_refusal(odd), "");
}

TEST(oauth, reads_when_a_token_expires) {
  EXPECT_EQ(jwt_expiry_ms(jwt(R"({"exp":1700000000,"sub":"me"})")), 1'700'000'000'000);
  EXPECT_EQ(jwt_expiry_ms(jwt(R"({"exp":1700000000.5})")), 1'700'000'000'500);
  EXPECT_EQ(jwt_expiry_ms(jwt(R"({"exp":9700000000})")), 9'000'000'000'000);  // later than the clock can tell
  EXPECT_EQ(jwt_subject(jwt(R"({"exp":1,"sub":"me"})")), "me");
  for (const auto& odd : {jwt("{}"), jwt(R"({"exp":"x"})"), jwt(R"({"exp":-1})"), jwt(R"({"exp":1e300})"),
                          jwt("[1]"), jwt("{"), std::string("a.b"), std::string("a.*.c"), std::string()})
    EXPECT_EQ(jwt_expiry_ms(odd), std::nullopt) << odd;
}

TEST(oauth, takes_answers_of_token_endpoints) {
  const auto now = std::int64_t{1'700'000'000'000};
  auto t = parse_token_answer(200, R"({"access_token":"opaque","token_type":"Bearer","expires_in":60})", now);
  ASSERT_TRUE(t) << t.error().message();
  EXPECT_EQ(t->value.reveal(), "opaque");
  EXPECT_EQ(t->expires.time_since_epoch(), std::chrono::milliseconds(now + 60'000));
  const auto with_exp = jwt(R"({"exp":1700000100,"sub":"me"})");
  t = parse_token_answer(200, R"({"expires_in":5,"access_token":")" + with_exp + "\"}", now);
  ASSERT_TRUE(t);
  EXPECT_EQ(t->expires.time_since_epoch(), std::chrono::milliseconds(1'700'000'100'000));
  EXPECT_EQ(t->principal, "me");

  const auto refused = parse_token_answer(401, R"({"error":"invalid_client","x":"opaque"})", now);
  EXPECT_EQ(refused.error().kind(), errc::authentication);
  EXPECT_FALSE(refused.error().retriable());
  EXPECT_THAT(refused.error().message(), AllOf(HasSubstr("401"), HasSubstr("invalid_client")));
  for (const unsigned passing : {500u, 503u, 429u, 408u})
    EXPECT_TRUE(parse_token_answer(passing, "busy", now).error().retriable()) << passing;
  for (const auto* odd : {"", "[]", "{}", R"({"access_token":7})", R"({"access_token":"opaque"})",
                          R"({"access_token":"a b","expires_in":5})", R"({"access_token":"","expires_in":5})",
                          R"({"access_token":"a","expires_in":-5})"})
    EXPECT_FALSE(parse_token_answer(200, odd, now)) << odd;
  EXPECT_EQ(token_request_body({.scope = "a b&c"}), "grant_type=client_credentials&scope=a%20b%26c");
  EXPECT_EQ(token_request_body({}), "grant_type=client_credentials");
}

TEST(oauth, renews_a_token_before_it_expires) {
  const kafka::oauth_settings o;
  EXPECT_EQ(refresh_after(o, 3600s, 0), 2880s);
  EXPECT_EQ(refresh_after(o, 3600s, 1), 3060s);
  EXPECT_EQ(refresh_after(o, 1000s, 0), 700s) << "five minutes before";
  EXPECT_EQ(refresh_after(o, 361s, 0), 61s);
  EXPECT_EQ(refresh_after(o, 10s, 0), 8s) << "a short life has no room for the rest";
  EXPECT_GT(refresh_after(o, 1ms, 0), 0ms);
}

TEST(urls, are_parsed) {
  const auto url = io::parse_http_url("https://login.example.org/a/b?c=d#e");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->at, (io::endpoint{"login.example.org", 443}));
  EXPECT_EQ(url->target, "/a/b?c=d");
  EXPECT_EQ(io::parse_http_url("http://h:81")->target, "/");
  EXPECT_EQ(io::parse_http_url("http://h?x")->target, "/?x");
  EXPECT_EQ(io::parse_http_url("http://[::1]/")->at, (io::endpoint{"::1", 80}));
  for (const auto* bad : {"", "ftp://h/", "h:80", "http://", "http:///x", "http://h:0x/", "http://u:hush@h/",
                          "http://h/a b", "http://h/a\r\nX: y"}) {
    const auto refused = io::parse_http_url(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_THAT(refused.error().message(), Not(HasSubstr("hush")));
  }
}

}  // namespace
}  // namespace penstock::client
