// SPDX-License-Identifier: Apache-2.0
// Any bytes as any message: the first byte chooses the message, the second its version. What can be read can
// be written, and read again with the same meaning.
#include <cstdint>
#include <cstdlib>

#include "wire/api.h"
#include "wire/reencode.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  if (size < 2) return 0;
  const bytes_view input(reinterpret_cast<const char*>(data), size);

  wire::reader in(input);
  wire::request_header header;
  static_cast<void>(header.decode(in).has_value());

  const auto all = wire::every_message();
  const wire::message_codec& codec = all[data[0] % all.size()];
  const auto version =
      static_cast<std::int16_t>(codec.min_version + data[1] % (codec.max_version - codec.min_version + 1));
  const auto once = codec.reencode(input.substr(2), version);
  if (!once) return 0;
  const auto twice = codec.reencode(*once, version);
  if (!twice || *twice != *once) std::abort();
  return 0;
}
