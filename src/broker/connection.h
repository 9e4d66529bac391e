// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "broker/input_buffer.h"
#include "broker/reply.h"
#include "io/stream.h"

namespace penstock::broker {

class broker_core;
struct hook_action;

/// One client: cuts what it sends into requests, has each handled as it comes, and sends the answers in the
/// order of the requests. Several requests may be under way; when too many answers wait to be taken, nothing
/// more is read.
///
/// Lives as long as somebody holds a shared_ptr: the server's set while open, and handlers under way. A
/// request that cannot be understood closes this connection and nothing else.
class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(broker_core& core, std::unique_ptr<io::stream> s);

  void start() { read(); }
  void close();
  bool is_open() const noexcept { return open_; }
  /// Everything that could be sent has been.
  bool settled() const noexcept { return !writing_ && (slots_.empty() || !slots_.front().ready); }
  /// Takes no more requests; those under way are answered.
  void stop_reading() noexcept { stopped_ = true; }
  const std::string& peer() const noexcept { return peer_; }

 private:
  friend class reply_slot;
  struct slot {
    bool ready = false;
    bool lost = false;  ///< a test wants the answer not to arrive
    std::vector<io::write_piece> pieces;
    std::size_t bytes = 0;  ///< of memory, not of files
  };

  void read();
  void process();
  std::size_t front_size() const noexcept;
  bool next_frame(std::string_view& frame);
  bool handle(std::string_view frame);
  bool run(request_info info, wire::reader& body, reply_slot slot);
  bool obey(const hook_action& action, request_info info, std::string_view body, reply_slot slot);
  bool congested() const noexcept;
  bool left_behind(const request_info& info, std::string_view body) const;
  void complete(std::uint64_t number, std::vector<io::write_piece> pieces, std::size_t bytes);
  void pump();

  broker_core& core_;
  std::unique_ptr<io::stream> stream_;
  std::string peer_;
  std::string host_;

  input_buffer input_;
  std::deque<slot> slots_;  ///< answers owed, oldest first
  std::uint64_t first_slot_ = 0;
  std::size_t queued_bytes_ = 0;
  bool open_ = true;
  bool stopped_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool processing_ = false;
};

}  // namespace penstock::broker
