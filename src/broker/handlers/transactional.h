// SPDX-License-Identifier: Apache-2.0
// What the handlers of transactions share.
#pragma once

#include <string>

#include "broker/handlers/common.h"

namespace penstock::broker {

/// PRODUCER_FENCED is known to clients from some version of each request on; before, it was said otherwise.
inline error_code for_version(error_code e, std::int16_t version, std::int16_t knows_fenced) noexcept {
  return e == error_code::producer_fenced && version < knows_fenced ? error_code::invalid_producer_epoch : e;
}

/// A check of the coordinator as the writer of records is told of it. `abortable_from` is the first version
/// whose clients know TRANSACTION_ABORTABLE.
inline error_code for_writer(error_code e, std::int16_t version, std::int16_t abortable_from,
                             error_code later_for_old) noexcept {
  switch (e) {
    case error_code::producer_fenced: return error_code::invalid_producer_epoch;
    case error_code::transaction_abortable:
      return version >= abortable_from ? e : error_code::invalid_txn_state;
    case error_code::concurrent_transactions: return version > abortable_from ? e : later_for_old;
    default: return e;
  }
}

}  // namespace penstock::broker
