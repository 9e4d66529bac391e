// SPDX-License-Identifier: Apache-2.0
// Connections that authenticate, against brokers and token endpoints that do what a test wants.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <functional>
#include <set>

#include "base/base64.h"
#include "base/bytes.h"
#include "client/cluster.h"
#include "client/fake_cluster.h"
#include "client/sasl_oauth.h"
#include "io/test_certificates.h"
#include "wire/messages/list_groups.h"
#include "wire/messages/sasl_authenticate.h"
#include "wire/messages/sasl_handshake.h"

namespace penstock::client {
namespace {

using kafka::security_protocol;
using ::testing::AllOf;
using testing::fake_cluster;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::reaction;
using testing::run_until;
using testing::seen_request;
using wire::api_key;
using wire::error_code;
using namespace std::chrono_literals;

constexpr const char* password = "correct-horse-battery";

/// A broker's half of SASL: what `respond` says to a token.
struct sasl_broker {
  explicit sasl_broker(fake_cluster& kafka, std::vector<std::string> mechanisms) {
    kafka.always(api_key::sasl_handshake, [this, mechanisms](const seen_request& r) {
      ++handshakes;
      wire::sasl_handshake_response a;
      a.mechanisms = mechanisms;
      asked = r.as<wire::sasl_handshake_request>().mechanism;
      if (std::find(mechanisms.begin(), mechanisms.end(), asked) == mechanisms.end())
        a.error_code = static_cast<std::int16_t>(error_code::unsupported_sasl_mechanism);
      return reaction::with(a, r.header.version);
    });
    kafka.always(api_key::sasl_authenticate, [this](const seen_request& r) {
      const auto token = r.as<wire::sasl_authenticate_request>().auth_bytes;
      tokens.push_back(token);
      wire::sasl_authenticate_response a;
      if (auto answer = respond(token)) {
        a.auth_bytes = *answer;
        a.session_lifetime_ms = lifetime_ms;
      } else {
        a.error_code = static_cast<std::int16_t>(error_code::sasl_authentication_failed);
        a.error_message = complaint;
      }
      return reaction::with(a, r.header.version);
    });
  }
  std::function<std::optional<std::string>(const std::string&)> respond;
  std::string complaint = "Authentication failed: Invalid username or password";
  std::int64_t lifetime_ms = 0;
  int handshakes = 0;
  std::string asked;
  std::vector<std::string> tokens;
};

class a_session : public ::testing::Test {
 protected:
  static kafka::connection_settings settings(kafka::security_settings security) {
    kafka::connection_settings s;
    s.request_timeout = 5s;
    s.reconnect_backoff = 5ms;
    s.reconnect_backoff_max = 20ms;
    s.security = std::move(security);
    return s;
  }
  static kafka::security_settings with(const std::string& mechanism, const std::string& word = password) {
    return {.protocol = security_protocol::sasl_plaintext,
            .sasl_mechanism = mechanism,
            .sasl_username = "user",
            .sasl_password = word};
  }
  std::unique_ptr<cluster> connect(kafka::security_settings security) {
    auto c = cluster::create(loop, kafka.bootstrap(), settings(std::move(security)), random);
    if (!c) throw std::runtime_error(c.error().message());
    return std::move(*c);
  }
  /// "" when the cluster answers, else why not; never with a secret in it.
  std::string ask(cluster& c) {
    std::optional<result<wire::metadata_response>> outcome;
    c.call<wire::metadata_response>(any_broker, wire::metadata_request{}, {.min_version = 1},
                                    [&](auto r) { outcome = std::move(r); });
    EXPECT_TRUE(run_until(loop, [&] { return outcome.has_value(); }));
    if (!outcome || *outcome) return {};
    failed = outcome->error();
    EXPECT_THAT(failed->message(), Not(HasSubstr(password)));
    return failed->message();
  }

  io::event_loop loop;
  io::seeded_random random{7};
  fake_cluster kafka{loop, 1};
  std::optional<error> failed;
};

TEST_F(a_session, begins_with_a_password) {
  sasl_broker broker(kafka, {"PLAIN", "GSSAPI"});
  broker.respond = [](const std::string&) { return std::string(); };
  auto c = connect(with("PLAIN"));
  EXPECT_EQ(ask(*c), "");
  ASSERT_EQ(broker.tokens.size(), 1u);
  EXPECT_EQ(broker.tokens[0], std::string("\0user\0", 6) + password);
  EXPECT_FALSE(c->refusal());
}

TEST_F(a_session, says_that_the_password_is_wrong_and_not_which) {
  sasl_broker broker(kafka, {"PLAIN"});
  broker.respond = [](const std::string&) { return std::nullopt; };
  broker.complaint = std::string("no user with the password ") + password + "\n";
  auto c = connect(with("PLAIN"));
  EXPECT_THAT(ask(*c), AllOf(HasSubstr("SASL PLAIN at 127.0.0.1"), HasSubstr("SASL_AUTHENTICATION_FAILED"),
                             HasSubstr("no user with the password <hidden>?")));
  EXPECT_EQ(failed->kafka_code(), 58);
  EXPECT_FALSE(failed->retriable());
  ASSERT_TRUE(c->refusal());
  // Let in at last: the refusal is forgotten.
  broker.respond = [](const std::string&) { return std::string(); };
  EXPECT_EQ(ask(*c), "");
  EXPECT_FALSE(c->refusal());
}

TEST_F(a_session, says_which_mechanisms_the_broker_has) {
  sasl_broker broker(kafka, {"PLAIN", "OAUTHBEARER"});
  auto c = connect(with("SCRAM-SHA-256"));
  EXPECT_THAT(ask(*c), AllOf(HasSubstr("SASL SCRAM-SHA-256"), HasSubstr("it offers PLAIN, OAUTHBEARER")));
  EXPECT_FALSE(failed->retriable());
  EXPECT_TRUE(broker.tokens.empty());
}

// The broker's half of SCRAM, for one user.
class scram_broker {
 public:
  explicit scram_broker(std::string word) : word_(std::move(word)) {}
  std::optional<std::string> operator()(const std::string& token) {
    if (token.starts_with("n,,")) {
      bare_ = token.substr(3);
      first_ = bare_.substr(bare_.find("r=")) + "broker,s=" + base::base64_encode("some salt") + ",i=8192";
      return first_;
    }
    const auto proof_at = token.find(",p=");
    const auto text = bare_ + "," + first_ + "," + token.substr(0, proof_at);
    std::string salted(64, '\0');
    PKCS5_PBKDF2_HMAC(word_.data(), static_cast<int>(word_.size()),
                      reinterpret_cast<const unsigned char*>("some salt"), 9, 8192, EVP_sha512(), 64,
                      reinterpret_cast<unsigned char*>(salted.data()));
    auto proof = base::base64_decode(token.substr(proof_at + 3)).value_or("");
    const auto client_key = hmac(salted, "Client Key");
    std::string stored(64, '\0');
    EVP_Digest(client_key.data(), 64, reinterpret_cast<unsigned char*>(stored.data()), nullptr, EVP_sha512(),
               nullptr);
    const auto signature = hmac(stored, text);
    for (std::size_t i = 0; i < proof.size() && i < 64; ++i)
      proof[i] = static_cast<char>(proof[i] ^ signature[i]);
    if (proof != client_key) return std::nullopt;
    return "v=" + base::base64_encode(hmac(hmac(salted, "Server Key"), text));
  }

 private:
  static std::string hmac(const std::string& key, const std::string& data) {
    std::string out(64, '\0');
    HMAC(EVP_sha512(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(data.data()), data.size(),
         reinterpret_cast<unsigned char*>(out.data()), nullptr);
    return out;
  }
  std::string word_, bare_, first_;
};

TEST_F(a_session, proves_the_password_without_sending_it) {
  sasl_broker broker(kafka, {"SCRAM-SHA-512"});
  broker.respond = scram_broker(password);
  auto c = connect(with("SCRAM-SHA-512"));
  EXPECT_EQ(ask(*c), "");
  ASSERT_EQ(broker.tokens.size(), 2u);
  for (const auto& t : broker.tokens) EXPECT_THAT(t, Not(HasSubstr(password)));
  auto other = connect(with("SCRAM-SHA-512", "wrong"));
  EXPECT_THAT(ask(*other), HasSubstr("SASL_AUTHENTICATION_FAILED"));
}

TEST_F(a_session, does_not_begin_with_a_broker_that_lacks_the_password) {
  sasl_broker broker(kafka, {"SCRAM-SHA-512"});
  scram_broker honest(password);
  auto c = connect(with("SCRAM-SHA-512"));
  broker.respond = [&](const std::string& token) -> std::optional<std::string> {
    if (token.starts_with("n,,")) return honest(token);
    return "v=" + base::base64_encode(std::string(64, 'x'));
  };
  EXPECT_THAT(ask(*c), HasSubstr("signature is wrong"));
  EXPECT_EQ(failed->kind(), errc::authentication);
  broker.respond = [](const std::string&) { return std::string(); };  // "you are in" at once
  EXPECT_THAT(ask(*c), HasSubstr("SCRAM: the broker's message has no nonce"));
  EXPECT_EQ(kafka.count(api_key::metadata), 0);
}

TEST_F(a_session, survives_what_a_broker_may_say) {
  sasl_broker broker(kafka, {"SCRAM-SHA-512", "OAUTHBEARER"});
  auto c = connect(with("SCRAM-SHA-512"));
  for (const auto& odd :
       {std::string(900'000, 'r'), std::string("\xff\xfe\0,=", 5), std::string("r=,s=,i=")}) {
    broker.respond = [&](const std::string&) { return odd; };
    EXPECT_NE(ask(*c), "");
    EXPECT_EQ(failed->kind(), errc::authentication);
  }
  broker.respond = [&](const std::string&) { return std::string(2'000'000, 'r'); };
  EXPECT_THAT(ask(*c), HasSubstr("sent a frame of"));
}

TEST_F(a_session, is_renewed_while_requests_are_under_way) {
  sasl_broker broker(kafka, {"PLAIN"});
  broker.respond = [](const std::string&) { return std::string(); };
  broker.lifetime_ms = 60;
  auto c = connect(with("PLAIN"));
  ASSERT_EQ(ask(*c), "");
  // Between a handshake and its end nothing else may come.
  bool shaking = false;
  std::vector<int> answered;
  int sent = 0;
  kafka.always(api_key::sasl_handshake, [&](const seen_request& r) {
    shaking = true;
    ++broker.handshakes;
    wire::sasl_handshake_response a;
    a.mechanisms = {"PLAIN"};
    return reaction::with(a, r.header.version);
  });
  kafka.always(api_key::sasl_authenticate, [&](const seen_request& r) {
    EXPECT_TRUE(shaking);
    shaking = false;
    wire::sasl_authenticate_response a;
    a.session_lifetime_ms = 60;
    return reaction::with(a, r.header.version);
  });
  kafka.always(api_key::list_groups, [&](const seen_request& r) {
    EXPECT_FALSE(shaking);
    return reaction::with(wire::list_groups_response{}, r.header.version);
  });
  const std::function<void()> send = [&] {
    c->call<wire::list_groups_response>(any_broker, wire::list_groups_request{}, {}, [&, n = sent++](auto r) {
      EXPECT_TRUE(r) << r.error().message();
      answered.push_back(n);
      if (broker.handshakes < 8) send();
    });
  };
  for (int i = 0; i < 20; ++i) send();
  ASSERT_TRUE(run_until(loop, [&] { return static_cast<int>(answered.size()) == sent; }));
  EXPECT_GE(broker.handshakes, 8);
  EXPECT_GT(sent, 100);
  EXPECT_TRUE(std::is_sorted(answered.begin(), answered.end()));
  EXPECT_EQ(kafka.connections(), 1);
}

TEST_F(a_session, that_ended_unnoticed_is_renewed_before_the_next_request) {
  sasl_broker broker(kafka, {"PLAIN"});
  broker.respond = [](const std::string&) { return std::string(); };
  broker.lifetime_ms = 1;
  auto c = connect(with("PLAIN"));
  ASSERT_EQ(ask(*c), "");
  broker.lifetime_ms = 0;
  const auto until = loop.time().now() + 5ms;
  while (loop.time().now() < until) {
  }
  EXPECT_EQ(ask(*c), "");
  EXPECT_GE(broker.handshakes, 2);
  EXPECT_EQ(kafka.connections(), 1);
}

TEST_F(a_session, that_cannot_be_renewed_fails_what_waits_for_it) {
  sasl_broker broker(kafka, {"PLAIN"});
  broker.respond = [](const std::string&) { return std::string(); };
  broker.lifetime_ms = 40;
  auto c = connect(with("PLAIN"));
  ASSERT_EQ(ask(*c), "");
  broker.respond = [](const std::string&) { return std::nullopt; };
  ASSERT_TRUE(run_until(loop, [&] { return c->refusal().has_value(); }));
  EXPECT_THAT(ask(*c), HasSubstr("SASL_AUTHENTICATION_FAILED"));
}

TEST_F(a_session, is_encrypted_and_authenticated_at_once) {
  const io::testing::authority ours("Our Authority");
  const auto certificate = ours.issue();
  kafka.use_tls(*io::tls_context::server({.certificate_pem = certificate.pem, .key_pem = certificate.key},
                                         io::file_system::system()));
  sasl_broker broker(kafka, {"SCRAM-SHA-512"});
  broker.respond = scram_broker(password);
  auto security = with("SCRAM-SHA-512");
  security.protocol = security_protocol::sasl_ssl;
  security.ca_pem = ours.pem();
  auto c = connect(security);
  EXPECT_EQ(ask(*c), "");
  // As is each further connection that a busy broker gets.
  const auto before = std::pair(kafka.connections(), kafka.count(api_key::sasl_handshake));
  std::optional<result<>> connected;
  c->connect(any_broker, produce_channel(1), [&](result<> r) { connected = std::move(r); });
  ASSERT_TRUE(run_until(loop, [&] { return connected.has_value(); }));
  EXPECT_TRUE(*connected);
  EXPECT_EQ(std::pair(kafka.connections(), kafka.count(api_key::sasl_handshake)),
            std::pair(before.first + 1, before.second + 1));
  security.ca_pem = io::testing::authority("Another").pem();
  auto distrustful = connect(security);
  EXPECT_THAT(ask(*distrustful), AllOf(HasSubstr("TLS with 127.0.0.1"), HasSubstr("CN=broker")));
  EXPECT_EQ(failed->kind(), errc::authentication);
  EXPECT_FALSE(failed->retriable());
  EXPECT_EQ(broker.handshakes, 2);
}

// A broker of the time when tokens went without headers.
TEST_F(a_session, begins_with_a_broker_of_kafka_0_10) {
  kafka.limit(api_key::sasl_handshake, 0, 0);
  kafka.limit(api_key::sasl_authenticate, -1, -1);
  sasl_broker broker(kafka, {"PLAIN"});
  std::string raw;
  bool right = true;
  kafka.on_raw_frame([&](const std::string& frame) -> std::optional<std::string> {
    raw = frame;
    return right ? std::optional(std::string()) : std::nullopt;
  });
  auto c = connect(with("PLAIN"));
  EXPECT_EQ(ask(*c), "");
  EXPECT_EQ(raw, std::string("\0user\0", 6) + password);
  right = false;
  auto other = connect(with("PLAIN"));
  EXPECT_THAT(ask(*other), HasSubstr("when user or password is wrong"));
}

std::string jwt(std::int64_t expires_ms, const std::string& subject = "user") {
  return base::base64_encode(R"({"alg":"none"})") + "." +
         base::base64_encode(R"({"sub":")" + subject + R"(","exp":)" + std::to_string(expires_ms / 1000) +
                             "}") +
         ".";
}

class an_oauth_session : public a_session {
 protected:
  void SetUp() override {
    broker.respond = [this](const std::string& token) -> std::optional<std::string> {
      if (token == "\x01") return std::nullopt;
      return refuse ? R"({"status":"invalid_token"})" : "";
    };
  }
  static kafka::security_settings oauth(kafka::oauth_settings o) {
    return {.protocol = security_protocol::sasl_plaintext,
            .sasl_mechanism = "OAUTHBEARER",
            .oauth = std::move(o)};
  }
  std::int64_t in(std::chrono::milliseconds ms) const { return loop.time().wall_ms() + ms.count(); }

  /// A token endpoint; each answer is what `answer` gives for a request's text.
  void serve(std::shared_ptr<const io::tls_context> tls = {}) {
    endpoint_ = *io::listen(loop, {"127.0.0.1", 0}, [this, tls](std::unique_ptr<io::stream> s) {
      if (tls == nullptr) return serve_one(std::move(s));
      io::accept_tls(loop, std::move(s), tls, 5s, [this](auto t) {
        if (t) serve_one(std::move(*t));
      });
    });
  }
  void serve_one(std::unique_ptr<io::stream> s) {
    struct talk {
      std::unique_ptr<io::stream> stream;
      std::string in;
      std::array<char, 4096> buffer;
    };
    auto t = std::make_shared<talk>();
    t->stream = std::move(s);
    auto read = std::make_shared<std::function<void()>>();
    *read = [this, t, weak = std::weak_ptr(read)] {
      t->stream->read_some(t->buffer, [this, t, again = weak.lock()](result<std::size_t> n) {
        if (!n) return;
        t->in.append(t->buffer.data(), *n);
        const auto head = t->in.find("\r\n\r\n");
        const auto length_at = t->in.find("Content-Length: ");
        if (head == std::string::npos || length_at == std::string::npos) return (*again)();
        if (t->in.size() < head + 4 + std::stoul(t->in.substr(length_at + 16))) return (*again)();
        requests.push_back(t->in);
        auto bytes = std::make_shared<std::string>(answer(t->in));
        if (bytes->empty()) return keep.push_back(t);
        t->stream->write({{.bytes = *bytes, .keep = bytes}},
                         [t](result<>) { static_cast<void>(t->stream->shutdown_write()); });
      });
    };
    (*read)();
  }
  static std::string http(int status, const std::string& body) {
    return "HTTP/1.1 " + std::to_string(status) +
           " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }
  std::string token_answer(std::chrono::milliseconds life) {
    return http(200, R"({"access_token":")" + jwt(in(life)) + R"(","token_type":"Bearer"})");
  }
  kafka::oauth_settings from_endpoint(const std::string& scheme = "http") {
    return {.token_endpoint = scheme + "://" + io::to_string(endpoint_->local()) + "/token",
            .client_id = "board",
            .client_secret = password,
            .scope = "kafka"};
  }

  sasl_broker broker{kafka, {"OAUTHBEARER"}};
  bool refuse = false;
  std::unique_ptr<io::listener> endpoint_;
  std::function<std::string(const std::string&)> answer;
  std::vector<std::string> requests;
  std::vector<std::shared_ptr<void>> keep;
};

TEST_F(an_oauth_session, begins_with_a_token_of_the_program) {
  int calls = 0;
  auto c = connect(oauth({.provider = [&]() -> result<kafka::oauth_token> {
                            ++calls;
                            return kafka::oauth_token{.value = "abc",
                                                      .expires = std::chrono::system_clock::time_point(
                                                          std::chrono::milliseconds(in(1h))),
                                                      .extensions = {{"team", "a"}}};
                          },
                          .extensions = {{"cluster", "c1"}}}));
  EXPECT_EQ(ask(*c), "");
  EXPECT_EQ(calls, 1);
  ASSERT_EQ(broker.tokens.size(), 1u);
  EXPECT_EQ(broker.tokens[0],
            "n,,\x01"
            "auth=Bearer abc\x01"
            "cluster=c1\x01team=a\x01\x01");
}

TEST_F(an_oauth_session, tells_why_there_is_no_token) {
  auto c = connect(oauth({.provider = []() -> result<kafka::oauth_token> {
    return fail(errc::user, "the vault is closed", recovery::retriable);
  }}));
  EXPECT_THAT(ask(*c), HasSubstr("the vault is closed"));
  auto thrower = connect(oauth({.provider = []() -> result<kafka::oauth_token> { throw 5; }}));
  EXPECT_THAT(ask(*thrower), HasSubstr("threw an exception"));
  auto old = connect(
      oauth({.provider = [&]() -> result<kafka::oauth_token> { return token_of_jwt(jwt(in(-5s))); }}));
  EXPECT_THAT(ask(*old), HasSubstr("has expired already"));
}

TEST_F(an_oauth_session, tells_that_the_broker_wants_another_token) {
  refuse = true;
  broker.complaint = "{\"status\":\"invalid_token\"}";
  const auto token = jwt(in(1h));
  auto c = connect(oauth({.provider = [&] { return token_of_jwt(token); }}));
  EXPECT_THAT(ask(*c), AllOf(HasSubstr("SASL_AUTHENTICATION_FAILED"), HasSubstr("invalid_token"),
                             Not(HasSubstr(token))));
  EXPECT_EQ(broker.tokens.at(1), "\x01");
}

TEST_F(an_oauth_session, gets_its_token_from_an_endpoint) {
  serve();
  answer = [&](const std::string&) { return token_answer(1h); };
  auto c = connect(oauth(from_endpoint()));
  EXPECT_EQ(ask(*c), "");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_THAT(
      requests[0],
      AllOf(HasSubstr("POST /token HTTP/1.1\r\n"), HasSubstr("grant_type=client_credentials&scope=kafka"),
            HasSubstr("Authorization: Basic " + base::base64_encode(std::string("board:") + password))));
}

TEST_F(an_oauth_session, gets_its_token_over_tls_from_a_trusted_endpoint) {
  const io::testing::authority ours("Our Authority");
  const auto certificate = ours.issue();
  serve(*io::tls_context::server({.certificate_pem = certificate.pem, .key_pem = certificate.key},
                                 io::file_system::system()));
  answer = [&](const std::string&) { return token_answer(1h); };
  auto security = oauth(from_endpoint("https"));
  security.ca_pem = ours.pem();
  auto c = connect(security);
  EXPECT_EQ(ask(*c), "");
  security.ca_pem = io::testing::authority("Another").pem();
  auto distrustful = connect(security);
  EXPECT_THAT(ask(*distrustful), AllOf(HasSubstr("no bearer token"), HasSubstr("CN=broker")));
  EXPECT_EQ(requests.size(), 1u) << "the secret went to a stranger";
}

TEST_F(an_oauth_session, bears_with_an_endpoint_that_misbehaves) {
  serve();
  auto from = from_endpoint();
  from.read_timeout = 50ms;
  auto c = connect(oauth(from));
  const auto why = [&](const std::string& text) {
    answer = [text](const std::string&) { return text; };
    return ask(*c);
  };
  EXPECT_THAT(why(http(401, R"({"error":"invalid_client","error_description":"x"})")),
              AllOf(HasSubstr("401"), HasSubstr("invalid_client")));
  EXPECT_FALSE(failed->retriable());
  EXPECT_THAT(why(http(503, "")), HasSubstr("503"));
  EXPECT_TRUE(failed->retriable());
  EXPECT_THAT(why("SSH-2.0-OpenSSH\r\n"), HasSubstr("no HTTP"));
  EXPECT_THAT(why(http(200, "[")), HasSubstr("no JSON object"));
  EXPECT_THAT(why("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), HasSubstr("no HTTP"));
  EXPECT_THAT(why(http(200, std::string(2 << 20, ' '))), HasSubstr("no HTTP"));
  EXPECT_NE(why("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nx"), "");
  EXPECT_THAT(why(""), HasSubstr("did not answer within 50 ms"));
  EXPECT_EQ(why(token_answer(1h)), "");
}

TEST_F(an_oauth_session, renews_its_token_before_it_expires) {
  serve();
  answer = [&](const std::string&) { return token_answer(2500ms); };
  auto c = connect(oauth(from_endpoint()));
  EXPECT_EQ(ask(*c), "");
  const auto began = loop.time().now();
  ASSERT_TRUE(run_until(loop, [&] { return requests.size() >= 2; }));
  EXPECT_LT(loop.time().now() - began, 2500ms);
}

}  // namespace
}  // namespace penstock::client
