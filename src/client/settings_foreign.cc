// SPDX-License-Identifier: Apache-2.0
#include "client/settings_foreign.h"

#include <algorithm>
#include <array>

namespace penstock::client {
namespace {

constexpr std::string_view bytes_only = "keys and values are bytes; the program encodes and decodes them";
constexpr std::string_view own_metrics = "read metrics() instead";
constexpr std::string_view loop_buffers = "the kernel sizes the buffers of its sockets by itself";
constexpr std::string_view pem_only =
    "give PEM files with ssl.ca.location, ssl.certificate.location and ssl.key.location";
constexpr std::string_view callback_instead = "set a callback with on_delivery, or one with send";
constexpr std::string_view windows = "metrics are averaged over 30 to 60 seconds";
constexpr std::string_view versions = "versions are always agreed on with each broker";
constexpr std::string_view always = "that is always so";

// A name that moves into the table of settings leaves this one: the test sees to it.
constexpr std::array table{
    foreign_setting{"api.version.fallback.ms", versions},
    foreign_setting{"api.version.request", versions},
    foreign_setting{"auto.commit.enable", "write enable.auto.commit"},
    foreign_setting{"auto.include.jmx.reporter", own_metrics},
    foreign_setting{"background.event.cb", callback_instead},
    foreign_setting{"batch.num.messages", "bound a batch by its bytes with batch.size"},
    foreign_setting{"broker.address.family", "every address that the name has is tried"},
    foreign_setting{"broker.address.ttl", "names are looked up at each connection"},
    foreign_setting{"broker.version.fallback", versions},
    foreign_setting{"bootstrap.controllers", "name brokers with bootstrap.servers; they know the controller"},
    foreign_setting{"builtin.features", "it says what librdkafka was built with"},
    foreign_setting{"client.dns.lookup", "every address that a name has is tried"},
    foreign_setting{"compression.codec", "write compression.type"},
    foreign_setting{"compression.level",
                    "write compression.gzip.level, compression.lz4.level or compression.zstd.level"},
    foreign_setting{"config.providers", "the program reads its secrets and sets them"},
    foreign_setting{"connections.max.idle.ms",
                    "a connection that the broker closes is opened again when needed"},
    foreign_setting{"consume.callback.max.messages", "poll hands out batches"},
    foreign_setting{"debug", "read metrics() and the errors"},
    foreign_setting{"delivery.report.only.error", callback_instead},
    foreign_setting{"dr_cb", callback_instead},
    foreign_setting{"dr_msg_cb", callback_instead},
    foreign_setting{"enable.auto.offset.store", "commit the offsets of your choice with commit_sync"},
    foreign_setting{"enable.metrics.push", "metrics are not pushed to brokers; read metrics()"},
    foreign_setting{"enable.gapless.guarantee", "a lost batch fails and is told; those behind it go on"},
    foreign_setting{"enable.partition.eof", "compare position with end_offsets"},
    foreign_setting{"enable.random.seed", "there is no seed"},
    foreign_setting{"enable.sparse.connections", always},
    foreign_setting{"error_cb", "errors are the results of calls"},
    foreign_setting{"exclude.internal.topics", "name the topics of a subscription"},
    foreign_setting{"fetch.error.backoff.ms", "write retry.backoff.ms"},
    foreign_setting{"fetch.message.max.bytes", "write max.partition.fetch.bytes"},
    foreign_setting{"fetch.queue.backoff.ms", "fetching goes on as soon as poll made room"},
    foreign_setting{"fetch.wait.max.ms", "write fetch.max.wait.ms"},
    foreign_setting{"group.protocol.type", "it is always consumer"},
    foreign_setting{"interceptor.classes", "wrap send and poll in functions of your own"},
    foreign_setting{"internal.termination.signal", "no signal is used"},
    foreign_setting{"key.deserializer", bytes_only},
    foreign_setting{"key.serializer", bytes_only},
    foreign_setting{"log.connection.close", "read connection-close-total of metrics()"},
    foreign_setting{"log_level", "nothing is logged; errors are the results of calls"},
    foreign_setting{"max.in.flight", "write max.in.flight.requests.per.connection"},
    foreign_setting{"max.poll.records", "bound a poll with max.poll.bytes, or give poll_records a number"},
    foreign_setting{"message.copy.max.bytes", "each record is copied once, into its batch"},
    foreign_setting{"message.max.bytes", "write max.request.size"},
    foreign_setting{"message.send.max.retries", "retries end with delivery.timeout.ms"},
    foreign_setting{"message.timeout.ms", "write delivery.timeout.ms"},
    foreign_setting{"metadata.broker.list", "write bootstrap.servers"},
    foreign_setting{"metadata.max.idle.ms", "a topic's metadata are kept while it is written to"},
    foreign_setting{"metadata.recovery.rebootstrap.trigger.ms",
                    "bootstrap.servers are asked as soon as no broker answers"},
    foreign_setting{"metadata.recovery.strategy", "bootstrap.servers are asked as soon as no broker answers"},
    foreign_setting{"metric.reporters", own_metrics},
    foreign_setting{"metrics.num.samples", windows},
    foreign_setting{"metrics.recording.level", "every metric is always recorded"},
    foreign_setting{"metrics.sample.window.ms", windows},
    foreign_setting{"offset.store.method", "offsets are committed to the group"},
    foreign_setting{"offset_commit_cb", "give commit_async a callback"},
    foreign_setting{"partitioner.adaptive.partitioning.enable",
                    "records without a key always go rather where fewer batches wait"},
    foreign_setting{"partitioner.availability.timeout.ms",
                    "records without a key always go rather where fewer batches wait"},
    foreign_setting{"partitioner.class", "write partitioner, or give producer_settings::own_partitioner"},
    foreign_setting{"partitioner.ignore.keys", "write partitioner=sticky"},
    foreign_setting{"plugin.library.paths", "there are no plugins"},
    foreign_setting{"queue.buffering.backpressure.threshold",
                    "bound the records that wait with buffer.memory"},
    foreign_setting{"queue.buffering.max.kbytes", "write buffer.memory, in bytes"},
    foreign_setting{"queue.buffering.max.messages",
                    "bound the records that wait by their bytes with buffer.memory"},
    foreign_setting{"queue.buffering.max.ms", "write linger.ms"},
    foreign_setting{"queued.max.messages.kbytes", "write queued.max.bytes, in bytes"},
    foreign_setting{"queued.min.messages", "bound what is fetched ahead with queued.max.bytes"},
    foreign_setting{"rebalance_cb", "give subscribe a rebalance_listener"},
    foreign_setting{"receive.buffer.bytes", loop_buffers},
    foreign_setting{"request.required.acks", "write acks"},
    foreign_setting{"retries", "retries end with delivery.timeout.ms and default.api.timeout.ms"},
    foreign_setting{"retry.backoff", "write retry.backoff.ms"},
    foreign_setting{"security.providers", "OpenSSL does the cryptography"},
    foreign_setting{"send.buffer.bytes", loop_buffers},
    foreign_setting{"share.acknowledgement.mode", "share groups are not supported"},
    foreign_setting{"socket.blocking.max.ms", "sockets are never waited for one by one"},
    foreign_setting{"socket.connection.setup.timeout.max.ms", "write socket.connection.setup.timeout.ms"},
    foreign_setting{"socket.keepalive.enable",
                    "a broker that does not answer is noticed by request.timeout.ms"},
    foreign_setting{"socket.max.fails", "a connection is given up at its first failure"},
    foreign_setting{"socket.nagle.disable", always},
    foreign_setting{"socket.receive.buffer.bytes", loop_buffers},
    foreign_setting{"socket.send.buffer.bytes", loop_buffers},
    foreign_setting{"socket.timeout.ms", "write request.timeout.ms"},
    foreign_setting{"ssl.engine.factory.class", "OpenSSL does the cryptography"},
    foreign_setting{"ssl.keymanager.algorithm", pem_only},
    foreign_setting{"ssl.keystore.password", pem_only},
    foreign_setting{"ssl.provider", "OpenSSL does the cryptography"},
    foreign_setting{"ssl.secure.random.implementation", "OpenSSL does the cryptography"},
    foreign_setting{"ssl.trustmanager.algorithm", pem_only},
    foreign_setting{"ssl.truststore.password", pem_only},
    foreign_setting{"statistics.interval.ms", "read metrics(), or give a metrics_callback and its interval"},
    foreign_setting{"stats_cb", "read metrics(), or give a metrics_callback and its interval"},
    foreign_setting{"sticky.partitioning.linger.ms",
                    "records without a key change the partition with each batch"},
    foreign_setting{"topic.blacklist", "name the topics of a subscription"},
    foreign_setting{"topic.metadata.propagation.max.ms", "write max.block.ms"},
    foreign_setting{"topic.metadata.refresh.fast.interval.ms", "write retry.backoff.ms"},
    foreign_setting{"topic.metadata.refresh.interval.ms", "write metadata.max.age.ms"},
    foreign_setting{"topic.metadata.refresh.sparse", always},
    foreign_setting{"value.deserializer", bytes_only},
    foreign_setting{"value.serializer", bytes_only},
    foreign_setting{"zookeeper.connect", "brokers are reached with bootstrap.servers"},
};

}  // namespace

std::span<const foreign_setting> foreign_settings() { return table; }

const foreign_setting* find_foreign_setting(std::string_view name) {
  const auto it = std::find_if(table.begin(), table.end(), [&](const auto& f) { return f.name == name; });
  return it == table.end() ? nullptr : &*it;
}

}  // namespace penstock::client
