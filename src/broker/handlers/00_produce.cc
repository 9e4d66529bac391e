// SPDX-License-Identifier: Apache-2.0
// Produce (0), versions 3-13; 0-2 are announced and refused.
//
// v0-2  message sets: every partition is answered UNSUPPORTED_VERSION. They are announced because older
// librdkafka takes a
//       minimum above 0 for a broker without compression (Kafka does the same, KAFKA-18659)
// v3    record batches, transactional ids
// v5    log start offset in the answer
// v7    zstd
// v8    errors by record
// v9    flexible
// v10   the leader's endpoint, when it moved: never here
// v11   TRANSACTION_ABORTABLE
// v12   transactional batches: their partitions join the transaction by this request (KIP-890); before, they
//       must have been added to it
// v13   topics by id
//
// A batch is checked down to its records and then appended as it came (KAFKA.md 3.2 gives the order of the
// checks).
#include <fmt/format.h>

#include "broker/handlers/transactional.h"
#include "broker/recompress.h"
#include "wire/batch_validation.h"

namespace penstock::broker {
namespace {

using response_partition = wire::produce_response::partition_produce_response;
using request_partition = wire::produce_request::partition_produce_data;

// Always false, for `return refuse(...)` in a check.
bool refuse(response_partition& out, error_code e, std::optional<std::string> why = std::nullopt) {
  out.error_code = number(e);
  out.base_offset = -1;
  out.error_message = std::move(why);
  return false;
}

// What can be said without looking at the records.
bool check_header(response_partition& out, std::string_view bytes, const topic_settings& settings,
                  std::int16_t version) {
  if (wire::peek_magic(bytes) != 2)
    return refuse(out, error_code::invalid_record, "exactly one record batch of format 2 is expected");
  const auto header = wire::parse_batch_header(bytes);
  if (!header) {
    const bool codec = header.error().kind() == errc::unsupported;
    return refuse(out, codec ? error_code::unsupported_compression_type : error_code::corrupt_message,
                  header.error().message());
  }
  if (header->total_size() > bytes.size())
    return refuse(out, error_code::corrupt_message, "the record batch is cut off");
  if (header->total_size() < bytes.size())
    return refuse(out, error_code::invalid_record, "exactly one record batch is expected");
  if (header->codec() == compression::zstd && version < 7)
    return refuse(out, error_code::unsupported_compression_type, "zstd needs Produce version 7");
  if (static_cast<std::int64_t>(bytes.size()) > settings.max_message_bytes)
    return refuse(out, error_code::message_too_large,
                  fmt::format("the record batch has {} bytes, max.message.bytes is {}", bytes.size(),
                              settings.max_message_bytes));
  return true;
}

bool check_records(response_partition& out, const wire::batch_summary& batch, const topic_settings& settings,
                   std::int64_t now) {
  if (!batch.null_keys.empty()) {
    for (const auto index : batch.null_keys)
      out.record_errors.push_back({index, "Compacted topic cannot accept message without key."});
    return refuse(out, error_code::invalid_record, "One or more records have been rejected");
  }
  if (settings.log.log_append_time) return true;
  const bool too_new = batch.max_timestamp - now > settings.timestamp_after_max_ms;
  const bool too_old = now - batch.min_timestamp > settings.timestamp_before_max_ms;
  if (too_new || too_old)
    return refuse(out, error_code::invalid_timestamp,
                  fmt::format("timestamp {} of a record is out of range",
                              too_new ? batch.max_timestamp : batch.min_timestamp));
  return true;
}

error_code code_of(log::append_status s) {
  switch (s) {
    case log::append_status::appended:
    case log::append_status::duplicate: return error_code::none;
    case log::append_status::out_of_order_sequence: return error_code::out_of_order_sequence_number;
    case log::append_status::invalid_producer_epoch: return error_code::invalid_producer_epoch;
    case log::append_status::invalid_txn_state: return error_code::invalid_txn_state;
    case log::append_status::coordinator_fenced: return error_code::transaction_coordinator_fenced;
    case log::append_status::too_large: return error_code::record_list_too_large;
    case log::append_status::not_written: return error_code::kafka_storage_error;
  }
  return error_code::unknown_server_error;
}

// The bytes to append: the client's own, in its connection's input buffer, or a copy in another codec.
result<std::span<char>> bytes_to_append(broker_core& core, const topic_settings& settings,
                                        const wire::batch_summary& batch, std::string_view bytes) {
  // The buffer belongs to us and nobody reads it again, so offsets and epoch may be set in place.
  const std::span<char> own(const_cast<char*>(bytes.data()), bytes.size());
  if (settings.recompress && *settings.recompress != batch.header.codec())
    return recompress(batch, bytes, *settings.recompress, settings.compression_level, core.scratch,
                      core.rewritten);
  if (batch.header.max_timestamp != batch.max_timestamp && !settings.log.log_append_time)
    wire::set_max_timestamp(own, wire::timestamp_type::create_time, batch.max_timestamp);
  return own;
}

/// What the coordinator said of the request's transaction. Not asked for a request without transactional
/// batches.
struct transaction_verdict {
  bool joined = false;  ///< v12 and later: the partitions are part of it, if `error` is none
  error_code error = error_code::none;
};

// Whether a transactional batch may be appended: its partition must be part of its producer's open
// transaction.
bool check_transaction(broker_core& core, std::int16_t version, const wire::produce_request& q,
                       const transaction_verdict& verdict, const partition& p,
                       const wire::batch_header& batch, response_partition& out) {
  if (!batch.transactional()) return true;
  auto e = verdict.error;
  if (!verdict.joined)
    e = core.transactions.verify(*q.transactional_id, {batch.producer_id, batch.producer_epoch},
                                 p.owner->name(), p.index);
  if (e == error_code::none) return true;
  // Old clients know no error here that asks them to wait for the coordinator.
  e = for_writer(e, version, 11, error_code::not_enough_replicas);
  return refuse(out, e,
                fmt::format("transactional id {}, producer {} epoch {}: {}", *q.transactional_id,
                            batch.producer_id, batch.producer_epoch, wire::to_string(e)));
}

/// Appends one partition's batch and fills in its answer. Returns where the log must be synced to before the
/// answer.
std::optional<syncer::target> append(broker_core& core, std::int16_t version, const wire::produce_request& q,
                                     const transaction_verdict& verdict, partition& p, std::string_view bytes,
                                     response_partition& out) {
  const topic_settings& settings = p.owner->settings;
  if (!check_header(out, bytes, settings, version)) return std::nullopt;
  auto batch = wire::validate_batch(bytes, {.find_null_keys = settings.compacted}, core.scratch);
  if (!batch) {
    refuse(out, static_cast<error_code>(broker::code_of(batch.error())), batch.error().message());
    return std::nullopt;
  }
  if (!check_records(out, *batch, settings, core.env.time->wall_ms())) return std::nullopt;
  if (!check_transaction(core, version, q, verdict, p, batch->header, out)) return std::nullopt;
  auto final_bytes = bytes_to_append(core, settings, *batch, bytes);
  if (!final_bytes) {
    refuse(out, error_code::corrupt_message, final_bytes.error().message());
    return std::nullopt;
  }
  auto log = core.topics.open_log(p);
  if (!log) {
    refuse(out, core.storage_error(log.error()), log.error().message());
    return std::nullopt;
  }
  log::append_batch one{.bytes = *final_bytes};
  auto summary =
      (*log)->append({&one, 1}, {.leader_epoch = core.leader_epoch(),
                                 .epoch_of_its_own = verdict.joined && batch->header.transactional()});
  if (!summary) {
    refuse(out, core.storage_error(summary.error()), summary.error().message());
    return std::nullopt;
  }
  if (const auto e = code_of(one.status); e != error_code::none) {
    refuse(out, e,
           fmt::format("producer {} epoch {} sequence {}", batch->header.producer_id,
                       batch->header.producer_epoch, batch->header.base_sequence));
    return std::nullopt;
  }
  out.base_offset = one.base_offset;
  out.log_append_time_ms = one.log_append_time_ms;
  out.log_start_offset = (*log)->log_start_offset();
  if (one.status == log::append_status::appended)
    core.appended(p, final_bytes->size(), summary->flush_wanted);
  return syncer::target{p.log, one.last_offset + 1};
}

// Fills in one partition's answer.
std::optional<syncer::target> produce(broker_core& core, const request_info& info,
                                      const wire::produce_request& q, const transaction_verdict& verdict,
                                      const topic_lookup& t, const request_partition& part,
                                      response_partition& out) {
  if (info.version < 3) {
    refuse(out, error_code::unsupported_version,
           "message sets are not taken: Produce version 3 or later is needed");
  } else if (q.acks < -1 || q.acks > 1) {
    refuse(out, error_code::invalid_required_acks, "acks must be -1, 0 or 1");
  } else if (t.found == nullptr) {
    refuse(out, t.error);
  } else if (partition* p = t.found->find(part.index); p == nullptr) {
    refuse(out, error_code::unknown_topic_or_partition);
  } else if (t.found->internal) {
    refuse(out, error_code::invalid_topic_exception, "the topic is the broker's own");
  } else {
    return append(core, info.version, q, verdict, *p, part.records.bytes, out);
  }
  return std::nullopt;
}

// Looks at the headers alone: whether there are transactional batches, whose, and for which partitions.
struct transactional_part {
  std::optional<producer_identity> producer;
  partition_sets partitions;
  bool one_producer = true;
};
transactional_part transactional_part_of(broker_core& core, const request_info& info,
                                         const wire::produce_request& q) {
  transactional_part found;
  for (const auto& t : q.topic_data) {
    const auto named = find_topic(core, t.name, t.topic_id, info.version >= 13);
    for (const auto& part : t.partition_data) {
      const auto header = wire::parse_batch_header(part.records.bytes);
      if (!header || !header->transactional()) continue;
      const producer_identity producer{header->producer_id, header->producer_epoch};
      found.one_producer &= !found.producer || *found.producer == producer;
      found.producer = producer;
      if (named.found != nullptr && !named.found->internal && named.found->find(part.index) != nullptr)
        found.partitions[named.found->name()].insert(part.index);
    }
  }
  return found;
}

// Has the partitions of a transactional request join the transaction, in the versions that do so.
transaction_verdict join_transaction(broker_core& core, const request_info& info,
                                     const wire::produce_request& q) {
  const auto part = transactional_part_of(core, info, q);
  if (!part.producer) return {};
  if (!q.transactional_id) return {true, error_code::transactional_id_authorization_failed};
  if (info.version < 12) return {};
  if (!part.one_producer) return {true, error_code::invalid_producer_id_mapping};
  auto e = core.transactions.add(*q.transactional_id, *part.producer, part.partitions,
                                 transaction_version::raised);
  core.arm_transaction_timer();
  if (e == error_code::kafka_storage_error) e = error_code::not_enough_replicas;
  return {true, e};
}

bool any_transactional(const wire::produce_request& q) {
  // The bit may be looked at without parsing; most requests have none.
  constexpr std::size_t attributes_low_byte = 22;
  for (const auto& t : q.topic_data)
    for (const auto& part : t.partition_data)
      if (const auto bytes = part.records.bytes;
          bytes.size() > attributes_low_byte &&
          (bytes[attributes_low_byte] & wire::batch_header::transactional_bit) != 0)
        return true;
  return false;
}

}  // namespace

void handle_produce(broker_core& core, const request_info& info, wire::produce_request& q,
                    responder<wire::produce_response> reply) {
  wire::produce_response answer;
  std::vector<syncer::target> to_sync;
  bool all_good = true;
  const auto verdict = any_transactional(q) ? join_transaction(core, info, q) : transaction_verdict{};
  for (const auto& t : q.topic_data) {
    auto& out_topic = answer.responses.emplace_back();
    out_topic.name = t.name;
    out_topic.topic_id = t.topic_id;
    const auto found = find_topic(core, t.name, t.topic_id, info.version >= 13);
    for (const auto& part : t.partition_data) {
      auto& out = out_topic.partition_responses.emplace_back();
      out.index = part.index;
      if (auto target = produce(core, info, q, verdict, found, part, out))
        to_sync.push_back(std::move(*target));
      all_good &= out.error_code == 0;
    }
  }
  if (q.acks == 0) return all_good ? reply.slot().send_nothing() : reply.slot().close();
  answer_when_durable(core, std::move(to_sync), std::move(answer), std::move(reply));
}

}  // namespace penstock::broker
