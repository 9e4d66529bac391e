// SPDX-License-Identifier: Apache-2.0
// Reads what other implementations wrote (tests/conformance/fixtures/records) and compares every record.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "wire/batch_builder.h"
#include "wire/batch_validation.h"
#include "wire/compression.h"
#include "wire/message_set.h"
#include "wire/records_reader.h"
#include "wire/test_records.h"

namespace penstock::wire {
namespace {

using simdjson::dom::element;
using testing::owned_record;
const std::filesystem::path fixtures = PENSTOCK_RECORD_FIXTURES;

struct expected_batch {
  batch_header header;
  std::int64_t next_offset = 0;
};
struct fixture {
  std::string file;
  std::vector<expected_batch> batches;  // of magic 2
  std::vector<owned_record> records;
};

std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::optional<std::string> nullable(const element& e) {
  if (e.is_null()) return std::nullopt;
  return std::string(std::string_view(e));
}

owned_record parse_record(const element& e) {
  owned_record r{
      std::int64_t(e["offset"]), std::int64_t(e["timestamp"]), nullable(e["key"]), nullable(e["value"]), {}};
  if (r.value) {
    const std::string unit = *r.value;
    for (std::int64_t n = std::int64_t(e["times"]); n > 1; --n) *r.value += unit;
  }
  for (const element h : e["headers"])
    r.headers.emplace_back(std::string(std::string_view(h.at(0))), nullable(h.at(1)));
  return r;
}

expected_batch parse_batch(const element& e) {
  expected_batch b;
  b.header.base_offset = std::int64_t(e["base_offset"]);
  b.next_offset = std::int64_t(e["next_offset"]);
  int attributes = static_cast<int>(*parse_compression(std::string_view(e["codec"])));
  if (bool(e["append_time"])) attributes |= batch_header::log_append_time_bit;
  if (bool(e["transactional"])) attributes |= batch_header::transactional_bit;
  if (bool(e["control"])) attributes |= batch_header::control_bit;
  b.header.attributes = static_cast<std::int16_t>(attributes);
  b.header.producer_id = std::int64_t(e["producer_id"]);
  b.header.producer_epoch = static_cast<std::int16_t>(std::int64_t(e["producer_epoch"]));
  b.header.base_sequence = static_cast<std::int32_t>(std::int64_t(e["base_sequence"]));
  b.header.leader_epoch = static_cast<std::int32_t>(std::int64_t(e["leader_epoch"]));
  b.header.max_timestamp = std::int64_t(e["max_timestamp"]);
  return b;
}

std::vector<fixture> load() {
  std::vector<fixture> out;
  for (const auto& entry : std::filesystem::directory_iterator(fixtures)) {
    if (entry.path().extension() != ".json") continue;
    simdjson::dom::parser parser;
    const element root = parser.load(entry.path().string());
    for (const element f : root["files"]) {
      fixture& made = out.emplace_back();
      made.file = std::string_view(f["file"]);
      for (const element b : f["batches"]) made.batches.push_back(parse_batch(b));
      for (const element r : root["lists"][std::string_view(f["records"])])
        made.records.push_back(parse_record(r));
    }
  }
  return out;
}

const std::vector<fixture>& all_fixtures() {
  static const std::vector<fixture> loaded = load();
  return loaded;
}

struct contents {
  std::vector<batch_header> batches;
  std::vector<owned_record> records;
  std::vector<transaction_marker> markers;
  std::int64_t next_offset = 0;
};

contents read(std::string_view section, std::int64_t from = 0) {
  contents out;
  records_reader reader(section, {.fetch_offset = from});
  scratch_buffer scratch;
  fetched_batch b;
  for (;;) {
    auto more = reader.next(b, scratch);
    EXPECT_TRUE(more) << more.error().message();
    if (!more || !*more) break;
    if (b.header.magic == 2) out.batches.push_back(b.header);
    record_view r;
    while (b.cursor.next(r)) {
      if (!b.header.control()) {
        out.records.push_back(testing::own(r));
      } else if (auto marker = parse_marker(r)) {
        out.markers.push_back(*marker);
      } else {
        EXPECT_EQ(marker.error().kind(), errc::unsupported);
      }
    }
    EXPECT_FALSE(b.cursor.damaged());
  }
  EXPECT_EQ(reader.cut_off_bytes(), 0U);
  out.next_offset = reader.next_offset();
  return out;
}

class foreign_records : public ::testing::TestWithParam<fixture> {};
std::string test_name(const ::testing::TestParamInfo<fixture>& i) {
  std::string name = i.param.file.substr(0, i.param.file.size() - 4);
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}
void PrintTo(const fixture& f, std::ostream* os) { *os << f.file; }
INSTANTIATE_TEST_SUITE_P(fixtures, foreign_records, ::testing::ValuesIn(all_fixtures()), test_name);

TEST(foreign_records_present, from_three_implementations_and_of_every_codec) {
  std::map<std::string, int> origins;
  for (const auto& f : all_fixtures()) ++origins[f.file.substr(0, 4)];
  EXPECT_GE(origins["java"], 20);
  EXPECT_GE(origins["fran"], 6);
  EXPECT_GE(origins["kcat"], 5);
  std::map<compression, int> codecs;
  for (const auto& f : all_fixtures())
    for (const auto& b : f.batches) ++codecs[b.header.codec()];
  EXPECT_EQ(codecs.size(), 5U);
}

TEST_P(foreign_records, every_record_is_what_was_written) {
  const contents all = read(slurp(fixtures / GetParam().file));
  ASSERT_EQ(all.records.size(), GetParam().records.size());
  for (std::size_t i = 0; i < all.records.size(); ++i) ASSERT_EQ(all.records[i], GetParam().records[i]) << i;
}

TEST_P(foreign_records, every_batch_says_what_it_should) {
  const contents all = read(slurp(fixtures / GetParam().file));
  ASSERT_EQ(all.batches.size(), GetParam().batches.size());
  for (std::size_t i = 0; i < all.batches.size(); ++i) {
    const batch_header& h = all.batches[i];
    const auto& [e, next_offset] = GetParam().batches[i];
    EXPECT_EQ(h.base_offset, e.base_offset);
    EXPECT_EQ(h.next_offset(), next_offset);
    EXPECT_EQ(h.attributes & ~batch_header::delete_horizon_bit, e.attributes);
    EXPECT_EQ(h.producer_id, e.producer_id);
    EXPECT_EQ(h.producer_epoch, e.producer_epoch);
    EXPECT_EQ(h.base_sequence, e.base_sequence);
    EXPECT_EQ(h.leader_epoch, e.leader_epoch);
    EXPECT_EQ(h.max_timestamp, e.max_timestamp);
  }
}

TEST_P(foreign_records, may_be_read_from_the_middle) {
  const auto& records = GetParam().records;
  if (records.empty()) return;
  const auto bytes = slurp(fixtures / GetParam().file);
  for (const std::size_t from : {std::size_t{1}, records.size() / 2, records.size() - 1}) {
    const std::vector<owned_record> rest(records.begin() + static_cast<std::ptrdiff_t>(from), records.end());
    EXPECT_EQ(read(bytes, records[from].offset).records, rest);
  }
}

TEST_P(foreign_records, pass_a_brokers_validation) {
  const auto bytes = slurp(fixtures / GetParam().file);
  scratch_buffer scratch;
  for (std::string_view rest = bytes; peek_magic(rest) == 2;) {
    const auto batch = rest.substr(0, peek_total_size(rest));
    rest.remove_prefix(batch.size());
    auto summary = validate_batch(
        batch, {.from_producer = GetParam().file.starts_with("franz") || GetParam().file.starts_with("kcat")},
        scratch);
    ASSERT_TRUE(summary) << summary.error().message();
    if (summary->header.record_count > 0) {
      EXPECT_EQ(summary->max_timestamp, summary->header.max_timestamp);
    }
  }
}

// What our builder makes of the same records is the same, byte for byte, where no codec is between.
TEST_P(foreign_records, are_built_alike) {
  const std::string bytes = slurp(fixtures / GetParam().file);
  if (GetParam().file.find("horizon") != std::string::npos) return;  // its base timestamp is set aside
  for (std::string_view rest = bytes; peek_magic(rest) == 2;) {
    const auto batch = rest.substr(0, peek_total_size(rest));
    rest.remove_prefix(batch.size());
    const auto h = *parse_batch_header(batch);
    if (h.codec() != compression::none || h.time_type() != timestamp_type::create_time) continue;
    scratch_buffer scratch;
    auto cursor = *open_records(h, batch, scratch);
    batch_builder b;
    b.reset(h.base_offset, h.base_timestamp);
    record_view r;
    while (cursor.next(r)) b.append_at_offset(r);
    EXPECT_EQ(*b.seal({.producer_id = h.producer_id,
                       .producer_epoch = h.producer_epoch,
                       .base_sequence = h.base_sequence,
                       .transactional = h.transactional(),
                       .control = h.control(),
                       .leader_epoch = h.leader_epoch,
                       .max_timestamp = h.max_timestamp,
                       .last_offset_delta = h.last_offset_delta}),
              batch);
  }
}

// The messages of a set: of plain ones themselves, of a wrapper those within. Offsets count from 0.
std::string messages_of(std::string_view set, bool& compressed) {
  std::string out(set);
  constexpr std::size_t at_attributes = 17, at_value = 34;
  const auto codec = static_cast<compression>(set[at_attributes] & batch_header::codec_mask);
  compressed = codec != compression::none;
  if (compressed) {
    EXPECT_TRUE(decompress(codec, set.substr(at_value), default_max_decompressed, out));
    return out;
  }
  std::int64_t n = 0;
  for (std::size_t at = 0; at < out.size(); at += peek_total_size(std::string_view(out).substr(at)))
    base::store_be<std::int64_t>(out.data() + at, n++);
  return out;
}

// What our builder writes for Kafka 0.10 is what Java writes, up to the codecs' own choices.
TEST_P(foreign_records, are_built_alike_as_messages) {
  const std::string& file = GetParam().file;
  if (file.find("-v1-") == std::string::npos || file.find("append-time") != std::string::npos) return;
  const std::string bytes = slurp(fixtures / file);
  std::size_t sets = 0;
  for (std::string_view rest = bytes; !rest.empty(); ++sets) {
    scratch_buffer scratch;
    const auto translated = *translate_messages(rest, {}, scratch);
    ASSERT_GT(translated.consumed, 0U);
    const auto set = rest.substr(0, translated.consumed);
    rest.remove_prefix(translated.consumed);
    bool java_compressed = false, ours_compressed = false;
    const auto java = messages_of(set, java_compressed);
    batch_builder b;
    record_cursor cursor(translated.header, translated.records);
    record_view r;
    while (cursor.next(r)) ASSERT_TRUE(b.append(r));
    const auto codec = static_cast<compression>(set[17] & batch_header::codec_mask);
    const auto ours = *b.seal_as_messages(codec, default_compression_level);
    EXPECT_EQ(messages_of(ours, ours_compressed), java);
    EXPECT_EQ(ours_compressed, java_compressed);
    constexpr std::size_t at_timestamp = 18;
    EXPECT_EQ(ours.substr(at_timestamp, 8), set.substr(at_timestamp, 8));
    if (java_compressed) {
      EXPECT_EQ(base::load_be<std::int64_t>(ours.data()), translated.header.record_count - 1);
    }
  }
  EXPECT_GE(sets, 1U);
}

TEST(foreign_markers, are_read) {
  const contents all = read(slurp(fixtures / "java-4.1.0-v2-transactions.bin"));
  EXPECT_EQ(all.markers,
            (std::vector<transaction_marker>{{marker_type::commit, 17}, {marker_type::abort, 18}}));
  EXPECT_EQ(all.next_offset, 1012);
}

// Java's own marker, byte for byte.
TEST(foreign_markers, are_what_we_write) {
  const std::string bytes = slurp(fixtures / "java-4.1.0-v2-transactions.bin");
  const auto first = std::string_view(bytes).substr(peek_total_size(bytes));
  const auto marker = first.substr(0, peek_total_size(first));
  scratch_buffer ours;
  append_marker_batch({marker_type::commit, 17}, 4242, 3, 1'700'000'000'001, 9, ours);
  set_base_offset(ours.data(), 1005);
  EXPECT_EQ(ours.view(), marker);
}

TEST(foreign_records_compacted, end_where_the_header_says) {
  const contents all = read(slurp(fixtures / "java-4.1.0-v2-compacted.bin"));
  EXPECT_EQ(all.next_offset, 1041);
  ASSERT_EQ(all.batches.size(), 2U);
  EXPECT_EQ(all.batches[0].last_sequence(), 535);
  EXPECT_EQ(all.batches[1].record_count, 0);
}

TEST(foreign_records_horizon, is_flagged) {
  const contents all = read(slurp(fixtures / "java-4.1.0-v2-delete-horizon.bin"));
  ASSERT_EQ(all.batches.size(), 1U);
  EXPECT_TRUE(all.batches[0].has_delete_horizon());
  EXPECT_EQ(all.batches[0].base_timestamp, 1'700'005'000'000);
}

}  // namespace
}  // namespace penstock::wire
