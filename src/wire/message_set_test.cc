// SPDX-License-Identifier: Apache-2.0
#include "wire/message_set.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>
#include <string>

#include "wire/batch_builder.h"
#include "wire/compression.h"
#include "wire/records_reader.h"
#include "wire/test_records.h"

namespace penstock::wire {
namespace {

using testing::owned_record;
constexpr std::int64_t no_time = -1;

template <typename T>
void put(std::string& out, T v) {
  char b[sizeof v];
  base::store_be(b, v);
  out.append(b, sizeof v);
}

void put_bytes(std::string& out, const std::optional<std::string>& v) {
  put<std::int32_t>(out, v ? static_cast<std::int32_t>(v->size()) : -1);
  out += v.value_or("");
}

// What an old producer or broker writes.
std::string message(int magic, int attributes, const owned_record& r) {
  std::string body;
  put<std::int8_t>(body, static_cast<std::int8_t>(magic));
  put<std::int8_t>(body, static_cast<std::int8_t>(attributes));
  if (magic == 1) put(body, r.timestamp_ms);
  put_bytes(body, r.key);
  put_bytes(body, r.value);
  std::string out;
  put(out, r.offset);
  put<std::int32_t>(out, static_cast<std::int32_t>(body.size() + 4));
  put<std::uint32_t>(out, static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(body.data()),
                                                           static_cast<uInt>(body.size()))));
  return out + body;
}

std::string wrapper(int magic, compression codec, const std::vector<owned_record>& records,
                    int attributes = 0, std::int64_t timestamp = 0) {
  std::string inner;
  for (std::size_t i = 0; i < records.size(); ++i) {
    owned_record r = records[i];
    if (magic == 1) r.offset -= records.front().offset;
    inner += message(magic, 0, r);
  }
  std::string value;
  EXPECT_TRUE(compress(codec, default_compression_level, inner, value));
  return message(magic, attributes | static_cast<int>(codec),
                 {records.back().offset, timestamp, std::nullopt, value, {}});
}

std::vector<owned_record> some_records(int magic, std::int64_t base, int count) {
  std::vector<owned_record> out;
  for (int i = 0; i < count; ++i)
    out.push_back({base + i + i / 3,
                   magic == 0 ? no_time : 5000 + 7 * i,
                   "k" + std::to_string(i),
                   std::string(40, 'v'),
                   {}});
  if (count > 2) {
    out[1].key = std::nullopt;
    out[2].value = std::nullopt;
  }
  return out;
}

std::vector<owned_record> read(const std::string& section, std::int64_t from = 0,
                               std::size_t* batches = nullptr) {
  records_reader reader(section, {.fetch_offset = from});
  scratch_buffer scratch;
  fetched_batch b;
  std::vector<owned_record> out;
  for (;;) {
    auto more = reader.next(b, scratch);
    EXPECT_TRUE(more) << more.error().message();
    if (!more || !*more) return out;
    if (batches != nullptr) ++*batches;
    for (auto& r : testing::drain(b.cursor)) out.push_back(r);
    EXPECT_FALSE(b.cursor.damaged());
  }
}

class old_format : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(message_set, old_format, ::testing::Values(0, 1));

TEST_P(old_format, messages_read_like_a_batch) {
  const auto records = some_records(GetParam(), 1000, 20);
  std::string section;
  for (const auto& r : records) section += message(GetParam(), 0, r);
  std::size_t batches = 0;
  EXPECT_EQ(read(section, 0, &batches), records);
  EXPECT_EQ(batches, 1U);
  EXPECT_EQ(read(section, 1012), std::vector<owned_record>(records.begin() + 9, records.end()));
  EXPECT_TRUE(read(section, 5000).empty());
}

TEST_P(old_format, wrappers_of_every_codec) {
  const auto records = some_records(GetParam(), 1000, 20);
  for (const auto codec : {compression::gzip, compression::snappy, compression::lz4}) {
    EXPECT_EQ(read(wrapper(GetParam(), codec, records)), records) << to_string(codec);
    EXPECT_EQ(read(wrapper(GetParam(), codec, records), records[5].offset),
              std::vector<owned_record>(records.begin() + 5, records.end()));
  }
  scratch_buffer scratch;
  auto zstd = translate_messages(wrapper(GetParam(), compression::zstd, records), {}, scratch);
  ASSERT_FALSE(zstd);
  EXPECT_EQ(zstd.error().kind(), errc::unsupported);
}

TEST(message_set, all_formats_in_one_section) {
  const auto plain0 = some_records(0, 0, 5), packed0 = some_records(0, 10, 5);
  const auto plain1 = some_records(1, 20, 5), packed1 = some_records(1, 30, 5);
  std::string section;
  for (const auto& r : plain0) section += message(0, 0, r);
  section += wrapper(0, compression::gzip, packed0);
  for (const auto& r : plain1) section += message(1, 0, r);
  section += wrapper(1, compression::snappy, packed1);
  batch_builder b;
  b.reset(40);
  b.append("k", "v", 9);
  section += *b.seal({});
  section += message(1, 0, {50, 5, "cut", "off", {}}).substr(0, 20);
  std::vector<owned_record> expected;
  for (const auto& part : {plain0, packed0, plain1, packed1})
    expected.insert(expected.end(), part.begin(), part.end());
  expected.push_back({40, 9, "k", "v", {}});
  std::size_t batches = 0;
  EXPECT_EQ(read(section, 0, &batches), expected);
  EXPECT_EQ(batches, 5U);
}

TEST(message_set, wrapper_of_log_append_time_has_the_only_timestamp) {
  const auto records = some_records(1, 100, 5);
  const auto read_back = read(wrapper(1, compression::gzip, records, batch_header::log_append_time_bit, 888));
  ASSERT_EQ(read_back.size(), 5U);
  for (const auto& r : read_back) EXPECT_EQ(r.timestamp_ms, 888);
}

TEST(message_set, messages_of_log_append_time_keep_theirs) {
  std::string section;
  for (const auto& r : some_records(1, 100, 6)) section += message(1, batch_header::log_append_time_bit, r);
  EXPECT_EQ(read(section), some_records(1, 100, 6));
}

TEST(message_set, lz4_of_v0_may_have_the_old_header_checksum) {
  const auto records = some_records(0, 0, 50);
  std::string inner;
  for (const auto& r : records) inner += message(0, 0, r);
  std::string frame;
  ASSERT_TRUE(compress(compression::lz4, default_compression_level, inner, frame));
  frame[6] ^= 0x55;
  const owned_record w{records.back().offset, no_time, std::nullopt, frame, {}};
  EXPECT_EQ(read(message(0, 3, w)), records);
  scratch_buffer scratch;
  EXPECT_FALSE(translate_messages(message(1, 3, w), {}, scratch));
}

TEST(message_set, a_wrapper_that_reaches_beyond_its_messages_is_passed) {
  const auto records = some_records(0, 10, 3);
  std::string section = wrapper(0, compression::gzip, records);
  base::store_be<std::int64_t>(section.data(), 25);
  records_reader reader(section, {.fetch_offset = records.back().offset + 1});
  scratch_buffer scratch;
  fetched_batch b;
  while (*reader.next(b, scratch)) EXPECT_TRUE(testing::drain(b.cursor).empty());
  EXPECT_EQ(reader.next_offset(), 26);
}

errc failure_of(const std::string& section) {
  scratch_buffer scratch;
  auto done = translate_messages(section, {.max_decompressed = 1 << 20}, scratch);
  EXPECT_FALSE(done);
  return done ? errc::internal : done.error().kind();
}

TEST(message_set, damage_is_an_error) {
  const std::string good = message(1, 0, {5, 1, "key", "value", {}});
  for (std::size_t i = 12; i < good.size(); ++i) {
    if (i == magic_position) continue;  // another format, or another parser's business
    std::string bad = good;
    bad[i] ^= 4;
    EXPECT_EQ(failure_of(bad), errc::corrupt) << i;
  }
  EXPECT_EQ(failure_of(std::string(64, '\0')), errc::corrupt);
  const auto records = some_records(1, 0, 4);
  std::string empty;
  ASSERT_TRUE(compress(compression::gzip, 6, "", empty));
  EXPECT_EQ(failure_of(message(1, 1, {0, 0, std::nullopt, empty, {}})), errc::corrupt);
  EXPECT_EQ(failure_of(message(1, 1, {0, 0, std::nullopt, "not gzip", {}})), errc::corrupt);
  // A wrapper within a wrapper, and messages of another format in it.
  for (const std::string& inner : {wrapper(1, compression::gzip, records), message(0, 0, records[0])}) {
    std::string value;
    ASSERT_TRUE(compress(compression::gzip, 6, inner, value));
    EXPECT_EQ(failure_of(message(1, 1, {9, 0, std::nullopt, value, {}})), errc::corrupt);
  }
  EXPECT_EQ(failure_of(wrapper(1, compression::gzip, {{0, 0, "k", std::string(2 << 20, 'x'), {}}})),
            errc::exhausted);
}

TEST(message_set, truncations_and_flipped_bits_do_no_harm) {
  std::mt19937 random(8);
  std::string section;
  for (const int magic : {0, 1}) {
    for (const auto& r : some_records(magic, 100 * magic, 5)) section += message(magic, 0, r);
    for (const auto codec : {compression::gzip, compression::snappy, compression::lz4})
      section += wrapper(magic, codec, some_records(magic, 100 * magic + 20, 5));
  }
  const auto walk = [](std::string_view bytes, bool check_crc) {
    const std::vector<char> exact(bytes.begin(), bytes.end());
    records_reader reader({exact.data(), exact.size()},
                          {.check_crc = check_crc, .max_decompressed = 1 << 20});
    scratch_buffer scratch;
    fetched_batch b;
    record_view r;
    for (auto more = reader.next(b, scratch); more && *more; more = reader.next(b, scratch))
      while (b.cursor.next(r)) ASSERT_GE(r.offset, 0);
  };
  for (std::size_t n = 0; n <= section.size(); ++n) walk(std::string_view(section).substr(0, n), true);
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = section;
    for (auto n = 1 + random() % 3; n > 0; --n)
      bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
    walk(bad, false);
  }
}

batch_builder built_of(const std::vector<owned_record>& records) {
  batch_builder b;
  for (const auto& r : records)
    EXPECT_TRUE(b.append(testing::borrow(r.key), testing::borrow(r.value), r.timestamp_ms,
                         testing::borrow_headers(r)));
  return b;
}

TEST(write_messages, gives_what_an_old_producer_writes) {
  auto records = some_records(1, 0, 9);
  for (std::size_t i = 0; i < records.size(); ++i) records[i].offset = static_cast<std::int64_t>(i);
  records[4].timestamp_ms = 9'000;  // the greatest is not the last
  auto b = built_of(records);
  std::string plain;
  for (const auto& r : records) plain += message(1, 0, r);
  EXPECT_EQ(b.seal_as_messages(compression::none, default_compression_level).value(), plain);
  for (const auto codec : {compression::gzip, compression::snappy, compression::lz4})
    EXPECT_EQ(b.seal_as_messages(codec, default_compression_level).value(),
              wrapper(1, codec, records, 0, 9'000))
        << to_string(codec);
  EXPECT_EQ(read(std::string(b.seal_as_messages(compression::lz4, 1).value())), records);
  // The batch is still there in its own format.
  EXPECT_EQ(read(std::string(b.seal({.codec = compression::gzip}).value())), records);
}

TEST(write_messages, leaves_plain_what_a_codec_does_not_make_smaller) {
  std::vector<owned_record> one{{0, 5, std::nullopt, "x", {}}};
  EXPECT_EQ(built_of(one).seal_as_messages(compression::gzip, 9).value(), message(1, 0, one.front()));
}

TEST(write_messages, refuses_what_the_format_does_not_have) {
  auto b = built_of({{0, 5, "k", "v", {{"trace", "1"}}}});
  auto done = b.seal_as_messages(compression::none, 0);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), errc::unsupported);
  EXPECT_NE(done.error().message().find("headers"), std::string::npos);
  done = built_of(some_records(1, 0, 3)).seal_as_messages(compression::zstd, 3);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), errc::unsupported);
}

}  // namespace
}  // namespace penstock::wire
