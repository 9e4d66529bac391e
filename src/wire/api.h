// SPDX-License-Identifier: Apache-2.0
// The APIs that the codec knows, and the headers in front of their messages.
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/layout.h"
#include "wire/messages/api_key.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace penstock::wire {

/// An API and the versions of it that the codec knows: all that Kafka 0.10.2 to 4.4 offer. A broker offers
/// and a client asks for a part of them.
struct api_info {
  api_key key;
  std::string_view name;
  std::int16_t min_version;
  std::int16_t max_version;
  std::int16_t flexible_from;

  constexpr bool has(std::int16_t version) const noexcept {
    return version >= min_version && version <= max_version;
  }
  constexpr bool flexible(std::int16_t version) const noexcept { return version >= flexible_from; }
};

/// In ascending order of their keys.
inline constexpr api_info api_table[] = {
#include "wire/messages/api_table.inc"
};

/// nullptr for a key that the codec does not know.
constexpr const api_info* find_api(std::int16_t key) noexcept {
  for (const api_info& api : api_table)
    if (static_cast<std::int16_t>(api.key) == key) return &api;
  return nullptr;
}
constexpr const api_info* find_api(api_key key) noexcept { return find_api(static_cast<std::int16_t>(key)); }
/// The name in snake_case, for example "list_offsets"; "unknown" for a key that the codec does not know.
constexpr std::string_view to_string(api_key key) noexcept {
  const api_info* api = find_api(key);
  return api == nullptr ? "unknown" : api->name;
}

/// What comes before every request.
struct request_header {
  api_key key{};
  std::int16_t version = 0;
  std::int32_t correlation_id = 0;
  std::optional<std::string> client_id;

  result<> encode(writer& out) const;
  /// Leaves `in` at the request's body. Of an API that the codec does not know, or in a version beyond its
  /// range, only key, version and correlation id are read, and the body is not reached: whoever answers
  /// looks at the version first (ApiVersions has an answer for that, KIP-511; otherwise the connection is
  /// closed).
  result<> decode(reader& in);
  friend bool operator==(const request_header&, const request_header&) = default;
};

/// What comes before every response. Its form depends on the request's API and version.
struct response_header {
  std::int32_t correlation_id = 0;

  void encode(writer& out, api_key key, std::int16_t version) const;
  result<> decode(reader& in, api_key key, std::int16_t version);
  friend bool operator==(const response_header&, const response_header&) = default;
};

/// Appends a whole request: length, header, body. `header.version` is the body's version. After a failure
/// `out` is as it was.
template <typename Message>
result<> encode_frame(writer& out, const request_header& header, const Message& body) {
  const frame_writer frame(out);
  if (auto written = header.encode(out); !written) return frame.abandon(written.error());
  if (auto written = body.encode(out, header.version); !written) return frame.abandon(written.error());
  return frame.end();
}

/// Appends a whole response to a request of `version`. After a failure `out` is as it was.
template <typename Message>
result<> encode_frame(writer& out, const response_header& header, std::int16_t version, const Message& body) {
  const frame_writer frame(out);
  header.encode(out, Message::key, version);
  if (auto written = body.encode(out, version); !written) return frame.abandon(written.error());
  return frame.end();
}

}  // namespace penstock::wire
