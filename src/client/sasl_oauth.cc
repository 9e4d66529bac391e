// SPDX-License-Identifier: Apache-2.0
#include "client/sasl_oauth.h"

#include <fmt/format.h>

#include <exception>

#include "base/base64.h"
#include "client/sasl.h"
#include "io/file.h"

namespace penstock::client {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view file_scheme = "file://";
// A token that ends sooner is not sent any more: the broker's clock may be ahead, and the way takes time.
constexpr milliseconds least_life{500};
constexpr milliseconds longest_wait = std::chrono::hours(24 * 20);

}  // namespace

oauth_tokens::oauth_tokens(io::event_loop& loop, const kafka::oauth_settings& s, io::random_source& random)
    : loop_(loop), settings_(s), random_(random), refresh_(loop), background_(loop) {}

result<std::unique_ptr<oauth_tokens>> oauth_tokens::create(io::event_loop& loop,
                                                           const kafka::security_settings& s,
                                                           io::random_source& random) {
  std::unique_ptr<oauth_tokens> made(new oauth_tokens(loop, s.oauth, random));
  if (s.oauth.provider || s.oauth.token_endpoint.starts_with(file_scheme)) return made;
  auto url = io::parse_http_url(s.oauth.token_endpoint);
  if (!url) return fail(url.error().with_context("sasl.oauthbearer.token.endpoint.url"));
  made->endpoint_ = std::move(*url);
  if (!made->endpoint_.tls) return made;
  const bool own_ca = !s.oauth.ca_file.empty();
  auto tls = io::tls_context::client({.ca_file = own_ca ? s.oauth.ca_file : s.ca_file,
                                      .ca_pem = own_ca ? std::string_view() : std::string_view(s.ca_pem)},
                                     io::file_system::system());
  if (!tls) return fail(tls.error().with_context("sasl.oauthbearer.token.endpoint.url"));
  made->tls_ = std::move(*tls);
  return made;
}

milliseconds oauth_tokens::life_of(const kafka::oauth_token& t) const {
  const auto ends = std::chrono::duration_cast<milliseconds>(t.expires.time_since_epoch());
  return ends - milliseconds(loop_.time().wall_ms());
}

void oauth_tokens::get(unique_function<void(result<kafka::oauth_token>)> done) {
  if (current_ && life_of(*current_) > least_life) return done(*current_);
  waiting_.push_back(std::move(done));
  fetch();
}

void oauth_tokens::reject() {
  current_.reset();
  refresh_.cancel();
}

void oauth_tokens::fetch() {
  if (std::exchange(fetching_, true)) return;
  refresh_.cancel();
  if (settings_.provider) return ask_provider();
  if (settings_.token_endpoint.starts_with(file_scheme)) return read_token_file();
  ask_endpoint();
}

void oauth_tokens::ask_provider() {
  background_.run([provider = settings_.provider, this]() mutable -> unique_function<void()> {
    result<kafka::oauth_token> token = fail(errc::user, "the function that gives tokens threw an exception");
    try {
      token = provider();
    } catch (...) {  // what it threw may have the token in it
    }
    return [this, token = std::move(token)]() mutable { arrived(std::move(token)); };
  });
}

void oauth_tokens::read_token_file() {
  const auto path = settings_.token_endpoint.substr(file_scheme.size());
  auto text = io::read_file(io::file_system::system(), path, 1u << 20);
  auto token = text ? token_of_jwt(*text) : result<kafka::oauth_token>(fail(text.error()));
  loop_.post([this, alive = std::weak_ptr<void>(alive_), token = std::move(token)]() mutable {
    if (!alive.expired()) arrived(std::move(token));
  });
}

void oauth_tokens::ask_endpoint() {
  io::http_fetch_request ask;
  ask.to = endpoint_;
  ask.method = "POST";
  ask.headers = {{"Accept", "application/json"},
                 {"Authorization", "Basic " + base::base64_encode(settings_.client_id + ':' +
                                                                  settings_.client_secret.reveal())},
                 {"Content-Type", "application/x-www-form-urlencoded"}};
  ask.body = token_request_body(settings_);
  io::http_fetch(
      loop_, std::move(ask),
      {.tls = tls_, .connect_timeout = settings_.connect_timeout, .read_timeout = settings_.read_timeout},
      [this, alive = std::weak_ptr<void>(alive_)](result<io::http_answer> answer) {
        if (alive.expired()) return;
        if (!answer) return arrived(fail(std::move(answer.error())));
        arrived(parse_token_answer(answer->status, answer->body, loop_.time().wall_ms()));
      });
}

void oauth_tokens::arrived(result<kafka::oauth_token> token) {
  fetching_ = false;
  if (token) {
    token->extensions.insert(settings_.extensions.begin(), settings_.extensions.end());
    if (life_of(*token) <= least_life)
      token = fail(errc::authentication, "the bearer token has expired already");
  }
  if (token) {
    wait_.reset();
    current_ = *token;
    latest_ = token->value;
    const double jitter = static_cast<double>(random_.next() % 1000) / 1000;
    const auto after = refresh_after(settings_, life_of(*token), jitter);
    refresh_.arm(std::min(after, longest_wait), [this] { fetch(); });
  } else {
    const auto& where =
        settings_.provider ? std::string("the function that gives tokens") : settings_.token_endpoint;
    const auto why = token.error();
    token = fail(error(
        why.kind(),
        without(fmt::format("no bearer token from {}: {}", where, why.message()), settings_.client_secret),
        why.what_to_do()));
    // While an old token is good the next attempt comes by itself; later whoever needs one asks.
    if (current_ && life_of(*current_) > least_life) refresh_.arm(wait_.next(random_), [this] { fetch(); });
  }
  const auto alive = std::weak_ptr<void>(alive_);
  for (auto& done : std::exchange(waiting_, {})) {
    done(token);
    if (alive.expired()) return;
  }
}

namespace {

class oauth_exchange final : public sasl_exchange {
 public:
  explicit oauth_exchange(oauth_tokens& tokens) : tokens_(tokens) {}

  void next(std::string_view challenge, sasl_handler done) override {
    switch (step_++) {
      case 0: return first(std::move(done));
      case 1:
        if (challenge.empty()) return done(sasl_token());
        // A refusal; the broker ends it with its error once we have acknowledged it.
        refusal_ = oauth_refusal(challenge);
        tokens_.reject();
        return done(sasl_token("\x01"));
      default:
        return done(
            fail(errc::authentication, fmt::format("the broker refuses the bearer token: {}", refusal_)));
    }
  }
  std::string remark() const override { return refusal_; }

 private:
  void first(sasl_handler done) {
    tokens_.get([alive = std::weak_ptr<void>(alive_), done = std::move(done)](auto token) mutable {
      if (alive.expired()) return;
      if (!token) return done(fail(std::move(token.error())));
      auto message = oauth_first_message(*token);
      if (!message) return done(fail(std::move(message.error())));
      done(sasl_token(std::move(*message)));
    });
  }

  oauth_tokens& tokens_;
  int step_ = 0;
  std::string refusal_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
};

class oauth_login final : public sasl_login {
 public:
  explicit oauth_login(std::unique_ptr<oauth_tokens> t) : tokens_(std::move(t)) {}
  std::string_view mechanism() const noexcept override { return "OAUTHBEARER"; }
  std::unique_ptr<sasl_exchange> begin(const std::string&) override {
    return std::make_unique<oauth_exchange>(*tokens_);
  }
  std::string clean(std::string text) const override {
    return without(std::move(text), tokens_->token_in_use());
  }

 private:
  std::unique_ptr<oauth_tokens> tokens_;
};

}  // namespace

result<std::unique_ptr<sasl_login>> make_oauth_login(io::event_loop& loop, const kafka::security_settings& s,
                                                     io::random_source& random) {
  auto tokens = oauth_tokens::create(loop, s, random);
  if (!tokens) return fail(tokens.error());
  return std::make_unique<oauth_login>(std::move(*tokens));
}

}  // namespace penstock::client
