// SPDX-License-Identifier: Apache-2.0
// What an error means for a transaction, and how that is said.
#pragma once

#include <penstock/result.h>

#include <string_view>

#include "wire/error_code.h"

namespace penstock::client {

/// Codes that a coordinator answers: of transactions, and for transactional offsets of groups.
recovery after_coordinator_error(wire::error_code code) noexcept;
/// Codes that a partition's leader answers to a transactional batch, once it is not sent again.
recovery after_produce_error(wire::error_code code) noexcept;

/// The error with this recovery instead of its own, and with what to do at the end of its message.
error with_recovery(const error& why, recovery next);
/// The error with more behind its message.
error with_note(const error& why, std::string_view note);
/// with_recovery for an answered code; `context` names the thing asked about.
error coordinator_error(wire::error_code code, std::string_view context);

}  // namespace penstock::client
