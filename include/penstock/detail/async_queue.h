// SPDX-License-Identifier: Apache-2.0
// What asynchronous operators share, without their types: who is on its way, in which order results may come
// out, deadlines, retries.
#pragma once

#include <penstock/detail/op.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace penstock {

/// In which order results come out.
enum class async_order : std::uint8_t {
  ordered,    ///< as the records came in
  unordered,  ///< as they are ready; none crosses a watermark, either way (S13)
};

struct async_options {
  async_order order = async_order::ordered;
  /// Requests under way at most, on each lane. More than that waits in front of the operator, and in the end
  /// at the source.
  std::size_t capacity = 100;
  /// How long a record may take, all its attempts together. Then it meets the error policy.
  std::chrono::milliseconds timeout{30'000};
  /// How long one attempt may take; as long as the record, if not set. What comes in later is not looked at.
  std::optional<std::chrono::milliseconds> attempt_timeout{};
  /// How often a request is made that failed with a retriable error, or took longer than attempt_timeout.
  unsigned max_attempts = 1;
  /// The pause before the second attempt; each further one is twice as long, up to max_retry_backoff.
  std::chrono::milliseconds retry_backoff{100};
  std::chrono::milliseconds max_retry_backoff{10'000};
};

namespace detail {

/// The end of one attempt: values (in the derived class), or why there are none.
struct async_outcome {
  virtual ~async_outcome() = default;
  std::optional<error> failure{};
};

/// Where answers come in, from any thread.
class async_inbox;

/// One attempt, as the user's function holds it: answered once. If it is let go of without an answer, that is
/// the answer.
class async_ticket {
 public:
  async_ticket(std::shared_ptr<async_inbox> to, std::uint64_t id, unsigned attempt);
  ~async_ticket();
  async_ticket(const async_ticket&) = delete;
  async_ticket& operator=(const async_ticket&) = delete;
  /// The first answer counts.
  void answer(std::unique_ptr<async_outcome> outcome);
  void fail(error e);

 private:
  std::shared_ptr<async_inbox> to_;
  std::uint64_t id_;
  unsigned attempt_;
  std::atomic<bool> answered_{false};
};

/// A record on its way; the derived class has the record. Fences (watermarks, barriers) stand between.
struct async_entry {
  virtual ~async_entry() = default;
  enum class kind : std::uint8_t { record, watermark, barrier };
  kind what = kind::record;
  watermark time{};
  std::uint64_t epoch = 0;
  std::unique_ptr<async_outcome> outcome{};  ///< set when it is done
  unsigned attempt = 0;
  std::int64_t expires_ns = 0;  ///< the record's deadline, on the monotonic clock
  std::int64_t due_ns = 0;      ///< when it is looked at next; 0: never
  bool pausing = false;         ///< between two attempts
};

/// The operator behind the queue.
class async_owner {
 public:
  /// Calls the user's function.
  virtual void start(async_entry& e, std::shared_ptr<async_ticket> ticket) = 0;
  /// Hands on what came of it.
  virtual void emit(std::uint64_t id, async_entry& e) = 0;
  virtual void emitted() = 0;  ///< some emits have been made
  virtual void pass(watermark w) = 0;
  virtual void let_through(std::uint64_t epoch) = 0;
  /// Nothing can be handed on at present: release() is to be called when it can.
  virtual bool must_wait() = 0;

 protected:
  ~async_owner() = default;
};

/// The queue of one operator on one lane. All methods on the lane's thread. A barrier waits for everything
/// before it, so no request is ever open across the end of an epoch, and a restart makes the requests of the
/// epoch that did not end once more (docs/decisions/0011).
class async_queue {
 public:
  async_queue(async_owner& owner, const async_options& options);
  ~async_queue();
  async_queue(const async_queue&) = delete;
  async_queue& operator=(const async_queue&) = delete;

  void open(services& lane, std::string name);
  /// Takes a record. If not `ready`, it is started after make_ready. Its number.
  std::uint64_t add(std::unique_ptr<async_entry> e, bool ready);
  void make_ready(std::uint64_t id);
  void add_fence(watermark w);
  void add_fence(std::uint64_t epoch);
  /// Starts what may be started, then hands on what may be handed on. After some adds.
  void run();
  /// Hands on what may be handed on.
  void release();
  bool full() const noexcept;
  /// What is wrong with the options, or nothing.
  static std::string problem(const async_options& options);

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace detail
}  // namespace penstock
