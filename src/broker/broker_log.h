// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spdlog/logger.h>

namespace penstock::broker {

/// Where the broker tells what happens: spdlog's logger "penstock", if the program has registered one before
/// the first line; else one that writes to standard error. Never standard output, which belongs to the
/// program.
spdlog::logger& broker_log();

}  // namespace penstock::broker
