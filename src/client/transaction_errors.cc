// SPDX-License-Identifier: Apache-2.0
#include "client/transaction_errors.h"

#include <string>
#include <utility>

namespace penstock::client {
namespace {

using wire::error_code;

std::string_view advice(const error& e, recovery next) {
  if (next == recovery::abort_transaction) return "; abort the transaction, then another may begin";
  if (next != recovery::fatal) return {};
  switch (static_cast<error_code>(e.kafka_code())) {
    case error_code::producer_fenced:
    case error_code::invalid_producer_epoch:
      return "; another producer has taken over the transactional id, or the transaction timed out: close "
             "this "
             "producer";
    case error_code::invalid_producer_id_mapping:
      return "; the broker has forgotten the transactional id (transactional.id.expiration.ms) or gave it "
             "away: "
             "make a new producer";
    case error_code::invalid_transaction_timeout:
      return "; transaction.timeout.ms is above the broker's transaction.max.timeout.ms";
    case error_code::transactional_id_authorization_failed:
    case error_code::cluster_authorization_failed:
      return "; the broker's ACLs do not let this client use the transactional id";
    default: return "; this producer cannot go on: make a new one";
  }
}

error with_message(const error& why, std::string message, recovery next) {
  if (why.kind() == errc::kafka) return error::from_kafka(why.kafka_code(), std::move(message), next);
  return {why.kind(), std::move(message), next};
}

}  // namespace

recovery after_coordinator_error(error_code code) noexcept {
  switch (code) {
    case error_code::transaction_abortable:
    case error_code::topic_authorization_failed:
    case error_code::group_authorization_failed:
    case error_code::invalid_group_id:
    case error_code::invalid_topic_exception:
    case error_code::offset_metadata_too_large:
    case error_code::invalid_commit_offset_size:
    // The group went on without this member (KIP-447).
    case error_code::illegal_generation:
    case error_code::unknown_member_id:
    case error_code::fenced_instance_id:
    case error_code::stale_member_epoch:
    case error_code::fenced_member_epoch:
    case error_code::rebalance_in_progress: return recovery::abort_transaction;
    default: return wire::retriable(code) ? recovery::retriable : recovery::fatal;
  }
}

recovery after_produce_error(error_code code) noexcept {
  switch (code) {
    case error_code::producer_fenced:
    case error_code::invalid_producer_id_mapping:
    case error_code::transactional_id_authorization_failed:
    case error_code::cluster_authorization_failed:
    case error_code::unsupported_version: return recovery::fatal;
    default: return recovery::abort_transaction;
  }
}

error with_recovery(const error& why, recovery next) {
  const auto hint = advice(why, next);
  return with_message(why, why.message().ends_with(hint) ? why.message() : why.message() + std::string(hint),
                      next);
}

error with_note(const error& why, std::string_view note) {
  return with_message(why, why.message() + std::string(note), why.what_to_do());
}

error coordinator_error(error_code code, std::string_view context) {
  return with_recovery(wire::make_error(code, context), after_coordinator_error(code));
}

}  // namespace penstock::client
