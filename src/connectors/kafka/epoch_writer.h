// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/sink.h>

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "connectors/kafka/epochs.h"

namespace penstock::connectors {

/// One lane's part of a Kafka sink in a job that is exactly once: writes into the transaction of the epoch.
class epoch_writer final : public sink_writer {
 public:
  epoch_writer(const kafka::sink& options, kafka_epochs& epochs, io::event_loop& lane)
      : topic_(options.topic), channel_(epochs.producer().open_channel(lane)) {
    epochs.producer().set_compression(topic_, options.compression, options.compression_level);
  }
  result<> write(std::span<const outgoing> records) override {
    return channel_->write(topic_, kafka::any_partition, records);
  }
  bool ready() const override { return channel_->ready(); }
  void flush(std::function<void(result<>)> done) override { channel_->flush(std::move(done)); }

 private:
  const std::string topic_;
  std::shared_ptr<epoch_channel> channel_;
};

}  // namespace penstock::connectors
