// SPDX-License-Identifier: Apache-2.0
// Answers that tell clients where to connect, with other addresses put in.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "io/stream.h"
#include "proxy_rules.h"

namespace penstock::testing {

/// Where clients shall go instead of to that broker.
using new_address = std::function<io::endpoint(const io::endpoint& broker)>;

/// The whole frame of an answer to that request with each broker's address replaced; nullopt when there is
/// none in it (or it cannot be decoded: that is the client's to find out). KIP-951 added addresses to Produce
/// and Fetch.
std::optional<std::string> with_addresses(const request_info& request, bytes_view frame,
                                          const new_address& to);

}  // namespace penstock::testing
