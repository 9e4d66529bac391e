// SPDX-License-Identifier: Apache-2.0
// The sparse indexes of a segment, big-endian, without checksum: what cannot be trusted is built again.
//   .index       {i32 offset - base, i32 position} of 8 bytes: the batch that begins at `position` ends with
//   that offset .timeindex   {i64 timestamp, i32 offset - base} of 12 bytes: up to and with that offset no
//   record is later than
//                `timestamp`; the last entry of a closed segment is its largest timestamp
// Both ascend strictly in their first two fields.
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "io/file.h"

namespace penstock::log {

struct index_entry {
  static constexpr std::size_t bytes = 8;
  std::int32_t relative_offset = 0;
  std::uint32_t position = 0;

  static index_entry load(const char* p) noexcept {
    return {base::load_be<std::int32_t>(p), base::load_be<std::uint32_t>(p + 4)};
  }
  void store(char* p) const noexcept {
    base::store_be(p, relative_offset);
    base::store_be(p + 4, position);
  }
  bool follows(const index_entry& before) const noexcept {
    return relative_offset > before.relative_offset && position > before.position;
  }
  bool plausible() const noexcept { return relative_offset >= 0; }
  friend bool operator==(const index_entry&, const index_entry&) = default;
};

struct time_entry {
  static constexpr std::size_t bytes = 12;
  std::int64_t timestamp_ms = 0;
  std::int32_t relative_offset = 0;

  static time_entry load(const char* p) noexcept {
    return {base::load_be<std::int64_t>(p), base::load_be<std::int32_t>(p + 8)};
  }
  void store(char* p) const noexcept {
    base::store_be(p, timestamp_ms);
    base::store_be(p + 8, relative_offset);
  }
  bool follows(const time_entry& before) const noexcept {
    return timestamp_ms > before.timestamp_ms && relative_offset > before.relative_offset;
  }
  bool plausible() const noexcept { return relative_offset >= 0; }
  friend bool operator==(const time_entry&, const time_entry&) = default;
};

template <typename Entry>
std::string encode_index(std::span<const Entry> entries) {
  std::string out(entries.size() * Entry::bytes, '\0');
  char* p = out.data();
  for (const Entry& e : entries) {
    e.store(p);
    p += Entry::bytes;
  }
  return out;
}

/// Errors: corrupt, when it is not whole entries in ascending order.
template <typename Entry>
result<std::vector<Entry>> decode_index(std::string_view bytes) {
  std::vector<Entry> entries;
  if (bytes.size() % Entry::bytes != 0)
    return fail(errc::corrupt, "an index does not end with a whole entry");
  entries.reserve(bytes.size() / Entry::bytes);
  for (; !bytes.empty(); bytes.remove_prefix(Entry::bytes)) {
    const Entry e = Entry::load(bytes.data());
    if (!e.plausible() || (!entries.empty() && !e.follows(entries.back())))
      return fail(errc::corrupt, "the entries of an index do not ascend");
    entries.push_back(e);
  }
  return entries;
}

/// The last of `entries` for which `below(entry)` holds; it must hold for all before that one, too.
template <typename Entry, typename Below>
std::optional<Entry> floor_entry(std::span<const Entry> entries, Below below) {
  std::size_t low = 0, high = entries.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (below(entries[middle])) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return std::nullopt;
  return entries[low - 1];
}

/// The same in a file of `count` entries: a few reads of one entry, then one of a page.
template <typename Entry, typename Below>
result<std::optional<Entry>> floor_entry(const io::file& file, std::size_t count, Below below) {
  constexpr std::size_t page = 4096 / Entry::bytes;
  char bytes[page * Entry::bytes];
  const auto read = [&](std::size_t first, std::size_t n) -> result<> {
    auto got = file.read_at(first * Entry::bytes, {bytes, n * Entry::bytes});
    if (!got) return fail(got.error());
    if (*got != n * Entry::bytes) return fail(errc::corrupt, "an index is shorter than it was");
    return {};
  };
  std::size_t low = 0, high = count;
  while (high - low > page) {
    const std::size_t middle = low + (high - low) / 2;
    if (auto r = read(middle, 1); !r) return fail(r.error());
    if (below(Entry::load(bytes))) {
      low = middle;  // may be the answer: stays in the range
    } else {
      high = middle;
    }
  }
  if (auto r = read(low, high - low); !r) return fail(r.error());
  std::optional<Entry> found;
  for (std::size_t i = 0; i < high - low; ++i) {
    const Entry e = Entry::load(bytes + i * Entry::bytes);
    if (!below(e)) break;
    found = e;
  }
  return found;
}

}  // namespace penstock::log
