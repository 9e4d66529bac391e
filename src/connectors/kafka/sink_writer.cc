// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/sink_writer.h"

#include <fmt/format.h>

#include "connectors/kafka/common.h"

namespace penstock::connectors {
namespace {

kafka::producer_settings producer_settings_of(const kafka::sink& o, std::string brokers) {
  kafka::producer_settings s;
  s.bootstrap_servers = std::move(brokers);
  s.acks = o.acks;
  s.compression = o.compression;
  s.compression_level = o.compression_level;
  s.linger = o.linger;
  s.batch_size = o.batch_size;
  s.buffer_memory = o.buffer_memory;
  s.delivery_timeout = o.delivery_timeout;
  s.connection = o.connection;
  return s;
}

std::optional<std::string> owned(std::string_view bytes) {
  if (bytes.data() == nullptr) return std::nullopt;
  return std::string(bytes);
}
std::string_view borrowed(const std::optional<std::string>& bytes) {
  return bytes ? std::string_view(*bytes) : std::string_view();
}

}  // namespace

result<std::unique_ptr<sink_writer>> kafka_sink_writer::create(const kafka::sink& options,
                                                               const lane_context& lane) {
  auto brokers = brokers_of(lane.job, options.brokers);
  if (!brokers) return fail(brokers.error());
  auto cluster = client::cluster::create(lane.loop, *brokers, options.connection);
  if (!cluster) return fail(cluster.error());
  return std::unique_ptr<sink_writer>(new kafka_sink_writer(options.topic, lane, std::move(*cluster),
                                                            producer_settings_of(options, *brokers)));
}

kafka_sink_writer::kafka_sink_writer(std::string topic, const lane_context&,
                                     std::unique_ptr<client::cluster> cluster,
                                     const kafka::producer_settings& settings)
    : topic_(std::move(topic)), cluster_(std::move(cluster)), producer_(*cluster_, settings) {
  producer_.on_writable([this] { drain(); });
  producer_.on_delivery([this](const kafka::delivery& d) {
    if (d.failure != nullptr) fail_with(*d.failure);
  });
}

result<> kafka_sink_writer::write(std::span<const outgoing> records) {
  if (failure_) return fail(*failure_);
  for (const outgoing& r : records) {
    auto sent = waiting_.empty() ? try_send(r) : result<bool>(false);
    if (!sent) return fail(sent.error());
    if (*sent) continue;
    waiting& w = waiting_.emplace_back(waiting{owned(r.key), owned(r.value), r.timestamp_ms, {}});
    for (const record_header& h : r.headers) w.headers.emplace_back(h.key, owned(h.value));
  }
  return {};
}

// False when the producer cannot take it now; on_writable tells when it can.
result<bool> kafka_sink_writer::try_send(const outgoing& r) {
  auto status = producer_.try_send({.topic = topic_,
                                    .key = r.key,
                                    .value = r.value,
                                    .timestamp_ms = r.timestamp_ms,
                                    .headers = r.headers});
  if (!status) return fail(status.error());
  return *status == client::append_status::accepted;
}

void kafka_sink_writer::drain() {
  std::vector<record_header> headers;
  while (!waiting_.empty() && !failure_) {
    const waiting& w = waiting_.front();
    headers.clear();
    for (const auto& [key, value] : w.headers) headers.push_back({key, borrowed(value)});
    auto sent = try_send({borrowed(w.key), borrowed(w.value), w.timestamp_ms, headers});
    if (!sent) return fail_with(sent.error());
    if (!*sent) return;
    waiting_.pop_front();
  }
  if (flushing_ && waiting_.empty()) producer_.flush(std::exchange(flushing_, nullptr));
}

void kafka_sink_writer::fail_with(error why) {
  if (!failure_) failure_ = why.with_context(fmt::format("topic {}", topic_));
  if (flushing_) std::exchange(flushing_, nullptr)(fail(*failure_));
}

void kafka_sink_writer::flush(std::function<void(result<>)> done) {
  if (failure_) return done(fail(*failure_));
  if (waiting_.empty()) return producer_.flush(std::move(done));
  flushing_ = std::move(done);
}

}  // namespace penstock::connectors
