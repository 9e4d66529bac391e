// SPDX-License-Identifier: Apache-2.0
// The settings of producers. How to add one: src/client/README.md, "Settings".
#include "client/bootstrap.h"
#include "client/cluster.h"
#include "client/setting.h"
#include "wire/compression.h"

namespace penstock::client {

using kafka::producer_settings;

namespace {

constexpr std::int64_t gib = std::int64_t{1} << 30;
constexpr auto producers = static_cast<std::uint8_t>(client_kind::producer);

setting idempotence() {
  setting row{.name = "enable.idempotence", .of = producers, .type = "boolean", .range = "true, false"};
  row.text =
      "Whether the brokers recognise what they have already, so that retries cannot duplicate or reorder "
      "(KIP-98). Needs acks=all and at most 5 requests in flight.";
  row.standard = "true with acks=all";
  row.set = [](settings_view& s, std::string_view given) -> complaint {
    const auto value = parse_boolean(given);
    if (!value) return fmt::format("is \"{}\"; it must be true or false", given);
    s.producer->idempotence = *value;
    return std::nullopt;
  };
  row.get = [](const settings_view& s) { return is_idempotent(*s.producer) ? "true" : "false"; };
  return row;
}

// The levels stand for all codecs at once, and the one that is chosen takes its own.
setting level(std::string_view name, compression codec, std::string_view text) {
  const auto levels = wire::levels_of(codec);
  const limits l{.low = levels.min, .high = levels.max};
  setting row{.name = name, .of = producers, .type = "integer", .range = to_text(l), .text = text};
  row.late = true;
  row.standard = std::to_string(levels.standard);
  row.set = [codec, l](settings_view& s, std::string_view given) -> complaint {
    const auto value = parse_integer(given);
    if (!value) return not_a_number(given, l);
    if (auto wrong = check_limits(*value, l)) return wrong;
    if (s.producer->compression == codec) s.producer->compression_level = static_cast<int>(*value);
    return std::nullopt;
  };
  row.get = [codec](const settings_view& s) {
    const bool set = s.producer->compression == codec && s.producer->compression_level;
    return std::to_string(set ? *s.producer->compression_level : wire::levels_of(codec).standard);
  };
  row.check = [codec, l](const settings_view& s) -> complaint {
    if (s.producer->compression != codec || !s.producer->compression_level) return std::nullopt;
    return check_limits(*s.producer->compression_level, l);
  };
  return row;
}

void add_compression_settings(std::vector<setting>& rows) {
  rows.push_back(one_of("compression.type", &producer_settings::compression,
                        {{"none", compression::none},
                         {"gzip", compression::gzip},
                         {"snappy", compression::snappy},
                         {"lz4", compression::lz4},
                         {"zstd", compression::zstd},
                         {"uncompressed", compression::none}},
                        "How batches are compressed."));
  rows.push_back(level("compression.gzip.level", compression::gzip, "The level of compression.type=gzip."));
  rows.push_back(level("compression.lz4.level", compression::lz4, "The level of compression.type=lz4."));
  rows.push_back(level("compression.zstd.level", compression::zstd, "The level of compression.type=zstd."));
}

}  // namespace

void add_producer_settings(std::vector<setting>& rows) {
  add_compression_settings(rows);
  rows.push_back(idempotence());
  rows.push_back(
      one_of("partitioner", &producer_settings::partitioner,
             {{"murmur2", kafka::partitioner::murmur2},
              {"sticky", kafka::partitioner::sticky},
              {"round_robin", kafka::partitioner::round_robin},
              {"random", kafka::partitioner::random},
              {"murmur2_random", kafka::partitioner::murmur2}},
             "Where records go that name no partition: by the key's hash as Kafka's Java client (without "
             "a key as sticky); the same for a batch and another for the next; in turn; any."));
  rows.push_back(one_of("acks", &producer_settings::acks,
                        {{"all", kafka::acks::all},
                         {"0", kafka::acks::none},
                         {"1", kafka::acks::leader},
                         {"-1", kafka::acks::all}},
                        "Who must have a batch before the broker says so: nobody (and no answer), the "
                        "leader, or all replicas in sync."));
  rows.push_back(
      number("batch.size", &producer_settings::batch_size, {.low = 0, .high = gib, .unit = "bytes"},
             "What a partition's batch may grow to before it is sent; a larger record has one of its own."));
  rows.push_back(number("linger.ms", &producer_settings::linger, {.low = 0, .high = day_ms},
                        "How long a batch waits for more records before it is sent."));
  rows.push_back(number("max.request.size", &producer_settings::max_request_size,
                        {.low = 1024, .high = gib, .unit = "bytes"},
                        "The largest record, and the most that the batches of one request have together."));
  rows.push_back(
      number("buffer.memory", &producer_settings::buffer_memory,
             {.low = 1, .high = std::int64_t{1} << 40, .unit = "bytes"},
             "What records that are not acknowledged yet may take; above it send waits for at most "
             "max.block.ms."));
  rows.push_back(number("max.in.flight.requests.per.connection", &producer_settings::max_in_flight,
                        {.low = 1, .high = 1'000'000},
                        "Requests under way on one connection; at most 5 with idempotence."));
  rows.push_back(number(
      "connections.per.broker", &producer_settings::connections_per_broker,
      {.low = 1, .high = most_produce_lanes},
      "The most connections that produce requests take to one broker (Kafka's clients have one). Further "
      "ones are opened while batches wait for the first, and closed when one would do again; a partition's "
      "records keep their order."));
  rows.push_back(number("delivery.timeout.ms", &producer_settings::delivery_timeout,
                        {.low = 1, .high = 30 * day_ms},
                        "How long a record may take from send to its outcome, all attempts together."));
  rows.push_back(number("max.block.ms", &producer_settings::max_block, {.low = 0, .high = 30 * day_ms},
                        "How long send waits for room in buffer.memory and for a topic's partitions."));
  rows.push_back(
      text("transactional.id", &producer_settings::transactional_id,
           "Makes the producer transactional; a second one with the same id fences the first. Empty: no "
           "transactions."));
  rows.push_back(number("transaction.timeout.ms", &producer_settings::transaction_timeout, {.low = 1},
                        "A transaction that is open for longer is aborted by the broker; at most its "
                        "transaction.max.timeout.ms."));
  rows.push_back(boolean("allow.auto.create.topics", &producer_settings::allow_auto_create_topics,
                         "Lets the brokers make a topic that is written to and missing, if they do such "
                         "things."));
}

}  // namespace penstock::client
