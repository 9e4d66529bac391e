// SPDX-License-Identifier: Apache-2.0
// The local exchange behind key_by: a bounded ring from each lane to each, with batches, watermarks and
// barriers in order, and a second ring that takes the emptied batches home.
#pragma once

#include <penstock/detail/op.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "engine/driver.h"
#include "engine/lane_signal.h"
#include "engine/spsc_ring.h"
#include "engine/watermark_merge.h"

namespace penstock::engine {

/// What travels from lane to lane.
struct parcel {
  enum class kind : std::uint8_t { records, time, barrier };
  kind what = kind::records;
  std::unique_ptr<detail::any_batch> records;
  watermark time;
  std::uint64_t epoch = 0;
};

/// One direction between two lanes. The sender's methods are called on the sending lane's thread, the
/// receiver's (`pop`, `give_back`, `room_made`) on the other's.
///
/// A full ring is the back-pressure: the sender then keeps what one step of its lane still produces, says
/// `blocked`, and the lane takes no further step into it.
class exchange_channel final : public detail::exchange_sender {
 public:
  exchange_channel(lane_signal& from, lane_signal& to) : from_(from), to_(to) {}

  std::unique_ptr<detail::any_batch> recycled() override;
  void send(std::unique_ptr<detail::any_batch> records) override;
  void send(watermark w) override;
  void send_barrier(std::uint64_t epoch) override;
  bool blocked() const noexcept override { return !kept_.empty(); }
  /// Moves on what was kept back. True when something moved.
  bool flush();

  bool pop(parcel& into);
  void give_back(std::unique_ptr<detail::any_batch> emptied);
  /// After some pops: the sender may go on.
  void room_made() { from_.notify(); }

 private:
  void post(parcel p);
  static constexpr std::size_t capacity = 64;
  lane_signal& from_;
  lane_signal& to_;
  spsc_ring<parcel, capacity> ring_;
  spsc_ring<std::unique_ptr<detail::any_batch>, capacity> empties_;
  std::deque<parcel> kept_;
};

/// The end of an exchange on one lane: takes from the channels of all lanes, aligns barriers, merges event
/// time.
class receiver final : public driver {
 public:
  receiver(detail::relay_op& into, std::vector<exchange_channel*> from) : into_(into) {
    for (exchange_channel* c : from) inputs_.push_back({c, {}, false, false});
    silent_ = inputs_.size();
  }
  bool step(io::instant now) override;
  detail::op& entry() noexcept override { return into_; }

 private:
  static constexpr int parcels_per_step = 16;
  struct channel_state {
    exchange_channel* channel;
    input_time time;
    bool has_spoken;
    bool at_barrier;
  };
  void take(channel_state& from, parcel& p);
  void align(std::uint64_t epoch);
  detail::relay_op& into_;
  bool may_take(const channel_state& from) const;
  std::vector<channel_state> inputs_;
  std::size_t silent_ = 0;  // inputs that have not spoken
  monotonic_watermark time_;
};

}  // namespace penstock::engine
