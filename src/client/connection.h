// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/shared_buffer.h"
#include "base/unique_function.h"
#include "client/authenticator.h"
#include "client/buffer_pool.h"
#include "client/metrics.h"
#include "io/event_loop.h"
#include "io/random.h"
#include "io/stream.h"
#include "wire/api.h"
#include "wire/messages/api_versions.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace penstock::client {

/// A response's body, still encoded. What borrows from it is kept alive by `frame`.
struct incoming {
  wire::reader body{bytes_view()};
  std::int16_t version = 0;
  base::shared_buffer frame;
  std::string_view from;  ///< "host:port", for messages; valid during the call
};

/// A request on its way: how to write its body once the version is known, and what to do with the answer.
struct outgoing {
  wire::api_key key{};
  std::int16_t min_version = 0;
  std::int16_t max_version = 0;
  std::chrono::milliseconds timeout{0};  ///< 0: the connection's default
  bool answered = true;  ///< false for Produce with acks 0: `done` is called once it is written
  unique_function<result<>(wire::writer&, std::int16_t version)> encode;
  /// The bytes of the writer's splices, in order, each with what keeps it alive.
  std::vector<io::write_piece> spliced;
  /// Called once, on the loop, never within send().
  unique_function<void(result<incoming>)> done;
};

struct connection_options {
  std::string client_id;
  std::chrono::milliseconds request_timeout{30'000};
  std::uint32_t max_response_bytes = 256u << 20;
  sasl_login* login = nullptr;  ///< with SASL; outlives the connection's use
  std::string host{};           ///< the broker's name as it was dialled, for Kerberos
  io::random_source* random = &io::random_source::system();
  connection_metrics* metrics = nullptr;  ///< outlives the connection, or nothing is counted
  std::int32_t node = -1;                 ///< the broker, as metrics tell it
};

/// One connection to one broker: negotiates versions, writes requests as they come, without waiting for
/// answers in between, and hands each answer to its request. A request that gets no answer in time closes the
/// connection, since those behind it would wait too.
///
/// With SASL it is ready once the broker has accepted us. Before the session ends it authenticates again
/// (KIP-368): requests that come meanwhile wait and then go in their order.
///
/// Threads: the loop's. Held by a shared_ptr, because reads and writes under way hold it too.
class connection final : public std::enable_shared_from_this<connection>, private sasl_channel {
 public:
  connection(io::event_loop& loop, std::unique_ptr<io::stream> stream, buffer_pool& buffers,
             connection_options options);
  ~connection();

  /// Asks for the broker's versions. One of the two is called on the loop: `ready` once, and `lost` once at
  /// the end, before or after `ready`; requests that were not answered have been failed by then.
  void start(unique_function<void()> ready, unique_function<void(const error&)> lost);
  /// Sends a request; only when ready. Its handler gets errc::unsupported if the broker has no version of it
  /// in range.
  void send(outgoing out);
  /// Fails what is unanswered with `why` and closes. `lost` is not called.
  void close(const error& why);
  /// Closes and drops every handler uncalled, because its owner is going.
  void abandon();

  void set_node(std::int32_t id) noexcept { options_.node = id; }
  bool is_ready() const noexcept { return state_ == state::ready; }
  std::size_t in_flight() const noexcept { return waiting_.size() + held_.size(); }
  /// The highest version that the broker and the caller know, or -1.
  std::int16_t pick_version(wire::api_key key, std::int16_t min, std::int16_t max) const noexcept override;
  const std::string& peer() const noexcept { return peer_; }
  /// What the broker said of the cluster's finalized features (KIP-584), and as of which epoch; -1: nothing.
  std::int64_t features_epoch() const noexcept { return features_epoch_; }
  const std::vector<std::pair<std::string, std::int16_t>>& features() const noexcept { return features_; }

 private:
  enum class state : std::uint8_t { negotiating, ready, closed };
  struct pending {
    std::int32_t correlation_id;
    wire::api_key key;
    std::int16_t version;
    io::instant sent;
    io::instant deadline;
    unique_function<void(result<incoming>)> done;
    bool raw = false;  // the answer has no header
  };
  struct version_range {
    std::int16_t min = -1, max = -1;
  };

  void ask(outgoing out, std::int16_t version) override { write(std::move(out), version); }
  void ask_raw(std::string_view token, unique_function<void(result<incoming>)> done) override;
  const std::string& name() const noexcept override { return peer_; }
  void authenticate();
  void authenticated(result<std::chrono::milliseconds> lifetime);
  void guard_authentication();
  void end_session();
  void release_held();
  std::uint32_t frame_limit() const noexcept;
  error lost_because(const error& why) const;

  void ask_versions(std::int16_t version);
  void versions_arrived(result<incoming> in);
  void write(outgoing out, std::int16_t version);
  void fail_later(unique_function<void(result<incoming>)> done, error why);
  void flush();
  void read();
  void arrived(result<std::size_t> n);
  void consume(std::size_t n);
  void take_frames_from_head();
  void dispatch(const base::shared_buffer& frame, std::size_t size);
  void break_off(const error& why);
  std::vector<pending> take_unanswered();
  void watch_deadlines();
  void deadline_passed(bool looked);
  io::instant earliest_deadline() const noexcept;

  io::event_loop& loop_;
  std::unique_ptr<io::stream> stream_;
  buffer_pool& buffers_;
  connection_options options_;
  std::string peer_;
  state state_ = state::negotiating;
  unique_function<void()> ready_;
  unique_function<void(const error&)> lost_;
  std::vector<version_range> versions_;
  std::int64_t features_epoch_ = -1;
  std::vector<std::pair<std::string, std::int16_t>> features_;  // name and level

  std::unique_ptr<authenticator> authenticator_;  // with SASL
  io::timer session_timer_;                       // authenticate again, or give up
  io::instant session_ends_ = io::instant::max();
  bool paused_ = false;        // nothing but SASL may be sent
  std::deque<outgoing> held_;  // what waits for that

  std::int32_t next_correlation_ = 1;
  std::deque<pending> waiting_;
  io::timer deadline_timer_;
  io::instant watched_deadline_ = io::instant::max();

  std::vector<io::write_piece> outbox_;
  std::vector<unique_function<void(result<>)>> written_, writing_;
  bool write_under_way_ = false;

  // Bytes arrive in `head_` while frames are small; a frame that does not fit is read straight into its own
  // buffer.
  std::array<char, 8192> head_;
  std::size_t head_used_ = 0;
  base::shared_buffer frame_;
  std::size_t frame_size_ = 0;
  std::size_t frame_read_ = 0;
};

}  // namespace penstock::client
