// SPDX-License-Identifier: Apache-2.0
// What the broker reads back from its own files: the metadata file and the records of __consumer_offsets.
// Requests are decoded by wire, which fuzzes that.
#include <cstdint>
#include <string_view>

#include "broker/group_records.h"
#include "broker/metadata_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::broker;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)decode_metadata(bytes);
  (void)decode_state_key(bytes);
  (void)decode_committed_offset(bytes);
  (void)subscribed_topics(bytes);
  // What was read can be written and read again.
  if (auto g = decode_stored_group(bytes); g && decode_stored_group(encode(*g)) != *g) __builtin_trap();
  return 0;
}
