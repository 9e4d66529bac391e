// SPDX-License-Identifier: Apache-2.0
// CSV, Avro, and formats of one's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/avro.h>
#include <penstock/csv.h>

#include <charconv>

namespace formats {

struct trade {
  std::string symbol;
  double price = 0;
  std::optional<int> lot;
  bool late = false;
  friend bool operator==(const trade&, const trade&) = default;
};
BOOST_DESCRIBE_STRUCT(trade, (), (symbol, price, lot, late))

struct line_item {
  std::string sku;
  std::int32_t n = 0;
  friend bool operator==(const line_item&, const line_item&) = default;
};
BOOST_DESCRIBE_STRUCT(line_item, (), (sku, n))

struct order {
  std::int64_t id = 0;
  std::string name;
  std::optional<std::string> coupon;
  std::vector<line_item> items;
  std::map<std::string, double> prices;
  std::optional<line_item> gift;
  bool paid = false;
  float rate = 0;
  std::chrono::system_clock::time_point at;
  friend bool operator==(const order&, const order&) = default;
};
BOOST_DESCRIBE_STRUCT(order, (), (id, name, coupon, items, prices, gift, paid, rate, at))

struct renamed {
  std::string sku;
  int count = 0;
};
BOOST_DESCRIBE_STRUCT(renamed, (), (sku, count))

struct tree {
  int leaf = 0;
  std::vector<tree> children;
  friend bool operator==(const tree&, const tree&) = default;
};
BOOST_DESCRIBE_STRUCT(tree, (), (leaf, children))

}  // namespace formats

template <>
struct penstock::avro_aliases<formats::renamed> {
  static constexpr std::pair<std::string_view, std::string_view> fields[] = {{"sku", "item"},
                                                                             {"sku", "article"}};
};

namespace penstock {
namespace {

using ::testing::HasSubstr;

template <typename Format>
std::string problem_of(const Format& format, std::string_view bytes) {
  typename Format::value_type v{};
  const result<> r = decode_with(format, detail::record_of(bytes), v);
  return r ? "" : r.error().message();
}
template <typename Format>
auto read(const Format& format, std::string_view bytes) {
  typename Format::value_type v{};
  const result<> r = decode_with(format, detail::record_of(bytes), v);
  EXPECT_TRUE(r) << r.error().message();
  return v;
}
template <typename Format, typename T>
std::string written(const Format& format, const T& value) {
  std::string out;
  format.encode(value, out);
  return out;
}
std::string bytes(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned char c = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, c, 16);
    out.push_back(static_cast<char>(c));
  }
  return out;
}

TEST(csv, reads_and_writes_lines) {
  const formats::trade t{"A,B \"x\"\n", 1.5, std::nullopt, true};
  EXPECT_EQ(written(csv<formats::trade>, t), "\"A,B \"\"x\"\"\n\",1.5,,true");
  EXPECT_EQ(read(csv<formats::trade>, written(csv<formats::trade>, t)), t);
  EXPECT_EQ(read(csv<formats::trade>, "IBM,-2e3,7,0\r\n"), (formats::trade{"IBM", -2000, 7, false}));
  EXPECT_EQ(read(csv<formats::trade>, "\"\",0,\"7\",1"), (formats::trade{"", 0, 7, true}));
}

TEST(csv, columns_by_name) {
  const csv_format<formats::trade> f(
      {.delimiter = ';', .columns = {"late", "other", "lot", "price", "symbol"}});
  EXPECT_EQ(read(f, "true;x;;3;\"a;b\""), (formats::trade{"a;b", 3, std::nullopt, true}));
  EXPECT_EQ(written(f, formats::trade{"s", 2, 1, false}), "false;;1;2;s");
  EXPECT_EQ(problem_of(csv_format<formats::trade>({.columns = {"symbol"}}), "x"),
            "the member 'price' has no column");
  EXPECT_EQ(
      problem_of(csv_format<formats::trade>({.columns = {"symbol", "symbol", "lot", "price", "late"}}), "x"),
      "the column 'symbol' is named twice");
}

TEST(csv, says_what_is_wrong) {
  EXPECT_EQ(problem_of(csv<formats::trade>, "a,x,1,0"), "column 'price': expected a number, found 'x'");
  EXPECT_EQ(problem_of(csv<formats::trade>, "a,1,99999999999,0"),
            "column 'lot': expected an integer that is in range, found '99999999999'");
  EXPECT_EQ(problem_of(csv<formats::trade>, "a,1,1"), "the line has fewer than 4 fields");
  EXPECT_EQ(problem_of(csv<formats::trade>, "a,1,1,1,"), "the line has more than 4 fields");
  EXPECT_EQ(problem_of(csv<formats::trade>, "\"a,1,1,1"), "a quoted field has no end");
  EXPECT_EQ(problem_of(csv<formats::trade>, "\"a\"b,1,1,1"),
            "something follows a quoted field before the delimiter");
  EXPECT_EQ(problem_of(csv<formats::trade>, std::string_view()), "the record has no value");
}

TEST(avro, bytes_of_the_specification) {
  struct schema_value {
    const char* schema;
    const char* hex;
  };
  formats::line_item item{};
  EXPECT_EQ(problem_of(avro_format<formats::line_item>(
                           R"({"type":"record","name":"test","fields":[{"name":"n","type":"long"},
                               {"name":"sku","type":"string"}]})"),
                       bytes("3606666f6f")),
            "");
  item = read(avro_format<formats::line_item>(
                  R"({"type":"record","name":"test","fields":[{"name":"n","type":"long"},
                      {"name":"sku","type":"string"}]})"),
              bytes("3606666f6f"));
  EXPECT_EQ(item, (formats::line_item{"foo", 27}));
  const avro_format<std::vector<std::int64_t>> list;
  EXPECT_EQ(written(list, std::vector<std::int64_t>{3, 27}), bytes("04063600"));
  EXPECT_EQ(read(list, bytes("04063600")), (std::vector<std::int64_t>{3, 27}));
  EXPECT_EQ(read(list, bytes("0304063600")), (std::vector<std::int64_t>{3, 27}));  // with the block's size
  EXPECT_EQ(read(avro_format<std::optional<std::string>>(), bytes("020261")), "a");
  EXPECT_EQ(read(avro_format<std::optional<std::string>>(), bytes("00")), std::nullopt);
}

formats::order some_order() {
  using namespace std::chrono;
  formats::order o;
  o.id = -1234567890123;
  o.name = "Zoë";
  o.items = {{"a", 1}, {"b", -2}};
  o.prices = {{"EUR", 1.25}, {"USD", 1.5}};
  o.gift = formats::line_item{"c", 100};
  o.paid = true;
  o.rate = 0.5f;
  o.at = system_clock::time_point(milliseconds(1700000000123));
  return o;
}
constexpr const char* order_schema =
    R"({"type":"record","name":"formats.order","fields":[{"name":"id","type":"long"},)"
    R"({"name":"name","type":"string"},{"name":"coupon","type":["null","string"],"default":null},)"
    R"({"name":"items","type":{"type":"array","items":{"type":"record","name":"formats.line_item",)"
    R"("fields":[{"name":"sku","type":"string"},{"name":"n","type":"int"}]}}},)"
    R"({"name":"prices","type":{"type":"map","values":"double"}},)"
    R"({"name":"gift","type":["null","formats.line_item"],"default":null},{"name":"paid","type":"boolean"},)"
    R"({"name":"rate","type":"float"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]})";

TEST(avro, a_struct_has_a_schema) { EXPECT_EQ(avro_schema_of<formats::order>(), order_schema); }

// Made by fastavro 1.13 from the schema above.
constexpr const char* order_hex =
    "9593d89fee47085a6fc3ab0004026102026203000406455552000000000000f43f06555344000000000000f83f00020263c80101"
    "0000003ff6a1abfef962";

TEST(avro, same_bytes_as_another_implementation) {
  EXPECT_EQ(written(avro<formats::order>, some_order()), bytes(order_hex));
  EXPECT_EQ(read(avro<formats::order>, bytes(order_hex)), some_order());
}

// The writer's schema has other types, another order, more and fewer fields; made by fastavro 1.13.
constexpr const char* other_schema =
    R"({"type":"record","name":"Order","namespace":"com.shop","fields":[)"
    R"({"name":"extra","type":{"type":"record","name":"Extra","fields":[)"
    R"({"name":"tree","type":["null","Extra"]},{"name":"m","type":{"type":"map","values":{"type":"array","items":"bytes"}}},)"
    R"({"name":"f","type":{"type":"fixed","name":"F4","size":4}}]}},)"
    R"({"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},)"
    R"({"name":"rate","type":"int"},)"
    R"({"name":"paid","type":"boolean"},)"
    R"({"name":"name","type":{"type":"enum","name":"E","symbols":["Ann","Bob"]}},)"
    R"({"name":"items","type":{"type":"array","items":{"type":"record","name":"I","fields":[)"
    R"({"name":"n","type":"long"},{"name":"sku","type":"bytes"}]}}},)"
    R"({"name":"prices","type":{"type":"map","values":["null","float","long"]}},)"
    R"({"name":"id","type":"int"}]})";
constexpr const char* other_hex =
    "0200003132333404026b04027804797900026c0000616263648089818283898506040102020a027800040241020000003f024202"
    "00004040000e";

TEST(avro, reads_what_other_schemas_have_written) {
  formats::order want;
  want.id = 7;
  want.name = "Bob";
  want.items = {{"x", 5}};
  want.prices = {{"A", 0.5}, {"B", 3}};
  want.paid = true;
  want.rate = 2;
  want.at = std::chrono::system_clock::time_point(std::chrono::microseconds(1700000000123456));
  EXPECT_EQ(read(avro_format<formats::order>(other_schema), bytes(other_hex)), want);
}

TEST(avro, fields_are_found_by_their_aliases) {
  EXPECT_EQ(avro_schema_of<formats::renamed>(),
            R"({"type":"record","name":"formats.renamed","fields":[)"
            R"({"name":"sku","aliases":["item","article"],"type":"string"},{"name":"count","type":"int"}]})");
  const std::string before = R"({"type":"record","name":"r","fields":[{"name":"count","type":"int"},)"
                             R"({"name":"article","type":"string"}]})";
  const auto item = read(avro_format<formats::renamed>(before), bytes("060261"));
  EXPECT_EQ(item.sku, "a");
  EXPECT_EQ(item.count, 3);
}

// The bytes of the decimals as Java's BigInteger.toByteArray has them.
TEST(avro, decimals) {
  using money = avro_decimal<9, 2>;
  EXPECT_EQ(avro_schema_of<money>(), R"({"type":"bytes","logicalType":"decimal","precision":9,"scale":2})");
  for (const auto& [unscaled, hex] :
       std::vector<std::pair<std::int64_t, std::string>>{{0, "0200"},
                                                         {1, "0201"},
                                                         {-1, "02ff"},
                                                         {127, "027f"},
                                                         {128, "040080"},
                                                         {-128, "0280"},
                                                         {-129, "04ff7f"},
                                                         {123'456, "0601e240"},
                                                         {-123'456, "06fe1dc0"}}) {
    EXPECT_EQ(written(avro<money>, money{unscaled}), bytes(hex)) << unscaled;
    EXPECT_EQ(read(avro<money>, bytes(hex)).unscaled, unscaled) << hex;
  }
  const std::string fixed =
      R"({"type":"fixed","name":"f","size":12,"logicalType":"decimal","precision":20,"scale":2})";
  EXPECT_EQ(read(avro_format<money>(fixed), bytes("fffffffffffffffffffe1dc0")).unscaled, -123'456);
  EXPECT_EQ(read(avro_format<double>(fixed), bytes("00000000000000000001e240")), 1234.56);
  EXPECT_EQ(problem_of(avro_format<money>(fixed), bytes("010000000000000000000000")),
            "a decimal has more than 18 digits");
  EXPECT_EQ(problem_of(avro_format<money>(fixed), bytes("000000008000000000000000")).substr(0, 9),
            "a decimal");
  EXPECT_EQ(problem_of(avro<money>, bytes("00")), "a decimal has no bytes");
  EXPECT_EQ((problem_of(avro_format<avro_decimal<9, 3>>(avro_schema_of<money>()), bytes("0201"))),
            "the writer's decimal has scale 2, not 3");
  EXPECT_EQ(problem_of(avro_format<money>(R"("bytes")"), bytes("0201")),
            "expected a decimal, the writer's schema has bytes");
}

TEST(avro, records_refer_to_themselves_by_name) {
  EXPECT_EQ(avro_schema_of<formats::tree>(),
            R"({"type":"record","name":"formats.tree","fields":[{"name":"leaf","type":"int"},)"
            R"({"name":"children","type":{"type":"array","items":"formats.tree"}}]})");
  const formats::tree whole{1, {{2, {}}, {3, {{4, {}}}}}};
  EXPECT_EQ(read(avro<formats::tree>, written(avro<formats::tree>, whole)), whole);
}

TEST(avro, says_what_is_wrong) {
  const auto item = [](const char* fields) {
    return avro_format<formats::line_item>(std::string(R"({"type":"record","name":"r","fields":[)") + fields +
                                           "]}");
  };
  EXPECT_EQ(problem_of(item(R"({"name":"sku","type":"string"})"), bytes("0261")),
            "the writer's schema has no field 'n'");
  EXPECT_EQ(problem_of(item(R"({"name":"sku","type":"int"},{"name":"n","type":"int"})"), bytes("0202")),
            "field 'sku': expected a string, the writer's schema has an int");
  EXPECT_EQ(problem_of(item(R"({"name":"sku","type":"string"},{"name":"n","type":"long"})"),
                       bytes("0261feffffffffffffffff01")),
            "field 'n': the integer 9223372036854775807 is out of range");
  EXPECT_EQ(problem_of(avro<formats::line_item>, bytes("0261")),
            "field 'n': an integer is cut off, or longer than 64 bits");
  EXPECT_EQ(problem_of(avro<formats::line_item>, bytes("02610200")), "1 bytes follow the value");
  EXPECT_EQ(problem_of(avro<formats::line_item>, bytes("fe61")), "field 'sku': the bytes end within a value");
  EXPECT_THAT(problem_of(avro_format<formats::line_item>("{"), "x"),
              HasSubstr("the Avro schema is not JSON"));
  EXPECT_EQ(problem_of(item(R"({"name":"sku","type":"thing"})"), "x"),
            "the Avro schema is wrong: the type 'thing' is not known");
  EXPECT_EQ(problem_of(avro_format<std::vector<bool>>(R"({"type":"array","items":"boolean"})"),
                       bytes("feffffff0f")),
            "a block has more items than there are bytes");
}

TEST(avro, schemas_that_would_take_forever_do_not) {
  // Each record has the next one twice and not a byte: 2^40 values.
  std::string schema = R"("null")";
  for (int i = 0; i < 40; ++i)
    schema = R"({"type":"record","name":"r)" + std::to_string(i) + R"(","fields":[{"name":"a","type":)" +
             schema + R"(},{"name":"b","type":)" +
             (i == 0 ? R"("null")" : "\"r" + std::to_string(i - 1) + "\"") + "}]}";
  // Too deep for the schema's parser, or too long to skip: refused either way.
  EXPECT_NE(problem_of(avro_format<formats::line_item>(
                           R"({"type":"record","name":"x","fields":[{"name":"y","type":)" + schema + "}]}"),
                       ""),
            "");
}

// [a serde of one's own]
struct celsius_format {
  using value_type = double;
  result<double> decode(std::string_view bytes) const {
    double kelvin = 0;
    if (std::from_chars(bytes.data(), bytes.data() + bytes.size(), kelvin).ec != std::errc{})
      return fail(errc::user, "not a temperature");
    return kelvin - 273.0;
  }
  void encode(double celsius, std::string& out) const { out += std::to_string(celsius + 273.0); }
};
// [end]

TEST(format, one_of_ones_own) {
  EXPECT_EQ(read(celsius_format{}, "300"), 27);
  EXPECT_EQ(written(celsius_format{}, 27.0), "300.000000");
  EXPECT_EQ(problem_of(celsius_format{}, "warm"), "not a temperature");
}

}  // namespace
}  // namespace penstock
