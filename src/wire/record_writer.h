// SPDX-License-Identifier: Apache-2.0
// Writes one record in the format of a batch v2 (record_batch.h).
#pragma once

#include <penstock/record_view.h>

#include <cstdint>
#include <cstring>
#include <span>

#include "base/bytes.h"
#include "base/varint.h"
#include "wire/scratch_buffer.h"

namespace penstock::wire::detail {

inline std::int64_t size_field(bytes_view bytes) noexcept {
  return bytes.data() == nullptr ? -1 : static_cast<std::int64_t>(bytes.size());
}

/// Copies `bytes`. Keys are mostly short, and a call of memcpy costs more than two loads and two stores that
/// overlap.
inline char* write_raw(char* p, bytes_view bytes) noexcept {
  const std::size_t n = bytes.size();
  const char* const from = bytes.data();
  if (n >= 8 && n <= 16) {
    std::uint64_t head, tail;
    std::memcpy(&head, from, 8);
    std::memcpy(&tail, from + n - 8, 8);
    std::memcpy(p, &head, 8);
    std::memcpy(p + n - 8, &tail, 8);
  } else if (n != 0) {
    std::memcpy(p, from, n);
  }
  return p + n;
}

inline char* write_nullable(char* p, bytes_view bytes) noexcept {
  return write_raw(base::write_varint(p, size_field(bytes)), bytes);
}

/// Headers to write, from a list of the caller's.
struct listed_headers {
  std::span<const record_header> headers;

  std::int32_t count() const noexcept { return static_cast<std::int32_t>(headers.size()); }
  std::size_t size() const noexcept {
    std::size_t n = 0;
    for (const auto& h : headers) {
      n += base::varint_size(static_cast<std::int64_t>(h.key.size())) + h.key.size();
      n += base::varint_size(size_field(h.value)) + h.value.size();
    }
    return n;
  }
  char* write(char* p) const noexcept {
    for (const auto& h : headers) {
      p = write_raw(base::write_varint(p, static_cast<std::int64_t>(h.key.size())), h.key);
      p = write_nullable(p, h.value);
    }
    return p;
  }
};

/// Headers to write, as another record has them.
struct copied_headers {
  const header_list& headers;

  std::int32_t count() const noexcept { return headers.size(); }
  std::size_t size() const noexcept { return headers.raw().size(); }
  char* write(char* p) const noexcept { return write_raw(p, headers.raw()); }
};

/// The most that length, attributes, timestamp delta, offset delta, key size, value size and header count
/// take.
inline constexpr std::size_t record_overhead_bound = 5 + 1 + 10 + 5 + 5 + 5 + 5;

/// `header_size` is headers.size(), which the caller has computed.
template <typename Headers>
void write_record(scratch_buffer& out, std::int64_t offset_delta, std::int64_t timestamp_delta,
                  bytes_view key, bytes_view value, const Headers& headers, std::size_t header_size) {
  const std::int32_t header_count = headers.count();
  const std::size_t body = 1 + base::varint_size(timestamp_delta) + base::varint_size(offset_delta) +
                           base::varint_size(size_field(key)) + key.size() +
                           base::varint_size(size_field(value)) + value.size() +
                           base::varint_size(header_count) + header_size;
  char* const start = out.prepare(record_overhead_bound + key.size() + value.size() + header_size);
  char* p = base::write_varint(start, static_cast<std::int64_t>(body));
  *p++ = 0;  // attributes
  p = base::write_varint(p, timestamp_delta);
  p = base::write_varint(p, offset_delta);
  p = write_nullable(p, key);
  p = write_nullable(p, value);
  p = base::write_varint(p, header_count);
  if (header_count != 0) p = headers.write(p);
  out.commit(static_cast<std::size_t>(p - start));
}

}  // namespace penstock::wire::detail
