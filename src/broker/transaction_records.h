// SPDX-License-Identifier: Apache-2.0
// What the transaction coordinator keeps in __transaction_state: one record a transactional id, in Kafka's
// own format, so that tools which read that topic understand it.
//
//   key    int16 0, string transactional id
//   value  int16 1, int64 producer id, int16 epoch, int32 timeout (ms), int8 state, the partitions by topic
//          (null in state Empty), int64 time of the last change (ms), int64 time of the begin (ms), and as
//          tagged fields the previous and the next producer id and the client's transaction version
//
// A record without a value (a tombstone) forgets the id. `last_epoch` is not kept, as in Kafka.
#pragma once

#include <penstock/result.h>

#include <optional>
#include <string>
#include <string_view>

#include "broker/transaction.h"

namespace penstock::broker {

std::string encode_transaction_key(std::string_view transactional_id);
std::string encode(const transaction& t);

/// The transactional id; nothing for a kind of key that we do not know. Errors: corrupt.
result<std::optional<std::string>> decode_transaction_key(std::string_view bytes);
/// Errors: corrupt when the bytes are cut short, or name a state that cannot be.
result<transaction> decode_transaction(std::string_view id, std::string_view bytes);

}  // namespace penstock::broker
