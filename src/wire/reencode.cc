// SPDX-License-Identifier: Apache-2.0
#include "wire/reencode.h"

#include "wire/messages/every_message.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace penstock::wire {
namespace {

template <typename Message>
result<std::string> reencode(bytes_view bytes, std::int16_t version) {
  reader in(bytes);
  Message message;
  if (auto decoded = message.decode(in, version); !decoded) return fail(decoded.error());
  if (in.left() != 0) return fail(errc::corrupt, "bytes are left behind the message");
  std::string again;
  writer out(again);
  if (auto encoded = message.encode(out, version); !encoded) return fail(encoded.error());
  return again;
}

constexpr message_codec codecs[] = {
#define X(key, type) {#type, type::min_version, type::max_version, &reencode<type>},
#include "wire/messages/every_message.inc"
#undef X
};

}  // namespace

std::span<const message_codec> every_message() { return codecs; }

const message_codec* find_message(std::string_view name) {
  for (const message_codec& codec : codecs)
    if (codec.name == name) return &codec;
  return nullptr;
}

}  // namespace penstock::wire
