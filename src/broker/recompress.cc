// SPDX-License-Identifier: Apache-2.0
#include "broker/recompress.h"

#include "wire/compression.h"

namespace penstock::broker {

result<std::span<char>> recompress(const wire::batch_summary& summary, std::string_view batch,
                                   compression codec, int level, wire::scratch_buffer& scratch,
                                   wire::scratch_buffer& out) {
  // The record section does not depend on the codec, so it is taken out and put back as a whole.
  const wire::batch_header& header = summary.header;
  std::string_view records = batch.substr(wire::batch_overhead);
  if (header.codec() != compression::none) {
    if (auto plain = wire::decompress(header.codec(), records, wire::default_max_decompressed, scratch);
        !plain)
      return fail(plain.error());
    records = scratch.view();
  }
  out.clear();
  out.resize(wire::batch_overhead);
  if (codec == compression::none) {
    out.append(records);
  } else if (auto packed = wire::compress(codec, level, records, out); !packed) {
    return fail(packed.error());
  }
  wire::batch_header changed = header;
  changed.attributes = static_cast<std::int16_t>((header.attributes & ~wire::batch_header::codec_mask) |
                                                 static_cast<std::int16_t>(codec));
  changed.max_timestamp = summary.max_timestamp;
  changed.length = static_cast<std::int32_t>(out.size() - wire::log_overhead);
  const std::span<char> whole(out.data(), out.size());
  wire::write_batch_header(changed, whole);
  wire::set_crc(whole);
  return whole;
}

}  // namespace penstock::broker
