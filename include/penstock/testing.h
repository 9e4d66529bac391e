// SPDX-License-Identifier: Apache-2.0
// Tests of topologies: no broker, no threads, no waiting, time as the test says.
//
//     testing::topic in("in", 2), out("out");
//     in.append({.value = "to be", .timestamp_ms = 1000});
//     topology topo = word_count(in.source(), out.sink());
//     testing::driver d(topo, {.lanes = 2});
//     ASSERT_TRUE(d.finish());
//     EXPECT_EQ(out.values(), ...);
#pragma once

#include <penstock/detail/state_columns.h>
#include <penstock/job.h>
#include <penstock/sink.h>
#include <penstock/source.h>
#include <penstock/topology.h>
#include <penstock/watermarks.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::testing {

/// A record in memory.
struct record {
  std::optional<std::string> key{};
  std::optional<std::string> value{};  ///< nothing: a tombstone
  std::int64_t timestamp_ms = -1;
  std::vector<std::pair<std::string, std::string>> headers{};
  friend bool operator==(const record&, const record&) = default;
};

struct topic_source;
struct topic_sink;

/// A topic in memory, to read from and to write to; it outlives crashes. Copies are the same topic. Safe from
/// any thread.
class topic {
 public:
  explicit topic(std::string name, std::uint32_t partitions = 1);

  const std::string& name() const noexcept;
  topic& append(record r, std::uint32_t partition = 0);
  /// Values only, with timestamps 0, 1, 2 ...
  topic& append_values(const std::vector<std::string>& values, std::uint32_t partition = 0);

  /// All records, partition by partition. What a sink wrote but did not flush is there too, until a crash
  /// takes it away.
  std::vector<record> records() const;
  std::vector<std::string> values() const;
  /// The position that the last commit kept for a partition; nothing before the first.
  std::optional<std::int64_t> committed(std::uint32_t partition = 0) const;
  /// What was committed beside it.
  std::string committed_metadata(std::uint32_t partition = 0) const;

  topic_source source() const;
  topic_source source(watermark_options watermarks) const;
  topic_sink sink() const;

  struct state;

 private:
  std::shared_ptr<state> state_;
};

/// Options of reading a topic in memory.
struct topic_source {
  std::shared_ptr<topic::state> from;
  watermark_options watermarks{};
  bool bounded =
      true;  ///< ends with what was there at the start; otherwise it goes on as records are appended
  std::size_t poll_size = 256;  ///< 1: the watermark follows every record
  std::unique_ptr<source_connector> make_source() const;
};

/// Options of writing to a topic in memory: to the partition that the key chooses, as Kafka's partitioner
/// does.
struct topic_sink {
  std::shared_ptr<topic::state> to;
  bool accept = true;  ///< false: flushes never complete, as with a broker that is gone
  std::unique_ptr<sink_connector> make_sink() const;
};

/// Takes what a stream gives: `.for_each("out", results)`. Copies are the same collector. Safe from any
/// thread.
template <typename T>
class collector {
 public:
  void operator()(const T& value, std::int64_t timestamp_ms) const {
    const std::lock_guard lock(state_->mutex);
    state_->values.emplace_back(value, timestamp_ms);
  }
  std::vector<T> values() const {
    const std::lock_guard lock(state_->mutex);
    std::vector<T> all;
    for (const auto& [v, ts] : state_->values) all.push_back(v);
    return all;
  }
  std::vector<std::pair<T, std::int64_t>> with_timestamps() const {
    const std::lock_guard lock(state_->mutex);
    return state_->values;
  }
  void clear() const {
    const std::lock_guard lock(state_->mutex);
    state_->values.clear();
  }

 private:
  struct shared {
    std::mutex mutex;
    std::vector<std::pair<T, std::int64_t>> values;
  };
  std::shared_ptr<shared> state_ = std::make_shared<shared>();
};

struct driver_options {
  unsigned lanes = 1;
  /// Exactly once: topics in memory have transactions, and state is kept beside the first source's topic.
  bool exactly_once = false;
  /// 0: lanes take turns. Otherwise which lane steps next is drawn from this seed.
  std::uint64_t seed = 0;
};

/// Runs a topology on the calling thread, all lanes of it, exactly as a job would, but for the time, which
/// stands still unless it is advanced, and the epochs, which end when `commit` says so. The topology must
/// outlive it. One thread.
class driver {
 public:
  explicit driver(const topology& what, driver_options options = {});
  ~driver();
  driver(const driver&) = delete;
  driver& operator=(const driver&) = delete;

  /// Goes on until there is nothing left to do but wait. The error, should the job fail.
  result<> run();
  /// At most so many rounds: to stop in the middle.
  result<> run_rounds(std::size_t rounds);
  /// run, then the end of an epoch: sinks flush, positions are committed.
  result<> commit();
  /// Ends an epoch in the middle of what there is to do.
  result<> commit_now();
  /// Runs to the end of bounded input, with the last epoch; an error when the input has no end.
  result<> finish();
  /// A clean stop: as SIGTERM does.
  result<> stop();
  /// Virtual time passes: idleness.
  result<> advance(std::chrono::milliseconds by);
  /// run, then event time passes: as if every source had brought a record that says so. Windows that end
  /// before fire, timers come due; records behind it are late from now on.
  result<> advance_watermark(std::int64_t to_ms);
  /// Everything in memory is lost: operators, windows, what sinks had not flushed. Starts again from what was
  /// committed, with another number of lanes if given.
  result<> crash_and_restore(std::optional<unsigned> lanes = {});

  /// What a function made by process keeps, on whatever lane, by the operator's name, the state's name and
  /// the key: as the function itself would find it now. Types are those that the function declares (a key may
  /// be given as a literal). For reducing_state as `value`; for aggregating_state too, V being the
  /// accumulator.
  ///
  ///     EXPECT_EQ(d.value<std::int64_t>("running", "seen", "JFK"), 3);
  ///
  /// Throws std::invalid_argument when there is no such operator or state, or it is of another type.
  template <typename V, typename K>
  std::optional<V> value(const std::string& name, const std::string& state, const K& key) const {
    std::optional<V> found;
    each_saved(name, state, key, [&](std::string_view& in) {
      return detail::take_until(in) && detail::decode_state(in, found.emplace());
    });
    return found;
  }
  template <typename V, typename K>
  std::vector<V> list(const std::string& name, const std::string& state, const K& key) const {
    std::vector<V> found;
    each_saved(name, state, key, [&](std::string_view& in) {
      return detail::take_until(in) && detail::decode_state(in, found.emplace_back());
    });
    return found;
  }
  template <typename MapKey, typename V, typename K>
  std::map<MapKey, V> map(const std::string& name, const std::string& state, const K& key) const {
    std::map<MapKey, V> found;
    each_saved(name, state, key, [&](std::string_view& in) {
      MapKey k{};
      return detail::decode_state(in, k) && detail::take_until(in) && detail::decode_state(in, found[k]);
    });
    return found;
  }

  /// The job has ended: its bounded input is used up and the last epoch committed, or it was stopped.
  bool over() const;
  /// Since the start, or the last crash.
  std::vector<operator_metrics> metrics() const;
  operator_metrics metrics(const std::string& name) const;
  job_progress progress() const;

 private:
  std::string state_of(const std::string& name, const std::string& state, const std::string& key) const;
  [[noreturn]] static void wrong_type(const std::string& name, const std::string& state);
  template <typename K, typename Take>
  void each_saved(const std::string& name, const std::string& state, const K& key, Take take) const {
    std::string saved_key;
    if constexpr (std::is_convertible_v<const K&, std::string>) {
      detail::encode_state(std::string(key), saved_key);
    } else {
      detail::encode_state(key, saved_key);
    }
    const std::string bytes = state_of(name, state, saved_key);
    for (std::string_view in = bytes; !in.empty();) {
      if (!take(in)) wrong_type(name, state);
    }
  }

  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock::testing
