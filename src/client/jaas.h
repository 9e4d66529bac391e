// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/security.h>

#include <optional>
#include <string>
#include <string_view>

namespace penstock::client {

/// Takes over what a line for Java's login modules says, such as
///   org.apache.kafka.common.security.plain.PlainLoginModule required username="board" password="...";
/// Returns the rest of a sentence that begins with the setting's name, or nothing when it was understood.
/// The text holds secrets, so that sentence repeats none of it.
std::optional<std::string> apply_jaas(std::string_view text, kafka::security_settings& s);

}  // namespace penstock::client
