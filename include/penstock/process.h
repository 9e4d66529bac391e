// SPDX-License-Identifier: Apache-2.0
// What `process` functions are given, and what they give back.
#pragma once

#include <penstock/detail/op.h>
#include <penstock/detail/outlets.h>
#include <penstock/detail/state_rows.h>

#include <cstdint>
#include <string>
#include <utility>

namespace penstock {

/// A second output of a function, by name and type: `inline const penstock::side_output<alarm>
/// alarms{"alarms"};` The function emits to it, `processed::side(alarms)` is the stream. What nobody reads is
/// dropped.
template <typename T>
struct side_output {
  std::string name;
};

/// A timer that has come due.
struct timer {
  std::int64_t timestamp_ms;
  time_domain domain;
};

/// What a function without a key has beside the record. Valid during the call.
template <typename Out>
class process_context {
 public:
  bool has_timestamp() const noexcept { return timestamp_ != detail::no_timestamp; }
  /// Of the record in milliseconds since 1970; of the timer, in on_timer.
  std::int64_t timestamp() const noexcept { return timestamp_; }
  /// min_watermark before the first, max_watermark at the end of the input.
  std::int64_t watermark() const noexcept { return watermark_; }
  /// The wall clock in milliseconds since 1970.
  std::int64_t processing_time() const noexcept { return processing_time_; }

  /// Gives a record, with the timestamp of what is being worked on.
  void emit(Out value) { emit(std::move(value), timestamp_); }
  void emit(Out value, std::int64_t timestamp_ms) {
    out_.add(std::move(value), timestamp_ms);
    ++emitted_;
  }
  template <typename T>
  void emit(const side_output<T>& to, T value) {
    emit(to, std::move(value), timestamp_);
  }
  template <typename T>
  void emit(const side_output<T>& to, T value, std::int64_t timestamp_ms) {
    sides_.emit(to.name, std::move(value), timestamp_ms);
  }

 protected:
  template <typename, typename, typename>
  friend class detail::process_base;
  explicit process_context(const detail::side_declarations& sides) : sides_(sides) {}
  void connect(std::uint32_t outlet, detail::op& consumer) {
    if (outlet == 0) {
      out_.connect(consumer);
    } else {
      sides_.connect(outlet - 1, consumer);
    }
  }
  std::uint64_t flush() {
    out_.flush();
    sides_.flush();
    return std::exchange(emitted_, 0);
  }

  std::int64_t timestamp_ = detail::no_timestamp;
  std::int64_t watermark_ = min_watermark;
  std::int64_t processing_time_ = 0;
  std::uint64_t emitted_ = 0;
  detail::output<detail::batch<Out>> out_;
  detail::side_outlets sides_;
};

/// The same for keyed functions: the key, and timers. A timer is (key, time, domain): setting it twice is
/// setting it once (S11). Event timers fire in the order of time when the watermark has reached them,
/// processing timers when the wall clock has; at the end of the input all event timers fire, then those of
/// processing time that were set before.
template <typename K, typename Out>
class keyed_context : public process_context<Out> {
 public:
  const K& key() const noexcept { return rows_.key(); }

  void set_event_timer(std::int64_t at_ms) { set(event_timers_, at_ms); }
  void delete_event_timer(std::int64_t at_ms) { remove(event_timers_, at_ms); }
  void set_processing_timer(std::int64_t at_ms) {
    if (!ended_) set(processing_timers_, at_ms);
  }
  void delete_processing_timer(std::int64_t at_ms) { remove(processing_timers_, at_ms); }

 private:
  template <typename, typename, typename>
  friend class detail::process_base;
  using process_context<Out>::process_context;

  void set(detail::timer_set& timers, std::int64_t at) {
    const detail::row_id row = rows_.need();
    if (timers.add(at, row)) rows_.hold(row);
  }
  void remove(detail::timer_set& timers, std::int64_t at) {
    const detail::row_id row = rows_.current();
    if (row != detail::no_row && timers.remove(at, row)) rows_.let_go(row);
  }

  detail::keyed_rows<K> rows_;
  detail::timer_set event_timers_;
  detail::timer_set processing_timers_;
  bool ended_ = false;
};

}  // namespace penstock
