// SPDX-License-Identifier: Apache-2.0
#include "record_format.h"

#include <gtest/gtest.h>

namespace penstock::tools {
namespace {

std::string print(std::string_view format, const record_view& r) {
  const auto parsed = record_format::parse(format);
  if (!parsed) return "error: " + parsed.error().message();
  std::string out;
  parsed->append(out, "orders", 3, r);
  return out;
}

TEST(record_format, prints_every_field) {
  // Two headers as they stand in a record: "a" = "1" and "b" without a value. Lengths are zigzag varints.
  constexpr std::string_view headers(
      "\x02"
      "a"
      "\x02"
      "1"
      "\x02"
      "b"
      "\x01",
      7);
  const record_view r{.offset = 42,
                      .timestamp_ms = 1700000000123,
                      .key = "k",
                      .value = "one two",
                      .headers = header_list(headers, 2)};
  EXPECT_EQ(print("%t[%p]@%o %T %k(%K) %s(%S) %h", r),
            "orders[3]@42 1700000000123 k(1) one two(7) a=1,b=NULL");
}

TEST(record_format, null_is_not_empty) {
  EXPECT_EQ(print("<%k>%K<%s>%S", {.value = ""}), "<>-1<>0");
  EXPECT_EQ(print("%S %T", {}), "-1 -1");
}

TEST(record_format, escapes_are_as_in_c) {
  EXPECT_EQ(print(R"(a\tb\n\\\x41\r%%)", {}), "a\tb\n\\A\r%");
  EXPECT_EQ(print(R"(\0)", {}), std::string(1, '\0'));
}

TEST(record_format, bytes_pass_unchanged) {
  const std::string bytes("\xff\0%s\n", 5);
  EXPECT_EQ(print("%s", {.value = bytes}), bytes);
}

TEST(record_format, names_what_it_does_not_know) {
  EXPECT_EQ(print("%k %q", {}), "error: the format has an unknown field at \"%q\"");
  EXPECT_EQ(print("%", {}), "error: the format has an unknown field at \"%\"");
  EXPECT_EQ(print("\\", {}), "error: the format has an unknown escape at \"\\\"");
  EXPECT_EQ(print("\\x4", {}), "error: the format has an unknown escape at \"\\x4\"");
  EXPECT_EQ(print("\\xg0", {}), "error: the format has an unknown escape at \"\\xg0\"");
}

}  // namespace
}  // namespace penstock::tools
