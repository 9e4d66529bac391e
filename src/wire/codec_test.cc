// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "wire/api.h"
#include "wire/error_code.h"
#include "wire/messages/api_versions.h"
#include "wire/messages/consumer_group_heartbeat.h"
#include "wire/messages/consumer_protocol.h"
#include "wire/messages/describe_topic_partitions.h"
#include "wire/messages/fetch.h"
#include "wire/messages/heartbeat.h"
#include "wire/messages/join_group.h"
#include "wire/messages/list_groups.h"
#include "wire/messages/metadata.h"
#include "wire/messages/produce.h"
#include "wire/uuid.h"

namespace penstock::wire {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;

template <typename Message>
std::string encoded(const Message& message, std::int16_t version) {
  std::string bytes;
  writer out(bytes);
  const auto written = message.encode(out, version);
  EXPECT_TRUE(written) << written.error().message();
  return bytes;
}

template <typename Message>
std::string encode_failure(const Message& message, std::int16_t version) {
  std::string bytes = "before";
  writer out(bytes);
  const auto written = message.encode(out, version);
  EXPECT_EQ(bytes, "before");
  return written ? "it was encoded" : written.error().message();
}

template <typename Message>
Message decoded(bytes_view bytes, std::int16_t version) {
  reader in(bytes);
  Message message;
  const auto read = message.decode(in, version);
  EXPECT_TRUE(read) << read.error().message();
  EXPECT_EQ(in.left(), 0u);
  return message;
}

template <typename Message>
std::string decode_failure(bytes_view bytes, std::int16_t version) {
  reader in(bytes);
  Message message;
  const auto read = message.decode(in, version);
  return read ? "it was decoded" : read.error().message();
}

TEST(Codec, WritesTheBytesOfTheProtocol) {
  const heartbeat_request request{
      .group_id = "g", .generation_id = 7, .member_id = "m", .group_instance_id = "i"};
  EXPECT_EQ(encoded(request, 3), "\0\1g\0\0\0\7\0\1m\0\1i"s);
  EXPECT_EQ(encoded(request, 4), "\2g\0\0\0\7\2m\2i\0"s);
  const heartbeat_request dynamic{.group_id = "g", .generation_id = 7, .member_id = "m"};
  EXPECT_EQ(encoded(dynamic, 3), "\0\1g\0\0\0\7\0\1m\xff\xff"s);
  EXPECT_EQ(encoded(dynamic, 4), "\2g\0\0\0\7\2m\0\0"s);
}

TEST(Codec, AMessageWithoutFieldsStillHasTags) {
  EXPECT_EQ(encoded(list_groups_request{}, 2), "");
  EXPECT_EQ(encoded(list_groups_request{}, 3), "\0"s);
}

TEST(Codec, AnAbsentFieldTakesItsDefault) {
  fetch_request request;
  request.topics = {{.topic = "orders", .partitions = {{.partition = 2, .fetch_offset = 11}}}};
  request.session_epoch = 5;  // ignorable: dropped where it is absent
  const auto old = decoded<fetch_request>(encoded(request, 4), 4);
  EXPECT_EQ(old.session_epoch, -1);
  EXPECT_EQ(old.topics[0].partitions[0].last_fetched_epoch, -1);
  EXPECT_EQ(old.topics[0].partitions[0].high_watermark, INT64_MAX);
  EXPECT_EQ(old.topics[0].partitions[0].fetch_offset, 11);
  EXPECT_EQ(decoded<fetch_request>(encoded(request, 11), 11), request);
}

TEST(Codec, DecodingLeavesNothingOfTheFormerValue) {
  fetch_request request;
  request.session_id = 9;
  request.topics.emplace_back();
  const std::string bytes = encoded(fetch_request{}, 4);
  reader in(bytes);
  ASSERT_TRUE(request.decode(in, 4));
  EXPECT_EQ(request, fetch_request{});
}

TEST(Codec, RefusesAValueForAnAbsentField) {
  heartbeat_request request{.group_id = "g", .member_id = "m", .group_instance_id = "i"};
  EXPECT_THAT(encode_failure(request, 2), HasSubstr("heartbeat request v2: this version has no field "
                                                    "group_instance_id"));
}

TEST(Codec, RefusesANullWhereTheVersionHasNone) {
  const metadata_request every_topic{.topics = std::nullopt};
  EXPECT_THAT(encode_failure(every_topic, 0), HasSubstr("topics is null"));
  EXPECT_EQ(decoded<metadata_request>(encoded(every_topic, 1), 1).topics, std::nullopt);
  EXPECT_THAT(decode_failure<metadata_request>("\xff\xff\xff\xff"s, 0), HasSubstr("null array at byte 4"));
}

TEST(Codec, RefusesAVersionThatItDoesNotKnow) {
  EXPECT_THAT(encode_failure(fetch_request{}, 19), HasSubstr("has no version 19, only 0 to 18"));
  EXPECT_THAT(decode_failure<fetch_request>("", -1), HasSubstr("has no version -1"));
}

TEST(Codec, TaggedFieldsAreWrittenWhenTheyDifferFromTheDefault) {
  api_versions_response response;
  EXPECT_EQ(encoded(response, 3), "\0\0\1\0\0\0\0\0"s);
  response.finalized_features_epoch = 1;
  response.zk_migration_ready = true;
  const std::string bytes = encoded(response, 3);
  EXPECT_EQ(bytes, "\0\0\1\0\0\0\0\2\1\x8\0\0\0\0\0\0\0\1\3\1\1"s);
  EXPECT_EQ(decoded<api_versions_response>(bytes, 3), response);
  EXPECT_EQ(encoded(response, 2), "\0\0\0\0\0\0\0\0\0\0"s);  // ignorable
}

TEST(Codec, PassesOverUnknownTags) {
  const auto response = decoded<api_versions_response>("\0\0\1\0\0\0\0\3\3\1\1\x63\2xy\x80\1\0"s, 3);
  EXPECT_TRUE(response.zk_migration_ready);
}

TEST(Codec, RefusesTagsThatDoNotFit) {
  const std::string head = "\0\0\1\0\0\0\0"s;
  EXPECT_THAT(decode_failure<api_versions_response>(head + "\1\3\2\1\1"s, 3), HasSubstr("longer"));
  EXPECT_THAT(decode_failure<api_versions_response>(head + "\1\3\0"s, 3), HasSubstr("cut off"));
  EXPECT_THAT(decode_failure<api_versions_response>(head + "\1\x63\xff\xff\xff\xff\xf"s, 3),
              HasSubstr("cut off"));
  EXPECT_THAT(decode_failure<api_versions_response>(head + "\xff\xff\xff\xff\xff\xff\1"s, 3),
              HasSubstr("variable-length"));
}

TEST(Codec, AStructMayBeNull) {
  const describe_topic_partitions_request without{.topics = {{.name = "t"}}, .response_partition_limit = 1};
  EXPECT_EQ(encoded(without, 0), "\2\2t\0\0\0\0\1\xff\0"s);
  auto with = without;
  with.cursor = {.topic_name = "t", .partition_index = 3};
  EXPECT_EQ(encoded(with, 0), "\2\2t\0\0\0\0\1\1\2t\0\0\0\3\0\0"s);
  EXPECT_EQ(decoded<describe_topic_partitions_request>(encoded(without, 0), 0), without);
  EXPECT_EQ(decoded<describe_topic_partitions_request>(encoded(with, 0), 0), with);
}

TEST(Codec, ACountIsBoundedByTheBytesLeft) {
  EXPECT_THAT(decode_failure<metadata_request>("\x7f\xff\xff\xff\0\1t"s, 0), HasSubstr("count out of range"));
  EXPECT_THAT(decode_failure<metadata_request>("\x80\0\0\0"s, 0), HasSubstr("count out of range"));
  EXPECT_THAT(decode_failure<list_groups_response>("\0\0\0\0\0\0\xff\xff\xff\xff\xf"s, 3),
              HasSubstr("count out of range"));
}

TEST(Codec, AStringHasAtMost32767Bytes) {
  heartbeat_request request{.group_id = std::string(32767, 'g')};
  EXPECT_EQ(decoded<heartbeat_request>(encoded(request, 4), 4), request);
  request.group_id += 'g';
  EXPECT_THAT(encode_failure(request, 4), HasSubstr("longer than 32767"));
  EXPECT_THAT(encode_failure(request, 0), HasSubstr("longer than 32767"));
  EXPECT_THAT(decode_failure<heartbeat_request>("\x81\x80\2" + request.group_id, 4),
              HasSubstr("longer than 32767"));
}

TEST(Codec, RecordsAreBorrowedOrSentByTheCaller) {
  produce_request request{.acks = -1, .timeout_ms = 1};
  request.topic_data = {{.name = "t", .partition_data = {{.index = 0}, {.index = 1}, {.index = 2}}}};
  auto& partitions = request.topic_data[0].partition_data;
  partitions[0].records = records_field::borrow("batch");
  partitions[1].records = records_field::external(1000);
  std::string bytes;
  writer out(bytes);
  ASSERT_TRUE(request.encode(out, 9));
  ASSERT_EQ(out.splices().size(), 1u);
  EXPECT_EQ(out.splices()[0].size, 1000u);
  EXPECT_EQ(out.spliced_bytes(), 1000u);

  bytes.insert(out.splices()[0].position, std::string(1000, 'x'));
  const auto got = decoded<produce_request>(bytes, 9).topic_data[0].partition_data;
  EXPECT_EQ(got[0].records.bytes, "batch");
  EXPECT_EQ(got[1].records.bytes, std::string(1000, 'x'));
  EXPECT_TRUE(got[2].records.null);
  EXPECT_TRUE(got[0].records.bytes.data() >= bytes.data() &&
              got[0].records.bytes.data() < bytes.data() + bytes.size());
}

TEST(Codec, AFailureTakesBackWhatWasWritten) {
  produce_request request;
  request.topic_data = {{.name = "t", .partition_data = {{.index = 0}}}};
  request.topic_data[0].partition_data[0].records = records_field::external(10);
  std::string bytes;
  writer out(bytes);
  const request_header header{api_key::produce, 9, 1, "me"};
  ASSERT_TRUE(encode_frame(out, header, request));
  const std::string before = bytes;
  request.topic_data[0].name = std::string(40000, 't');
  ASSERT_FALSE(encode_frame(out, header, request));
  EXPECT_EQ(bytes, before);
  EXPECT_EQ(out.splices().size(), 1u);
  EXPECT_EQ(out.spliced_bytes(), 10u);
  EXPECT_TRUE(out.ok());
}

TEST(Frame, LengthCountsTheSplicedBytes) {
  produce_request request{.acks = 1};
  request.topic_data = {{.name = "t", .partition_data = {{.index = 0}}}};
  request.topic_data[0].partition_data[0].records = records_field::external(70000);
  std::string bytes = "earlier";
  writer out(bytes);
  ASSERT_TRUE(encode_frame(out, {api_key::produce, 3, 42, std::nullopt}, request));
  EXPECT_EQ(base::load_be<std::int32_t>(bytes.data() + 7),
            static_cast<std::int32_t>(bytes.size() - 7 - 4 + 70000));
}

TEST(Header, OfARequest) {
  for (const std::int16_t version : {11, 12}) {
    const request_header header{api_key::fetch, version, 77, "client"};
    std::string bytes;
    writer out(bytes);
    ASSERT_TRUE(header.encode(out));
    EXPECT_EQ(bytes, "\0\1\0"s + static_cast<char>(version) + "\0\0\0\x4d\0\6client"s +
                         (version == 12 ? "\0"s : ""s));
    bytes += "body";
    reader in(bytes);
    request_header again;
    ASSERT_TRUE(again.decode(in));
    EXPECT_EQ(again, header);
    EXPECT_EQ(in.rest(), "body");
  }
}

TEST(Header, OfAVersionFromTheFutureIsReadAsFarAsItIsKnown) {
  const std::string bytes = "\0\x12\0\x63\0\0\0\x9\xff\xff\x7f"s;
  reader in(bytes);
  request_header header;
  ASSERT_TRUE(header.decode(in));
  EXPECT_EQ(header.key, api_key::api_versions);
  EXPECT_EQ(header.version, 99);
  EXPECT_EQ(header.correlation_id, 9);
  const std::string three_bytes = "\0\x12\0"s;
  reader cut(three_bytes);
  EXPECT_FALSE(header.decode(cut));
}

TEST(Header, OfAResponseDependsOnTheRequest) {
  const auto header_bytes = [](api_key key, std::int16_t version) {
    std::string bytes;
    writer out(bytes);
    response_header{5}.encode(out, key, version);
    reader in(bytes);
    response_header again;
    EXPECT_TRUE(again.decode(in, key, version));
    EXPECT_EQ(in.left(), 0u);
    EXPECT_EQ(again.correlation_id, 5);
    return bytes;
  };
  EXPECT_EQ(header_bytes(api_key::fetch, 11), "\0\0\0\5"s);
  EXPECT_EQ(header_bytes(api_key::fetch, 12), "\0\0\0\5\0"s);
  EXPECT_EQ(header_bytes(api_key::api_versions, 3), "\0\0\0\5"s);
  EXPECT_EQ(header_bytes(api_key::sasl_handshake, 1), "\0\0\0\5"s);
}

TEST(Header, ApiTableIsSortedAndAgreesWithTheMessages) {
  std::int16_t before = -1;
  for (const api_info& api : api_table) {
    EXPECT_GT(static_cast<std::int16_t>(api.key), before);
    before = static_cast<std::int16_t>(api.key);
  }
  const api_info* fetch = find_api(fetch_response::key);
  ASSERT_NE(fetch, nullptr);
  EXPECT_EQ(fetch->name, "fetch");
  EXPECT_EQ(fetch->max_version, fetch_response::max_version);
  EXPECT_EQ(fetch->flexible_from, 12);
  EXPECT_EQ(find_api(std::int16_t{4}), nullptr);
  EXPECT_EQ(to_string(api_key{4}), "unknown");
}

TEST(ConsumerProtocol, OlderReadersMayStopEarly) {
  consumer_protocol_subscription subscription{.topics = {"a", "b"}, .generation_id = 4, .rack_id = "r"};
  const auto old = decoded<consumer_protocol_subscription>(encoded(subscription, 1), 1);
  EXPECT_EQ(old.topics, subscription.topics);
  EXPECT_EQ(old.generation_id, -1);
  // A newer version's bytes begin with the older one's.
  const std::string bytes = encoded(subscription, 3);
  EXPECT_TRUE(bytes.starts_with(encoded(old, 0)));
}

TEST(ErrorCode, HasNamesAndSaysWhatToDo) {
  EXPECT_EQ(to_string(error_code::none), "NONE");
  EXPECT_EQ(to_string(error_code::unknown_server_error), "UNKNOWN_SERVER_ERROR");
  EXPECT_EQ(to_string(error_code::not_leader_or_follower), "NOT_LEADER_OR_FOLLOWER");
  EXPECT_EQ(to_string(error_code{12345}), "UNLISTED_ERROR");
  EXPECT_TRUE(retriable(error_code::not_coordinator));
  EXPECT_FALSE(retriable(error_code::topic_already_exists));
  const error e = make_error(error_code::not_leader_or_follower, "topic orders, partition 3");
  EXPECT_EQ(e.message(), "topic orders, partition 3: the broker answered NOT_LEADER_OR_FOLLOWER (6)");
  EXPECT_EQ(e.kafka_code(), 6);
  EXPECT_TRUE(e.retriable());
  EXPECT_EQ(make_error(std::int16_t{120}, "x").what_to_do(), recovery::abort_transaction);
}

TEST(Uuid, TextFormIsKafkas) {
  EXPECT_EQ((uuid{0, 1}.to_string()), "AAAAAAAAAAAAAAAAAAAAAQ");
  EXPECT_EQ((uuid{0x0123456789abcdef, 0xfedcba9876543210}.to_string()), "ASNFZ4mrze_-3LqYdlQyEA");
  EXPECT_EQ(*uuid::parse("ASNFZ4mrze_-3LqYdlQyEA"), (uuid{0x0123456789abcdef, 0xfedcba9876543210}));
  EXPECT_FALSE(uuid::parse("ASNFZ4mrze_-3LqYdlQyE"));
  EXPECT_FALSE(uuid::parse("ASNFZ4mrze_-3LqYdlQyEB"));
  EXPECT_FALSE(uuid::parse("ASNFZ4mrze/-3LqYdlQyEA"));
}

TEST(Uuid, RandomOnesAreVersion4) {
  const uuid id = uuid::from_random(~0ULL, ~0ULL);
  EXPECT_EQ((id.high >> 12) & 0xf, 4u);
  EXPECT_EQ(id.low >> 62, 2u);
}

}  // namespace
}  // namespace penstock::wire
