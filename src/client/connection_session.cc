// SPDX-License-Identifier: Apache-2.0
// A connection's SASL session: at its beginning, and renewed while requests are under way (KIP-368).
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "client/connection.h"

namespace penstock::client {
namespace {

// Until the broker has accepted us it has no reason to send much.
constexpr std::uint32_t largest_unauthenticated = 1u << 20;
// When a token for the next session cannot be had: the session at hand is good for a while yet.
constexpr std::chrono::milliseconds retry_session{1'000};

}  // namespace

std::uint32_t connection::frame_limit() const noexcept {
  return state_ == state::ready ? options_.max_response_bytes
                                : std::min(options_.max_response_bytes, largest_unauthenticated);
}

void connection::ask_raw(std::string_view token, unique_function<void(result<incoming>)> done) {
  auto bytes = std::make_shared<std::string>(sizeof(std::int32_t), '\0');
  base::store_be(bytes->data(), static_cast<std::int32_t>(token.size()));
  *bytes += token;
  outbox_.push_back({.bytes = *bytes, .keep = bytes});
  const auto now = loop_.time().now();
  waiting_.push_back(
      {0, wire::api_key::sasl_authenticate, 0, now, now + options_.request_timeout, std::move(done), true});
  watch_deadlines();
  flush();
}

void connection::authenticate() {
  if (state_ == state::closed) return;
  if (authenticator_ == nullptr)
    authenticator_ =
        std::make_unique<authenticator>(static_cast<sasl_channel&>(*this), *options_.login, options_.host);
  if (authenticator_->busy()) return;
  if (state_ == state::negotiating) guard_authentication();
  authenticator_->start(
      [this] {
        // From here on the broker takes nothing else. What was sent before is answered before.
        paused_ = true;
        guard_authentication();
      },
      [this](result<std::chrono::milliseconds> lifetime) { authenticated(std::move(lifetime)); });
}

void connection::guard_authentication() {
  session_timer_.arm(options_.request_timeout, [this] {
    break_off({errc::timeout, fmt::format("{}: the SASL authentication did not end in time", peer_),
               recovery::retriable});
  });
}

/// A request comes after the session's end, which nobody looked at in time: the broker would hang up on it.
void connection::end_session() {
  paused_ = true;
  guard_authentication();
  authenticate();
}

void connection::authenticated(result<std::chrono::milliseconds> lifetime) {
  if (state_ == state::closed) return;
  if (!lifetime) {
    if (state_ == state::negotiating || paused_) return break_off(lifetime.error());
    return session_timer_.arm(retry_session, [this] { authenticate(); });
  }
  session_timer_.cancel();
  session_ends_ = io::instant::max();
  if (lifetime->count() > 0) {
    session_ends_ = loop_.time().now() + *lifetime;
    // Early enough for a request in between that takes long, and not all connections at once.
    const auto share = 75 + static_cast<std::int64_t>(options_.random->next() % 10);
    session_timer_.arm(*lifetime * share / 100, [this] { authenticate(); });
  }
  paused_ = false;
  if (state_ == state::ready) return release_held();
  state_ = state::ready;
  if (ready_) std::exchange(ready_, nullptr)();
}

void connection::release_held() {
  for (auto& out : std::exchange(held_, {})) send(std::move(out));
}

error connection::lost_because(const error& why) const {
  const bool ours = why.kind() == errc::cancelled;
  const bool refused = why.kind() == errc::authentication;  // TLS 1.3 tells of our certificate only now
  std::string_view hint;
  if (authenticator_ && authenticator_->refuses_silently())
    hint = " during the SASL authentication: a broker of this age does so when user or password is wrong";
  return {ours ? errc::closed : why.kind(),
          fmt::format("the connection to {} broke: {}{}", peer_, why.message(), hint),
          refused ? recovery::fatal : recovery::retriable};
}

}  // namespace penstock::client
