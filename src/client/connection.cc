// SPDX-License-Identifier: Apache-2.0
#include "client/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "wire/error_code.h"

namespace penstock::client {
namespace {

// The first try, understood by brokers since Kafka 2.4; older ones answer what they have instead (KIP-511).
constexpr std::int16_t first_api_versions = 3;
// After a deadline passed, before it counts.
constexpr std::chrono::milliseconds second_look{10};
// How much is read in one turn of the loop before others get theirs.
constexpr std::size_t read_turn = std::size_t{4} << 20;

}  // namespace

connection::connection(io::event_loop& loop, std::unique_ptr<io::stream> stream, buffer_pool& buffers,
                       connection_options options)
    : loop_(loop),
      stream_(std::move(stream)),
      buffers_(buffers),
      options_(std::move(options)),
      peer_(stream_->peer()),
      session_timer_(loop),
      deadline_timer_(loop) {}

connection::~connection() = default;

void connection::start(unique_function<void()> ready, unique_function<void(const error&)> lost) {
  ready_ = std::move(ready);
  lost_ = std::move(lost);
  ask_versions(first_api_versions);
  read();
}

void connection::ask_versions(std::int16_t version) {
  outgoing ask;
  ask.key = wire::api_key::api_versions;
  ask.encode = [](wire::writer& w, std::int16_t v) {
    wire::api_versions_request request;
    if (v >= 3) {
      request.client_software_name = "penstock";
      request.client_software_version = PENSTOCK_VERSION;
    }
    return request.encode(w, v);
  };
  ask.done = [this](result<incoming> in) {
    versions_arrived(std::move(in));
  };  // the connection's own handler
  write(std::move(ask), version);
}

void connection::versions_arrived(result<incoming> in) {
  if (!in) return;  // break_off tells
  wire::api_versions_response response;
  wire::reader peek = in->body;
  const bool refused =
      peek.integer<std::int16_t>() == static_cast<std::int16_t>(wire::error_code::unsupported_version);
  const std::int16_t version = refused ? std::int16_t{0} : in->version;
  if (auto decoded = response.decode(in->body, version); !decoded) return break_off(decoded.error());
  if (!refused && response.error_code != 0)
    return break_off(wire::make_error(response.error_code, "ApiVersions"));

  versions_.clear();
  for (const auto& api : response.api_keys) {
    if (api.api_key < 0 || api.api_key > 1000) continue;
    if (versions_.size() <= static_cast<std::size_t>(api.api_key))
      versions_.resize(static_cast<std::size_t>(api.api_key) + 1);
    versions_[static_cast<std::size_t>(api.api_key)] = {api.min_version, api.max_version};
  }
  if (refused) {
    if (in->version == 0)
      return break_off({errc::unsupported, fmt::format("{} refuses every version of ApiVersions", peer_)});
    const auto known = pick_version(wire::api_key::api_versions, 0, in->version - 1);
    return ask_versions(std::max<std::int16_t>(known, 0));
  }
  features_epoch_ = response.finalized_features_epoch;
  for (auto& f : response.finalized_features) features_.emplace_back(std::move(f.name), f.max_version_level);
  if (options_.login != nullptr) return authenticate();
  state_ = state::ready;
  if (ready_) std::exchange(ready_, nullptr)();
}

std::int16_t connection::pick_version(wire::api_key key, std::int16_t min, std::int16_t max) const noexcept {
  const auto k = static_cast<std::size_t>(key);
  if (k >= versions_.size() || versions_[k].max < 0) return -1;
  const std::int16_t best = std::min(max, versions_[k].max);
  return best >= std::max(min, versions_[k].min) ? best : std::int16_t{-1};
}

void connection::send(outgoing out) {
  if (state_ != state::ready)
    return fail_later(std::move(out.done),
                      error(errc::closed, fmt::format("{} is not connected", peer_), recovery::retriable));
  const std::int16_t version = pick_version(out.key, out.min_version, out.max_version);
  if (version < 0)
    return fail_later(
        std::move(out.done),
        error(errc::unsupported, fmt::format("{} has no version of {} between {} and {}", peer_,
                                             wire::to_string(out.key), out.min_version, out.max_version)));
  if (!paused_ && session_ends_ <= loop_.time().now()) end_session();
  if (paused_) return held_.push_back(std::move(out));
  write(std::move(out), version);
}

void connection::fail_later(unique_function<void(result<incoming>)> done, error why) {
  loop_.post([done = std::move(done), why = std::move(why)]() mutable { done(fail(std::move(why))); });
}

void connection::write(outgoing out, std::int16_t version) {
  auto bytes = std::make_shared<std::string>();
  wire::writer w(*bytes);
  const std::int32_t correlation = next_correlation_;
  next_correlation_ = next_correlation_ == 0x7fffffff ? 1 : next_correlation_ + 1;
  {
    const wire::frame_writer frame(w);
    result<> written = wire::request_header{out.key, version, correlation, options_.client_id}.encode(w);
    if (written) written = out.encode(w, version);
    if (written) written = frame.end();
    if (!written) return fail_later(std::move(out.done), std::move(written.error()));
  }

  std::size_t from = 0;
  std::size_t next_piece = 0;
  const auto own_bytes = [&](std::size_t to) {
    if (to > from)
      outbox_.push_back({.bytes = std::string_view(*bytes).substr(from, to - from), .keep = bytes});
    from = to;
  };
  for (const auto& splice : w.splices()) {
    own_bytes(splice.position);
    if (next_piece < out.spliced.size()) outbox_.push_back(std::move(out.spliced[next_piece++]));
  }
  own_bytes(bytes->size());

  const auto now = loop_.time().now();
  if (options_.metrics != nullptr) {
    std::size_t size = bytes->size();
    size += static_cast<std::size_t>(w.spliced_bytes());
    options_.metrics->request_sent(options_.node, size, now);
  }
  if (out.answered) {
    const auto timeout = out.timeout.count() > 0 ? out.timeout : options_.request_timeout;
    waiting_.push_back({correlation, out.key, version, now, now + timeout, std::move(out.done)});
    watch_deadlines();
  } else {
    written_.push_back([done = std::move(out.done), version](result<> r) mutable {
      if (!r) return done(fail(std::move(r.error())));
      incoming none;
      none.version = version;
      done(std::move(none));
    });
  }
  flush();
}

void connection::flush() {
  if (write_under_way_ || outbox_.empty() || state_ == state::closed) return;
  write_under_way_ = true;
  writing_ = std::exchange(written_, {});
  stream_->write(std::exchange(outbox_, {}), [self = shared_from_this()](result<> r) {
    self->write_under_way_ = false;
    auto finished = std::exchange(self->writing_, {});
    for (auto& f : finished) f(r);
    if (self->state_ == state::closed) return;
    if (!r) return self->break_off(self->lost_because(r.error()));
    self->flush();
  });
}

void connection::read() {
  if (state_ == state::closed) return;
  const std::span<char> room = frame_
                                   ? std::span<char>(frame_.data() + frame_read_, frame_size_ - frame_read_)
                                   : std::span<char>(head_).subspan(head_used_);
  stream_->read_some(room,
                     [self = shared_from_this()](result<std::size_t> n) { self->arrived(std::move(n)); });
}

void connection::arrived(result<std::size_t> n) {
  // After each piece, whatever else has arrived is taken without going back to the loop.
  for (std::size_t taken = 0; state_ != state::closed;) {
    if (!n) return break_off(lost_because(n.error()));
    if (*n == 0) return read();
    consume(*n);
    taken += *n;
    if (state_ == state::closed) return;
    if (taken >= read_turn) return read();
    const std::span<char> room = frame_
                                     ? std::span<char>(frame_.data() + frame_read_, frame_size_ - frame_read_)
                                     : std::span<char>(head_).subspan(head_used_);
    n = stream_->try_read(room);
  }
}

void connection::consume(std::size_t n) {
  if (!frame_) {
    head_used_ += n;
    return take_frames_from_head();
  }
  frame_read_ += n;
  if (frame_read_ < frame_size_) return;
  const auto frame = std::exchange(frame_, {});
  dispatch(frame, frame_size_);
}

void connection::take_frames_from_head() {
  std::size_t at = 0;
  while (state_ != state::closed && head_used_ - at >= sizeof(std::int32_t)) {
    const auto size = base::load_be<std::int32_t>(head_.data() + at);
    const bool raw = !waiting_.empty() && waiting_.front().raw;
    if (size < (raw ? 0 : 4) || static_cast<std::uint32_t>(size) > frame_limit())
      return break_off({errc::corrupt, fmt::format("{} sent a frame of {} bytes; at most {} are taken", peer_,
                                                   size, frame_limit())});
    const auto whole = static_cast<std::size_t>(size);
    const std::size_t here = std::min(whole, head_used_ - at - sizeof(std::int32_t));
    if (here < whole && whole + sizeof(std::int32_t) <= head_.size()) break;  // the rest fits in here too
    auto frame = buffers_.take(whole);
    std::memcpy(frame.data(), head_.data() + at + sizeof(std::int32_t), here);
    at += sizeof(std::int32_t) + here;
    if (here == whole) {
      dispatch(frame, whole);
    } else {
      frame_ = std::move(frame);
      frame_size_ = whole;
      frame_read_ = here;
    }
  }
  std::memmove(head_.data(), head_.data() + at, head_used_ - at);
  head_used_ -= at;
}

void connection::dispatch(const base::shared_buffer& frame, std::size_t size) {
  wire::reader body(bytes_view(frame.data(), size));
  if (!waiting_.empty() && waiting_.front().raw) {
    auto request = std::move(waiting_.front());
    waiting_.pop_front();
    return request.done(incoming{body, 0, frame, peer_});
  }
  wire::reader peek = body;
  const auto correlation = peek.integer<std::int32_t>();
  if (waiting_.empty() || waiting_.front().correlation_id != correlation)
    return break_off({errc::corrupt,
                      fmt::format("{} answered request {}, which is not the next one", peer_, correlation)});
  auto request = std::move(waiting_.front());
  waiting_.pop_front();
  if (options_.metrics != nullptr)
    options_.metrics->answer_came(options_.node, static_cast<std::int16_t>(request.key),
                                  size + sizeof(std::int32_t), request.sent, loop_.time().now());
  wire::response_header header;
  if (auto decoded = header.decode(body, request.key, request.version); !decoded) {
    request.done(fail(decoded.error().with_context(peer_)));
    return break_off(decoded.error().with_context(peer_));
  }
  const std::string from = peer_;
  request.done(incoming{body, request.version, frame, from});
}

std::vector<connection::pending> connection::take_unanswered() {
  std::vector<pending> unanswered(std::make_move_iterator(waiting_.begin()),
                                  std::make_move_iterator(waiting_.end()));
  waiting_.clear();
  return unanswered;
}

void connection::break_off(const error& why) {
  if (state_ == state::closed) return;
  const auto self = shared_from_this();
  const error reason = why;
  state_ = state::closed;
  stream_->close();
  deadline_timer_.cancel();
  outbox_.clear();
  session_timer_.cancel();
  for (auto& p : take_unanswered()) p.done(fail(reason));
  for (auto& f : std::exchange(written_, {})) f(fail(reason));
  for (auto& h : std::exchange(held_, {})) h.done(fail(reason));
  authenticator_.reset();
  ready_ = nullptr;
  if (lost_) std::exchange(lost_, nullptr)(reason);
}

void connection::close(const error& why) {
  if (state_ == state::closed) return;
  state_ = state::closed;
  stream_->close();
  deadline_timer_.cancel();
  outbox_.clear();
  session_timer_.cancel();
  authenticator_.reset();
  ready_ = nullptr;
  lost_ = nullptr;
  for (auto& h : std::exchange(held_, {})) fail_later(std::move(h.done), why);
  for (auto& p : take_unanswered()) {
    if (p.key != wire::api_key::api_versions) fail_later(std::move(p.done), why);
  }
  for (auto& f : std::exchange(written_, {})) loop_.post([f = std::move(f), why]() mutable { f(fail(why)); });
}

void connection::abandon() {
  state_ = state::closed;
  stream_->close();
  deadline_timer_.cancel();
  session_timer_.cancel();
  authenticator_.reset();
  outbox_.clear();
  held_.clear();
  waiting_.clear();
  written_.clear();
  writing_.clear();
  ready_ = nullptr;
  lost_ = nullptr;
}

io::instant connection::earliest_deadline() const noexcept {
  auto earliest = io::instant::max();
  for (const auto& p : waiting_) earliest = std::min(earliest, p.deadline);
  return earliest;
}

// The timer stays at the earliest deadline it was ever set to and looks again then, so that the usual
// request, whose deadline lies behind those before it, does not touch it.
void connection::watch_deadlines() {
  if (waiting_.back().deadline >= watched_deadline_ && deadline_timer_.armed()) return;
  watched_deadline_ = earliest_deadline();
  deadline_timer_.arm(watched_deadline_ - loop_.time().now(), [this] { deadline_passed(false); });
}

// `looked`: since the deadline the loop has had a look at the socket. If nobody ran the loop for long, the
// answer may be lying there.
void connection::deadline_passed(bool looked) {
  watched_deadline_ = io::instant::max();
  if (waiting_.empty()) return;
  const auto now = loop_.time().now();
  if (earliest_deadline() > now) return watch_deadlines();
  if (!looked) {
    watched_deadline_ = io::instant::min();  // so that no new request sets the timer again
    return deadline_timer_.arm(second_look, [this] { deadline_passed(true); });
  }
  const auto late =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& p) { return p.deadline <= now; });
  break_off({errc::timeout, fmt::format("{} did not answer {} in time", peer_, wire::to_string(late->key)),
             recovery::retriable});
}

}  // namespace penstock::client
