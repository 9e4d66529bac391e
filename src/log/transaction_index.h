// SPDX-License-Identifier: Apache-2.0
// The file .txnindex of a segment: the transactions whose abort marker lies in it, in the order of the
// markers. Entries of 34 bytes, big-endian:
//    0  i16  version 0
//    2  i64  producer id
//   10  i64  first offset         of the transaction
//   18  i64  last offset          of its marker
//   26  i64  last stable offset   at the time when the marker was written
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::log {

struct aborted_transaction {
  std::int64_t producer_id = -1;
  std::int64_t first_offset = -1;
  std::int64_t last_offset = -1;  ///< of the marker
  std::int64_t last_stable_offset =
      -1;  ///< transactions that began before it and abort later stand behind this one
  friend bool operator==(const aborted_transaction&, const aborted_transaction&) = default;
};

inline constexpr std::size_t aborted_transaction_bytes = 34;

void append_to(std::string& out, const aborted_transaction& t);
/// Errors: corrupt, when it is not whole entries of version 0 in ascending order.
result<std::vector<aborted_transaction>> decode_transaction_index(std::string_view bytes);

}  // namespace penstock::log
