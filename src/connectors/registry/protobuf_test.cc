// SPDX-License-Identifier: Apache-2.0
// Messages that protoc has made; built where libprotobuf-dev and protobuf-compiler are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/protobuf.h>

#include "connectors/registry/scripted_http.h"
#include "order.pb.h"

namespace penstock {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;

TEST(protobuf, reads_and_writes_messages) {
  shop::Order o;
  o.set_id(150);
  o.mutable_line()->set_sku("testing");
  std::string out;
  protobuf<shop::Order>.encode(o, out);
  // As the encoding's description has it: field 1 varint 150; field 2, within it field 2 "testing".
  EXPECT_EQ(out, "\x08\x96\x01\x12\x09\x12\x07testing"s);
  shop::Order back;
  ASSERT_TRUE(protobuf<shop::Order>.decode(detail::record_of(out), back));
  EXPECT_EQ(back.id(), 150);
  EXPECT_EQ(back.line().sku(), "testing");
  const auto wrong = protobuf<shop::Order>.decode(detail::record_of("\x08"), back);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message(), "the value is no protobuf message shop.Order");
}

TEST(confluent_protobuf, of_real_messages) {
  const scripted_http server([](const std::string&) { return scripted_http::answer{200, R"({"id":3})"}; });
  const schema_registry registry({.urls = {server.url()}});
  const auto format = confluent_protobuf<shop::Order::Line>(registry, "lines-value");
  shop::Order::Line line;
  line.set_sku("a");
  std::string out;
  format.encode(line, out);
  EXPECT_EQ(out, "\0\0\0\0\3\4\2\0\x12\1a"s);  // the second message of the file, the first within it
  EXPECT_THAT(server.requests().at(0), HasSubstr("message Order {"));
  shop::Order::Line back;
  ASSERT_TRUE(format.decode(detail::record_of(out), back));
  EXPECT_EQ(back.sku(), "a");
}

}  // namespace
}  // namespace penstock
