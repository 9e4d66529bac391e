// SPDX-License-Identifier: Apache-2.0
// The Schema Registry client against a scripted server, and Confluent's wire format. The texts of requests
// and answers are those of the registry's REST interface.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/protobuf.h>
#include <penstock/schema_registry.h>

#include <atomic>

#include "connectors/registry/scripted_http.h"

namespace registry_test {
struct item {
  std::string sku;
  std::int32_t n = 0;
  friend bool operator==(const item&, const item&) = default;
};
BOOST_DESCRIBE_STRUCT(item, (), (sku, n))
struct shelf {
  item first, second;
  std::string in;
  friend bool operator==(const shelf&, const shelf&) = default;
};
BOOST_DESCRIBE_STRUCT(shelf, (), (first, second, in))

/// Looks like a message that protoc has made, as far as the formats look.
struct fake_file {
  std::string title;
  std::vector<const fake_file*> uses{};
  std::string DebugString() const { return "text of " + title; }
  std::string name() const { return title; }
  int dependency_count() const { return static_cast<int>(uses.size()); }
  const fake_file* dependency(int i) const { return uses[static_cast<std::size_t>(i)]; }
};
struct fake_descriptor {
  const fake_descriptor* outer;
  int place;
  const fake_descriptor* containing_type() const { return outer; }
  int index() const { return place; }
  const fake_file* file() const {
    static const fake_file time{"google/protobuf/timestamp.proto"}, money{"money.proto", {&time}},
        line{"shop/line.proto", {&money}}, f{"shop.proto", {&time, &money, &line}};
    return &f;
  }
  std::string full_name() const { return "shop.Fake"; }
};
template <int Outer, int Place>
struct fake_message {
  std::string text;
  static const fake_descriptor* descriptor() {
    static const fake_descriptor outer{nullptr, Outer};
    static const fake_descriptor nested{&outer, Place};
    return Place < 0 ? &outer : &nested;
  }
  bool ParseFromArray(const void* data, int size) {
    text.assign(static_cast<const char*>(data), static_cast<std::size_t>(size));
    return text != "broken";
  }
  bool AppendToString(std::string* out) const {
    out->append(text);
    return true;
  }
};
}  // namespace registry_test

namespace penstock {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using registry_test::item;
using registry_test::shelf;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* item_schema =
    R"({\"type\":\"record\",\"name\":\"registry_test.item\",\"fields\":[{\"name\":\"sku\",\"type\":\"string\"},)"
    R"({\"name\":\"n\",\"type\":\"int\"}]})";

scripted_http::answer usual(const std::string& request) {
  if (request.starts_with("GET /schemas/ids/7 "))
    return {200, fmt::format(R"({{"schema":"{}"}})", item_schema)};
  if (request.starts_with("GET /schemas/ids/8 "))
    return {
        200,
        R"({"schema":"{\"type\":\"record\",\"name\":\"shelf\",\"namespace\":\"registry_test\",\"fields\":[)"
        R"({\"name\":\"first\",\"type\":\"item\"},{\"name\":\"second\",\"type\":\"registry_test.item\"},)"
        R"({\"name\":\"in\",\"type\":\"registry_test.room\"}]}","references":[)"
        R"({"name":"registry_test.item","subject":"item","version":2},)"
        R"({"name":"registry_test.room","subject":"a/room","version":1}]})"};
  if (request.starts_with("GET /subjects/item/versions/2 "))
    return {
        200,
        R"({"subject":"item","version":2,"id":20,"schema":"{\"type\":\"record\",\"name\":\"registry_test.item\",)"
        R"(\"fields\":[{\"name\":\"sku\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\"},)"
        R"({\"name\":\"in\",\"type\":\"registry_test.room\"}]}",)"
        R"("references":[{"name":"registry_test.room","subject":"a/room","version":1}]})"};
  if (request.starts_with("GET /subjects/a%2Froom/versions/1 "))
    return {
        200,
        R"({"subject":"a/room","version":1,"id":21,)"
        R"("schema":"{\"type\":\"enum\",\"name\":\"registry_test.room\",\"symbols\":[\"cellar\",\"attic\"]}"})"};
  if (request.starts_with("GET /schemas/ids/10 "))
    return {200, R"({"schema":"{}","references":[{"name":"x","subject":"gone","version":4}]})"};
  if (request.starts_with("GET /schemas/ids/11 "))
    return {200, R"({"schema":"{}","references":[{"name":"x","subject":"gone","version":0}]})"};
  if (request.starts_with("GET /schemas/ids/9 ")) return {200, R"({"schema":"{}","schemaType":"JSON"})"};
  if (request.starts_with("POST /subjects/items-value/versions ")) return {200, R"({"id":7})"};
  if (request.starts_with("POST /subjects/money.proto")) return {200, R"({"id":30,"version":5})"};
  if (request.starts_with("POST /subjects/shop%2Fline.proto")) return {200, R"({"id":31,"version":6})"};
  if (request.starts_with("POST /subjects/a%2Fb ")) return {200, R"({"subject":"a/b","version":1,"id":12})"};
  if (request.starts_with("GET /subjects/items-value/versions/latest "))
    return {200, R"({"subject":"items-value","version":3,"id":9,"schemaType":"JSON","schema":"{}"})"};
  return {404, R"({"error_code":40403,"message":"Schema not found"})"};
}

template <typename Format>
std::string problem_of(const Format& f, std::string_view bytes) {
  typename Format::value_type v{};
  const auto r = f.decode(detail::record_of(bytes), v);
  return r ? "" : r.error().message();
}

TEST(schema_registry, asks_once_and_remembers) {
  const scripted_http server(usual);
  const schema_registry registry({.urls = {server.url() + "/"}, .user = "me", .password = "s3cret"});
  const auto id = registry.add("items-value", schema_type::avro, avro_schema_of<item>());
  ASSERT_TRUE(id) << id.error().message();
  EXPECT_EQ(*id, 7);
  EXPECT_EQ(*registry.add("items-value", schema_type::avro, avro_schema_of<item>()), 7);
  EXPECT_EQ(*registry.find("a/b", schema_type::protobuf, "m"), 12);
  const auto schema = registry.schema(7);
  ASSERT_TRUE(schema);
  EXPECT_EQ(schema->text, avro_schema_of<item>());
  EXPECT_EQ(schema->type, schema_type::avro);
  EXPECT_EQ(registry.schema(7)->id, 7);
  const auto latest = registry.latest("items-value");
  ASSERT_TRUE(latest);
  EXPECT_EQ(latest->id, 9);
  EXPECT_EQ(latest->type, schema_type::json);

  const auto asked = server.requests();
  ASSERT_EQ(asked.size(), 4u);
  EXPECT_THAT(asked[0], AllOf(HasSubstr("Authorization: Basic bWU6czNjcmV0\r\n"),
                              HasSubstr("Content-Type: application/vnd.schemaregistry.v1+json\r\n"),
                              HasSubstr(fmt::format("\r\n\r\n{{\"schema\":\"{}\"}}", item_schema))));
  EXPECT_THAT(asked[1], HasSubstr(R"({"schema":"m","schemaType":"PROTOBUF"})"));
}

TEST(schema_registry, says_what_is_wrong_and_never_the_password) {
  std::atomic<unsigned> status{401};
  const scripted_http server([&](const std::string& r) {
    return status == 404 ? usual(r)
                         : scripted_http::answer{status, R"({"error_code":40101,"message":"User cannot"})"};
  });
  const schema_registry registry(
      {.urls = {server.url()}, .user = "me", .password = "s3cret", .give_up_after = 10ms});
  const auto refused = registry.schema(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), errc::authentication);
  EXPECT_THAT(refused.error().message(), AllOf(HasSubstr("schema 1: the schema registry at " + server.url() +
                                                         " answered 401: User cannot"),
                                               Not(HasSubstr("s3cret"))));
  status = 503;
  EXPECT_TRUE(registry.schema(1).error().retriable());
  status = 404;
  const std::size_t before = server.requests().size();
  EXPECT_EQ(registry.schema(1).error().kind(), errc::not_found);
  EXPECT_EQ(registry.schema(1).error().kind(), errc::not_found);
  EXPECT_EQ(server.requests().size(), before + 1);  // remembered
  EXPECT_THAT(registry.schema(11).error().message(), HasSubstr("answered 200"));
  EXPECT_THAT(schema_registry({}).schema(1).error().message(), HasSubstr("has no url"));
  const auto nobody = schema_registry({.urls = {"http://127.0.0.1:1"}, .give_up_after = 10ms}).schema(1);
  EXPECT_TRUE(nobody.error().retriable());
}

TEST(schema_registry, goes_on_to_the_next_server_and_tries_again) {
  std::atomic<int> busy{3};
  const scripted_http failing([](const std::string&) { return scripted_http::answer{0, ""}; });
  const scripted_http server([&](const std::string& r) {
    return busy.fetch_sub(1) > 0 ? scripted_http::answer{503, "later"} : usual(r);
  });
  const schema_registry registry({.urls = {failing.url(), server.url()}});
  const auto schema = registry.schema(7);
  ASSERT_TRUE(schema) << schema.error().message();
  EXPECT_EQ(server.requests().size(), 4u);
  const std::size_t before = failing.requests().size();
  ASSERT_TRUE(registry.schema(9));  // the one that answered is asked first
  EXPECT_EQ(failing.requests().size(), before);
}

TEST(confluent_avro, reads_and_writes_with_the_schemas_number) {
  const scripted_http server(usual);
  const auto format = confluent_avro<item>(schema_registry({.urls = {server.url()}}), "items-value");
  std::string out;
  format.encode({"foo", 27}, out);
  EXPECT_EQ(out, "\0\0\0\0\7\6foo\x36"s);
  item back;
  ASSERT_TRUE(format.decode(detail::record_of(out), back));
  EXPECT_EQ(back, (item{"foo", 27}));
  ASSERT_TRUE(format.decode(detail::record_of(out), back));
  EXPECT_EQ(server.requests().size(), 2u);
  EXPECT_EQ(problem_of(format, "\0\0\0\0"s),
            "the value does not begin with a schema's number as Confluent's formats do");
  EXPECT_EQ(problem_of(format, "\1\0\0\0\7\6foo\x36"s),
            "the value does not begin with a schema's number as Confluent's formats do");
  EXPECT_THAT(problem_of(format, "\0\0\0\0\5\6foo"s), HasSubstr("schema 5: the schema registry at"));
  EXPECT_EQ(problem_of(format, "\0\0\0\0\11{}"s), "the schema 9 is not one of Avro");
  const auto reader = confluent_avro<item>(schema_registry({.urls = {server.url()}}));
  EXPECT_THROW(reader.encode({"foo", 27}, out), std::invalid_argument);
}

// A schema in parts: the type of two fields, and a type that both parts use.
TEST(confluent_avro, follows_references_between_schemas) {
  const scripted_http server(usual);
  const schema_registry registry({.urls = {server.url()}});
  const auto format = confluent_avro<shelf>(registry);
  const std::string bytes = "\0\0\0\0\x08\6foo\x36\2\6bar\x02\0\2"s;
  shelf read;
  const auto done = format.decode(detail::record_of(bytes), read);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(read, (shelf{{"foo", 27}, {"bar", 1}, "attic"}));
  EXPECT_EQ(server.requests().size(), 3u);  // the room once
  const auto schema = registry.schema(8);
  ASSERT_TRUE(schema);
  EXPECT_EQ(schema->references, (std::vector<schema_reference>{{"registry_test.item", "item", 2},
                                                               {"registry_test.room", "a/room", 1}}));
  const auto used = registry.texts_used_by(*schema);
  ASSERT_TRUE(used);
  ASSERT_EQ(used->size(), 2u);
  EXPECT_THAT(used->at(0), HasSubstr("attic"));
  EXPECT_THAT(used->at(1), HasSubstr("sku"));
  EXPECT_EQ(server.requests().size(), 3u);
  EXPECT_THAT(problem_of(format, "\0\0\0\0\x0a\6foo"s),
              AllOf(HasSubstr("schema 10: version 4 of subject gone"), HasSubstr("404: Schema not found")));
}

// No registry accepts such a thing, but what answers may not be one.
TEST(schema_registry, is_not_led_in_circles_by_references) {
  const scripted_http server([](const std::string& request) {
    const bool first = request.starts_with("GET /subjects/a/");
    return scripted_http::answer{
        200,
        fmt::format(R"({{"id":1,"schema":"{}","references":[{{"name":"x","subject":"{}","version":1}}]}})",
                    first ? "of a" : "of b", first ? "b" : "a")};
  });
  const schema_registry registry({.urls = {server.url()}});
  const auto used = registry.texts_used_by({.references = {{"x", "a", 1}}});
  ASSERT_TRUE(used);
  EXPECT_EQ(*used, (std::vector<std::string>{"of b", "of a"}));

  std::atomic<int> next{0};
  const scripted_http endless([&](const std::string&) {
    return scripted_http::answer{
        200,
        fmt::format(R"({{"id":1,"schema":"","references":[{{"name":"x","subject":"s{}","version":1}}]}})",
                    ++next)};
  });
  const auto never =
      schema_registry({.urls = {endless.url()}}).texts_used_by({.references = {{"x", "a", 1}}});
  ASSERT_FALSE(never);
  EXPECT_THAT(never.error().message(), HasSubstr("refers to more than 1000 schemas"));
}

TEST(confluent_json, reads_and_writes_with_the_schemas_number) {
  const scripted_http server(usual);
  const auto format = confluent_json<item>(schema_registry({.urls = {server.url()}}), "items-value", "{}");
  std::string out;
  format.encode({"foo", 27}, out);
  EXPECT_EQ(out, "\0\0\0\0\7{\"sku\":\"foo\",\"n\":27}"s);
  EXPECT_THAT(server.requests().at(0), HasSubstr(R"({"schema":"{}","schemaType":"JSON"})"));
  item back;
  ASSERT_TRUE(format.decode(detail::record_of(out), back));
  EXPECT_EQ(back, (item{"foo", 27}));
  EXPECT_NE(problem_of(format, "{}"), "");
}

TEST(confluent_protobuf, names_the_message_within_its_file) {
  const scripted_http server(usual);
  const schema_registry registry({.urls = {server.url()}});
  const auto first = confluent_protobuf<registry_test::fake_message<0, -1>>(registry, "items-value");
  const auto nested = confluent_protobuf<registry_test::fake_message<2, 1>>(registry, "items-value");
  std::string out;
  first.encode({"body"}, out);
  EXPECT_EQ(out, "\0\0\0\0\7\0body"s);
  // What it imports stands under its own name, each file before those that import it; Google's are there.
  const auto asked = server.requests();
  ASSERT_EQ(asked.size(), 5u);
  EXPECT_THAT(asked[0], AllOf(HasSubstr("POST /subjects/money.proto/versions "),
                              HasSubstr(R"({"schema":"text of money.proto","schemaType":"PROTOBUF"})")));
  EXPECT_THAT(asked[1], HasSubstr("POST /subjects/money.proto "));
  EXPECT_THAT(
      asked[2],
      AllOf(HasSubstr("POST /subjects/shop%2Fline.proto/versions "),
            HasSubstr(R"("references":[{"name":"money.proto","subject":"money.proto","version":5}]})")));
  EXPECT_THAT(asked[3], HasSubstr("POST /subjects/shop%2Fline.proto "));
  EXPECT_THAT(asked[4],
              AllOf(HasSubstr("POST /subjects/items-value/versions "),
                    HasSubstr(R"("references":[{"name":"money.proto","subject":"money.proto","version":5},)"
                              R"({"name":"shop/line.proto","subject":"shop/line.proto","version":6}]})")));
  registry_test::fake_message<0, -1> back;
  ASSERT_TRUE(first.decode(detail::record_of(out), back));
  EXPECT_EQ(back.text, "body");
  ASSERT_TRUE(first.decode(detail::record_of("\0\0\0\0\7\2\0body"s), back));  // the same, written out
  EXPECT_EQ(back.text, "body");
  out.clear();
  nested.encode({"body"}, out);
  EXPECT_EQ(out, "\0\0\0\0\7\4\4\2body"s);
  EXPECT_EQ(problem_of(first, out), "the value is message 2.1 of its schema, not 0");
  EXPECT_EQ(problem_of(nested, out), "");
  EXPECT_EQ(problem_of(first, "\0\0\0\0\7\0broken"s), "the value is no protobuf message shop.Fake");
  EXPECT_NE(problem_of(first, "\0\0\0\0\7\xfe\xff\xff\xff\x0f"s), "");
}

}  // namespace
}  // namespace penstock
