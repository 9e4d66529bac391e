// SPDX-License-Identifier: Apache-2.0
// What the test proxy does to which requests, and how a rule is written as words.
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/api.h"

namespace penstock::testing {

/// What can happen to a request that a rule meets. "Closed" means both connections: the client's and the one
/// to the broker that belongs to it.
enum class fault : std::uint8_t {
  none,
  delay_request,     ///< it reaches the broker later; what the connection sends behind it waits too
  delay_answer,      ///< its answer reaches the client later; answers behind it wait too
  cut_before,        ///< closed, the broker never sees it
  cut_inside,        ///< closed when the broker has half of its bytes
  cut_after,         ///< the broker handles it; closed instead of the answer being passed on
  cut_answer,        ///< closed when the client has half of the answer's bytes
  blackhole,         ///< neither it nor anything behind it gets through, in either direction; not closed
  blackhole_answer,  ///< the broker handles it; nothing gets through from then on; not closed
  replay,  ///< the broker gets it a second time, on another connection; the second answer is thrown away
  garble,  ///< its answer is spoiled: other bytes, lengths, counts or ids, cut off or too long
  late,    ///< closed, and only then the broker gets it, on another connection
};
std::string_view to_string(fault f) noexcept;

/// Which requests meet which fault. The first rule that matches counts.
struct fault_rule {
  fault what = fault::none;
  std::optional<wire::api_key> api{};  ///< nullopt: any
  std::int16_t min_version = 0;
  std::int16_t max_version = 0x7fff;
  std::string client{};  ///< the client id, exactly; empty: any
  int skip = 0;          ///< so many that match are let through first
  int times = 1;         ///< so many meet it; 0: all that come
  double chance = 1;     ///< of each that matches
  /// How late: between the two, evenly. With `late` and `replay`, nullopt: when release() says so. With the
  /// black holes: closed after that, nullopt: when an end closes it.
  std::optional<std::chrono::milliseconds> after{};
  std::optional<std::chrono::milliseconds> after_at_most{};
};

/// From words, for example "cut-after api=end_txn skip=1 times=2 chance=0.5 ms=10-200 version=3-4 client=x".
result<fault_rule> parse_rule(std::string_view words);

/// A request as rules and tests see it.
struct request_info {
  wire::api_key key{};
  std::int16_t version = 0;
  std::int32_t correlation_id = 0;
  std::string client{};
};
/// Reads a request's header behind the frame's length; nullopt when it is none of Kafka's (as the tokens of
/// the old SASL exchange are not).
std::optional<request_info> read_request_info(bytes_view frame);

}  // namespace penstock::testing
