// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/producer.h>
#include <penstock/kafka/settings.h>
#include <penstock/result.h>

#include <memory>

#include "base/unique_function.h"
#include "client/accumulator.h"
#include "client/cluster.h"
#include "client/sender.h"

namespace penstock::client {

/// Sends records from the thread of an event loop: the producer of a lane. It never waits; kafka::producer is
/// the one for any thread.
///
///     producer p(cluster, settings);            // settings checked by validate()
///     switch (p.try_send({.topic = "board", .key = k, .value = v})) ...
///     p.flush([&](result<> all_acknowledged) { ... });
class producer {
 public:
  producer(cluster& c, const kafka::producer_settings& settings);
  ~producer();

  /// `accepted`, or why not: on_writable is called when it is worth trying again. An error is for good (the
  /// record is too large, the topic cannot be written to).
  result<append_status> try_send(const kafka::record_to_send& r) { return try_send(r, {}); }
  result<append_status> try_send(const kafka::record_to_send& r, kafka::delivery_callback f);
  /// Called on the loop when memory or a topic's partitions became available after try_send had to refuse.
  void on_writable(unique_function<void()> f) { sender_.on_writable(std::move(f)); }
  /// Called with the outcome of each batch, on the loop.
  void on_delivery(kafka::delivery_callback f) { sender_.on_delivery(std::move(f)); }
  /// Sends everything taken so far without lingering; `done` once all of it has an outcome: success, or the
  /// first failure since the last flush.
  void flush(unique_function<void(result<>)> done) { sender_.flush(std::move(done)); }

  /// Its transactions, to begin and end them on the loop; nullptr unless transactional_id is set.
  client::transactions* transactions() noexcept { return transactions_.get(); }

  std::size_t buffered_bytes() const noexcept { return accumulator_.buffered_bytes(); }
  kafka::producer::counters statistics() const { return sender_.statistics(); }
  /// Partitions of a topic, or nothing while that is not known (it is asked for; on_writable tells).
  std::optional<std::int32_t> partitions_of(std::string_view topic);

 private:
  cluster& cluster_;
  accumulator accumulator_;
  sender sender_;
  std::unique_ptr<client::transactions> transactions_;
};

}  // namespace penstock::client
