// SPDX-License-Identifier: Apache-2.0
#include "io/memory_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <string>
#include <utility>

namespace penstock::io {
namespace {

using read_done = unique_function<void(result<std::size_t>)>;
using write_done = unique_function<void(result<>)>;

/// One direction of a connection: what flies, what has arrived, who waits at either side.
class wire {
 public:
  wire(event_loop& loop, const memory_link_options& options)
      : loop_(loop), options_(options), delay_(options.delay), arrival_(loop) {}

  // The writing side.
  void write(std::string bytes, write_done done) {
    if (cut_) return later(std::move(done), result<>(broken()));
    to_write_ = std::move(bytes);
    written_ = std::move(done);
    step();
  }
  bool writing() const noexcept { return static_cast<bool>(written_); }
  void end() {
    if (std::exchange(end_sent_, true)) return;
    flying_.push_back({loop_.time().now() + delay_, "", true});
    step();
  }

  // The reading side.
  void read(std::span<char> out, read_done done) {
    into_ = out;
    read_ = std::move(done);
    step();
  }
  bool reading() const noexcept { return static_cast<bool>(read_); }
  /// The end has arrived, maybe behind bytes that are not read yet.
  bool over() {
    take_arrivals();
    return ended_ || cut_;
  }
  result<std::size_t> try_read(std::span<char> out) {
    take_arrivals();
    if (cut_) return broken();
    if (arrived_.empty() && ended_)
      return fail(errc::closed, "the peer closed the connection", recovery::retriable);
    const auto n = std::min({out.size(), arrived_.size(), options_.most_a_read});
    arrived_.copy(out.data(), n);
    arrived_.erase(0, n);
    return n;
  }
  void cancel_read() {
    if (read_) later(std::exchange(read_, nullptr), result<std::size_t>(cancelled()));
  }
  void cancel_write() {
    if (written_) later(std::exchange(written_, nullptr), result<>(cancelled()));
  }
  /// The reader is gone: what comes is thrown away, and the writer learns of it.
  void abandon() {
    cancel_read();
    cut();
  }

  void cut() {
    cut_ = true;
    flying_.clear();
    arrived_.clear();
    step();
  }
  void hold(bool on) {
    held_ = on;
    step();
  }
  void set_delay(std::chrono::nanoseconds delay) { delay_ = delay; }

  /// Moves on whatever can.
  void step() {
    take_arrivals();
    if (read_ && (cut_ || ended_ || !arrived_.empty())) {
      auto outcome = try_read(into_);
      later(std::exchange(read_, nullptr), std::move(outcome));
    }
    if (written_ && cut_) later(std::exchange(written_, nullptr), result<>(broken()));
    if (written_ && (in_flight() == 0 || in_flight() + to_write_.size() <= options_.capacity)) {
      if (!to_write_.empty())
        flying_.push_back({loop_.time().now() + delay_, std::exchange(to_write_, {}), false});
      later(std::exchange(written_, nullptr), result<>());
      if (read_) return step();
    }
    if (!flying_.empty() && !held_) {
      arrival_.arm(flying_.front().arrives - loop_.time().now(), [this] { step(); });
    } else {
      arrival_.cancel();
    }
  }

 private:
  struct burst {
    instant arrives;
    std::string bytes;
    bool is_end;
  };

  std::size_t in_flight() const {
    std::size_t n = arrived_.size();
    for (const auto& b : flying_) n += b.bytes.size();
    return n;
  }
  void take_arrivals() {
    const auto now = loop_.time().now();
    while (!held_ && !flying_.empty() && flying_.front().arrives <= now) {
      arrived_.append(flying_.front().bytes);
      ended_ = ended_ || flying_.front().is_end;
      flying_.pop_front();
    }
  }
  template <typename Done, typename Outcome>
  void later(Done done, Outcome outcome) {
    loop_.post(
        [done = std::move(done), outcome = std::move(outcome)]() mutable { done(std::move(outcome)); });
  }
  static tl::unexpected<error> broken() {
    return fail(errc::closed, "the connection was cut", recovery::retriable);
  }
  static tl::unexpected<error> cancelled() { return fail(errc::cancelled, "the connection is closed"); }

  event_loop& loop_;
  memory_link_options options_;
  std::chrono::nanoseconds delay_;
  timer arrival_;
  std::deque<burst> flying_;
  std::string arrived_;
  std::string to_write_;
  write_done written_;
  std::span<char> into_;
  read_done read_;
  bool end_sent_ = false, ended_ = false, cut_ = false, held_ = false;
};

}  // namespace

struct memory_link::wires {
  wires(event_loop& on, const memory_link_options& options)
      : loop(on), direction{wire(on, options), wire(on, options)} {}
  event_loop& loop;
  wire direction[2];
};

namespace {

class memory_end final : public stream {
 public:
  memory_end(std::shared_ptr<memory_link::wires> wires, int side) : wires_(std::move(wires)), side_(side) {}
  ~memory_end() override { close(); }

  void read_some(std::span<char> out, read_done done) override {
    if (!open_ || in().reading()) return refuse<std::size_t>(std::move(done));
    in().read(out, std::move(done));
  }
  result<std::size_t> try_read(std::span<char> out) override {
    if (!open_ || in().reading()) return refusal();
    auto n = in().try_read(out);
    if (n && *n > 0) in().step();  // a writer may wait for the room
    return n;
  }
  void write(std::vector<write_piece> pieces, write_done done) override {
    if (!open_ || out().writing()) return refuse<void>(std::move(done));
    std::string bytes;
    for (const auto& p : pieces) {
      if (p.from == nullptr) {
        bytes.append(p.bytes);
        continue;
      }
      const auto at = bytes.size();
      bytes.resize(at + static_cast<std::size_t>(p.length));
      const auto got = p.from->read_at(p.position, std::span(bytes).subspan(at));
      if (got && *got == p.length) continue;
      auto why =
          got ? error(errc::io, fmt::format("cannot send {}: it ends early", p.from->path())) : got.error();
      return wires_->loop.post(
          [done = std::move(done), why = std::move(why)]() mutable { done(fail(std::move(why))); });
    }
    out().write(std::move(bytes), std::move(done));
  }
  result<> shutdown_write() override {
    if (!open_) return refusal();
    out().end();
    return {};
  }
  void close() override {
    if (!std::exchange(open_, false)) return;
    out().cancel_write();
    out().end();
    in().abandon();
  }
  bool is_open() const noexcept override { return open_; }
  bool peer_ended() const noexcept override { return !open_ || wires_->direction[1 - side_].over(); }
  std::string peer() const override { return side_ == 0 ? "memory:2" : "memory:1"; }

 private:
  wire& in() noexcept { return wires_->direction[1 - side_]; }
  wire& out() noexcept { return wires_->direction[side_]; }

  tl::unexpected<error> refusal() const {
    return open_ ? fail(errc::internal, "the last operation is still under way")
                 : fail(errc::cancelled, "the connection is closed");
  }
  template <typename T>
  void refuse(unique_function<void(result<T>)> done) {
    wires_->loop.post([done = std::move(done), why = refusal()]() mutable { done(std::move(why)); });
  }

  std::shared_ptr<memory_link::wires> wires_;
  int side_;
  bool open_ = true;
};

}  // namespace

void memory_link::cut() {
  for (auto& w : wires_->direction) w.cut();
}

void memory_link::hold(bool on) {
  for (auto& w : wires_->direction) w.hold(on);
}

void memory_link::set_delay(std::chrono::nanoseconds delay) {
  for (auto& w : wires_->direction) w.set_delay(delay);
}

memory_pair connect_in_memory(event_loop& loop, memory_link_options options) {
  auto wires = std::make_shared<memory_link::wires>(loop, options);
  return {std::make_unique<memory_end>(wires, 0), std::make_unique<memory_end>(wires, 1), memory_link(wires)};
}

}  // namespace penstock::io
