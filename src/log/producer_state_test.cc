// SPDX-License-Identifier: Apache-2.0
#include "log/producer_state.h"

#include <gtest/gtest.h>

#include "log/leader_epochs.h"

namespace penstock::log {
namespace {

wire::batch_header batch(std::int64_t producer, std::int16_t epoch, std::int32_t sequence, std::int32_t count,
                         std::int64_t offset) {
  wire::batch_header h;
  h.producer_id = producer;
  h.producer_epoch = epoch;
  h.base_sequence = sequence;
  h.last_offset_delta = count - 1;
  h.record_count = count;
  h.base_offset = offset;
  h.max_timestamp = 1'000 + offset;
  return h;
}

TEST(ProducerState, AnUnknownProducerMayBeginAnywhere) {
  producer_state state;
  EXPECT_EQ(state.check(batch(1, 0, 17, 3, 0)).status, append_status::appended);
  EXPECT_EQ(state.check(batch(-1, -1, -1, 3, 0)).status, append_status::appended);
}

TEST(ProducerState, OnlyTheLastFiveExactBatchesAreDuplicates) {
  producer_state state;
  for (int i = 0; i < 7; ++i) state.update(batch(1, 0, i * 2, 2, i * 10), std::nullopt);
  for (int i = 2; i < 7; ++i) {
    const auto verdict = state.check(batch(1, 0, i * 2, 2, 0));
    EXPECT_EQ(verdict.status, append_status::duplicate);
    EXPECT_EQ(verdict.original.first_offset(), i * 10);
  }
  EXPECT_EQ(state.check(batch(1, 0, 2, 2, 0)).status, append_status::out_of_order_sequence);
  EXPECT_EQ(state.check(batch(1, 0, 12, 1, 0)).status, append_status::out_of_order_sequence);
  EXPECT_EQ(state.check(batch(1, 0, 11, 3, 0)).status, append_status::out_of_order_sequence);
  EXPECT_EQ(state.check(batch(1, 0, 15, 1, 0)).status, append_status::out_of_order_sequence);
  EXPECT_EQ(state.check(batch(1, 0, 14, 1, 0)).status, append_status::appended);
}

TEST(ProducerState, Epochs) {
  producer_state state;
  state.update(batch(1, 5, 0, 1, 0), std::nullopt);
  EXPECT_EQ(state.check(batch(1, 4, 1, 1, 0)).status, append_status::invalid_producer_epoch);
  EXPECT_EQ(state.check(batch(1, 6, 1, 1, 0)).status, append_status::out_of_order_sequence);
  EXPECT_EQ(state.check(batch(1, 6, 0, 1, 0)).status, append_status::appended);
  state.update(batch(1, 6, 0, 1, 1), std::nullopt);
  EXPECT_EQ(state.check(batch(1, 5, 0, 1, 0)).status, append_status::invalid_producer_epoch);
}

TEST(ProducerState, SequencesWrap) {
  producer_state state;
  state.update(batch(1, 0, 2'147'483'646, 4, 0), std::nullopt);  // ...46, ...47, 0, 1
  EXPECT_EQ(state.find(1)->last_sequence(), 1);
  EXPECT_EQ(state.check(batch(1, 0, 2, 1, 0)).status, append_status::appended);
  EXPECT_EQ(state.check(batch(1, 0, 0, 1, 0)).status, append_status::out_of_order_sequence);
  state.update(batch(2, 0, 2'147'483'647, 1, 4), std::nullopt);
  EXPECT_EQ(state.check(batch(2, 0, 0, 1, 0)).status, append_status::appended);
}

TEST(ProducerState, SnapshotsGiveTheSameState) {
  producer_state state;
  for (int i = 0; i < 7; ++i) state.update(batch(1, 0, i * 2, 2, i * 10), std::nullopt);
  state.update(batch(2, 3, 2'147'483'646, 4, 100), std::nullopt);
  auto transactional = batch(3, 1, 0, 1, 110);
  transactional.attributes = wire::batch_header::transactional_bit;
  state.update(transactional, std::nullopt);
  auto ended = batch(4, 2, -1, 1, 111);
  ended.attributes = wire::batch_header::control_bit | wire::batch_header::transactional_bit;
  state.update(ended, wire::transaction_marker{wire::marker_type::commit, 7});
  const std::string bytes = state.encode();
  auto decoded = producer_state::decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->entries(), state.entries());
  EXPECT_EQ(decoded->first_open_offset(), 110);
  EXPECT_EQ(decoded->encode(), bytes);
  // Kafka reads and writes one batch a producer: the part up to our own.
  const std::size_t kafkas = 6 + 4 + 4 * 46;
  EXPECT_EQ(bytes.substr(6, 4), std::string("\0\0\0\4", 4));
  EXPECT_EQ(bytes.substr(kafkas, 4), "pstk");
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string bad = bytes;
    bad[i] ^= 0x10;
    EXPECT_FALSE(producer_state::decode(bad)) << i;
    EXPECT_FALSE(producer_state::decode(bytes.substr(0, i))) << i;
  }
}

TEST(ProducerState, ExpiresWithoutOpenTransactions) {
  producer_state state;
  state.update(batch(1, 0, 0, 1, 0), std::nullopt);
  auto open = batch(2, 0, 0, 1, 1);
  open.attributes = wire::batch_header::transactional_bit;
  state.update(open, std::nullopt);
  state.update(batch(3, 0, 0, 1, 500), std::nullopt);
  EXPECT_EQ(state.expire(1'400), 1u);
  EXPECT_EQ(state.size(), 2u);
}

TEST(LeaderEpochs, RoundTripAndRefuseDamage) {
  leader_epochs epochs;
  EXPECT_TRUE(epochs.assign(0, 0));
  EXPECT_TRUE(epochs.assign(3, 10));
  EXPECT_FALSE(epochs.assign(3, 12));
  EXPECT_TRUE(epochs.assign(9, 20));
  const std::string text = epochs.encode();
  EXPECT_EQ(text, "0\n3\n0 0\n3 10\n9 20\n");
  EXPECT_EQ(leader_epochs::decode(text)->entries(), epochs.entries());
  for (const char* bad :
       {"", "1\n0\n", "0\n1\n", "0\n1\n0 0", "0\n2\n3 0\n2 5\n", "0\n2\n2 5\n3 5\n", "0\nx\n"})
    EXPECT_FALSE(leader_epochs::decode(bad)) << bad;
  epochs.truncate_from_start(12);
  EXPECT_EQ(epochs.entries(), (std::vector<leader_epochs::entry>{{3, 12}, {9, 20}}));
  epochs.truncate_from_end(20);
  EXPECT_EQ(epochs.entries(), (std::vector<leader_epochs::entry>{{3, 12}}));
}

}  // namespace
}  // namespace penstock::log
