// SPDX-License-Identifier: Apache-2.0
// What is counted, and how it is told. Every struct here belongs to one loop and is read on it, so that
// counting needs neither locks nor atomics; a snapshot from another thread is made by a task on that loop.
//
// A new metric is a line in metrics_table.cc and a call of metric_report in metrics.cc; a test sees to it
// that neither is forgotten.
#pragma once

#include <penstock/kafka/metrics.h>
#include <penstock/kafka/settings.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/sensor.h"
#include "io/event_loop.h"

namespace penstock::client {

/// What the connections of one cluster do.
struct connection_metrics {
  struct traffic {
    sensor sent;      ///< bytes, a request at a time
    sensor received;  ///< bytes, an answer at a time
    sensor latency;   ///< milliseconds from writing a request to its answer
  };
  traffic all;
  std::map<std::int32_t, traffic> nodes;      ///< by broker
  std::map<std::int16_t, sensor> latency_of;  ///< by api key: milliseconds
  distribution latencies, fetch_latencies;    ///< of all requests, of fetches
  sensor opened, closed, failed;
  std::int64_t open = 0;
  std::int64_t in_flight = 0;

  void request_sent(std::int32_t node, std::size_t bytes, io::instant now);
  void answer_came(std::int32_t node, std::int16_t api, std::size_t bytes, io::instant asked,
                   io::instant now);
};

/// What a sender does with batches.
struct producer_metrics {
  struct counted {
    sensor sends;    ///< records, a batch at a time, when it is sent first
    sensor bytes;    ///< of them, as sent
    sensor retries;  ///< records
    sensor errors;   ///< records
    sensor ratio;    ///< of the compressed to the uncompressed bytes, a batch at a time
  };
  counted all;
  std::map<std::string, counted, std::less<>> topics;
  sensor batch_size;   ///< bytes of a batch as sent
  sensor record_size;  ///< bytes of a batch's records, uncompressed; times: records
  sensor records_per_request;
  sensor delivery;  ///< milliseconds from a batch's beginning to its acknowledgement
  distribution deliveries;
  sensor splits;      ///< batches that were too large for their topic
  sensor queue_time;  ///< milliseconds from a batch's beginning to its first sending
  sensor throttled;   ///< milliseconds that answers say the broker held back
};

/// What the threads that call a producer wait for, in nanoseconds; under the producer's lock.
struct producer_waits {
  sensor memory;     ///< for room in buffer.memory, a wait at a time
  int threads = 0;   ///< that wait for it now
  sensor exhausted;  ///< records refused because there was none in time
  std::int64_t metadata = 0;
  std::int64_t flush = 0;
  std::int64_t init = 0, begin = 0, send_offsets = 0, commit = 0, abort = 0;  ///< of transactions
};

/// What is told of a producer beside what its sender counts.
struct producer_state {
  std::size_t buffer_total = 0;
  std::size_t buffer_used = 0;
  int produce_connections = 0;
  producer_waits waits{};
};

/// What a consumer hands out and waits for.
struct consumer_metrics {
  struct counted {
    sensor records;  ///< a batch at a time
    sensor bytes;
  };
  counted all;
  std::map<std::string, counted, std::less<>> topics;
  /// Of each assigned partition: the end that consumers see minus the position behind what was handed out.
  std::map<std::pair<std::string, std::int32_t>, double> lag;
  sensor lag_seen;            ///< each time a batch is handed out
  sensor time_between_polls;  ///< milliseconds
  io::instant last_poll{};
  std::uint64_t rebalances = 0, failed_rebalances = 0;
  std::optional<io::instant> last_rebalance;
  sensor rebalance_latency;  ///< milliseconds from giving partitions up (or joining) to the new assignment
};

/// Appends metrics to a list, with names and descriptions from the table.
class metric_report {
 public:
  metric_report(kafka::metric_list& out, io::instant now) : out_(out), now_(now) {}
  using tags = std::vector<std::pair<std::string, std::string>>;

  void value(std::string_view group, std::string_view name, double v, const tags& t = {});
  /// `name`-rate and `name`-total of the sums.
  void rate_of_sum(std::string_view group, std::string_view name, const sensor::view& v, const tags& t = {});
  /// The same of how often it was measured.
  void rate_of_times(std::string_view group, std::string_view name, const sensor::view& v,
                     const tags& t = {});
  void average_and_largest(std::string_view group, std::string_view name, const sensor::view& v,
                           const tags& t = {});
  /// -p50, -p99 and -p999.
  void percentiles(std::string_view group, std::string_view name, const distribution::view& v,
                   const tags& t = {});
  sensor::view at(const sensor& s) const { return s.at(now_); }
  distribution::view at(const distribution& d) const { return d.at(now_); }
  io::instant now() const noexcept { return now_; }

 private:
  void add(std::string_view group, std::string_view prefix, std::string_view suffix, double v, const tags& t);
  kafka::metric_list& out_;
  io::instant now_;
};

/// Calls a client's metrics_callback on its loop, every metrics_interval.
class regular_metrics {
 public:
  void start(io::event_loop& loop, const kafka::connection_settings& settings,
             std::function<kafka::metric_list()> make) {
    if (!settings.metrics_callback || settings.metrics_interval.count() <= 0) return;
    timer_.emplace(loop);
    callback_ = settings.metrics_callback;
    interval_ = settings.metrics_interval;
    make_ = std::move(make);
    arm();
  }

 private:
  void arm() {
    timer_->arm(interval_, [this] {
      arm();
      callback_(make_());
    });
  }
  std::optional<io::timer> timer_;
  kafka::metrics_callback callback_;
  std::chrono::milliseconds interval_{0};
  std::function<kafka::metric_list()> make_;
};

/// `client` is "producer", "consumer" or "admin-client": the beginning of the groups' names. A consumer's
/// group membership has connections of its own, which count too.
void report_connections(metric_report& to, std::string_view client,
                        const std::vector<const connection_metrics*>& all, double metadata_age_seconds);
void report_producer(metric_report& to, const producer_metrics& m, const producer_state& s);
void report_consumer(metric_report& to, const consumer_metrics& m, const connection_metrics& fetching,
                     const connection_metrics& membership, std::size_t assigned);

}  // namespace penstock::client
