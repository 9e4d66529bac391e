// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "io/random.h"
#include "io/simulated_file_system.h"
#include "log/partition_log.h"
#include "wire/batch_builder.h"
#include "wire/record_cursor.h"

namespace penstock::log::testing {

inline constexpr const char* directory = "/data/orders-0";

struct test_record {
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::int64_t timestamp_ms = 1'000;
  friend bool operator==(const test_record&, const test_record&) = default;
};

/// One record as it was found in a log.
struct found_record {
  std::int64_t offset;
  test_record record;
  friend bool operator==(const found_record&, const found_record&) = default;
};

inline std::string_view view_of(const std::optional<std::string>& s) {
  return s ? std::string_view(*s) : std::string_view();
}

inline std::string make_batch(const std::vector<test_record>& records,
                              wire::batch_builder::seal_options seal = {}) {
  wire::batch_builder builder;
  builder.reset();
  for (const auto& r : records) EXPECT_TRUE(builder.append(view_of(r.key), view_of(r.value), r.timestamp_ms));
  auto bytes = builder.seal(seal);
  EXPECT_TRUE(bytes.has_value());
  return std::string(*bytes);
}

/// `count` records "v<n>" with ascending timestamps.
inline std::vector<test_record> make_records(int count, std::int64_t first_timestamp = 1'000,
                                             std::size_t value_size = 10) {
  std::vector<test_record> records;
  for (int i = 0; i < count; ++i) {
    std::string value = "v" + std::to_string(i);
    value.resize(value_size, '.');
    records.push_back({"k" + std::to_string(i), std::move(value), first_timestamp + i});
  }
  return records;
}

inline open_options options_for(io::file_system& fs, const io::clock& clock, log_config config = {}) {
  return {.files = &fs,
          .clock = &clock,
          .directory = directory,
          .topic_id = "AAAAAAAAAAAAAAAAAAAAAQ",
          .config = config};
}

inline std::unique_ptr<partition_log> must_open(open_options options) {
  auto log = partition_log::open(std::move(options));
  if (!log) ADD_FAILURE() << log.error().message();
  return log ? std::move(*log) : nullptr;
}

inline append_batch must_append(partition_log& log, std::string batch, append_options options = {}) {
  auto done = log.append(std::span<char>(batch), options);
  if (!done) ADD_FAILURE() << done.error().message();
  return done ? *done : append_batch{};
}

inline std::string bytes_of(const read_slice& slice) {
  std::string bytes(slice.length, '\0');
  if (slice.length == 0) return bytes;
  auto got = slice.file->read_at(slice.position, bytes);
  EXPECT_TRUE(got.has_value() && *got == slice.length);
  return bytes;
}

/// Every record from `offset` on, read as a consumer does: slice by slice.
inline std::vector<found_record> read_all(const partition_log& log, std::int64_t offset,
                                          std::uint64_t max_bytes = 1000,
                                          std::int64_t upper = std::numeric_limits<std::int64_t>::max()) {
  std::vector<found_record> found;
  const std::int64_t from = offset;
  while (true) {
    auto slice =
        log.read({.offset = offset, .max_bytes = max_bytes, .upper_bound = upper, .at_least_one = true});
    if (!slice) {
      ADD_FAILURE() << slice.error().message();
      return found;
    }
    if (slice->length == 0) return found;
    const std::string bytes = bytes_of(*slice);
    std::string_view rest = bytes;
    std::int64_t expected_base = slice->base_offset;
    while (!rest.empty()) {
      auto header = wire::parse_batch_header(rest);
      if (!header || header->total_size() > rest.size()) {
        ADD_FAILURE() << "a slice of no whole batches";
        return found;
      }
      EXPECT_GE(header->base_offset, expected_base);
      EXPECT_TRUE(wire::crc_matches(rest.substr(0, header->total_size())));
      wire::scratch_buffer scratch;
      auto records = wire::open_records(*header, rest.substr(0, header->total_size()), scratch);
      EXPECT_TRUE(records.has_value());
      record_view r;
      while (!header->control() && records->next(r)) {
        if (r.offset < from) continue;
        test_record t{std::nullopt, std::nullopt, r.timestamp_ms};
        if (r.has_key()) t.key = std::string(r.key);
        if (!r.is_tombstone()) t.value = std::string(r.value);
        found.push_back({r.offset, t});
      }
      expected_base = header->next_offset();
      rest.remove_prefix(header->total_size());
    }
    if (slice->next_offset <= offset) {
      ADD_FAILURE() << "no progress at offset " << offset;
      return found;
    }
    offset = slice->next_offset;
  }
}

inline std::string file_name(std::int64_t base, std::string_view suffix) {
  std::string digits = std::to_string(base);
  return std::string(directory) + "/" + std::string(20 - digits.size(), '0') + digits + std::string(suffix);
}

}  // namespace penstock::log::testing
