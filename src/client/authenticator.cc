// SPDX-License-Identifier: Apache-2.0
#include "client/authenticator.h"

#include <fmt/format.h>

#include "client/connection.h"
#include "wire/error_code.h"
#include "wire/messages/sasl_authenticate.h"
#include "wire/messages/sasl_handshake.h"

namespace penstock::client {
namespace {

// No mechanism needs nearly as many; a broker that asks for ever does not keep us.
constexpr int most_rounds = 20;

}  // namespace

void authenticator::start(unique_function<void()> begins,
                          unique_function<void(result<std::chrono::milliseconds>)> done) {
  begins_ = std::move(begins);
  done_ = std::move(done);
  raw_ = false;
  rounds_ = 0;
  lifetime_ = {};
  exchange_ = login_.begin(host_);
  exchange_->next({}, [this](result<sasl_token> token) {
    if (!token) return finish(fail(named(token.error())));
    if (begins_) std::exchange(begins_, nullptr)();
    shake_hands(token->value_or(kafka::secret()));
  });
}

error authenticator::named(const error& why) const {
  return why.with_context(fmt::format("SASL {} at {}", login_.mechanism(), channel_.name()));
}

void authenticator::shake_hands(kafka::secret first) {
  outgoing ask;
  ask.key = wire::api_key::sasl_handshake;
  const auto version = channel_.pick_version(ask.key, 0, 1);
  if (version < 0)
    return finish(fail(named({errc::unsupported, "the broker knows no SASL (Kafka has it since 0.10)"})));
  const bool wrapped = channel_.pick_version(wire::api_key::sasl_authenticate, 0, 2) >= 0;
  ask.encode = [mechanism = std::string(login_.mechanism())](wire::writer& w, std::int16_t v) {
    wire::sasl_handshake_request request;
    request.mechanism = mechanism;
    return request.encode(w, v);
  };
  ask.done = [this, alive = std::weak_ptr<void>(alive_), first = std::move(first)](auto in) mutable {
    if (!alive.expired()) hands_shaken(std::move(in), std::move(first));
  };
  const std::int16_t chosen = wrapped ? version : std::int16_t{0};
  raw_ = chosen == 0;
  channel_.ask(std::move(ask), chosen);
}

void authenticator::hands_shaken(result<incoming> in, kafka::secret first) {
  if (!in) return finish(fail(std::move(in.error())));
  wire::sasl_handshake_response response;
  if (auto decoded = response.decode(in->body, in->version); !decoded)
    return finish(fail(named(decoded.error())));
  const auto code = static_cast<wire::error_code>(response.error_code);
  if (code == wire::error_code::unsupported_sasl_mechanism) {
    auto offered = login_.clean(fmt::format("{}", fmt::join(response.mechanisms, ", ")));
    return finish(
        fail(named(error::from_kafka(response.error_code,
                                     fmt::format("the broker has this mechanism not enabled; it offers {}",
                                                 offered.empty() ? "none" : offered),
                                     recovery::fatal))));
  }
  if (code == wire::error_code::illegal_sasl_state)
    return finish(fail(named(error::from_kafka(
        response.error_code, "the broker wants no SASL on this listener: security.protocol is another there",
        recovery::fatal))));
  if (code != wire::error_code::none)
    return finish(fail(named(wire::make_error(response.error_code, "SaslHandshake"))));
  send(first);
}

void authenticator::send(const kafka::secret& token) {
  if (++rounds_ > most_rounds)
    return finish(fail(named({errc::authentication, "the broker comes to no end with its questions"})));
  if (raw_)
    return channel_.ask_raw(token.reveal(), [this, alive = std::weak_ptr<void>(alive_)](auto in) {
      if (!alive.expired()) answered_raw(std::move(in));
    });
  outgoing ask;
  ask.key = wire::api_key::sasl_authenticate;
  ask.encode = [token](wire::writer& w, std::int16_t v) {
    wire::sasl_authenticate_request request;
    request.auth_bytes = token.reveal();
    return request.encode(w, v);
  };
  ask.done = [this, alive = std::weak_ptr<void>(alive_)](auto in) {
    if (!alive.expired()) answered(std::move(in));
  };
  channel_.ask(std::move(ask), channel_.pick_version(ask.key, 0, 2));
}

void authenticator::answered(result<incoming> in) {
  if (!in) return finish(fail(std::move(in.error())));
  wire::sasl_authenticate_response response;
  if (auto decoded = response.decode(in->body, in->version); !decoded)
    return finish(fail(named(decoded.error())));
  if (response.error_code != 0) {
    auto why = login_.clean(response.error_message.value_or(""));
    if (const auto remark = exchange_->remark(); !remark.empty())
      why += fmt::format("{}{}", why.empty() ? "" : "; ", login_.clean(remark));
    const auto code = static_cast<wire::error_code>(response.error_code);
    auto refused = wire::make_error(code, "SaslAuthenticate");
    auto text = why.empty() ? refused.message() : fmt::format("{}: {}", refused.message(), why);
    return finish(fail(named(error::from_kafka(response.error_code, std::move(text), refused.what_to_do()))));
  }
  lifetime_ = std::chrono::milliseconds(std::max<std::int64_t>(response.session_lifetime_ms, 0));
  go_on(response.auth_bytes);
}

void authenticator::answered_raw(result<incoming> in) {
  if (!in) return finish(fail(std::move(in.error())));
  go_on(std::string(in->body.rest()));
}

void authenticator::go_on(std::string_view token) {
  exchange_->next(token, [this](result<sasl_token> answer) {
    if (!answer) return finish(fail(named(answer.error())));
    if (*answer) return send(**answer);
    finish(lifetime_);
  });
}

void authenticator::finish(result<std::chrono::milliseconds> outcome) {
  begins_ = nullptr;
  exchange_.reset();
  // What is told may end the connection, and this with it.
  auto done = std::exchange(done_, nullptr);
  if (done) done(std::move(outcome));
}

}  // namespace penstock::client
