// SPDX-License-Identifier: Apache-2.0
// Checks of settings, all before anything is connected.
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/result.h>

#include <string_view>
#include <vector>

#include "io/stream.h"

namespace penstock::client {

/// "host:port,host:port"; spaces around the commas do not matter. errc::invalid_argument names the bad part.
result<std::vector<io::endpoint>> parse_bootstrap_servers(std::string_view text);

/// errc::invalid_argument names every setting that is wrong.
result<> validate(const kafka::connection_settings& s);
result<> validate(const kafka::admin_settings& s);
result<> validate(const kafka::producer_settings& s);
result<> validate(const kafka::consumer_settings& s);

/// Whether the producer is idempotent: as set, or, if not set, whenever acks allow it.
bool is_idempotent(const kafka::producer_settings& s) noexcept;

}  // namespace penstock::client
