// SPDX-License-Identifier: Apache-2.0
// A record section of any bytes: reading it must end and stay within it, and what was read must come out the
// same from a batch built of it.
#include <cstdlib>
#include <string>
#include <vector>

#include "wire/batch_builder.h"
#include "wire/batch_validation.h"
#include "wire/records_reader.h"

namespace penstock::wire {
namespace {

constexpr std::size_t limit = std::size_t{1} << 20;

void require(bool condition) {
  if (!condition) std::abort();
}

bool same(const record_view& a, const record_view& b) {
  return a.timestamp_ms == b.timestamp_ms && a.key == b.key && a.has_key() == b.has_key() &&
         a.value == b.value && a.is_tombstone() == b.is_tombstone() && a.headers.raw() == b.headers.raw() &&
         a.headers.size() == b.headers.size();
}

void rebuild(record_cursor records) {
  batch_builder builder(limit * 4);
  record_view r;
  for (record_cursor c = records; c.next(r);) require(builder.append(r));
  if (builder.empty()) return;
  auto sealed = builder.seal({.codec = compression::lz4});
  require(sealed.has_value() && crc_matches(*sealed));
  scratch_buffer scratch;
  auto again = open_records(*parse_batch_header(*sealed), *sealed, scratch, limit * 4);
  require(again.has_value());
  record_view s;
  while (records.next(r)) require(again->next(s) && same(r, s));
  require(!again->next(s) && !again->damaged());
}

void read(bytes_view section, bool check_crc) {
  records_reader reader(section, {.fetch_offset = 3, .check_crc = check_crc, .max_decompressed = limit});
  scratch_buffer scratch;
  fetched_batch b;
  for (auto more = reader.next(b, scratch); more && *more; more = reader.next(b, scratch)) {
    record_view r;
    record_cursor c = b.cursor;
    for (std::int64_t n = 0; c.next(r); ++n) {
      require(n < b.header.record_count);
      std::int32_t headers = 0;
      for (const auto& h : r.headers) headers += h.key.data() != nullptr ? 1 : 0;
      require(headers == r.headers.size());
    }
    if (b.header.control() && b.cursor.next(r)) (void)parse_marker(r);
    rebuild(b.cursor);
  }
}

}  // namespace
}  // namespace penstock::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::wire;
  const std::vector<char> exact(data, data + size);
  const penstock::bytes_view section(exact.data(), exact.size());
  read(section, false);
  read(section, true);
  scratch_buffer scratch;
  for (const bool from_producer : {false, true})
    (void)validate_batch(section, {.crc = false, .from_producer = from_producer, .max_decompressed = limit},
                         scratch);
  return 0;
}
