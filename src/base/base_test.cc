// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <penstock/result.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/shared_buffer.h"
#include "base/unique_function.h"
#include "base/varint.h"

namespace penstock::base {
namespace {

TEST(crc32c, known_answers) {
  // RFC 3720, appendix B.4
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
}

TEST(crc32c, instruction_and_tables_agree_for_every_length_and_split) {
  std::mt19937 random(7);
  std::string bytes(10'000, '\0');
  for (auto& b : bytes) b = static_cast<char>(random());
  for (std::size_t n : {0u, 1u, 7u, 8u, 9u, 3071u, 3072u, 3073u, 6150u, 9999u}) {
    const std::string_view view(bytes.data() + 1, n);
    const auto whole = crc32c(view);
    EXPECT_EQ(whole, detail::crc32c_portable(view, 0)) << n;
    EXPECT_EQ(whole, crc32c(view.substr(n / 3), crc32c(view.substr(0, n / 3)))) << n;
  }
}

TEST(varint, round_trips_at_the_edges) {
  char buffer[max_varint64_bytes];
  for (int bit = 0; bit < 64; ++bit) {
    for (std::int64_t v :
         {std::int64_t{1} << bit, -(std::int64_t{1} << (bit % 63)), (std::int64_t{1} << (bit % 63)) - 1}) {
      char* end = write_varint(buffer, v);
      EXPECT_EQ(static_cast<std::size_t>(end - buffer), varint_size(v));
      std::int64_t back = 0;
      EXPECT_EQ(read_varint(buffer, end, back), end);
      EXPECT_EQ(back, v);
      EXPECT_EQ(read_varint(buffer, end - 1, back), nullptr) << "cut off";
    }
  }
}

TEST(varint, refuses_more_than_64_bits) {
  const std::string eleven(11, '\x80');
  std::uint64_t v = 0;
  EXPECT_EQ(read_uvarint(eleven.data(), eleven.data() + eleven.size(), v), nullptr);
  const std::string overflow = std::string(9, '\xff') + '\x02';
  EXPECT_EQ(read_uvarint(overflow.data(), overflow.data() + overflow.size(), v), nullptr);
}

TEST(murmur2, equals_the_java_client) {
  // Figures of org.apache.kafka.common.utils.UtilsTest, as signed 32-bit.
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("21")), -973932308);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("foobar")), -790332482);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("a-little-bit-long-string")), -985981536);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("a-little-bit-longer-string")), -1486304829);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8")),
            -58897971);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("abc")), 479470107);
}

TEST(bytes, big_endian_both_ways) {
  char buffer[8];
  store_be<std::int32_t>(buffer, -2);
  EXPECT_EQ(std::string(buffer, 4), std::string("\xff\xff\xff\xfe", 4));
  EXPECT_EQ(load_be<std::int32_t>(buffer), -2);
  store_be<std::int64_t>(buffer, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(load_be<std::int64_t>(buffer), std::numeric_limits<std::int64_t>::min());
}

TEST(shared_buffer, is_unique_until_copied) {
  shared_buffer a(100);
  EXPECT_TRUE(a.unique());
  {
    const shared_buffer b = a;
    EXPECT_FALSE(a.unique());
    EXPECT_EQ(b.data(), a.data());
  }
  EXPECT_TRUE(a.unique());
  EXPECT_EQ(a.capacity(), 100u);
}

TEST(unique_function, owns_what_cannot_be_copied) {
  unique_function<int(int)> f = [p = std::make_unique<int>(40)](int x) { return *p + x; };
  auto g = std::move(f);
  EXPECT_FALSE(f);
  EXPECT_EQ(g(2), 42);
}

TEST(error, carries_context) {
  const error e =
      error::from_kafka(3, "topic 'a' does not exist", recovery::retriable).with_context("producer");
  EXPECT_EQ(e.message(), "producer: topic 'a' does not exist");
  EXPECT_EQ(e.kafka_code(), 3);
  EXPECT_TRUE(e.retriable());
  EXPECT_EQ(to_string(e.kind()), "kafka");
}

}  // namespace
}  // namespace penstock::base
