// SPDX-License-Identifier: Apache-2.0
#include "wire/record_batch.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

#include "wire/batch_builder.h"
#include "wire/record_cursor.h"
#include "wire/test_records.h"

namespace penstock::wire {
namespace {

using testing::all_codecs;
using testing::drain;
using testing::owned_record;

// A copy of a sealed batch, to damage or to keep.
std::string sealed(batch_builder& b, const batch_builder::seal_options& o = {}) {
  auto bytes = b.seal(o);
  EXPECT_TRUE(bytes) << bytes.error().message();
  return std::string(*bytes);
}

std::string small_batch() {
  batch_builder b;
  b.append("k1", "v1", 1000);
  b.append({}, "v2", 1001);
  b.append("k3", {}, 1005);
  return sealed(b);
}

record_cursor open(std::string_view batch, scratch_buffer& scratch) {
  auto header = parse_batch_header(batch);
  EXPECT_TRUE(header) << header.error().message();
  auto cursor = open_records(*header, batch, scratch);
  EXPECT_TRUE(cursor) << cursor.error().message();
  return *cursor;
}

std::vector<owned_record> records_of(std::string_view batch) {
  scratch_buffer scratch;
  auto cursor = open(batch, scratch);
  auto records = drain(cursor);
  EXPECT_FALSE(cursor.damaged());
  return records;
}

TEST(batch_builder, writes_the_bytes_of_the_format) {
  batch_builder b;
  const record_header headers[] = {{"h", {}}};
  ASSERT_TRUE(b.append("key", "", 0x0102030405060708, headers));
  const std::string batch = sealed(
      b,
      {.producer_id = 7, .producer_epoch = 3, .base_sequence = 42, .transactional = true, .leader_epoch = 5});
  const std::string expected_records(
      "\x18"       // length 12
      "\0\0\0"     // attributes, timestamp delta, offset delta
      "\x06key"    // key
      "\0"         // value: empty
      "\x02"       // one header
      "\x02h\x01"  // its value: null
      ,
      13);
  EXPECT_EQ(batch.substr(batch_overhead), expected_records);
  const std::string expected_header("\0\0\0\0\0\0\0\0\0\0\0\x3e\0\0\0\5\2", 17);
  EXPECT_EQ(batch.substr(0, 17), expected_header);
  const std::string expected_rest(
      "\0\x10\0\0\0\0\1\2\3\4\5\6\7\x8\1\2\3\4\5\6\7\x8\0\0\0\0\0\0\0\7\0\3\0\0\0\x2a\0\0\0\1", 40);
  EXPECT_EQ(batch.substr(21, 40), expected_rest);
  EXPECT_TRUE(crc_matches(batch));
}

TEST(batch_header, has_what_seal_was_told) {
  batch_builder b;
  b.reset(1000);
  b.append("a", "1", 50);
  b.append("b", "2", 40);
  b.append("c", "3", 60);
  const std::string batch = sealed(b, {.producer_id = 99,
                                       .producer_epoch = 4,
                                       .base_sequence = std::numeric_limits<std::int32_t>::max() - 1,
                                       .leader_epoch = 12});
  auto h = parse_batch_header(batch);
  ASSERT_TRUE(h);
  EXPECT_EQ(h->base_offset, 1000);
  EXPECT_EQ(h->last_offset(), 1002);
  EXPECT_EQ(h->next_offset(), 1003);
  EXPECT_EQ(h->total_size(), batch.size());
  EXPECT_EQ(peek_total_size(batch), batch.size());
  EXPECT_EQ(peek_magic(batch), 2);
  EXPECT_EQ(h->leader_epoch, 12);
  EXPECT_EQ(h->base_timestamp, 50);
  EXPECT_EQ(h->max_timestamp, 60);
  EXPECT_EQ(h->producer_id, 99);
  EXPECT_EQ(h->producer_epoch, 4);
  EXPECT_EQ(h->last_sequence(), 0);  // ..., 2^31-2, 2^31-1, 0
  EXPECT_EQ(h->record_count, 3);
  EXPECT_EQ(h->codec(), compression::none);
  EXPECT_EQ(h->time_type(), timestamp_type::create_time);
  EXPECT_FALSE(h->transactional() || h->control() || h->has_delete_horizon());

  std::string again(batch_overhead, '\0');
  write_batch_header(*h, again);
  EXPECT_EQ(again, batch.substr(0, batch_overhead));
}

TEST(batch_header, without_producer_has_no_sequence) {
  auto h = parse_batch_header(small_batch());
  ASSERT_TRUE(h);
  EXPECT_FALSE(h->has_producer());
  EXPECT_EQ(h->last_sequence(), -1);
}

TEST(batch_header, what_cannot_be_is_an_error) {
  const std::string good = small_batch();
  const auto with = [&](std::size_t at, std::string_view bytes) {
    std::string bad = good;
    bad.replace(at, bytes.size(), bytes);
    auto h = parse_batch_header(bad);
    return h ? std::optional<errc>() : std::optional<errc>(h.error().kind());
  };
  using namespace std::string_view_literals;
  EXPECT_EQ(with(0, ""sv), std::nullopt);
  EXPECT_EQ(with(16, "\1"sv), errc::unsupported);  // magic
  EXPECT_EQ(with(16, "\3"sv), errc::unsupported);
  EXPECT_EQ(with(8, "\0\0\0\x30"sv), errc::corrupt);  // length 48
  EXPECT_EQ(with(8, "\0\0\0\x31"sv), std::nullopt);   // length 49
  EXPECT_EQ(with(8, "\xff\xff\xff\xff"sv), errc::corrupt);
  EXPECT_EQ(with(23, "\xff\xff\xff\xff"sv), errc::corrupt);                 // last offset delta
  EXPECT_EQ(with(57, "\xff\xff\xff\xff"sv), errc::corrupt);                 // record count
  EXPECT_EQ(with(0, "\xff"sv), errc::corrupt);                              // base offset
  EXPECT_EQ(with(0, "\x7f\xff\xff\xff\xff\xff\xff\xff"sv), errc::corrupt);  // overflow
  EXPECT_EQ(with(22, "\5"sv), errc::unsupported);                           // codec
  EXPECT_FALSE(parse_batch_header(std::string_view(good).substr(0, batch_overhead - 1)));
  EXPECT_TRUE(parse_batch_header(std::string_view(good).substr(0, batch_overhead)));
  EXPECT_EQ(peek_total_size(std::string_view(good).substr(0, 11)), 0U);
  EXPECT_EQ(peek_total_size(std::string(100, '\0')), 0U);
  EXPECT_EQ(peek_magic(std::string_view(good).substr(0, 16)), -1);
}

TEST(batch_crc, covers_all_behind_it_and_nothing_before) {
  const std::string good = small_batch();
  EXPECT_TRUE(check_crc(good));
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 0x40;
    EXPECT_EQ(crc_matches(bad), i < 17) << i;
  }
  auto wrong = check_crc(good.substr(0, good.size() - 1));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind(), errc::corrupt);
  EXPECT_FALSE(check_crc(good.substr(0, 60)));
}

TEST(batch_patching, offset_and_epoch_leave_the_checksum_right) {
  std::string batch = small_batch();
  set_base_offset(batch.data(), 123456789012);
  set_leader_epoch(batch.data(), 17);
  EXPECT_TRUE(crc_matches(batch));
  auto h = parse_batch_header(batch);
  EXPECT_EQ(h->base_offset, 123456789012);
  EXPECT_EQ(h->leader_epoch, 17);
  EXPECT_EQ(records_of(batch)[2].offset, 123456789014);
}

TEST(batch_patching, log_append_time_goes_for_every_record) {
  std::string batch = small_batch();
  set_max_timestamp(batch, timestamp_type::log_append_time, 777);
  EXPECT_TRUE(crc_matches(batch));
  EXPECT_EQ(parse_batch_header(batch)->time_type(), timestamp_type::log_append_time);
  for (const auto& r : records_of(batch)) EXPECT_EQ(r.timestamp_ms, 777);
  set_max_timestamp(batch, timestamp_type::create_time, 1005);
  EXPECT_EQ(batch, small_batch());
}

TEST(batch_patching, producer_can_be_set_again) {
  batch_builder b;
  b.append("k", "v", 1);
  ASSERT_TRUE(b.seal({.producer_id = 1, .producer_epoch = 0, .base_sequence = 10}));
  set_producer(b.sealed(), 1, 1, 0);
  const std::string_view batch(b.sealed().data(), b.sealed().size());
  EXPECT_TRUE(crc_matches(batch));
  EXPECT_EQ(parse_batch_header(batch)->producer_epoch, 1);
  EXPECT_EQ(parse_batch_header(batch)->base_sequence, 0);
}

TEST(batch_round_trip, random_records_with_every_codec) {
  std::mt19937_64 random(20130101);
  batch_builder b(std::size_t{64} << 20);
  for (int round = 0; round < 100; ++round) {
    const auto records = testing::random_records(random, 1 + random() % 300);
    for (const auto codec : all_codecs) {
      b.reset();
      for (const auto& r : records)
        ASSERT_TRUE(b.append(testing::borrow(r.key), testing::borrow(r.value), r.timestamp_ms,
                             testing::borrow_headers(r)));
      EXPECT_EQ(b.record_count(), static_cast<std::int32_t>(records.size()));
      const std::string batch = sealed(b, {.codec = codec});
      EXPECT_TRUE(crc_matches(batch));
      ASSERT_EQ(records_of(batch), records) << to_string(codec);
    }
  }
}

TEST(batch_round_trip, extreme_numbers) {
  constexpr auto max = std::numeric_limits<std::int64_t>::max();
  constexpr auto min = std::numeric_limits<std::int64_t>::min();
  for (const auto first : {min, std::int64_t{-1}, std::int64_t{0}, max}) {
    batch_builder b;
    for (const auto t : {first, min, std::int64_t{0}, max}) b.append("k", "v", t);
    const auto records = records_of(sealed(b));
    ASSERT_EQ(records.size(), 4U);
    EXPECT_EQ(records[1].timestamp_ms, min);
    EXPECT_EQ(records[2].timestamp_ms, 0);
    EXPECT_EQ(records[3].timestamp_ms, max);
  }
  batch_builder b;
  const std::string big(3'000'000, 'b');
  ASSERT_TRUE(b.append(big, big, 0));
  const auto records = records_of(sealed(b));
  EXPECT_EQ(records.at(0).key, big);
  EXPECT_EQ(records.at(0).value, big);
}

TEST(batch_builder, is_full_at_its_limit_but_takes_one_large_record) {
  batch_builder b(200);
  EXPECT_TRUE(b.append("", std::string(1000, 'x'), 0));
  EXPECT_FALSE(b.append("", "", 0));
  b.reset();
  int n = 0;
  while (b.append("key", "value", 0)) ++n;
  EXPECT_GT(n, 3);
  EXPECT_LE(b.size(), 200U);
  EXPECT_EQ(records_of(sealed(b)).size(), static_cast<std::size_t>(n));
}

TEST(batch_builder, keeps_uncompressed_what_does_not_shrink) {
  batch_builder b;
  b.append("k", "v", 0);
  for (const auto codec : all_codecs)
    EXPECT_EQ(parse_batch_header(sealed(b, {.codec = codec}))->codec(), compression::none);
  for (int i = 0; i < 100; ++i) b.append("the same key", "the same value", 0);
  for (const auto codec : all_codecs)
    EXPECT_EQ(parse_batch_header(sealed(b, {.codec = codec}))->codec(), codec);
}

TEST(batch_builder, reports_a_level_that_is_none) {
  batch_builder b;
  b.append("k", "v", 0);
  auto bytes = b.seal({.codec = compression::gzip, .level = 12});
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().kind(), errc::invalid_argument);
}

TEST(batch_builder, copies_records_at_their_offsets) {
  std::mt19937_64 random(5);
  auto records = testing::random_records(random, 100);
  batch_builder whole;
  for (const auto& r : records)
    whole.append(testing::borrow(r.key), testing::borrow(r.value), r.timestamp_ms,
                 testing::borrow_headers(r));
  std::string source = sealed(whole);
  set_base_offset(source.data(), 5000);

  // As compaction does: some records go, the others keep their offsets, the batch keeps its end.
  scratch_buffer scratch;
  auto cursor = open(source, scratch);
  const auto header = *parse_batch_header(source);
  batch_builder kept;
  kept.reset(header.base_offset, header.base_timestamp);
  std::vector<owned_record> expected;
  record_view r;
  while (cursor.next(r)) {
    if (r.offset % 3 != 0) continue;
    ASSERT_TRUE(kept.append_at_offset(r));
    expected.push_back(testing::own(r));
  }
  const std::string compacted =
      sealed(kept, {.codec = compression::lz4, .last_offset_delta = header.last_offset_delta});
  EXPECT_EQ(records_of(compacted), expected);
  EXPECT_EQ(parse_batch_header(compacted)->next_offset(), 5100);
  EXPECT_EQ(parse_batch_header(compacted)->record_count, 33);
}

TEST(batch_builder, can_leave_an_empty_batch) {
  batch_builder b;
  b.reset(70, 1234);
  const std::string batch = sealed(b, {.codec = compression::gzip,
                                       .producer_id = 5,
                                       .producer_epoch = 0,
                                       .base_sequence = 3,
                                       .max_timestamp = 1300,
                                       .last_offset_delta = 9});
  EXPECT_EQ(batch.size(), batch_overhead);
  auto h = parse_batch_header(batch);
  ASSERT_TRUE(h);
  EXPECT_EQ(h->next_offset(), 80);
  EXPECT_EQ(h->max_timestamp, 1300);
  EXPECT_EQ(h->last_sequence(), 12);
  EXPECT_TRUE(records_of(batch).empty());
}

TEST(record_cursor, skips_to_an_offset) {
  batch_builder b;
  for (int i = 0; i < 10; ++i) b.append("k", "v", i);
  std::string batch = sealed(b);
  set_base_offset(batch.data(), 100);
  scratch_buffer scratch;
  for (const std::int64_t offset : {0, 100, 101, 109, 110, 500}) {
    auto cursor = open(batch, scratch);
    cursor.skip_below(offset);
    const auto rest = drain(cursor);
    EXPECT_FALSE(cursor.damaged());
    const auto expected = offset <= 100 ? 10 : offset > 109 ? 0 : 110 - offset;
    ASSERT_EQ(rest.size(), static_cast<std::size_t>(expected)) << offset;
    if (!rest.empty()) {
      EXPECT_EQ(rest.front().offset, std::max<std::int64_t>(offset, 100));
    }
  }
}

TEST(record_cursor, a_record_count_that_is_wrong_is_damage) {
  const std::string good = small_batch();
  for (const char count : {'\2', '\4'}) {
    std::string bad = good;
    bad[60] = count;
    scratch_buffer scratch;
    auto cursor = open(bad, scratch);
    drain(cursor);
    EXPECT_TRUE(cursor.damaged()) << static_cast<int>(count);
    EXPECT_EQ(cursor.damage().kind(), errc::corrupt);
  }
}

// Whatever happens to the bytes, a cursor ends, stays within them and gives no more records than announced.
// (The bytes are copied to memory of exactly their size, so that a sanitizer sees a step too far.)
void walk(std::string_view batch) {
  const std::vector<char> exact(batch.begin(), batch.end());
  const std::string_view bytes(exact.data(), exact.size());
  auto header = parse_batch_header(bytes);
  if (!header) return;
  scratch_buffer scratch;
  auto cursor = open_records(*header, bytes, scratch, 1 << 20);
  if (!cursor) return;
  std::int32_t n = 0;
  record_view r;
  while (cursor->next(r)) {
    ++n;
    for (const std::string_view field : {r.key, r.value}) {
      if (header->codec() != compression::none || field.data() == nullptr) continue;
      ASSERT_GE(field.data(), bytes.data());
      ASSERT_LE(field.data() + field.size(), bytes.data() + bytes.size());
    }
    std::int32_t headers = 0;
    for (const auto& h : r.headers) headers += h.key.data() != nullptr;
    ASSERT_EQ(headers, r.headers.size());
  }
  ASSERT_LE(n, header->record_count);
  if (!cursor->damaged()) {
    ASSERT_EQ(n, header->record_count);
  }
  ASSERT_FALSE(cursor->next(r));
}

TEST(record_cursor, truncations_and_flipped_bits_do_no_harm) {
  std::mt19937_64 random(99);
  batch_builder b;
  for (const auto& r : testing::random_records(random, 40))
    b.append(testing::borrow(r.key), testing::borrow(r.value), r.timestamp_ms, testing::borrow_headers(r));
  for (const auto codec : all_codecs) {
    const std::string whole = sealed(b, {.codec = codec});
    for (std::size_t n = 0; n <= whole.size(); ++n) walk(std::string_view(whole).substr(0, n));
    for (int i = 0; i < 5000; ++i) {
      std::string bad = whole;
      for (auto n = 1 + random() % 3; n > 0; --n)
        bad[batch_overhead + random() % (bad.size() - batch_overhead)] ^=
            static_cast<char>(1 << random() % 8);
      walk(bad);
    }
  }
}

TEST(record_cursor, arbitrary_bytes_do_no_harm) {
  std::mt19937_64 random(4);
  batch_builder empty;
  const std::string header = sealed(empty);
  for (int i = 0; i < 50'000; ++i) {
    std::string batch = header;
    batch[60] = static_cast<char>(1 + random() % 5);
    for (auto n = random() % 60; n > 0; --n)
      batch.push_back(static_cast<char>(random() % 4 == 0 ? random() : random() % 16));
    walk(batch);
  }
}

TEST(header_list, finds_the_last_of_a_key_and_survives_damage) {
  batch_builder b;
  const record_header headers[] = {{"a", "1"}, {"b", ""}, {"a", "2"}, {"c", {}}};
  b.append("k", "v", 0, headers);
  const std::string batch = sealed(b);
  scratch_buffer scratch;
  auto cursor = open(batch, scratch);
  record_view r;
  ASSERT_TRUE(cursor.next(r));
  EXPECT_EQ(r.headers.size(), 4);
  EXPECT_EQ(r.headers.find("a"), "2");
  EXPECT_EQ(r.headers.find("b"), "");
  EXPECT_NE(r.headers.find("b")->data(), nullptr);
  EXPECT_EQ(r.headers.find("c")->data(), nullptr);
  EXPECT_EQ(r.headers.find("d"), std::nullopt);
  for (std::size_t n = 0; n < r.headers.raw().size(); ++n) {
    const header_list cut(r.headers.raw().substr(0, n), 4);
    EXPECT_LT(std::distance(cut.begin(), cut.end()), 4);
  }
}

TEST(marker, is_a_control_batch_of_one_record) {
  scratch_buffer out;
  append_marker_batch({marker_type::commit, 31}, 4000, 6, 1'700'000'000'000, 2, out);
  auto h = parse_batch_header(out.view());
  ASSERT_TRUE(h);
  EXPECT_TRUE(crc_matches(out.view()));
  EXPECT_EQ(h->total_size(), out.size());
  EXPECT_TRUE(h->control() && h->transactional());
  EXPECT_EQ(h->producer_id, 4000);
  EXPECT_EQ(h->producer_epoch, 6);
  EXPECT_EQ(h->base_sequence, -1);
  EXPECT_EQ(h->record_count, 1);
  scratch_buffer scratch;
  auto cursor = open(out.view(), scratch);
  record_view r;
  ASSERT_TRUE(cursor.next(r));
  EXPECT_EQ(r.key, std::string("\0\0\0\1", 4));
  EXPECT_EQ(r.value, std::string("\0\0\0\0\0\x1f", 6));
  EXPECT_EQ(parse_marker(r), (transaction_marker{marker_type::commit, 31}));

  record_view bad = r;
  bad.key = r.key.substr(0, 3);
  EXPECT_EQ(parse_marker(bad).error().kind(), errc::corrupt);
  bad = r;
  bad.value = r.value.substr(0, 5);
  EXPECT_EQ(parse_marker(bad).error().kind(), errc::corrupt);
  bad = r;
  bad.key = std::string_view("\0\0\0\2", 4);
  EXPECT_EQ(parse_marker(bad).error().kind(), errc::unsupported);
}

}  // namespace
}  // namespace penstock::wire
