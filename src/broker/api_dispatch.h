// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <span>

#include "broker/reply.h"
#include "wire/reader.h"

namespace penstock::broker {

class broker_core;

/// One API that is served. All of them stand in one table, in api_dispatch.cc.
struct api_entry {
  wire::api_key key;
  std::int16_t min_version;
  std::int16_t max_version;
  /// Decodes the body and calls the handler; an error closes the connection.
  result<> (*run)(broker_core& core, const request_info& info, wire::reader& body, reply_slot slot);
};

/// In ascending order of their keys: what ApiVersions tells.
std::span<const api_entry> served_apis() noexcept;

/// Has a request answered, now or later, through `slot`. An error closes the connection: Kafka has no answer
/// to a request of an unknown API or version (but ApiVersions, KIP-511), nor to one that cannot be decoded.
result<> dispatch(broker_core& core, request_info info, wire::reader& body, reply_slot slot);

}  // namespace penstock::broker
