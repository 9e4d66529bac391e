// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/sink.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "client/cluster.h"
#include "client/producer.h"

namespace penstock::connectors {

/// One lane's part of a Kafka sink: a producer on the lane's loop. Records for which it has no memory yet, or
/// whose topic is not known yet, wait here in order; meanwhile the sink is not ready, so they stay few.
class kafka_sink_writer final : public sink_writer {
 public:
  static result<std::unique_ptr<sink_writer>> create(const kafka::sink& options, const lane_context& lane);

  result<> write(std::span<const outgoing> records) override;
  bool ready() const override { return waiting_.empty(); }
  void flush(std::function<void(result<>)> done) override;

 private:
  // A record that had to wait owns its bytes.
  struct waiting {
    std::optional<std::string> key, value;
    std::int64_t timestamp_ms;
    std::vector<std::pair<std::string, std::optional<std::string>>> headers;
  };

  kafka_sink_writer(std::string topic, const lane_context& lane, std::unique_ptr<client::cluster> cluster,
                    const kafka::producer_settings& settings);
  result<bool> try_send(const outgoing& r);
  void drain();
  void fail_with(error why);

  std::string topic_;
  std::unique_ptr<client::cluster> cluster_;
  client::producer producer_;
  std::deque<waiting> waiting_;
  std::optional<error> failure_;
  std::function<void(result<>)> flushing_;  // waits for waiting_ to be empty
};

}  // namespace penstock::connectors
