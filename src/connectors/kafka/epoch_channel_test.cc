// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/epoch_channel.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <deque>
#include <random>

namespace penstock::connectors {
namespace {

outgoing record(std::string_view value) {
  outgoing r;
  r.value = value;
  return r;
}

class takes_everything final : public record_taker {
 public:
  result<std::size_t> append(std::string_view, std::int32_t, std::span<const outgoing> records) override {
    for (const outgoing& r : records) taken.emplace_back(r.value);
    return records.size();
  }
  std::vector<std::string> taken;
};

// A lane that is busy hears of the next epoch's beginning only after that epoch's end has reached it: what it
// wrote in between is of that epoch, which must not end without it.
TEST(epoch_channel, an_epoch_does_not_end_before_it_has_begun_here) {
  takes_everything producer;
  io::event_loop lane;
  epoch_channel channel(producer, lane);
  bool first = false, second = false;
  channel.flush([&](const result<>& r) { first = r.has_value(); });
  EXPECT_TRUE(first) << "nothing was written";
  const outgoing mine = record("of the second epoch"), later = record("of the third");
  ASSERT_TRUE(channel.write("topic", 0, {&mine, 1}));
  channel.flush([&](const result<>& r) { second = r.has_value(); });
  EXPECT_FALSE(second) << "its record waits for the second transaction";
  ASSERT_TRUE(channel.write("topic", 0, {&later, 1}));
  channel.next_epoch();
  EXPECT_TRUE(second);
  EXPECT_EQ(producer.taken, std::vector<std::string>{"of the second epoch"});
}

// Word that there is room, or that a topic is known, is for all channels, and reaches a busy lane with word
// of the next epoch or before it.
TEST(epoch_channel, an_epoch_that_has_not_begun_here_does_not_end_because_there_is_room) {
  takes_everything producer;
  io::event_loop lane;
  epoch_channel channel(producer, lane);
  channel.flush([](const result<>&) {});
  const outgoing mine = record("of the second epoch");
  ASSERT_TRUE(channel.write("topic", 0, {&mine, 1}));
  bool second = false;
  channel.flush([&](const result<>& r) { second = r.has_value(); });
  channel.drain();
  EXPECT_FALSE(second) << "its record waits for the second transaction";
  channel.next_epoch();
  EXPECT_TRUE(second);
}

TEST(epoch_channel, an_empty_epoch_ends_when_it_has_begun_here) {
  takes_everything producer;
  io::event_loop lane;
  epoch_channel channel(producer, lane);
  bool second = false;
  channel.flush([](const result<>&) {});
  channel.flush([&](const result<>& r) { second = r.has_value(); });
  EXPECT_FALSE(second);
  channel.next_epoch();
  EXPECT_TRUE(second);
}

// Lanes that write, reach the ends of epochs and hear what the producer posts to them in any order in which
// they can, while the producer takes as many records as it likes. The lanes' records say of which epoch they
// are: each must be in that epoch's transaction, once and in order, when the transaction ends.
class model_run final : public record_taker {
 public:
  explicit model_run(std::uint64_t seed) : random_(seed) {
    for (lane& l : lanes_) l.channel = std::make_unique<epoch_channel>(*this, loop_);
  }

  void step() {
    lane& l = lanes_[below(lanes_.size())];
    switch (below(6)) {
      case 0:
      case 1: return write(l);
      case 2: return reach_the_end(l);
      case 3: return hear(l);
      case 4: return make_room();
      default: return commit();
    }
  }
  /// Lets everything come to its end.
  void settle() {
    generous_ = true;
    for (int rounds = 0; rounds < 4; ++rounds) {
      make_room();
      for (lane& l : lanes_) {
        reach_the_end(l);
        while (!l.posted.empty()) hear(l);
      }
      commit();
    }
    for (lane& l : lanes_) {
      EXPECT_TRUE(l.posted.size() <= 1) << "word of the last epoch";
      EXPECT_TRUE(l.owed.empty()) << l.owed.size() << " records were not taken";
    }
  }
  int committed() const { return transaction_ - 1; }

 private:
  struct lane {
    std::unique_ptr<epoch_channel> channel;
    std::deque<void (epoch_channel::*)()> posted;
    std::deque<std::string> owed;  // written and not taken yet
    int epoch = 1;                 // of what it writes now
    int written = 0;
    bool sealed = false;  // its end of the transaction's epoch is done
  };

  std::size_t below(std::size_t n) { return random_() % n; }
  static std::string epoch_of(std::string_view value) {
    return std::string(value.substr(0, value.find(' ')));
  }

  result<std::size_t> append(std::string_view topic, std::int32_t partition,
                             std::span<const outgoing> records) override {
    EXPECT_EQ(topic, "topic");
    lane& l = lanes_[static_cast<std::size_t>(partition)];
    const std::size_t n = generous_ ? records.size() : below(records.size() + 1);
    for (const outgoing& r : records.first(n)) {
      EXPECT_EQ(epoch_of(r.value), std::to_string(transaction_)) << "in another epoch's transaction";
      EXPECT_FALSE(l.owed.empty() || l.owed.front() != r.value) << r.value << " is out of order";
      if (!l.owed.empty()) l.owed.pop_front();
    }
    refused_ |= n < records.size();
    return n;
  }

  void write(lane& l) {
    std::vector<std::string> values;
    std::vector<outgoing> records;
    for (std::size_t n = below(4); n > 0; --n)
      values.push_back(std::to_string(l.epoch) + " record " + std::to_string(l.written++));
    for (const std::string& v : values) records.push_back(record(v));
    l.owed.insert(l.owed.end(), values.begin(), values.end());
    const auto partition = static_cast<std::int32_t>(&l - lanes_.data());
    EXPECT_TRUE(l.channel->write("topic", partition, records));
  }
  // An epoch's barrier comes when the one before is committed; so a lane is one epoch ahead at most.
  void reach_the_end(lane& l) {
    if (l.epoch != transaction_) return;
    ++l.epoch;
    l.channel->flush([&l](const result<>& r) {
      EXPECT_TRUE(r);
      l.sealed = true;
    });
  }
  void hear(lane& l) {
    if (l.posted.empty()) return;
    const auto what = l.posted.front();
    l.posted.pop_front();
    ((*l.channel).*what)();
  }
  void tell_all(void (epoch_channel::*what)()) {
    for (lane& l : lanes_) l.posted.push_back(what);
  }
  void make_room() {
    if (std::exchange(refused_, false)) tell_all(&epoch_channel::drain);
  }
  void commit() {
    for (const lane& l : lanes_)
      if (!l.sealed) return;
    for (lane& l : lanes_) {
      l.sealed = false;
      for (const std::string& v : l.owed)
        EXPECT_NE(epoch_of(v), std::to_string(transaction_)) << v << " is not in its transaction";
    }
    ++transaction_;
    tell_all(&epoch_channel::next_epoch);
  }

  std::mt19937_64 random_;
  io::event_loop loop_;
  int transaction_ = 1;
  bool refused_ = false, generous_ = false;
  std::array<lane, 3> lanes_;
};

// PENSTOCK_SEED repeats one run, PENSTOCK_RUNS makes more.
TEST(epoch_channel, takes_every_record_into_its_own_epoch) {
  const auto from_environment = [](const char* name, std::uint64_t otherwise) {
    const char* set = std::getenv(name);
    return set == nullptr ? otherwise : std::strtoull(set, nullptr, 10);
  };
  const auto first = from_environment("PENSTOCK_SEED", 1);
  const auto runs = from_environment("PENSTOCK_RUNS", 300);
  int committed = 0;
  for (auto seed = first; seed < first + runs && !HasFailure(); ++seed) {
    SCOPED_TRACE("PENSTOCK_SEED=" + std::to_string(seed));
    model_run run(seed);
    for (int i = 0; i < 400 && !HasFailure(); ++i) run.step();
    run.settle();
    committed += run.committed();
  }
  EXPECT_GT(committed, static_cast<int>(runs)) << "epochs have to end for this to mean something";
}

}  // namespace
}  // namespace penstock::connectors
