// SPDX-License-Identifier: Apache-2.0
// Operators as the engine runs them: one instance a lane, called by one thread, connected by typed batches.
#pragma once

#include <penstock/detail/batch.h>
#include <penstock/detail/state_log.h>
#include <penstock/error_policy.h>
#include <penstock/lane.h>
#include <penstock/result.h>
#include <penstock/source.h>
#include <penstock/watermarks.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace penstock {
class sink_writer;
}

namespace penstock::detail {

/// Event time at one point of the graph; an idle input leaves the minimum (S7).
struct watermark {
  std::int64_t timestamp = min_watermark;
  bool idle = false;
  friend bool operator==(const watermark&, const watermark&) = default;
};

/// Written by one lane, read by any thread.
struct op_counters {
  std::atomic<std::uint64_t> in{0}, out{0}, late{0}, skipped{0};
  static void add(std::atomic<std::uint64_t>& to, std::uint64_t n) noexcept {
    to.store(to.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
};

class op;
class state_rows;
struct record_origin;

/// What a lane does for its operators. Called on the lane's thread.
class services {
 public:
  virtual const lane_context& context() const noexcept = 0;
  /// Ends the job. The first error counts.
  virtual void fail(error e) = 0;
  virtual bool failed() const noexcept = 0;
  /// `epoch` has passed an operator, with everything before it safe. `oldest_live` is the first epoch whose
  /// records are still needed to rebuild the operator's state; epoch + 1 when there is none.
  virtual void acknowledge(std::uint64_t epoch, std::uint64_t oldest_live) = 0;
  /// Before an operator with state acknowledges: has its changes written, where state is kept.
  virtual void save(durable_state& state) = 0;
  virtual result<std::unique_ptr<source_reader>> open_reader(std::uint32_t node) = 0;
  virtual result<std::unique_ptr<sink_writer>> open_writer(std::uint32_t node) = 0;
  /// The lane's copy of a global table (detail::table_data).
  virtual void* table(std::uint32_t node) = 0;
  /// The wall clock in milliseconds, as of the lane's present step.
  virtual std::int64_t processing_time() const noexcept = 0;
  /// Has `who.on_processing_time` called once the wall clock has reached `ms`. The last call counts;
  /// max_watermark: never.
  virtual void wake_at(op& who, std::int64_t ms) = 0;
  /// Hands a bad record to the topology's sink of dead letters, in the epoch that it belongs to (S20).
  virtual void dead_letter(const record_origin& origin, const std::string& name, const char* step,
                           const std::string& cause, std::uint64_t epoch) = 0;

 protected:
  ~services() = default;
};

/// Where a record came from, for messages. `from` may be null: then only the operator is named.
struct record_origin {
  const split* from = nullptr;
  std::int64_t offset = -1;
  const raw* record = nullptr;  ///< as it was read; null behind a seam
};

/// Thrown inside a stage when a record cannot be decoded; caught where the policy is applied.
struct decode_failure {
  error cause;
};

/// Base of every operator. Data comes in through input<B>::push; the three calls here travel in order with
/// it.
///
/// An operator with several inputs has one small op an input in front of it (joint_op.h), so this interface
/// never needs to say which.
class op {
 public:
  op() = default;
  op(const op&) = delete;
  op& operator=(const op&) = delete;
  virtual ~op() = default;

  /// Called once on the lane's thread, before anything else.
  virtual result<> open(services& lane) {
    services_ = &lane;
    return {};
  }
  /// Adds a consumer of what comes out of `outlet`. Called before open.
  virtual void connect(std::uint32_t outlet, op& consumer) = 0;
  /// What the node's input number `index` is connected to.
  virtual op& port(std::size_t /*index*/) { return *this; }
  /// The wall clock has reached what services::wake_at asked for.
  virtual void on_processing_time(std::int64_t /*now_ms*/) {}
  /// Event time has advanced (or become idle). Timers and windows first, then it is passed on (S6).
  virtual void on_watermark(watermark w) { pass_on(w); }
  /// Everything before the end of `epoch` has been pushed.
  virtual void on_barrier(std::uint64_t epoch) {
    epoch_ = epoch + 1;
    services_->acknowledge(epoch, epoch + 1);
    pass_barrier(epoch);
  }
  /// Its state, if that can outlive the process. Null: it has none, or none that can.
  virtual durable_state* durable() { return nullptr; }
  /// For tests: what a user's function keeps, as of now. Null: it is no such operator.
  virtual state_rows* inspect() { return nullptr; }
  /// What it looks at in the keyed batches that it is given. Asked once all is connected.
  virtual reading reads() const { return {}; }
  /// True while nothing more should be pushed into it: back-pressure.
  virtual bool blocked() const { return false; }
  /// The same of anything behind it.
  bool blocked_below() const {
    for (const op* to : downstream_) {
      if (to->blocked() || to->blocked_below()) return true;
    }
    return false;
  }

  void set_identity(std::uint32_t node, std::string name, error_policy policy, std::uint64_t first_epoch) {
    node_ = node;
    name_ = std::move(name);
    policy_ = policy;
    epoch_ = first_epoch;
  }
  const std::string& name() const noexcept { return name_; }
  const op_counters& counters() const noexcept { return counters_; }
  const std::vector<op*>& downstream() const noexcept { return downstream_; }

 protected:
  void add_downstream(op& consumer) {
    for (op* known : downstream_) {
      if (known == &consumer) return;
    }
    downstream_.push_back(&consumer);
  }
  void pass_on(watermark w) {
    for (op* to : downstream_) to->on_watermark(w);
  }
  /// The barrier passes an operator with state; `oldest_live` as for services::acknowledge.
  void seal_state(std::uint64_t epoch, std::uint64_t oldest_live) {
    epoch_ = epoch + 1;
    if (durable_state* state = durable(); state != nullptr) services_->save(*state);
    services_->acknowledge(epoch, oldest_live);
    pass_barrier(epoch);
  }
  void pass_barrier(std::uint64_t epoch) {
    for (op* to : downstream_) to->on_barrier(epoch);
  }
  /// Called in a catch block: applies the policy. True when the record is skipped and the work goes on.
  bool record_failed(const char* step, const record_origin& origin);

  services* services_ = nullptr;
  std::uint64_t epoch_ = 1;  ///< the epoch that what is pushed now belongs to
  std::uint32_t node_ = 0;
  error_policy policy_ = error_policy::fail;
  std::string name_;
  op_counters counters_;
  std::vector<op*> downstream_;
};

/// Takes batches of type B. `may_move` is false when others are given the same batch afterwards.
template <typename B>
class input {
 public:
  virtual void push(B& records, bool may_move) = 0;

 protected:
  ~input() = default;
};

/// Collects what an operator emits and hands it on batch by batch. Empty outlets cost one test a record.
template <typename B>
class output {
 public:
  output() = default;
  output(output&&) noexcept = default;
  void connect(op& consumer) { to_.push_back(&dynamic_cast<input<B>&>(consumer)); }
  bool connected() const noexcept { return !to_.empty(); }
  template <typename... Args>
  [[gnu::always_inline]] void add(Args&&... args) {
    records_.add(std::forward<Args>(args)...);
    if (records_.size() == batch_capacity) flush();
  }
  /// What has been added since.
  B& pending() noexcept { return records_; }
  void flush() {
    if (records_.size() == 0) return;
    for (std::size_t i = 0; i < to_.size(); ++i) to_[i]->push(records_, i + 1 == to_.size());
    records_.clear();
  }

 private:
  B records_;
  std::vector<input<B>*> to_;
};

/// An operator that begins a stage by reading splits.
class source_op : public op {
 public:
  struct step {
    std::size_t records = 0;
    std::uint32_t split = 0;
    std::int64_t next = -1;  ///< as polled::next
    bool finished = false;
    std::int64_t max_timestamp = no_timestamp;  ///< of these records; no_timestamp if they have none
  };
  virtual result<> assign(std::uint32_t number, const split& s) = 0;
  /// Reads some records of one split and pushes them through the stage.
  virtual result<step> poll() = 0;
  virtual void commit(std::vector<split_commit> positions, std::function<void(result<>)> done) = 0;
  /// The user's generators make the watermarks: `watermark_of` says what a split's is.
  virtual bool makes_watermarks() const noexcept { return false; }
  virtual std::int64_t watermark_of(std::uint32_t /*split*/) { return min_watermark; }
  /// Reads no more of a split, or again (S8). False when the source cannot.
  virtual bool set_paused(std::uint32_t /*split*/, bool /*paused*/) { return false; }
};

/// An operator that begins a stage behind an exchange.
class relay_op : public op {
 public:
  virtual void deliver(any_batch& records) = 0;
};

/// A global table being read: follows its splits, keeps the newest value of each key.
class table_op : public op {
 public:
  virtual result<> assign(std::uint32_t number, const split& s) = 0;
  virtual result<source_op::step> poll() = 0;
  virtual void* data() noexcept = 0;
};

/// One direction of a local exchange, from one lane to another (or to itself), as the operator before it sees
/// it.
class exchange_sender {
 public:
  /// A batch that the receiver has emptied, or null.
  virtual std::unique_ptr<any_batch> recycled() = 0;
  virtual void send(std::unique_ptr<any_batch> records) = 0;
  /// Whether it leads to the lane that it comes from.
  virtual bool comes_back() const noexcept = 0;
  /// Where it comes back, and nothing that was sent is still to be taken: the receiver takes these at once.
  /// They stay the caller's, to be cleared. False: they have to be sent.
  virtual bool deliver(any_batch& records) = 0;
  virtual void send(watermark w) = 0;
  virtual void send_barrier(std::uint64_t epoch) = 0;
  virtual bool blocked() const noexcept = 0;

 protected:
  ~exchange_sender() = default;
};

/// An operator whose outlet is partitioned by key over the lanes.
class partitioning_op {
 public:
  /// `targets[i]` leads to lane i. Not called when there is one lane: the outlet is then connected like any
  /// other.
  virtual void connect_exchange(std::vector<exchange_sender*> targets) = 0;
  /// What its consumers look at in what it hands on. Called before open.
  virtual void leave_out_unread(const reading& read) = 0;

 protected:
  ~partitioning_op() = default;
};

}  // namespace penstock::detail
