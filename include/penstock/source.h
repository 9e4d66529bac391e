// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/lane.h>
#include <penstock/record_view.h>
#include <penstock/result.h>
#include <penstock/transactions.h>
#include <penstock/watermarks.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

/// An independent, ordered part of a source: a partition of a topic, a file. Its positions grow as it is
/// read; reading again from a position gives the same records (as far as they still exist).
struct split {
  std::string topic;           ///< or the path, or whatever a person calls the source by
  std::int32_t partition = 0;  ///< within the topic
  std::int64_t start = 0;      ///< the position to begin at: what was committed, or what the options say
  /// Where it ends, exclusive; a split without a stop never ends. Reached when the *position* is there (S16).
  std::optional<std::int64_t> stop{};
  /// The end when it was discovered, or -1: for progress, and what a global table is read to before streams
  /// start.
  std::int64_t end = -1;
  /// What the last commit kept beside the position, empty if nothing. Only the engine reads it.
  std::string metadata{};
  /// How many splits its topic had when it was discovered; 0: not said.
  std::int32_t siblings = 0;
  /// What tells it from another one of the same name that was made later (a Kafka topic's id): kept beside
  /// the position. Empty: nothing does.
  std::string identity{};
  /// `start` was committed before; otherwise it is only where the options say to begin.
  bool committed = true;
};

/// A record as a source hands it out, before it is decoded. Borrowed: it lives until the next poll of its
/// reader, so it must be decoded (or mapped to something that owns its bytes) before key_by, a window or a
/// sink.
struct raw : record_view {
  const split* from = nullptr;
  std::string_view topic() const noexcept { return from == nullptr ? std::string_view{} : from->topic; }
  std::int32_t partition() const noexcept { return from == nullptr ? -1 : from->partition; }
};

/// The answer of one poll.
struct polled {
  std::size_t count = 0;    ///< records written, all of one split
  std::uint32_t split = 0;  ///< which, as numbered by assign(); meaningful if next >= 0
  /// The position after these records (transaction markers and gaps included), or -1 when nothing was read at
  /// all. It may advance without a record.
  std::int64_t next = -1;
  bool finished = false;  ///< the split has reached its stop; it is not polled again
};

/// What to keep for a split once everything before `position` is done with.
struct split_commit {
  std::uint32_t split = 0;
  std::int64_t position = 0;  ///< the next record to read (S17)
  std::string metadata{};     ///< given back in split::metadata at the next start
};

/// Reads the splits of one lane. Every method is called on the lane's thread, and none may block: I/O is left
/// to the handlers of the lane's event loop.
class source_reader {
 public:
  virtual ~source_reader() = default;
  /// Takes over a split, before the first poll. `s` outlives the reader; raw::from points to it.
  virtual result<> assign(std::uint32_t number, const split& s) = 0;
  /// Hands out records that are there already, at most into.size(), without waiting; the answer's `next` is
  /// -1 when there are none. Views given out stay valid until the next call of poll. An error ends the job.
  virtual result<polled> poll(std::span<raw> into) = 0;
  /// Hands out no more records of this split, or does again: event time is to be aligned (S8). What is
  /// fetched already may still come. False when it cannot; then the whole reader is left alone while all that
  /// it reads is ahead.
  virtual bool set_paused(std::uint32_t /*number*/, bool /*paused*/) { return false; }
  /// Makes positions durable. One call is under way at a time; `done` is called on the lane's thread, from
  /// the loop or within the call. Never called for a global table.
  virtual void commit(std::vector<split_commit> positions, std::function<void(result<>)> done) = 0;
};

enum class read_purpose : std::uint8_t {
  stream,  ///< begin where the application was (or as the options say), commit as it goes
  table,   ///< a global table: every record from the beginning, at each start; nothing is committed
};

/// A source of one topology: finds its splits, and opens one reader a lane.
class source_connector {
 public:
  virtual ~source_connector() = default;
  /// For people: "kafka topic departures".
  virtual std::string describe() const = 0;
  /// Appends what is wrong with the settings, one sentence each; does no I/O.
  virtual void validate(std::vector<std::string>& problems) const = 0;
  /// True when every split will have a stop.
  virtual bool bounded() const = 0;
  virtual watermark_options watermarks() const = 0;
  /// Finds the splits and where each begins. Blocks; called once, before any lane runs, on the thread that
  /// starts the job.
  virtual result<std::vector<split>> discover(const job_info& job, read_purpose purpose) = 0;
  /// Where it has transactions together with sinks: sources and sinks that answer the same are one system.
  /// Empty: it has none.
  virtual std::string transaction_domain(const job_info& /*job*/) const { return {}; }
  /// The transactions of a job all of whose sources and sinks are in this source's domain.
  virtual result<std::unique_ptr<epoch_transactions>> make_transactions(const job_info& job) const;
  /// Called once a lane, on its thread; must not block. Split i is read by lane i % lanes (a global table's
  /// by every lane).
  virtual result<std::unique_ptr<source_reader>> open_reader(const lane_context& lane) = 0;
};

/// What `topology::read` takes: a plain struct of options that can make the connector.
///
///     struct source { std::vector<std::string> topics; ...; std::unique_ptr<source_connector> make_source()
///     const; };
template <typename S>
concept source_options = requires(const S& s) {
  { s.make_source() } -> std::convertible_to<std::unique_ptr<source_connector>>;
};

}  // namespace penstock
