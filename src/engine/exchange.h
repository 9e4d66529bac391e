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

class receiver;

/// One direction between two lanes. The sender's methods are called on the sending lane's thread, the
/// receiver's (`pop`, `give_back`) on the other's.
///
/// A full ring is the back-pressure: the sender then keeps what one step of its lane still produces, says
/// `blocked`, and the lane takes no further step into it. One that sleeps because of that is woken when half
/// of the ring is free, not for every batch.
class exchange_channel final : public detail::exchange_sender {
 public:
  exchange_channel(lane_signal& from, lane_signal& to) : from_(from), to_(to) {}

  std::unique_ptr<detail::any_batch> recycled() override;
  void send(std::unique_ptr<detail::any_batch> records) override;
  bool comes_back() const noexcept override { return &from_ == &to_; }
  bool deliver(detail::any_batch& records) override;
  void send(watermark w) override;
  void send_barrier(std::uint64_t epoch) override;
  bool blocked() const noexcept override { return !kept_.empty(); }
  /// Moves on what was kept back. True when something moved.
  bool flush();

  /// False when there is nothing, which the sender is told of if it sleeps.
  bool pop(parcel& into);
  void give_back(std::unique_ptr<detail::any_batch> emptied);
  /// Where it comes back: who takes from it, and outlives the last call of deliver().
  void ends_at(receiver& end) noexcept { end_ = &end; }

 private:
  void post(parcel p);
  /// A lane does not sleep while it sends to itself or takes from itself.
  static void wake(lane_signal& who, const lane_signal& by) {
    if (&who != &by) who.notify_after_store();
  }
  static constexpr std::size_t capacity = 64;
  lane_signal& from_;
  lane_signal& to_;
  spsc_ring<parcel, capacity> ring_;
  // More than the ring holds: what is filled, kept back and worked on comes home too.
  spsc_ring<std::unique_ptr<detail::any_batch>, 2 * capacity> empties_;
  std::deque<parcel> kept_;
  std::size_t popped_ = 0;  // since the sender was last told of room; the receiver's
  receiver* end_ = nullptr;
};

/// The end of an exchange on one lane: takes from the channels of all lanes, aligns barriers, merges event
/// time.
class receiver final : public driver {
 public:
  receiver(detail::relay_op& into, std::vector<exchange_channel*> from);
  bool step(io::instant now) override;
  /// Records of this lane's own channel, of which it has taken everything. False: not now.
  bool take_now(detail::any_batch& records);
  detail::op& entry() noexcept override { return into_; }

 private:
  /// As many records as the lane's own source makes in a step, from all inputs together: a lane that took
  /// more would fall behind the others with its own source, and windows would stay open for it. What comes
  /// from its own source is taken to the end: then it can be delivered without the ring again.
  static constexpr std::int64_t records_per_step = 8 * detail::batch_capacity;
  struct channel_state {
    exchange_channel* channel;
    input_time time;
    bool has_spoken;
    bool at_barrier;
    std::int64_t credit;  // records that it may be taken before the next input's turn; less, if it had more
  };
  void take(channel_state& from, parcel& p);
  void align(std::uint64_t epoch);
  detail::relay_op& into_;
  bool may_take(const channel_state& from) const;
  std::vector<channel_state> inputs_;
  std::size_t mine_ = 0;    // the input from this lane itself
  std::size_t silent_ = 0;  // inputs that have not spoken
  monotonic_watermark time_;
};

}  // namespace penstock::engine
