// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/lane.h>
#include <penstock/record_view.h>
#include <penstock/result.h>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

/// An encoded record on its way out. Borrowed: valid during the call of sink_writer::write alone.
struct outgoing {
  std::string_view key;    ///< data() == nullptr: no key
  std::string_view value;  ///< data() == nullptr: a tombstone
  std::int64_t timestamp_ms = -1;
  std::span<const record_header> headers{};
};

/// Writes for one lane. Every method is called on the lane's thread, and none may block.
class sink_writer {
 public:
  virtual ~sink_writer() = default;
  /// Takes the records in order; what it needs later it copies. It always takes all of them: the engine looks
  /// at ready() before it goes on. An error ends the job (S22).
  virtual result<> write(std::span<const outgoing> records) = 0;
  /// False while more is in flight than the sink wants: the engine stops feeding it (and in the end stops
  /// reading) until it is true again. Asked after each handler of the lane's loop.
  virtual bool ready() const = 0;
  /// Calls `done` once everything written before this call is safe at its destination, or with the error why
  /// it will never be. `done` is called on the lane's thread, from the loop or within the call; writes go on
  /// meanwhile. One flush is under way at a time.
  virtual void flush(std::function<void(result<>)> done) = 0;
};

/// A sink of one topology: opens one writer a lane.
class sink_connector {
 public:
  virtual ~sink_connector() = default;
  /// For people: "kafka topic board".
  virtual std::string describe() const = 0;
  /// Appends what is wrong with the settings, one sentence each; does no I/O.
  virtual void validate(std::vector<std::string>& problems) const = 0;
  /// Checks or makes the destination. Blocks; called once, before any lane runs, on the thread that starts
  /// the job.
  virtual result<> prepare(const job_info& job) = 0;
  /// As source_connector::transaction_domain.
  virtual std::string transaction_domain(const job_info& /*job*/) const { return {}; }
  /// Called once a lane, on its thread; must not block. In a job that is exactly once, lane.transactions is
  /// set: the writer must then be part of it.
  virtual result<std::unique_ptr<sink_writer>> open_writer(const lane_context& lane) = 0;
};

/// What `write` takes: a plain struct of options that can make the connector.
///
///     struct sink { std::string topic; ...; std::unique_ptr<sink_connector> make_sink() const; };
template <typename S>
concept sink_options = requires(const S& s) {
  { s.make_sink() } -> std::convertible_to<std::unique_ptr<sink_connector>>;
};

}  // namespace penstock
