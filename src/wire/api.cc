// SPDX-License-Identifier: Apache-2.0
#include "wire/api.h"

namespace penstock::wire {
namespace {

bool flexible(api_key key, std::int16_t version) noexcept {
  const api_info* api = find_api(key);
  return api != nullptr && api->flexible(version);
}

}  // namespace

result<> request_header::encode(writer& out) const {
  const std::size_t start = out.position();
  out.integer(static_cast<std::int16_t>(key));
  out.integer(version);
  out.integer(correlation_id);
  // Never a compact string, so that a broker can read it before it knows the version.
  if (client_id)
    out.string(*client_id, false);
  else
    out.null_string(false);
  if (flexible(key, version)) out.uvarint(0);
  return out.finish("request header", start);
}

result<> request_header::decode(reader& in) {
  key = static_cast<api_key>(in.integer<std::int16_t>());
  version = in.integer<std::int16_t>();
  correlation_id = in.integer<std::int32_t>();
  client_id.reset();
  const api_info* api = find_api(key);
  if (api != nullptr && api->has(version)) {
    client_id = in.nullable_string(false);
    if (api->flexible(version)) in.skip_tags();
  }
  return in.finish("request header");
}

void response_header::encode(writer& out, api_key key, std::int16_t version) const {
  out.integer(correlation_id);
  // A client reads the answer to ApiVersions before it knows what the broker speaks.
  if (key != api_key::api_versions && flexible(key, version)) out.uvarint(0);
}

result<> response_header::decode(reader& in, api_key key, std::int16_t version) {
  correlation_id = in.integer<std::int32_t>();
  if (key != api_key::api_versions && flexible(key, version)) in.skip_tags();
  return in.finish("response header");
}

}  // namespace penstock::wire
