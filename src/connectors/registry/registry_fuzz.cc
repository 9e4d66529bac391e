// SPDX-License-Identifier: Apache-2.0
// What stands in front of a value in Confluent's formats: read, written and read again it is the same, and
// nothing of the value is taken.
#include <penstock/protobuf.h>

#include <cstdlib>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::detail;
  const std::vector<char> exact(data, data + size);
  std::string_view bytes(exact.data(), exact.size());
  std::int32_t id = 0;
  if (!take_schema_id(bytes, id)) return 0;
  std::string out;
  put_schema_id(id, out);
  if (out != std::string_view(exact.data(), 5)) std::abort();
  std::vector<std::int64_t> indexes, again;
  if (!take_message_indexes(bytes, indexes)) return 0;
  if (bytes.size() + 6 > size || indexes.empty()) std::abort();
  out.clear();
  put_message_indexes(indexes, out);
  std::string_view written(out);
  if (!take_message_indexes(written, again) || again != indexes || !written.empty()) std::abort();
  return 0;
}
