// SPDX-License-Identifier: Apache-2.0
#include "io/gathered_write.h"

#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace penstock::io::detail {
namespace {

/// A reader as fast as we are must not keep the loop at one stream.
constexpr std::size_t bytes_a_turn = 8u << 20;
constexpr std::size_t pieces_a_call = 64;
constexpr std::size_t copy_size = 256u << 10;

std::uint64_t length_of(const write_piece& p) noexcept {
  return p.from == nullptr ? p.bytes.size() : p.length;
}

/// sendfile has no MSG_NOSIGNAL: without this a peer that hangs up would end the process. Who set a handler
/// keeps it.
void ignore_sigpipe_once() {
  [[maybe_unused]] static const bool done = [] {
    struct sigaction now {};
    ::sigaction(SIGPIPE, nullptr, &now);
    if (now.sa_handler == SIG_DFL) std::signal(SIGPIPE, SIG_IGN);
    return true;
  }();
}

/// What a call moved; 0 when the socket is full.
result<std::size_t> moved(ssize_t n, const std::string& peer) {
  if (n >= 0) return static_cast<std::size_t>(n);
  const int number = errno;
  if (number == EAGAIN || number == EWOULDBLOCK || number == EINTR) return 0;
  const bool gone = number == EPIPE || number == ECONNRESET;
  return fail(gone ? errc::closed : errc::io,
              fmt::format("cannot write to {}: {}", peer, std::generic_category().message(number)),
              recovery::retriable);
}

error ended_early(const file& f, std::uint64_t position) {
  return error(errc::io, fmt::format("cannot send {}: it ends before position {}", f.path(), position));
}

}  // namespace

void gathered_write::begin(std::vector<write_piece> pieces) noexcept {
  pieces_ = std::move(pieces);
  at_ = 0;
  offset_ = 0;
}

void gathered_write::drop() noexcept {
  pieces_.clear();
  copied_.clear();
  copied_sent_ = 0;
}

result<gathered_write::progress> gathered_write::push(int socket, const std::string& peer) {
  std::size_t sent = 0;
  while (true) {
    while (at_ < pieces_.size() && offset_ == length_of(pieces_[at_])) {
      ++at_;
      offset_ = 0;
    }
    if (at_ == pieces_.size()) return progress::finished;
    if (sent >= bytes_a_turn) return progress::blocked;
    const auto n = pieces_[at_].from == nullptr ? push_memory(socket, peer)
                                                : push_file(socket, peer, bytes_a_turn - sent);
    if (!n) return fail(n.error());
    if (*n == 0) return progress::blocked;
    sent += *n;
    advance(*n);
  }
}

void gathered_write::advance(std::size_t n) noexcept {
  while (n > 0) {
    const auto left = length_of(pieces_[at_]) - offset_;
    if (n < left) {
      offset_ += n;
      return;
    }
    n -= left;
    ++at_;
    offset_ = 0;
  }
}

result<std::size_t> gathered_write::push_memory(int socket, const std::string& peer) {
  std::array<iovec, pieces_a_call> gathered;
  std::size_t count = 0;
  std::size_t next = at_;
  for (; next < pieces_.size() && count < pieces_a_call && pieces_[next].from == nullptr; ++next) {
    const auto bytes = pieces_[next].bytes.substr(next == at_ ? static_cast<std::size_t>(offset_) : 0);
    if (!bytes.empty()) gathered[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
  }
  msghdr message{};
  message.msg_iov = gathered.data();
  message.msg_iovlen = count;
  // Without MSG_MORE the bytes before a file range would leave in a packet of their own (TCP_NODELAY).
  const int more = next < pieces_.size() ? MSG_MORE : 0;
  return moved(::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT | more), peer);
}

result<std::size_t> gathered_write::push_file(int socket, const std::string& peer, std::size_t most) {
  const write_piece& piece = pieces_[at_];
  if (piece.from->descriptor() < 0) return push_copied(socket, peer);
  ignore_sigpipe_once();
  auto position = static_cast<off_t>(piece.position + offset_);
  const auto count = std::min<std::uint64_t>(piece.length - offset_, most);
  const auto n = ::sendfile(socket, piece.from->descriptor(), &position, static_cast<std::size_t>(count));
  if (n == 0) return fail(ended_early(*piece.from, piece.position + piece.length));
  return moved(n, peer);
}

/// For files in memory: reads a part, sends it, reads the next.
result<std::size_t> gathered_write::push_copied(int socket, const std::string& peer) {
  const write_piece& piece = pieces_[at_];
  if (copied_sent_ == copied_.size()) {
    copied_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(piece.length - offset_, copy_size)));
    copied_sent_ = 0;
    const auto got = piece.from->read_at(piece.position + offset_, copied_);
    if (!got) return fail(got.error());
    if (*got < copied_.size()) return fail(ended_early(*piece.from, piece.position + piece.length));
  }
  const auto rest = std::string_view(copied_).substr(copied_sent_);
  const auto n = moved(::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT), peer);
  if (n) copied_sent_ += *n;
  return n;
}

}  // namespace penstock::io::detail
