// SPDX-License-Identifier: Apache-2.0
#include "proxy_link.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "proxy_addresses.h"
#include "proxy_garble.h"

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t length_bytes = 4;
constexpr std::size_t room_bytes = 256 * 1024;
constexpr std::size_t most_queued = std::size_t{16}
                                    << 20;  // of one direction, before its source is left unread
constexpr std::size_t most_written = std::size_t{1} << 20;  // at a time
constexpr std::uint32_t largest_frame = 256u << 20;
constexpr auto connect_patience = 10s;
constexpr auto answer_patience = 30s;

bool has_whole_frame(std::string_view bytes) {
  return bytes.size() >= length_bytes &&
         bytes.size() - length_bytes >= base::load_be<std::uint32_t>(bytes.data());
}
bool too_large(std::string_view bytes) {
  return bytes.size() >= length_bytes && base::load_be<std::uint32_t>(bytes.data()) > largest_frame;
}

// The code that stands behind the throttle time in the answers of a few APIs, in every version that has one.
std::optional<std::int16_t> error_code_of(const request_info& request, std::string_view frame) {
  using enum wire::api_key;
  if (request.key != end_txn && request.key != init_producer_id && request.key != add_offsets_to_txn)
    return std::nullopt;
  wire::reader in(frame.substr(length_bytes));
  wire::response_header header;
  if (!header.decode(in, request.key, request.version)) return std::nullopt;
  in.integer<std::int32_t>();
  const auto code = in.integer<std::int16_t>();
  return in.ok() ? std::optional(code) : std::nullopt;
}

}  // namespace

proxy_link::proxy_link(proxy& owner, io::endpoint broker, std::unique_ptr<io::stream> client)
    : owner_(&owner),
      loop_(owner.loop_),
      broker_(std::move(broker)),
      client_(owner.loop_),
      broker_side_(owner.loop_),
      limit_(owner.loop_) {
  client_.stream = std::move(client);
}

void proxy_link::start() {
  read(client_);
  io::connect(loop_, broker_, connect_patience,
              [self = shared_from_this()](result<std::unique_ptr<io::stream>> s) {
                if (self->closed_) return;
                if (!s) return self->close();
                self->broker_side_.stream = std::move(*s);
                self->pump(self->broker_side_);
                self->read(self->broker_side_);
              });
}

void proxy_link::abandon() {
  owner_ = nullptr;
  close();
}

void proxy_link::close() {
  if (std::exchange(closed_, true)) return;
  for (side* s : {&client_, &broker_side_}) {
    if (s->stream) s->stream->close();
    s->wait.cancel();
    s->out.clear();
  }
  limit_.cancel();
  if (owner_ != nullptr) owner_->links_.erase(shared_from_this());
}

void proxy_link::read(side& from) {
  if (closed_ || from.reading || from.at_end || !from.stream || other(from).out_bytes > most_queued) return;
  from.reading = true;
  from.room.resize(room_bytes);
  from.stream->read_some(from.room, [self = shared_from_this(), &from](result<std::size_t> n) {
    from.reading = false;
    if (self->closed_) return;
    if (!n) return self->ended(from);
    self->got(from, *n);
    self->read(from);
  });
}

void proxy_link::got(side& from, std::size_t n) {
  from.arrived.append(from.room.data(), n);
  std::size_t at = 0;
  for (std::string_view rest = from.arrived; !closed_ && has_whole_frame(rest);
       rest = std::string_view(from.arrived).substr(at)) {
    const std::size_t size = length_bytes + base::load_be<std::uint32_t>(rest.data());
    at += size;
    if (&from == &client_)
      request(std::string(rest.substr(0, size)));
    else
      answer(std::string(rest.substr(0, size)));
  }
  from.arrived.erase(0, at);
  if (too_large(from.arrived)) close();
}

// What the client sent before it closed still reaches the broker, as it would over a network.
void proxy_link::ended(side& from) {
  from.at_end = true;
  if (&from == &client_ && !broker_side_.out.empty() && !swallowing_) return;
  if (swallowing_ && &from == &broker_side_) return;  // the client must not notice
  close();
}

void proxy_link::request(std::string frame) {
  if (swallowing_ || deaf_) return;
  const auto info = read_request_info(std::string_view(frame).substr(length_bytes));
  const auto v = info ? owner_->meet(*info) : proxy::verdict{};
  if (info && owner_->on_request) owner_->on_request(*info);
  owed_.push_back({info, v});
  if (v.what == fault::none) return send(broker_side_, {.bytes = std::move(frame)});
  owner_->tell({proxy_event::kind::met, v.rule, v.what, *info});
  obey(v, *info, std::move(frame));
}

void proxy_link::obey(const proxy::verdict& v, const request_info& info, std::string frame) {
  const auto later = loop_.time().now() + v.after.value_or(0ms);
  switch (v.what) {
    case fault::delay_request: return send(broker_side_, {std::move(frame), later});
    case fault::cut_before: return close();
    case fault::cut_inside:
      deaf_ = true;
      frame.resize(std::max(frame.size() / 2, std::size_t{1}));
      return send(broker_side_, {.bytes = std::move(frame), .last = true});
    case fault::blackhole: return swallow(v);
    case fault::blackhole_answer: {
      send(broker_side_, {.bytes = std::move(frame)});
      return swallow(v);
    }
    case fault::replay:
      owner_->deliver({broker_, frame, info, v});
      return send(broker_side_, {.bytes = std::move(frame)});
    case fault::late: {
      const auto owner = owner_;
      close();
      return owner->deliver({broker_, std::move(frame), info, v});
    }
    default: return send(broker_side_, {.bytes = std::move(frame)});  // the fault is its answer's
  }
}

void proxy_link::swallow(const proxy::verdict& v) {
  swallowing_ = true;
  client_.out.clear();
  client_.out_bytes = 0;
  if (v.after) limit_.arm(*v.after, [this] { close(); });
}

void proxy_link::answer(std::string frame) {
  if (swallowing_ || frame.size() < 2 * length_bytes) return;
  const auto correlation = base::load_be<std::int32_t>(frame.data() + length_bytes);
  // Produce with acks 0 has no answer: those before it are passed over. Where nothing matches (the tokens of
  // the old SASL exchange have no ids), the oldest is the one.
  const auto match = std::find_if(owed_.begin(), owed_.end(), [&](const owed& o) {
    return o.info && o.info->correlation_id == correlation;
  });
  if (match != owed_.end()) owed_.erase(owed_.begin(), match);
  owed which{};
  if (!owed_.empty()) {
    which = std::move(owed_.front());
    owed_.pop_front();
  }
  if (which.verdict.what == fault::cut_after) return close();
  if (which.verdict.what == fault::garble) {
    garble(frame, owner_->dice_);
    // Whatever became of the addresses in it: nobody shall be sent elsewhere.
    const auto here = [this](const io::endpoint&) { return owner_->address(); };
    if (auto changed = with_addresses(*which.info, frame, here)) frame = std::move(*changed);
  } else if (which.info) {
    const auto put = [this](const io::endpoint& broker) { return owner_->port_for(broker); };
    if (auto changed = with_addresses(*which.info, frame, put)) frame = std::move(*changed);
  }
  queued q{.bytes = std::move(frame)};
  if (which.verdict.what == fault::delay_answer)
    q.not_before = loop_.time().now() + which.verdict.after.value_or(0ms);
  if (which.verdict.what == fault::cut_answer) {
    q.bytes.resize(q.bytes.size() / 2);
    q.last = true;
    deaf_ = true;
  }
  send(client_, std::move(q));
}

void proxy_link::send(side& to, queued q) {
  if (closed_) return;
  to.out_bytes += q.bytes.size();
  to.out.push_back(std::move(q));
  pump(to);
}

void proxy_link::pump(side& to) {
  if (closed_ || to.writing || !to.stream || to.out.empty()) return;
  const auto now = loop_.time().now();
  if (to.out.front().not_before > now)
    return to.wait.arm(to.out.front().not_before - now, [this, &to] { pump(to); });
  auto bytes = std::make_shared<std::string>();
  bool last = false;
  while (!to.out.empty() && !last && to.out.front().not_before <= now && bytes->size() < most_written) {
    bytes->append(to.out.front().bytes);
    to.out_bytes -= to.out.front().bytes.size();
    last = to.out.front().last;
    to.out.pop_front();
  }
  to.writing = true;
  to.stream->write({{.bytes = *bytes, .keep = bytes}}, [self = shared_from_this(), &to, last](result<> r) {
    to.writing = false;
    if (self->closed_) return;
    if (!r || last) return self->close();
    self->pump(to);
    if (to.out.empty() && self->other(to).at_end) return self->close();
    self->read(self->other(to));
  });
}

proxy_delivery::proxy_delivery(proxy& owner, proxy::held_request r)
    : owner_(&owner), loop_(owner.loop_), request_(std::move(r)), room_(4096), timer_(owner.loop_) {}

void proxy_delivery::start(std::chrono::milliseconds after) {
  timer_.arm(after, [this] { connect(); });
}

void proxy_delivery::abandon() {
  owner_ = nullptr;
  timer_.cancel();
  if (stream_) stream_->close();
}

void proxy_delivery::connect() {
  io::connect(loop_, request_.broker, connect_patience,
              [self = shared_from_this()](result<std::unique_ptr<io::stream>> s) {
                if (self->owner_ == nullptr) return;
                if (!s) return self->over(proxy_event::kind::failed);
                self->connected(std::move(*s));
              });
}

void proxy_delivery::connected(std::unique_ptr<io::stream> s) {
  stream_ = std::move(s);
  timer_.arm(answer_patience, [self = shared_from_this()] { self->over(proxy_event::kind::failed); });
  stream_->write({{.bytes = request_.frame}}, [self = shared_from_this()](result<> r) {
    if (self->owner_ == nullptr) return;
    if (!r) return self->over(proxy_event::kind::failed);
    self->read();
  });
}

void proxy_delivery::read() {
  stream_->read_some(room_, [self = shared_from_this()](result<std::size_t> n) {
    if (self->owner_ == nullptr) return;
    if (!n) return self->over(proxy_event::kind::failed);
    self->answer_.append(self->room_.data(), *n);
    if (!has_whole_frame(self->answer_)) return self->read();
    self->over(proxy_event::kind::delivered, error_code_of(self->request_.info, self->answer_));
  });
}

void proxy_delivery::over(proxy_event::kind what, std::optional<std::int16_t> error_code) {
  proxy* owner = owner_;
  const auto self = shared_from_this();
  abandon();
  if (owner == nullptr) return;
  owner->deliveries_.erase(self);
  owner->tell({what, request_.why.rule, request_.why.what, request_.info, error_code});
}

}  // namespace penstock::testing
