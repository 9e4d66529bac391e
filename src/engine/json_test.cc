// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <penstock/json.h>

#include <cmath>

namespace penstock {
namespace {

struct leg {
  std::string from;
  std::vector<int> stops;
};
BOOST_DESCRIBE_STRUCT(leg, (), (from, stops))
struct flight {
  std::int64_t id = 0;
  double price = 0;
  bool late = false;
  std::optional<int> delay;
  std::optional<leg> first;
  std::vector<std::string> tags;
};
BOOST_DESCRIBE_STRUCT(flight, (), (id, price, late, delay, first, tags))
struct small {
  std::uint8_t n = 0;
};
BOOST_DESCRIBE_STRUCT(small, (), (n))

struct day {
  int n = 0;
};
struct days {
  day first;
  day last;
};
BOOST_DESCRIBE_STRUCT(days, (), (first, last))

}  // namespace

template <>
struct json_traits<day> {
  static constexpr const char* expected = "a day as d3";
  static bool read(std::string_view text, day& into) {
    if (text.size() != 2 || text[0] != 'd') return false;
    into.n = text[1] - '0';
    return true;
  }
  static bool read(std::int64_t number, day& into) {
    into.n = static_cast<int>(number);
    return number >= 0;
  }
  static void append(const day& d, std::string& out) { out += "\"d" + std::to_string(d.n) + '"'; }
};

namespace {

template <typename T>
std::string problem(std::string_view text, T into = {}) {
  const auto r = json<T>.decode(detail::record_of(text), into);
  return r ? "none" : r.error().message();
}
template <typename T>
std::string encoded(const T& v) {
  std::string out;
  as_json.encode(v, out);
  return out;
}

TEST(json, reads_what_it_writes) {
  const flight f{7, 1.25, true, 12, leg{"J\"F\nK\x01", {1, 2}}, {"a", ""}};
  const std::string text = encoded(f);
  EXPECT_EQ(
      text,
      R"({"id":7,"price":1.25,"late":true,"delay":12,"first":{"from":"J\"F\nK\u0001","stops":[1,2]},"tags":["a",""]})");
  flight back;
  ASSERT_TRUE(json<flight>.decode(detail::record_of(text), back));
  EXPECT_EQ(encoded(back), text);
}

TEST(json, takes_fields_in_any_order_passes_over_unknown_ones_and_resets_what_is_missing) {
  flight f{1, 1, true, 5, leg{"x", {}}, {"old"}};
  ASSERT_TRUE(json<flight>.decode(
      detail::record_of(R"( {"tags":[],"unknown":{"a":[1]},"late":false,"price":3,"delay":null,"id":-9} )"),
      f));
  EXPECT_EQ(encoded(f), R"({"id":-9,"price":3,"late":false,"delay":null,"first":null,"tags":[]})");
}

TEST(json, says_what_is_wrong_and_where) {
  EXPECT_EQ(problem<small>("{}"), "field 'n' is missing");
  EXPECT_EQ(problem<small>(R"({"n":"1"})"), "field 'n': expected an integer, found a string");
  EXPECT_EQ(problem<small>(R"({"n":256})"), "field 'n': the integer 256 is out of range");
  EXPECT_EQ(problem<small>(R"({"n":-1})"), "field 'n': the integer -1 is out of range");
  EXPECT_EQ(problem<small>("[1]"), "expected an object, found an array");
  EXPECT_EQ(
      problem<flight>(R"({"id":1,"price":1,"late":true,"tags":[],"first":{"from":"a","stops":[1,"b"]}})"),
      "field 'first': field 'stops': expected an integer, found a string");
  EXPECT_EQ(problem<small>(R"({"n":1} x)").substr(0, 15), "not valid JSON:");
  EXPECT_EQ(problem<small>("").substr(0, 15), "not valid JSON:");
  raw tombstone;
  small into;
  EXPECT_EQ(json<small>.decode(tombstone, into).error().message(), "the record has no value");
}

TEST(json, does_not_follow_what_is_nested_too_deep) {
  const auto nested = [](int depth) {
    return "{\"n\":1,\"x\":" + std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']') + "}";
  };
  EXPECT_EQ(problem<small>(nested(50)), "none");
  EXPECT_NE(problem<small>(nested(100)), "none");
  EXPECT_NE(problem<small>(std::string(1'000'000, '[')), "none");
}

TEST(json, writes_window_results_pairs_and_numbers_that_are_none) {
  EXPECT_EQ(encoded(window_result<std::string, std::optional<double>>{"JFK", 0, 10, std::nullopt}),
            R"({"key":"JFK","start_ms":0,"end_ms":10,"value":null})");
  EXPECT_EQ(encoded(std::pair<std::string, int>("a", 1)), R"(["a",1])");
  EXPECT_EQ(encoded(std::tuple<bool, double>(true, NAN)), "[true,null]");
  EXPECT_EQ(encoded(0.1), "0.1");
}

TEST(json, a_copy_of_a_format_parses_on_its_own) {
  const auto one = json<small>;
  small a;
  ASSERT_TRUE(one.decode(detail::record_of(R"({"n":3})"), a));
  const auto two = one;
  ASSERT_TRUE(two.decode(detail::record_of(R"({"n":4})"), a));
  EXPECT_EQ(a.n, 4);
}

TEST(json, types_of_ones_own_are_text_or_numbers) {
  days into;
  const auto read = [&](std::string_view text) { return json<days>.decode(detail::record_of(text), into); };
  ASSERT_TRUE(read(R"({"first":"d3","last":7})"));
  EXPECT_EQ(into.first.n, 3);
  EXPECT_EQ(into.last.n, 7);
  EXPECT_EQ(encoded(into), R"({"first":"d3","last":"d7"})");
  EXPECT_EQ(read(R"({"first":"x","last":7})").error().message(),
            "field 'first': expected a day as d3, found a string");
  EXPECT_EQ(read(R"({"first":"d1","last":-7})").error().message(),
            "field 'last': expected a day as d3, found an integer");
  EXPECT_EQ(read(R"({"first":"d1","last":true})").error().message(),
            "field 'last': expected a day as d3, found a boolean");
}

}  // namespace
}  // namespace penstock
