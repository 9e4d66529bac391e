// SPDX-License-Identifier: Apache-2.0
// Every metric: its group, name, tags and one sentence. Times are milliseconds and sizes bytes unless it says
// otherwise.
#include <fmt/format.h>
#include <penstock/kafka/metrics.h>

#include <array>

namespace penstock::kafka {
namespace {

constexpr std::string_view connections = "producer-metrics, consumer-metrics, admin-client-metrics";
constexpr std::string_view nodes = "producer-node-metrics, consumer-node-metrics, admin-client-node-metrics";
constexpr std::string_view producers = "producer-metrics";
constexpr std::string_view producer_topics = "producer-topic-metrics";
constexpr std::string_view fetching = "consumer-fetch-manager-metrics";
constexpr std::string_view membership = "consumer-coordinator-metrics";
constexpr std::string_view polling = "consumer-metrics";

constexpr std::array table{
    metric_info{connections, "connection-count", "", "Open connections."},
    metric_info{connections, "connection-creation-rate", "", "Connections made a second."},
    metric_info{connections, "connection-creation-total", "", "Connections made."},
    metric_info{connections, "connection-close-rate", "", "Connections closed a second."},
    metric_info{connections, "connection-close-total", "", "Connections closed."},
    metric_info{connections, "connection-failure-rate", "", "Attempts to connect that failed, a second."},
    metric_info{connections, "connection-failure-total", "", "Attempts to connect that failed."},
    metric_info{connections, "network-io-rate", "", "Requests sent and answers received a second."},
    metric_info{connections, "network-io-total", "", "Requests sent and answers received."},
    metric_info{connections, "requests-in-flight", "", "Requests without an answer yet."},
    metric_info{connections, "metadata-age", "",
                "Seconds since the brokers last told about topics and leaders; -1: not yet."},
    metric_info{connections, "outgoing-byte-rate", "", "Bytes sent a second."},
    metric_info{connections, "outgoing-byte-total", "", "Bytes sent."},
    metric_info{connections, "incoming-byte-rate", "", "Bytes received a second."},
    metric_info{connections, "incoming-byte-total", "", "Bytes received."},
    metric_info{connections, "request-rate", "", "Requests sent a second."},
    metric_info{connections, "request-total", "", "Requests sent."},
    metric_info{connections, "request-size-avg", "", "The average size of a request, in bytes."},
    metric_info{connections, "request-size-max", "", "The largest request, in bytes."},
    metric_info{connections, "response-rate", "", "Answers received a second."},
    metric_info{connections, "response-total", "", "Answers received."},
    metric_info{connections, "request-latency-avg", "",
                "Milliseconds from a request to its answer, on average."},
    metric_info{connections, "request-latency-max", "",
                "The most milliseconds from a request to its answer."},
    metric_info{connections, "request-latency-p50", "",
                "Milliseconds that half of the requests stay below until their answer."},
    metric_info{connections, "request-latency-p99", "",
                "Milliseconds that 99 of 100 of the requests stay below until their answer."},
    metric_info{connections, "request-latency-p999", "",
                "Milliseconds that 999 of 1,000 of the requests stay below until their answer."},
    metric_info{nodes, "outgoing-byte-rate", "node-id", "Bytes sent to this broker a second."},
    metric_info{nodes, "outgoing-byte-total", "node-id", "Bytes sent to this broker."},
    metric_info{nodes, "incoming-byte-rate", "node-id", "Bytes received from this broker a second."},
    metric_info{nodes, "incoming-byte-total", "node-id", "Bytes received from this broker."},
    metric_info{nodes, "request-rate", "node-id", "Requests sent to this broker a second."},
    metric_info{nodes, "request-total", "node-id", "Requests sent to this broker."},
    metric_info{nodes, "request-size-avg", "node-id",
                "The average size of a request to this broker, in bytes."},
    metric_info{nodes, "request-size-max", "node-id", "The largest request to this broker, in bytes."},
    metric_info{nodes, "response-rate", "node-id", "Answers received from this broker a second."},
    metric_info{nodes, "response-total", "node-id", "Answers received from this broker."},
    metric_info{nodes, "request-latency-avg", "node-id",
                "Milliseconds from a request to this broker to its answer, on average."},
    metric_info{nodes, "request-latency-max", "node-id",
                "The most milliseconds from a request to this broker to its answer."},
    metric_info{producers, "record-send-rate", "", "Records sent a second (the first time each)."},
    metric_info{producers, "record-send-total", "", "Records sent (the first time each)."},
    metric_info{producers, "byte-rate", "", "Bytes of batches sent a second, compressed."},
    metric_info{producers, "byte-total", "", "Bytes of batches sent, compressed."},
    metric_info{producers, "record-retry-rate", "", "Records sent again a second."},
    metric_info{producers, "record-retry-total", "", "Records sent again."},
    metric_info{producers, "record-error-rate", "", "Records that failed for good, a second."},
    metric_info{producers, "record-error-total", "", "Records that failed for good."},
    metric_info{producers, "compression-rate-avg", "",
                "Compressed through uncompressed bytes of a batch, on average."},
    metric_info{producer_topics, "record-send-rate", "topic",
                "Records of this topic sent a second (the first time each)."},
    metric_info{producer_topics, "record-send-total", "topic",
                "Records of this topic sent (the first time each)."},
    metric_info{producer_topics, "byte-rate", "topic",
                "Bytes of batches of this topic sent a second, compressed."},
    metric_info{producer_topics, "byte-total", "topic", "Bytes of batches of this topic sent, compressed."},
    metric_info{producer_topics, "record-retry-rate", "topic", "Records of this topic sent again a second."},
    metric_info{producer_topics, "record-retry-total", "topic", "Records of this topic sent again."},
    metric_info{producer_topics, "record-error-rate", "topic",
                "Records of this topic that failed for good, a second."},
    metric_info{producer_topics, "record-error-total", "topic",
                "Records of this topic that failed for good."},
    metric_info{producer_topics, "compression-rate", "topic",
                "Compressed through uncompressed bytes of a batch of this topic, on average."},
    metric_info{producers, "batch-size-avg", "", "The average size of a batch, compressed, in bytes."},
    metric_info{producers, "batch-size-max", "", "The largest batch, compressed, in bytes."},
    metric_info{producers, "record-size-avg", "",
                "The average size of a record in its batch, uncompressed, in bytes."},
    metric_info{producers, "records-per-request-avg", "", "Records in a request, on average."},
    metric_info{producers, "record-queue-time-avg", "",
                "Milliseconds from the beginning of a batch to its sending, on average."},
    metric_info{producers, "record-queue-time-max", "",
                "The most milliseconds from the beginning of a batch to its sending."},
    metric_info{producers, "record-delivery-time-avg", "",
                "Milliseconds from the beginning of a batch to its acknowledgement, on average."},
    metric_info{producers, "record-delivery-time-max", "",
                "The most milliseconds from the beginning of a batch to its acknowledgement."},
    metric_info{producers, "record-delivery-time-p50", "",
                "Milliseconds that half of the batches stay below until their acknowledgement."},
    metric_info{producers, "record-delivery-time-p99", "",
                "Milliseconds that 99 of 100 of the batches stay below until their acknowledgement."},
    metric_info{producers, "record-delivery-time-p999", "",
                "Milliseconds that 999 of 1,000 of the batches stay below until their acknowledgement."},
    metric_info{producers, "batch-split-rate", "", "Batches too large for their topic, split a second."},
    metric_info{producers, "batch-split-total", "", "Batches too large for their topic that were split."},
    metric_info{producers, "produce-throttle-time-avg", "",
                "Milliseconds that brokers held a request back for a quota, on average."},
    metric_info{producers, "produce-throttle-time-max", "",
                "The most milliseconds that a broker held a request back for a quota."},
    metric_info{producers, "produce-connections", "",
                "Connections that produce requests may take, of all brokers written to "
                "(connections.per.broker)."},
    metric_info{producers, "buffer-total-bytes", "", "buffer.memory."},
    metric_info{producers, "buffer-available-bytes", "", "What is left of buffer.memory."},
    metric_info{producers, "bufferpool-wait-time-ns-total", "",
                "Nanoseconds that calls of send waited for room in buffer.memory."},
    metric_info{
        producers, "bufferpool-wait-ratio", "",
        "The part of the time that calls of send waited for room in buffer.memory; above 1 when several "
        "threads do."},
    metric_info{producers, "waiting-threads", "", "Threads that wait for room in buffer.memory."},
    metric_info{producers, "buffer-exhausted-rate", "",
                "Records refused a second because there was no room within max.block.ms."},
    metric_info{producers, "buffer-exhausted-total", "",
                "Records refused because there was no room within max.block.ms."},
    metric_info{producers, "metadata-wait-time-ns-total", "",
                "Nanoseconds that calls waited for a topic's partitions to be known."},
    metric_info{producers, "flush-time-ns-total", "", "Nanoseconds that calls of flush took."},
    metric_info{producers, "txn-init-time-ns-total", "",
                "Nanoseconds that calls of init_transactions and resume_transaction took."},
    metric_info{producers, "txn-begin-time-ns-total", "",
                "Nanoseconds that calls of begin_transaction took."},
    metric_info{producers, "txn-send-offsets-time-ns-total", "",
                "Nanoseconds that calls of send_offsets took."},
    metric_info{producers, "txn-commit-time-ns-total", "",
                "Nanoseconds that calls of commit_transaction took."},
    metric_info{producers, "txn-abort-time-ns-total", "",
                "Nanoseconds that calls of abort_transaction took."},
    metric_info{fetching, "records-consumed-rate", "", "Records handed out a second."},
    metric_info{fetching, "records-consumed-total", "", "Records handed out."},
    metric_info{fetching, "bytes-consumed-rate", "", "Bytes of batches handed out a second."},
    metric_info{fetching, "bytes-consumed-total", "", "Bytes of batches handed out."},
    metric_info{fetching, "records-consumed-rate", "topic", "Records of this topic handed out a second."},
    metric_info{fetching, "records-consumed-total", "topic", "Records of this topic handed out."},
    metric_info{fetching, "bytes-consumed-rate", "topic",
                "Bytes of batches of this topic handed out a second."},
    metric_info{fetching, "bytes-consumed-total", "topic", "Bytes of batches of this topic handed out."},
    metric_info{fetching, "fetch-rate", "", "Fetches answered a second."},
    metric_info{fetching, "fetch-total", "", "Fetches answered."},
    metric_info{fetching, "fetch-latency-avg", "",
                "Milliseconds from a fetch to its answer, the long poll included, on average."},
    metric_info{fetching, "fetch-latency-max", "", "The most milliseconds from a fetch to its answer."},
    metric_info{fetching, "fetch-latency-p50", "",
                "Milliseconds that half of the fetches stay below until their answer."},
    metric_info{fetching, "fetch-latency-p99", "",
                "Milliseconds that 99 of 100 of the fetches stay below until their answer."},
    metric_info{fetching, "fetch-latency-p999", "",
                "Milliseconds that 999 of 1,000 of the fetches stay below until their answer."},
    metric_info{fetching, "fetch-size-avg", "", "Bytes handed out a fetch, on average."},
    metric_info{fetching, "records-per-request-avg", "", "Records handed out a fetch, on average."},
    metric_info{fetching, "records-lag", "topic, partition",
                "Records between what was handed out of this partition and its end."},
    metric_info{fetching, "records-lag-max", "", "The largest records-lag of any partition in that time."},
    metric_info{membership, "assigned-partitions", "", "Partitions assigned to this consumer."},
    metric_info{membership, "commit-rate", "", "Commits answered a second."},
    metric_info{membership, "commit-total", "", "Commits answered."},
    metric_info{membership, "commit-latency-avg", "",
                "Milliseconds from a commit to its answer, on average."},
    metric_info{membership, "commit-latency-max", "", "The most milliseconds from a commit to its answer."},
    metric_info{membership, "heartbeat-rate", "", "Heartbeats answered a second."},
    metric_info{membership, "heartbeat-total", "", "Heartbeats answered."},
    metric_info{membership, "heartbeat-response-time-max", "",
                "The most milliseconds from a heartbeat to its answer."},
    metric_info{membership, "join-rate", "", "Answers to JoinGroup a second."},
    metric_info{membership, "join-total", "", "Answers to JoinGroup."},
    metric_info{membership, "join-time-avg", "", "Milliseconds that JoinGroup took, on average."},
    metric_info{membership, "join-time-max", "", "The most milliseconds that JoinGroup took."},
    metric_info{membership, "sync-rate", "", "Answers to SyncGroup a second."},
    metric_info{membership, "sync-total", "", "Answers to SyncGroup."},
    metric_info{membership, "sync-time-avg", "", "Milliseconds that SyncGroup took, on average."},
    metric_info{membership, "sync-time-max", "", "The most milliseconds that SyncGroup took."},
    metric_info{membership, "rebalance-total", "", "Assignments that this member got."},
    metric_info{membership, "failed-rebalance-total", "",
                "Times that this member lost its partitions or its place without an assignment."},
    metric_info{membership, "rebalance-latency-avg", "",
                "Milliseconds from giving partitions up to the next assignment, on average."},
    metric_info{membership, "rebalance-latency-max", "",
                "The most milliseconds from giving partitions up to the next assignment."},
    metric_info{membership, "last-rebalance-seconds-ago", "",
                "Seconds since the last assignment; -1: there was none."},
    metric_info{polling, "time-between-poll-avg", "", "Milliseconds between two calls of poll, on average."},
    metric_info{polling, "time-between-poll-max", "", "The most milliseconds between two calls of poll."},
    metric_info{polling, "last-poll-seconds-ago", "",
                "Seconds since the last call of poll; -1: there was none."},
};

}  // namespace

std::span<const metric_info> list_metrics() noexcept { return table; }

std::string metrics_reference() {
  std::string page =
      "# Metrics of the Kafka client\n\n"
      "Written by `penstock metrics --markdown`; a test compares.\n\n"
      "`producer.metrics()`, `consumer.metrics()` and `admin.metrics()` answer them all "
      "(`penstock/kafka/metrics.h`); `metrics_callback` and `metrics_interval` of the connection settings "
      "have them "
      "told regularly; `penstock perf ... --metrics` prints them at its end. Names and groups are Kafka's "
      "where "
      "Kafka has the thing. Averages, maxima and rates are over the last 30 to 60 seconds (since the start, "
      "if that "
      "is less, where Kafka's clients divide by 30 seconds at least), totals since the client was made. NaN: "
      "nothing "
      "was measured in that time.\n\n"
      "Counting costs a few additions a batch or request, and nothing a record: no lock and no atomic.\n";
  std::string_view group;
  for (const auto& m : table) {
    if (m.group != group) {
      group = m.group;
      page += fmt::format("\n## {}\n\n| metric | tags | what it is |\n|---|---|---|\n", group);
    }
    page += fmt::format("| `{}` | {} | {} |\n", m.name, m.tags, m.description);
  }
  return page;
}

}  // namespace penstock::kafka
