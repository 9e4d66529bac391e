// SPDX-License-Identifier: Apache-2.0
// A connection without a network, for tests: two streams on one loop, and a hand on the wire between them.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>

#include "io/stream.h"

namespace penstock::io {

struct memory_link_options {
  /// How long bytes (and the end) take from one end to the other, on the loop's clock.
  std::chrono::nanoseconds delay{0};
  /// A read gets at most so many bytes, so that a test may see messages taken apart.
  std::size_t most_a_read = std::numeric_limits<std::size_t>::max();
  /// Bytes on their way before writes wait for the reader. A write larger than that goes alone.
  std::size_t capacity = 1u << 20;
};

/// The wire. Belongs to the loop's thread, as the streams do.
class memory_link {
 public:
  struct wires;
  explicit memory_link(std::shared_ptr<wires> w) noexcept : wires_(std::move(w)) {}
  /// Breaks the connection: both ends get errc::closed at once, and what was on its way is lost.
  void cut();
  /// While it is held nothing arrives, in either direction; what is written meanwhile follows after.
  void hold(bool on);
  /// Holds for all that is written from now on.
  void set_delay(std::chrono::nanoseconds delay);

 private:
  std::shared_ptr<wires> wires_;
};

struct memory_pair {
  std::unique_ptr<stream> first, second;
  memory_link link;
};
/// Two connected streams with the manners of TCP's (order, end after the last byte, writes that wait for a
/// slow reader). File pieces are read when the write begins.
memory_pair connect_in_memory(event_loop& loop, memory_link_options options = {});

}  // namespace penstock::io
