// SPDX-License-Identifier: Apache-2.0
// Every message behind one interface, for tests and fuzzing only.
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace penstock::wire {

struct message_codec {
  std::string_view name;  ///< for example "fetch_request"
  std::int16_t min_version;
  std::int16_t max_version;
  /// Decodes the bytes and encodes the message again. Fails when bytes are left over.
  result<std::string> (*reencode)(bytes_view bytes, std::int16_t version);
};

std::span<const message_codec> every_message();

/// nullptr when there is none of that name.
const message_codec* find_message(std::string_view name);

}  // namespace penstock::wire
