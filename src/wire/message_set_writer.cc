// SPDX-License-Identifier: Apache-2.0
// The format is described in message_set.h.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

#include "wire/compression.h"
#include "wire/message_set.h"
#include "wire/record_writer.h"

namespace penstock::wire {
namespace {

constexpr std::int8_t magic_v1 = 1;
// Offset, size, checksum, magic, attributes, timestamp, and the sizes of key and value.
constexpr std::size_t message_overhead = 8 + 4 + 4 + 1 + 1 + 8 + 4 + 4;
constexpr std::size_t behind_size = 8 + 4;
constexpr std::size_t behind_crc = behind_size + 4;

char* write_sized(char* p, bytes_view bytes) {
  base::store_be<std::int32_t>(p, static_cast<std::int32_t>(detail::size_field(bytes)));
  return detail::write_raw(p + 4, bytes);
}

void write_message(std::int64_t offset, compression codec, std::int64_t timestamp, bytes_view key,
                   bytes_view value, scratch_buffer& out) {
  const std::size_t size = message_overhead + key.size() + value.size();
  char* const start = out.prepare(size);
  base::store_be<std::int64_t>(start, offset);
  base::store_be<std::int32_t>(start + 8, static_cast<std::int32_t>(size - behind_size));
  char* p = start + behind_crc;
  *p++ = magic_v1;
  *p++ = static_cast<char>(codec);
  base::store_be<std::int64_t>(p, timestamp);
  write_sized(write_sized(p + 8, key), value);
  const auto crc = crc32_z(0, reinterpret_cast<const Bytef*>(start) + behind_crc, size - behind_crc);
  base::store_be<std::uint32_t>(start + behind_size, static_cast<std::uint32_t>(crc));
  out.commit(size);
}

struct written {
  std::int64_t count = 0;
  std::int64_t max_timestamp = -1;
};

result<written> write_plain(record_cursor& records, scratch_buffer& out) {
  written w;
  record_view r;
  while (records.next(r)) {
    if (r.headers.size() != 0)
      return fail(errc::unsupported,
                  "a record has headers, which brokers before Kafka 0.11 cannot keep: send it without");
    write_message(w.count++, compression::none, r.timestamp_ms, r.key, r.value, out);
    w.max_timestamp = std::max(w.max_timestamp, r.timestamp_ms);
  }
  if (records.damaged()) return fail(records.damage());
  return w;
}

}  // namespace

result<> write_messages(record_cursor records, compression codec, int level, scratch_buffer& out) {
  if (codec > compression::lz4)
    return fail(errc::unsupported,
                fmt::format("brokers before Kafka 2.1 do not know the codec {}", to_string(codec)));
  const std::size_t before = out.size();
  auto plain = write_plain(records, out);
  if (!plain) {
    out.resize(before);
    return fail(plain.error());
  }
  if (codec == compression::none || plain->count == 0) return {};
  const bytes_view messages = out.view().substr(before);
  scratch_buffer packed;
  if (auto done = compress(codec, level, messages, packed); !done) {
    out.resize(before);
    return done;
  }
  if (packed.size() + message_overhead >= messages.size()) return {};
  out.resize(before);
  // The wrapper has the offset of its last message and the greatest timestamp.
  write_message(plain->count - 1, codec, plain->max_timestamp, {}, packed.view(), out);
  return {};
}

}  // namespace penstock::wire
