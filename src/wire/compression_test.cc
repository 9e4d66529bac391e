// SPDX-License-Identifier: Apache-2.0
#include "wire/compression.h"

#include <gtest/gtest.h>
#include <lz4frame.h>
#include <snappy.h>

#include <random>
#include <string>
#include <thread>

#include "wire/test_records.h"

namespace penstock::wire {
namespace {

using testing::all_codecs;

constexpr std::size_t plenty = std::size_t{64} << 20;

std::string sample(std::size_t size, unsigned letters) {
  std::mt19937 random(static_cast<unsigned>(size) + letters);
  std::string s(size, '\0');
  for (auto& c : s) c = static_cast<char>(random() % letters);
  return s;
}

std::string compressed(compression codec, std::string_view in, int level = default_compression_level) {
  std::string out;
  auto done = compress(codec, level, in, out);
  EXPECT_TRUE(done) << done.error().message();
  return out;
}

class every_codec : public ::testing::TestWithParam<compression> {};
INSTANTIATE_TEST_SUITE_P(compression, every_codec, ::testing::ValuesIn(all_codecs),
                         [](const auto& i) { return std::string(to_string(i.param)); });

TEST(compression_names, are_kafkas) {
  for (const auto codec : all_codecs) EXPECT_EQ(parse_compression(to_string(codec)), codec);
  EXPECT_EQ(parse_compression("uncompressed"), compression::none);
  EXPECT_EQ(parse_compression("brotli"), std::nullopt);
  EXPECT_EQ(parse_compression(""), std::nullopt);
}

TEST_P(every_codec, gives_back_what_it_took) {
  for (const std::size_t size : {0, 1, 15, 1000, 32768, 32769, 65536, 65537, 1'000'003}) {
    for (const unsigned letters : {1U, 4U, 256U}) {
      const std::string in = sample(size, letters);
      std::string out = "what was there before";
      auto done = decompress(GetParam(), compressed(GetParam(), in), plenty, out);
      ASSERT_TRUE(done) << done.error().message();
      ASSERT_TRUE(out == in) << size << " bytes of " << letters << " letters";
    }
  }
}

TEST_P(every_codec, appends_to_the_buffer_it_is_given) {
  scratch_buffer out;
  out.append("front");
  ASSERT_TRUE(compress(GetParam(), default_compression_level, "some bytes", out));
  EXPECT_EQ(out.view().substr(0, 5), "front");
  std::string back;
  ASSERT_TRUE(decompress(GetParam(), out.view().substr(5), plenty, back));
  EXPECT_EQ(back, "some bytes");
}

TEST_P(every_codec, gives_at_most_what_is_allowed) {
  const std::string in = sample(300'000, 4);
  const std::string small = compressed(GetParam(), in);
  std::string out;
  EXPECT_TRUE(decompress(GetParam(), small, in.size(), out));
  for (const std::size_t limit : {std::size_t{0}, std::size_t{1}, in.size() / 2, in.size() - 1}) {
    auto done = decompress(GetParam(), small, limit, out);
    ASSERT_FALSE(done) << limit;
    EXPECT_EQ(done.error().kind(), errc::exhausted) << done.error().message();
  }
}

TEST_P(every_codec, a_bomb_is_stopped_at_the_limit) {
  if (GetParam() == compression::none) return;
  const std::string bomb = compressed(GetParam(), std::string(50'000'000, 'x'));
  scratch_buffer out;
  auto done = decompress(GetParam(), bomb, 1'000'000, out);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), errc::exhausted);
  EXPECT_LE(out.capacity(), 4'000'000U);
}

TEST_P(every_codec, every_truncation_is_an_error) {
  if (GetParam() == compression::none) return;
  const std::string whole = compressed(GetParam(), sample(5000, 4));
  std::string out;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    auto done = decompress(GetParam(), whole.substr(0, size), plenty, out);
    // A row of snappy blocks has no end mark: cut between two, it is a shorter row.
    if (done && GetParam() == compression::snappy && size == 16) continue;
    ASSERT_FALSE(done) << size << " of " << whole.size();
    EXPECT_EQ(done.error().kind(), errc::corrupt);
  }
}

TEST_P(every_codec, flipped_bits_do_no_harm) {
  if (GetParam() == compression::none) return;
  const std::string whole = compressed(GetParam(), sample(20'000, 4));
  std::mt19937 random(7);
  std::string out;
  for (int i = 0; i < 2000; ++i) {
    std::string bad = whole;
    for (auto n = 1 + random() % 3; n > 0; --n)
      bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
    auto done = decompress(GetParam(), bad, 1 << 20, out);
    if (!done) {
      EXPECT_TRUE(done.error().kind() == errc::corrupt || done.error().kind() == errc::exhausted);
    } else {
      EXPECT_LE(out.size(), std::size_t{1} << 20);
    }
  }
  // The contexts that saw the damage are not harmed either.
  ASSERT_TRUE(decompress(GetParam(), whole, plenty, out));
  EXPECT_EQ(out, sample(20'000, 4));
}

TEST_P(every_codec, arbitrary_bytes_do_no_harm) {
  std::string out;
  for (unsigned i = 0; i < 500; ++i) (void)decompress(GetParam(), sample(i, 256), 1 << 20, out);
}

TEST_P(every_codec, levels_are_taken_and_checked) {
  const auto range = levels_of(GetParam());
  const std::string in = sample(100'000, 4);
  std::string out;
  for (const int level : {range.min, range.standard, range.max}) {
    ASSERT_TRUE(decompress(GetParam(), compressed(GetParam(), in, level), plenty, out)) << level;
    EXPECT_EQ(out, in);
  }
  if (range.min == range.max) return;
  EXPECT_LE(compressed(GetParam(), in, range.max).size(), compressed(GetParam(), in, range.min).size());
  for (const int level : {range.min - 1, range.max + 1}) {
    auto done = compress(GetParam(), level, in, out);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind(), errc::invalid_argument);
  }
}

TEST_P(every_codec, threads_do_not_share_contexts) {
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      std::string out;
      for (unsigned i = 0; i < 20; ++i) {
        const std::string in = sample(10'000 + i, 3 + t);
        EXPECT_TRUE(decompress(GetParam(), compressed(GetParam(), in), plenty, out));
        EXPECT_TRUE(out == in);
      }
    });
  }
  for (auto& t : threads) t.join();
}

TEST(compression_errors, an_unknown_codec_is_unsupported) {
  std::string out;
  const auto codec = static_cast<compression>(5);
  EXPECT_EQ(compress(codec, default_compression_level, "x", out).error().kind(), errc::unsupported);
  EXPECT_EQ(decompress(codec, "x", plenty, out).error().kind(), errc::unsupported);
}

TEST(snappy, is_written_in_javas_framing_and_read_raw_too) {
  const std::string in = sample(100'000, 4);
  const std::string framed = compressed(compression::snappy, in);
  EXPECT_EQ(framed.substr(0, 16), std::string("\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16));
  std::string raw;
  snappy::Compress(in.data(), in.size(), &raw);
  std::string out;
  ASSERT_TRUE(decompress(compression::snappy, raw, plenty, out));
  EXPECT_EQ(out, in);
}

TEST(snappy, framed_streams_may_follow_one_another) {
  const std::string two = compressed(compression::snappy, "one, ") + compressed(compression::snappy, "two");
  std::string out;
  ASSERT_TRUE(decompress(compression::snappy, two, plenty, out));
  EXPECT_EQ(out, "one, two");
}

TEST(snappy, a_block_that_claims_too_much_gets_no_memory) {
  scratch_buffer out;
  auto done = decompress(compression::snappy, "\xff\xff\xff\x7f", plenty, out);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), errc::corrupt);
  EXPECT_LT(out.capacity(), std::size_t{1} << 20);
}

TEST(gzip, members_may_follow_one_another) {
  const std::string two = compressed(compression::gzip, "one, ") + compressed(compression::gzip, "two");
  std::string out;
  ASSERT_TRUE(decompress(compression::gzip, two, plenty, out));
  EXPECT_EQ(out, "one, two");
}

TEST(lz4, frames_are_what_javas_client_reads) {
  const std::string frame = compressed(compression::lz4, sample(200'000, 4));
  EXPECT_EQ(frame.substr(0, 4), "\x04\x22\x4d\x18");
  // Version 1, independent blocks, no checksums, no content size; blocks of 64 KiB.
  EXPECT_EQ(static_cast<unsigned char>(frame[4]), 0x60);
  EXPECT_EQ(static_cast<unsigned char>(frame[5]), 0x40);
}

TEST(lz4, reads_what_others_may_write) {
  const std::string in = sample(700'000, 4);
  for (const auto blocks : {LZ4F_max64KB, LZ4F_max256KB, LZ4F_max4MB}) {
    for (const auto mode : {LZ4F_blockLinked, LZ4F_blockIndependent}) {
      LZ4F_preferences_t p{};
      p.frameInfo.blockSizeID = blocks;
      p.frameInfo.blockMode = mode;
      p.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
      p.frameInfo.blockChecksumFlag = LZ4F_blockChecksumEnabled;
      p.frameInfo.contentSize = in.size();
      std::string frame(LZ4F_compressFrameBound(in.size(), &p), '\0');
      frame.resize(LZ4F_compressFrame(frame.data(), frame.size(), in.data(), in.size(), &p));
      std::string out;
      ASSERT_TRUE(decompress(compression::lz4, frame, in.size(), out));
      EXPECT_TRUE(out == in);
      std::string bad = frame;
      bad.back() ^= 1;  // the content's checksum
      EXPECT_FALSE(decompress(compression::lz4, bad, in.size(), out));
      EXPECT_FALSE(decompress(compression::lz4, frame.substr(0, frame.size() / 2), in.size(), out));
      // What was left half done does not show in the next frame.
      ASSERT_TRUE(decompress(compression::lz4, compressed(compression::lz4, "next"), in.size(), out));
      EXPECT_EQ(out, "next");
    }
  }
}

}  // namespace
}  // namespace penstock::wire
