// SPDX-License-Identifier: Apache-2.0
// The codec against messages that other implementations wrote (tests/conformance/fixtures/messages.txt).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <map>
#include <sstream>

#include "wire/api.h"
#include "wire/reencode.h"

namespace penstock::wire {
namespace {

struct fixture {
  std::string implementation;
  std::string message;
  std::int16_t version = 0;
  std::string bytes;

  std::string title() const { return fmt::format("{} {} v{}", implementation, message, version); }
};

std::string from_hex(std::string_view hex) {
  std::string bytes(hex.size() / 2, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    unsigned byte = 0;
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, byte, 16);
    bytes[i] = static_cast<char>(byte);
  }
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

const std::vector<fixture>& fixtures() {
  static const std::vector<fixture> all = [] {
    std::vector<fixture> read;
    std::ifstream file(PENSTOCK_FIXTURES "/messages.txt");
    for (std::string line; std::getline(file, line);) {
      if (line.empty() || line.front() == '#') continue;
      std::istringstream words(line);
      fixture next;
      std::string hex;
      words >> next.implementation >> next.message >> next.version >> hex;
      next.bytes = from_hex(hex);
      read.push_back(std::move(next));
    }
    return read;
  }();
  return all;
}

TEST(CodecFixtures, CoverEveryVersionOfEveryMessage) {
  std::map<std::pair<std::string_view, std::int16_t>, int> covered;
  for (const fixture& f : fixtures()) ++covered[{f.message, f.version}];
  for (const message_codec& codec : every_message())
    for (std::int16_t version = codec.min_version; version <= codec.max_version; ++version)
      EXPECT_TRUE(covered.contains({codec.name, version})) << codec.name << " v" << version;
}

TEST(CodecFixtures, AreReadAndWrittenUnchanged) {
  for (const fixture& f : fixtures()) {
    const message_codec* codec = find_message(f.message);
    ASSERT_NE(codec, nullptr) << f.title();
    const auto again = codec->reencode(f.bytes, f.version);
    ASSERT_TRUE(again) << f.title() << ": " << again.error().message();
    EXPECT_EQ(to_hex(*again), to_hex(f.bytes)) << f.title();
  }
}

TEST(CodecFixtures, FailCleanlyWhenCutOffAnywhere) {
  for (const fixture& f : fixtures()) {
    const message_codec* codec = find_message(f.message);
    ASSERT_NE(codec, nullptr) << f.title();
    for (std::size_t n = 0; n < f.bytes.size(); ++n) {
      const std::string cut = f.bytes.substr(0, n);  // a copy, so that a sanitizer sees a read beyond its end
      const auto again = codec->reencode(cut, f.version);
      ASSERT_FALSE(again) << f.title() << " cut off after " << n << " bytes";
      EXPECT_EQ(again.error().kind(), errc::corrupt);
    }
  }
}

TEST(CodecFixtures, FailCleanlyOrStayStableWithAnyByteChanged) {
  std::size_t read = 0, refused = 0;
  for (const fixture& f : fixtures()) {
    const message_codec* codec = find_message(f.message);
    ASSERT_NE(codec, nullptr) << f.title();
    for (std::size_t i = 0; i < f.bytes.size(); ++i) {
      for (const char byte : {'\xff', '\x7f', '\0'}) {
        std::string changed = f.bytes;
        changed[i] = byte;
        const auto again = codec->reencode(changed, f.version);
        if (!again) {
          EXPECT_EQ(again.error().kind(), errc::corrupt) << again.error().message();
          ++refused;
          continue;
        }
        const auto once_more = codec->reencode(*again, f.version);
        ASSERT_TRUE(once_more) << f.title() << " changed at " << i << ": " << once_more.error().message();
        EXPECT_EQ(*once_more, *again) << f.title() << " changed at " << i;
        ++read;
      }
    }
  }
  EXPECT_GT(read, 0u);
  EXPECT_GT(refused, 0u);
}

// Whole frames between kcat and an Apache Kafka (tests/conformance/fixtures/frames.txt): their headers, too.
void expect_same_request(bytes_view frame) {
  reader in(frame);
  request_header header;
  ASSERT_TRUE(header.decode(in));
  const message_codec* codec = find_message(fmt::format("{}_request", to_string(header.key)));
  ASSERT_NE(codec, nullptr);
  const auto body = codec->reencode(in.rest(), header.version);
  ASSERT_TRUE(body) << body.error().message();
  std::string again;
  writer out(again);
  ASSERT_TRUE(header.encode(out));
  EXPECT_EQ(to_hex(again + *body), to_hex(frame));
}

void expect_same_response(api_key key, std::int16_t version, bytes_view frame) {
  reader in(frame);
  response_header header;
  ASSERT_TRUE(header.decode(in, key, version));
  const message_codec* codec = find_message(fmt::format("{}_response", to_string(key)));
  ASSERT_NE(codec, nullptr);
  const auto body = codec->reencode(in.rest(), version);
  ASSERT_TRUE(body) << body.error().message();
  std::string again;
  writer out(again);
  header.encode(out, key, version);
  EXPECT_EQ(to_hex(again + *body), to_hex(frame));
}

TEST(CodecFixtures, FramesOfKcatAndKafkaAreReadAndWrittenUnchanged) {
  std::ifstream file(PENSTOCK_FIXTURES "/frames.txt");
  int requests = 0, responses = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    SCOPED_TRACE(line.substr(0, 60));
    std::istringstream words(line);
    std::string implementation, direction, hex;
    words >> implementation >> direction;
    if (direction == "request") {
      words >> hex;
      expect_same_request(from_hex(hex));
      ++requests;
    } else {
      std::int16_t key = 0, version = 0;
      words >> key >> version >> hex;
      expect_same_response(static_cast<api_key>(key), version, from_hex(hex));
      ++responses;
    }
  }
  EXPECT_GT(requests, 10);
  EXPECT_GT(responses, 10);
}

}  // namespace
}  // namespace penstock::wire
