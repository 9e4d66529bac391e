// SPDX-License-Identifier: Apache-2.0
#include "broker/connection.h"

#include <algorithm>

#include "base/bytes.h"
#include "broker/api_dispatch.h"
#include "broker/broker_log.h"
#include "broker/core.h"
#include "wire/messages/produce.h"

namespace penstock::broker {
namespace {

constexpr std::size_t most_slots = 256;  // answers owed before reading stops
constexpr std::size_t most_queued = 16 * 1024 * 1024;
constexpr std::size_t length_bytes = 4;
constexpr std::int16_t first_produce_with_transactions = 3;

/// Whether a request changes or decides a transaction. Nonsense is not: decoding says what it is.
bool is_transactional(const request_info& info, std::string_view body) {
  switch (info.key) {
    case wire::api_key::init_producer_id:
    case wire::api_key::add_partitions_to_txn:
    case wire::api_key::add_offsets_to_txn:
    case wire::api_key::end_txn:
    case wire::api_key::txn_offset_commit: return true;
    case wire::api_key::produce: break;
    default: return false;
  }
  if (info.version < first_produce_with_transactions || body.size() < 2) return false;
  // The transactional id comes first; a null one begins with -1, or with 0 in the compact form.
  if (info.version >= wire::produce_request::flexible_from) return body.front() != 0;
  return base::load_be<std::int16_t>(body.data()) >= 0;
}

}  // namespace

connection::connection(broker_core& core, std::unique_ptr<io::stream> s)
    : core_(core),
      stream_(std::move(s)),
      peer_(stream_->peer()),
      host_(std::string(1, '/').append(peer_, 0, peer_.rfind(':'))),
      input_(core.blocks) {}

void connection::close() {
  if (!open_) return;
  open_ = false;
  stream_->close();
  slots_.clear();
  queued_bytes_ = 0;
  core_.connection_closed(*this);
}

bool connection::congested() const noexcept {
  return slots_.size() >= most_slots || queued_bytes_ >= most_queued;
}

// The size of the request at the front, with its length field; 0 when that is not there yet.
std::size_t connection::front_size() const noexcept {
  const auto held = input_.held();
  if (held.size() < length_bytes) return 0;
  return length_bytes + static_cast<std::size_t>(base::load_be<std::uint32_t>(held.data()));
}

void connection::read() {
  if (!open_ || stopped_ || reading_ || congested()) return;
  const auto room = input_.room(front_size());
  if (room.empty()) {
    broker_log().warn("{} closed: the memory for requests is used up", peer_);
    return close();
  }
  reading_ = true;
  stream_->read_some(room, [self = shared_from_this()](result<std::size_t> n) {
    self->reading_ = false;
    if (!n) return self->close();
    self->input_.filled(*n);
    self->process();
  });
}

void connection::process() {
  if (!open_ || processing_) return;
  processing_ = true;
  std::string_view frame;
  while (open_ && !stopped_ && !congested() && next_frame(frame))
    if (!handle(frame)) close();
  processing_ = false;
  pump();
  read();
}

// A whole request at the front of the input; closes the connection when its length cannot be one.
bool connection::next_frame(std::string_view& frame) {
  const std::size_t size = front_size();
  if (size == 0) return false;
  if (size - length_bytes > core_.options.max_request_bytes) {  // or negative
    broker_log().debug("{} sent a request of {} bytes: closed", peer_, size - length_bytes);
    close();
    return false;
  }
  const auto held = input_.held();
  if (held.size() < size) return false;
  frame = held.substr(length_bytes, size - length_bytes);
  input_.consume(size);
  return true;
}

bool connection::handle(std::string_view frame) {
  wire::reader in(frame);
  wire::request_header header;
  if (auto read = header.decode(in); !read) {
    broker_log().debug("{}: {}", peer_, read.error().message());
    return false;
  }
  const std::uint64_t number = first_slot_ + slots_.size();
  slots_.emplace_back();
  request_info info{header.key, header.version, header.correlation_id, header.client_id.value_or(""), host_};
  reply_slot slot(weak_from_this(), number, header.key, header.version, header.correlation_id);
  const hook_action action = core_.hooks.meet(info);
  if (action.what != hook_action::kind::pass)
    return obey(action, std::move(info), in.rest(), std::move(slot));
  return run(std::move(info), in, std::move(slot));
}

// Whether nobody waits for the answer any more and the request would touch a transaction (E16). Its producer
// may be on another connection by now and count on what that one was told; a request that comes out of the
// past, a commit say, must not decide behind its back.
bool connection::left_behind(const request_info& info, std::string_view body) const {
  return is_transactional(info, body) && stream_->peer_ended();
}

bool connection::run(request_info info, wire::reader& body, reply_slot slot) {
  if (left_behind(info, body.rest())) {
    broker_log().debug("{} closed the connection: its last transactional requests are not executed", peer_);
    return false;
  }
  auto done = dispatch(core_, std::move(info), body, std::move(slot));
  if (!done) broker_log().debug("{}: {}", peer_, done.error().message());
  return done.has_value();
}

// A test meddles (hooks.h).
bool connection::obey(const hook_action& action, request_info info, std::string_view body, reply_slot slot) {
  if (action.what == hook_action::kind::drop) return false;
  if (action.what == hook_action::kind::lose_answer) {
    slots_.back().lost = true;
    wire::reader in(body);
    return run(std::move(info), in, std::move(slot));
  }
  auto wait = std::make_shared<io::timer>(core_.loop);
  wait->arm(action.by, [self = shared_from_this(), wait, info = std::move(info), body = std::string(body),
                        slot = std::move(slot)]() mutable {
    wire::reader in(body);
    if (self->open_ && !self->run(std::move(info), in, std::move(slot))) self->close();
  });
  return true;
}

void connection::complete(std::uint64_t number, std::vector<io::write_piece> pieces, std::size_t bytes) {
  if (!open_) return;
  slot& s = slots_[static_cast<std::size_t>(number - first_slot_)];
  if (s.lost) return close();
  s.ready = true;
  s.pieces = std::move(pieces);
  s.bytes = bytes;
  queued_bytes_ += bytes;
  if (!processing_) pump();
}

// Sends what is ready from the front on, in one write.
void connection::pump() {
  if (!open_ || writing_) return;
  std::vector<io::write_piece> pieces;
  std::size_t bytes = 0;
  while (!slots_.empty() && slots_.front().ready) {
    for (auto& p : slots_.front().pieces) pieces.push_back(std::move(p));
    bytes += slots_.front().bytes;
    slots_.pop_front();
    ++first_slot_;
  }
  if (pieces.empty()) return;
  writing_ = true;
  stream_->write(std::move(pieces), [self = shared_from_this(), bytes](result<> written) {
    self->writing_ = false;
    if (!written) return self->close();
    if (!self->open_) return;
    self->queued_bytes_ -= bytes;
    self->process();  // which sends what became ready meanwhile, and reads on
  });
}

void reply_slot::deliver(std::shared_ptr<std::string> head, const std::vector<wire::splice>& splices,
                         std::vector<io::write_piece> external) {
  const auto to = std::exchange(to_, {}).lock();
  if (to == nullptr) return;
  std::vector<io::write_piece> pieces;
  pieces.reserve(1 + 2 * splices.size());
  std::size_t from = 0;
  auto next = external.begin();
  const auto memory = [&](std::size_t until) {
    if (until > from) pieces.push_back({{head->data() + from, until - from}, nullptr, 0, 0, head});
    from = until;
  };
  for (const auto& splice : splices) {
    memory(splice.position);
    for (std::uint64_t left = splice.size; left > 0 && next != external.end(); ++next) {
      left -= std::min<std::uint64_t>(left, next->from != nullptr ? next->length : next->bytes.size());
      pieces.push_back(std::move(*next));
    }
  }
  memory(head->size());
  to->complete(number_, std::move(pieces), head->size());
}

void reply_slot::send_nothing() {
  if (const auto to = std::exchange(to_, {}).lock()) to->complete(number_, {}, 0);
}

void reply_slot::close() {
  if (const auto to = std::exchange(to_, {}).lock()) to->close();
}

void reply_slot::refuse(const error& why) {
  broker_log().error("an answer cannot be encoded: {}", why.message());
  close();
}

}  // namespace penstock::broker
