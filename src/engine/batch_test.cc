// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <penstock/detail/batch.h>
#include <penstock/detail/terminals.h>

#include <array>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace penstock::detail {
namespace {

using testing::Each;
using testing::ElementsAre;
using numbers = keyed_batch<std::int64_t, std::int64_t>;

constexpr reading seconds{.values = true, .slices = {.length = 1000, .offset = 10}};

numbers block_of(const reading& read, std::span<const std::int64_t> times) {
  numbers block;
  block.leave_out_unread(read);
  for (std::int64_t at : times) {
    std::int64_t key = at ^ 1;
    block.add(std::move(key), at ^ 2, at);
  }
  block.join_times();
  return block;
}
numbers block_of(const reading& read, std::initializer_list<std::int64_t> times) {
  return block_of(read, std::span(times.begin(), times.size()));
}
void add_all(numbers& to, const numbers& from) {
  std::vector<std::uint16_t> all(from.size());
  std::iota(all.begin(), all.end(), std::uint16_t{0});
  to.add_some(from, all.data(), all.size());
}
std::vector<std::int64_t> times_of(const numbers& b) {
  std::vector<std::int64_t> times;
  for (std::size_t i = 0; i < b.size(); ++i) times.push_back(b.time(i));
  return times;
}

TEST(keyed_batch, carries_one_time_for_records_of_one_slice) {
  numbers sent;
  sent.leave_out_unread(seconds);
  add_all(sent, block_of(seconds, {1010, 2009, 1500}));
  add_all(sent, block_of(seconds, {1700}));
  EXPECT_TRUE(sent.one_time_for_all());
  EXPECT_EQ(sent.size(), 4u);
  EXPECT_THAT(times_of(sent), Each(1010));
  EXPECT_THAT(std::vector(sent.keys.data(), sent.keys.data() + 4), ElementsAre(1011, 2008, 1501, 1701));
  EXPECT_THAT(std::vector(sent.values.data(), sent.values.data() + 4), ElementsAre(1008, 2011, 1502, 1702));
  sent.clear();
  EXPECT_FALSE(sent.one_time_for_all());
}

TEST(keyed_batch, carries_every_time_once_there_are_two_slices) {
  numbers sent;
  sent.leave_out_unread(seconds);
  add_all(sent, block_of(seconds, {1010, 1500}));
  add_all(sent, block_of(seconds, {2010, 2011}));
  EXPECT_FALSE(sent.one_time_for_all());
  // Of the first two only the slice is known.
  EXPECT_THAT(times_of(sent), ElementsAre(1010, 1010, 2010, 2011));
  add_all(sent, block_of(seconds, {2012, 2013}));
  EXPECT_THAT(times_of(sent), ElementsAre(1010, 1010, 2010, 2011, 2012, 2013));

  const numbers two_slices = block_of(seconds, {2009, 2010});
  EXPECT_FALSE(two_slices.one_time_for_all());
}

TEST(keyed_batch, carries_every_time_where_they_are_read) {
  const numbers block = block_of({}, {1, 1, 1});
  EXPECT_FALSE(block.one_time_for_all());
  numbers sent;
  add_all(sent, block);
  EXPECT_THAT(times_of(sent), ElementsAre(1, 1, 1));
}

TEST(keyed_batch, never_takes_a_missing_time_for_one) {
  EXPECT_FALSE(block_of(seconds, {no_timestamp, no_timestamp}).one_time_for_all());
  EXPECT_FALSE(block_of(seconds, {1010, no_timestamp}).one_time_for_all());
  // The first slice of all begins before time does, which is where a missing one is.
  EXPECT_FALSE(block_of(seconds, {no_timestamp + 1, no_timestamp}).one_time_for_all());
  constexpr std::int64_t newest = std::numeric_limits<std::int64_t>::max();
  EXPECT_TRUE(block_of(seconds, {newest, newest - 1}).one_time_for_all());
}

TEST(keyed_batch, keeps_each_record_in_its_slice_however_they_come) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    numbers sent;
    sent.leave_out_unread(seconds);
    std::vector<std::int64_t> slices;
    for (int b = 0; b < 8; ++b) {
      std::vector<std::int64_t> times(random() % 6 + 1);
      const std::int64_t from = static_cast<std::int64_t>(random() % 3000) - 1500;
      for (auto& t : times) t = from + static_cast<std::int64_t>(random() % 500);
      for (std::int64_t t : times) slices.push_back(window_start(t, 10, 1000));
      add_all(sent, block_of(seconds, times));
    }
    for (std::size_t i = 0; i < sent.size(); ++i)
      ASSERT_EQ(window_start(sent.time(i), 10, 1000), slices[i]) << "round " << round << ", record " << i;
  }
}

/// Keeps what is sent.
class kept final : public exchange_sender {
 public:
  std::unique_ptr<any_batch> recycled() override { return nullptr; }
  void send(std::unique_ptr<any_batch> records) override { batches.push_back(std::move(records)); }
  void send(watermark) override {}
  void send_barrier(std::uint64_t) override {}
  bool comes_back() const noexcept override { return back; }
  bool deliver(any_batch& records) override {
    if (refuses || !back || !batches.empty()) return false;
    auto& delivered = static_cast<numbers&>(records);
    for (std::size_t i = 0; i < delivered.size(); ++i) note(delivered, i);
    return true;
  }
  bool blocked() const noexcept override { return false; }
  /// What was sent is taken: key, time, and the value if there is one.
  void take_all() {
    for (const auto& sent : batches) {
      const auto& records = static_cast<const numbers&>(*sent);
      for (std::size_t i = 0; i < records.size(); ++i) note(records, i);
    }
    batches.clear();
  }
  void note(const numbers& records, std::size_t i) {
    taken.push_back({records.keys[i], records.time(i), records.read().values ? records.values[i] : 0});
  }
  bool back = false;
  bool refuses = false;
  std::vector<std::unique_ptr<any_batch>> batches;
  std::vector<std::array<std::int64_t, 3>> taken;
};

// All the ways on which a block goes out: keys only or with values, a time for all or each its own, to this
// lane at once or by the ring.
TEST(key_by, deals_every_record_to_its_lane_in_order) {
  const auto key_of = [](const std::int64_t& n) { return n * 31 % 77; };
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    const std::size_t count = 2 + random() % 5;
    const reading read{.values = random() % 2 == 0, .slices = {.length = 1000, .offset = 0}};
    std::vector<kept> lanes(count);
    std::vector<exchange_sender*> targets;
    for (kept& lane : lanes) targets.push_back(&lane);
    const std::size_t here = random() % count;
    lanes[here].back = true;
    key_terminal<std::int64_t, std::int64_t, decltype(key_of)> terminal(key_of);
    terminal.connect_exchange(targets);
    terminal.leave_out_unread(read);
    std::vector<std::vector<std::array<std::int64_t, 3>>> wanted(count);
    std::string scratch;
    std::int64_t n = 0;
    const std::int64_t steps = round % 2 == 0 ? 1 : 7;  // with 7 few blocks are of one slice
    for (int batch = 0; batch < 6; ++batch) {
      const std::int64_t end = n + static_cast<std::int64_t>(random() % 1500);
      for (; n < end; ++n) {
        const std::int64_t key = key_of(n);
        const std::int64_t time = n * steps;
        const std::size_t to = lane_of_key(hash_for_partition(key, scratch), count);
        wanted[to].push_back({key, time / 1000, read.values ? n : 0});
        terminal.put(std::int64_t{n}, time, [](auto&& f) { return f(); });
        if (random() % 400 == 0) lanes[here].refuses = random() % 2 == 0;
      }
      ASSERT_TRUE(terminal.end_of_batch());
      if (random() % 2 == 0) lanes[here].take_all();
    }
    for (std::size_t lane = 0; lane < count; ++lane) {
      lanes[lane].take_all();
      for (auto& record : lanes[lane].taken) record[1] /= 1000;
      ASSERT_EQ(lanes[lane].taken, wanted[lane]) << "round " << round << ", lane " << lane;
    }
  }
}

// Without it all results are the same, and two lanes slower.
TEST(key_by, delivers_what_stays_on_its_lane_without_the_ring) {
  const auto key_of = [](const std::int64_t& n) { return n; };
  std::array<kept, 2> lanes;
  lanes[1].back = true;
  key_terminal<std::int64_t, std::int64_t, decltype(key_of)> terminal(key_of);
  terminal.connect_exchange({&lanes[0], &lanes[1]});
  terminal.leave_out_unread(seconds);
  for (std::int64_t n = 0; n < 5000; ++n)
    terminal.put(std::int64_t{n}, 1010 + n, [](auto&& f) { return f(); });
  ASSERT_TRUE(terminal.end_of_batch());
  EXPECT_TRUE(lanes[1].batches.empty());
  lanes[0].take_all();
  EXPECT_EQ(lanes[0].taken.size() + lanes[1].taken.size(), 5000u);
}

// Without it all results are the same, and two lanes slower.
TEST(key_by, sends_one_time_with_records_of_one_slice) {
  const auto key_of = [](const std::int64_t& n) { return n; };
  key_terminal<std::int64_t, std::int64_t, decltype(key_of)> terminal(key_of);
  std::array<kept, 2> lanes;
  terminal.connect_exchange({&lanes[0], &lanes[1]});
  terminal.leave_out_unread(seconds);
  const auto at = [](auto&& f) { return f(); };
  for (std::int64_t n = 0; n < 100; ++n) terminal.put(std::int64_t{n}, 1010 + n, at);
  ASSERT_TRUE(terminal.end_of_batch());
  for (const kept& lane : lanes) {
    ASSERT_EQ(lane.batches.size(), 1u);
    EXPECT_TRUE(static_cast<const numbers&>(*lane.batches[0]).one_time_for_all());
  }
  EXPECT_EQ(lanes[0].batches[0]->size() + lanes[1].batches[0]->size(), 100u);
}

TEST(reading, of_two_is_what_either_looks_at) {
  constexpr reading keys_and_minutes{.values = false, .slices = {.length = 60'000, .offset = 10}};
  constexpr reading keys_and_times{.values = false};
  constexpr reading shifted{.values = false, .slices = {.length = 60'000, .offset = 0}};
  EXPECT_EQ((seconds | keys_and_minutes).slices, seconds.slices);
  EXPECT_TRUE((seconds | keys_and_minutes).values);
  EXPECT_FALSE((keys_and_minutes | keys_and_minutes).values);
  EXPECT_EQ((keys_and_minutes | reading{.values = true, .slices = {.length = 25'000, .offset = 10}}).slices,
            (time_slices{5'000, 10}));
  EXPECT_EQ((keys_and_minutes | keys_and_times).slices, time_slices{});
  EXPECT_EQ((keys_and_times | keys_and_minutes).slices, time_slices{});
  EXPECT_EQ((keys_and_minutes | shifted).slices, time_slices{});
}

}  // namespace
}  // namespace penstock::detail
