// SPDX-License-Identifier: Apache-2.0
#include "wire/records_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "wire/batch_builder.h"
#include "wire/batch_validation.h"
#include "wire/error_code.h"
#include "wire/test_records.h"

namespace penstock::wire {
namespace {

using testing::owned_record;

std::string batch(std::int64_t base_offset, int count, compression codec = compression::none) {
  batch_builder b;
  b.reset(base_offset);
  for (int i = 0; i < count; ++i)
    b.append("key", "value " + std::to_string(base_offset + i) + std::string(50, '.'), 1000 + i);
  return std::string(*b.seal({.codec = codec}));
}

struct everything {
  std::vector<std::int64_t> offsets;
  std::vector<std::string> values;
  std::size_t batches = 0;
  std::optional<error> failure;
};

everything read_all(records_reader& reader) {
  everything all;
  scratch_buffer scratch;
  fetched_batch b;
  for (;;) {
    auto more = reader.next(b, scratch);
    if (!more) all.failure = more.error();
    if (!more || !*more) return all;
    ++all.batches;
    record_view r;
    while (b.cursor.next(r)) {
      all.offsets.push_back(r.offset);
      all.values.emplace_back(r.value);
    }
    EXPECT_FALSE(b.cursor.damaged());
  }
}

TEST(records_reader, reads_batches_of_every_codec_in_a_row) {
  const std::string section = batch(10, 3) + batch(13, 4, compression::gzip) +
                              batch(17, 5, compression::snappy) + batch(22, 6, compression::lz4) +
                              batch(30, 7, compression::zstd);
  records_reader reader(section, {.fetch_offset = 10});
  const auto all = read_all(reader);
  EXPECT_FALSE(all.failure);
  EXPECT_EQ(all.batches, 5U);
  EXPECT_EQ(all.offsets.size(), 25U);
  EXPECT_EQ(all.offsets.front(), 10);
  EXPECT_EQ(all.offsets.back(), 36);
  for (std::size_t i = 0; i < all.values.size(); ++i)
    EXPECT_EQ(all.values[i].substr(0, 8), "value " + std::to_string(all.offsets[i]));
  EXPECT_EQ(reader.next_offset(), 37);
  EXPECT_EQ(reader.cut_off_bytes(), 0U);
}

TEST(records_reader, begins_at_the_fetch_offset) {
  const std::string section = batch(10, 3) + batch(13, 4, compression::lz4) + batch(17, 5);
  for (std::int64_t from = 0; from < 25; ++from) {
    records_reader reader(section, {.fetch_offset = from});
    const auto all = read_all(reader);
    EXPECT_FALSE(all.failure);
    const std::int64_t first = std::max<std::int64_t>(from, 10);
    ASSERT_EQ(all.offsets.size(), static_cast<std::size_t>(std::max<std::int64_t>(22 - first, 0))) << from;
    if (!all.offsets.empty()) {
      EXPECT_EQ(all.offsets.front(), first);
    }
    EXPECT_EQ(reader.next_offset(), std::max<std::int64_t>(from, 22));
  }
}

TEST(records_reader, a_batch_cut_off_at_the_end_is_left_for_the_next_fetch) {
  const std::string first = batch(0, 3), second = batch(3, 3);
  for (std::size_t n = 0; n < second.size(); ++n) {
    const std::string section = first + second.substr(0, n);
    records_reader reader(section, {});
    const auto all = read_all(reader);
    ASSERT_FALSE(all.failure) << n;
    EXPECT_EQ(all.offsets.size(), 3U);
    EXPECT_EQ(reader.next_offset(), 3);
    EXPECT_EQ(reader.cut_off_bytes(), n);
    EXPECT_EQ(reader.cut_off_batch_size(), n < log_overhead ? 0 : second.size());
  }
}

TEST(records_reader, says_where_views_borrow_from) {
  const std::string section = batch(0, 5) + batch(5, 20, compression::zstd);
  records_reader reader(section, {});
  scratch_buffer scratch;
  fetched_batch b;
  ASSERT_TRUE(*reader.next(b, scratch));
  EXPECT_FALSE(reader.uses_scratch());
  EXPECT_EQ(b.bytes.data(), section.data());
  ASSERT_TRUE(*reader.next(b, scratch));
  EXPECT_TRUE(reader.uses_scratch());
  EXPECT_EQ(b.bytes.data() + b.bytes.size(), section.data() + section.size());
}

TEST(records_reader, damage_is_an_error_that_names_the_offset) {
  std::string section = batch(0, 3) + batch(3, 3);
  section[section.size() - 1] ^= 1;
  records_reader reader(section, {});
  const auto all = read_all(reader);
  EXPECT_EQ(all.offsets.size(), 3U);
  ASSERT_TRUE(all.failure);
  EXPECT_EQ(all.failure->kind(), errc::corrupt);
  EXPECT_NE(all.failure->message().find("offset 3"), std::string::npos);
  EXPECT_EQ(reader.next_offset(), 3);
}

TEST(records_reader, marks_control_batches) {
  scratch_buffer marker;
  append_marker_batch({marker_type::abort, 0}, 1, 0, 5, 0, marker);
  std::string section(marker.view());
  set_base_offset(section.data(), 3);
  section = batch(0, 3) + section;
  records_reader reader(section, {});
  scratch_buffer scratch;
  fetched_batch b;
  ASSERT_TRUE(*reader.next(b, scratch));
  EXPECT_FALSE(b.header.control());
  ASSERT_TRUE(*reader.next(b, scratch));
  ASSERT_TRUE(b.header.control());
  record_view r;
  ASSERT_TRUE(b.cursor.next(r));
  EXPECT_EQ(parse_marker(r)->type, marker_type::abort);
  EXPECT_EQ(reader.next_offset(), 4);
}

// --- validate_batch ---------------------------------------------------------------------------------------

std::int16_t refused(std::string_view bytes, const batch_checks& checks = {}) {
  scratch_buffer scratch;
  auto summary = validate_batch(bytes, checks, scratch);
  if (summary) return 0;
  EXPECT_EQ(summary.error().kind(), errc::kafka);
  return summary.error().kafka_code();
}
constexpr auto corrupt = static_cast<std::int16_t>(error_code::corrupt_message);
constexpr auto invalid = static_cast<std::int16_t>(error_code::invalid_record);

TEST(validate_batch, sums_up_a_sound_batch) {
  for (const auto codec :
       {compression::none, compression::gzip, compression::snappy, compression::lz4, compression::zstd}) {
    batch_builder b;
    for (const int t : {500, 300, 900, 900, 400})
      b.append(t == 300 ? std::string_view() : "k", std::string(100, 'v'), t);
    const std::string bytes(*b.seal({.codec = codec}));
    scratch_buffer scratch;
    auto s = validate_batch(bytes, {.find_null_keys = true}, scratch);
    ASSERT_TRUE(s) << s.error().message();
    EXPECT_EQ(s->header.codec(), codec);
    EXPECT_EQ(s->min_timestamp, 300);
    EXPECT_EQ(s->max_timestamp, 900);
    EXPECT_EQ(s->max_timestamp_offset, 2);
    EXPECT_EQ(s->uncompressed_size, b.size() - batch_overhead);
    EXPECT_EQ(s->null_keys, std::vector<std::int32_t>{1});
  }
}

TEST(validate_batch, refuses_what_is_damaged) {
  const std::string good = batch(0, 3);
  EXPECT_EQ(refused(good), 0);
  EXPECT_EQ(refused(good + "x"), corrupt);
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_EQ(refused(good.substr(0, n)), corrupt) << n;
  std::string bad = good;
  bad[70] ^= 1;
  EXPECT_EQ(refused(bad), corrupt);
  set_crc(bad);  // damaged before the checksum was taken
  bad = good;
  bad[batch_overhead] = 127;
  set_crc(bad);
  EXPECT_EQ(refused(bad), corrupt);
}

TEST(validate_batch, refuses_what_a_producer_may_not_send) {
  EXPECT_EQ(refused(batch(5, 3)), invalid);
  EXPECT_EQ(refused(batch(5, 3), {.from_producer = false}), 0);

  scratch_buffer marker;
  append_marker_batch({marker_type::abort, 0}, 1, 0, 5, 0, marker);
  EXPECT_EQ(refused(marker.view()), invalid);
  EXPECT_EQ(refused(marker.view(), {.from_producer = false}), 0);

  batch_builder b;
  EXPECT_EQ(refused(*b.seal({})), invalid);
  b.append("k", "v", 0);
  EXPECT_EQ(refused(*b.seal({.last_offset_delta = 1})), invalid);
  EXPECT_EQ(refused(*b.seal({.producer_id = 1, .producer_epoch = 0})), invalid);
  EXPECT_EQ(refused(*b.seal({.producer_id = 1, .producer_epoch = 0, .base_sequence = 0})), 0);
  EXPECT_EQ(refused(*b.seal({.transactional = true})), invalid);
  EXPECT_EQ(refused(*b.seal({.time_type = timestamp_type::log_append_time})), invalid);

  record_view r{.offset = 2};
  b.append_at_offset(r);
  EXPECT_EQ(refused(*b.seal({})), invalid);  // 0, 2
  EXPECT_EQ(refused(*b.seal({}), {.from_producer = false}), 0);
}

TEST(validate_batch, refuses_offsets_out_of_order_or_range) {
  batch_builder b;
  b.append("k", "v", 0);
  b.append("k", "v", 0);
  std::string bytes(*b.seal({}));
  const std::size_t second_offset = batch_overhead + 9 + 3;  // behind the first: length, attributes, time
  ASSERT_EQ(bytes[second_offset], 2);
  for (const char delta : {'\0', '\1', '\4'}) {  // 0 again, -1, 2
    bytes[second_offset] = delta;
    set_crc(bytes);
    EXPECT_EQ(refused(bytes), invalid);
    EXPECT_EQ(refused(bytes, {.from_producer = false}), invalid);
  }
}

TEST(validate_batch, bounds_decompression_and_knows_its_codecs) {
  batch_builder b;
  b.append("k", std::string(500'000, 'v'), 0);
  std::string bytes(*b.seal({.codec = compression::zstd}));
  EXPECT_EQ(refused(bytes), 0);
  EXPECT_EQ(refused(bytes, {.max_decompressed = 100'000}),
            static_cast<std::int16_t>(error_code::message_too_large));
  bytes[22] = 6;
  set_crc(bytes);
  EXPECT_EQ(refused(bytes), static_cast<std::int16_t>(error_code::unsupported_compression_type));
}

}  // namespace
}  // namespace penstock::wire
