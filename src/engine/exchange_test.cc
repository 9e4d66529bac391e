// SPDX-License-Identifier: Apache-2.0
#include "engine/exchange.h"

#include <gmock/gmock.h>

#include <memory>
#include <vector>

namespace penstock::engine {
namespace {

// A lane that is not woken sleeps for its 50 ms: jobs give the same answers then, only late.
TEST(exchange, wakes_a_sender_when_half_of_a_full_ring_is_free_and_when_all_is_taken) {
  int woken = 0;
  lane_signal from([&] { ++woken; });
  lane_signal to([] {});
  exchange_channel channel(from, to);
  std::size_t sent = 0;
  for (; !channel.blocked(); ++sent) channel.send(watermark{static_cast<std::int64_t>(sent), false});
  const std::size_t ring = sent - 1;  // the last one is kept back
  parcel p;
  from.about_to_sleep();
  for (std::size_t i = 1; i < ring / 2; ++i) ASSERT_TRUE(channel.pop(p));
  EXPECT_EQ(woken, 0) << "too little to be woken for";
  ASSERT_TRUE(channel.pop(p));
  EXPECT_EQ(woken, 1);
  ASSERT_TRUE(channel.flush());
  EXPECT_FALSE(channel.blocked());

  while (channel.pop(p)) {
  }
  EXPECT_EQ(p.time.timestamp, static_cast<std::int64_t>(sent) - 1);
  channel.send(watermark{0, false});
  ASSERT_TRUE(channel.pop(p));
  from.about_to_sleep();
  EXPECT_FALSE(channel.pop(p));
  EXPECT_EQ(woken, 2) << "there is nothing more to wait for";
  EXPECT_FALSE(channel.pop(p));
  EXPECT_EQ(woken, 2);
}

using numbers = detail::batch<std::int64_t>;

/// The operator behind an exchange: keeps what it is given, in its order.
class taking final : public detail::relay_op {
 public:
  void connect(std::uint32_t, detail::op&) override {}
  void deliver(detail::any_batch& records) override {
    auto& typed = static_cast<numbers&>(records);
    seen.insert(seen.end(), typed.values.data(), typed.values.data() + typed.size());
  }
  void on_watermark(watermark) override {}
  void on_barrier(std::uint64_t) override { ++barriers; }
  bool blocked() const override { return full; }
  std::vector<std::int64_t> seen;
  int barriers = 0;
  bool full = false;
};

std::unique_ptr<numbers> batch_of(std::int64_t n) {
  auto b = std::make_unique<numbers>();
  b->add(n, 0);
  return b;
}

/// The receiving end on one lane of an exchange between two, which have not spoken yet.
class at_once_unspoken : public testing::Test {
 protected:
  at_once_unspoken() { end.set_reach({&into}); }
  lane_signal here{[] {}};
  lane_signal there{[] {}};
  exchange_channel own{here, here};
  exchange_channel other{there, here};
  taking into;
  receiver end{into, {&other, &own}};
};

class at_once : public at_once_unspoken {
 protected:
  at_once() {
    for (exchange_channel* c : {&own, &other}) c->send(watermark{0, false});
    end.step({});
  }
};

TEST_F(at_once, a_lane_is_given_its_own_records) {
  EXPECT_TRUE(own.comes_back());
  EXPECT_FALSE(other.comes_back());
  EXPECT_TRUE(own.deliver(*batch_of(1)));
  EXPECT_FALSE(other.deliver(*batch_of(2)));
  EXPECT_THAT(into.seen, testing::ElementsAre(1));
}

TEST_F(at_once, records_do_not_pass_what_was_sent_before) {
  own.send(batch_of(1));
  EXPECT_FALSE(own.deliver(*batch_of(2)));
  own.send(batch_of(2));
  end.step({});
  EXPECT_TRUE(own.deliver(*batch_of(3)));
  EXPECT_THAT(into.seen, testing::ElementsAre(1, 2, 3));
  own.send(watermark{1, false});
  EXPECT_FALSE(own.deliver(*batch_of(4))) << "they would be on time where they are late";
}

TEST_F(at_once, records_wait_for_the_barrier_of_the_others) {
  own.send_barrier(1);
  end.step({});
  EXPECT_FALSE(own.deliver(*batch_of(1))) << "it belongs to the next epoch";
  EXPECT_EQ(into.barriers, 0);
  other.send_barrier(1);
  end.step({});
  EXPECT_EQ(into.barriers, 1);
  EXPECT_TRUE(own.deliver(*batch_of(1)));
}

TEST_F(at_once, records_wait_while_something_behind_wants_no_more) {
  into.full = true;
  EXPECT_FALSE(own.deliver(*batch_of(1)));
  own.send(batch_of(1));
  into.full = false;
  EXPECT_FALSE(own.deliver(*batch_of(2)));
}

TEST_F(at_once, all_that_a_lane_sent_itself_is_taken_in_one_step) {
  std::size_t sent = 0;
  for (; !own.blocked(); ++sent) {
    auto b = std::make_unique<numbers>();
    for (std::size_t i = 0; i < detail::batch_capacity; ++i) b->add(0, 0);
    own.send(std::move(b));
  }
  EXPECT_TRUE(end.step({}));
  EXPECT_EQ(into.seen.size(), (sent - 1) * detail::batch_capacity);
  EXPECT_FALSE(own.deliver(*batch_of(1))) << "one batch is kept back";
  own.flush();
  end.step({});
  EXPECT_TRUE(own.deliver(*batch_of(1)))
      << "by less than all of it, it would never be delivered at once again";
}

TEST_F(at_once_unspoken, records_wait_until_all_lanes_have_spoken) {
  own.send(watermark{0, false});
  end.step({});
  EXPECT_FALSE(own.deliver(*batch_of(1)));
  other.send(watermark{0, false});
  end.step({});
  EXPECT_TRUE(own.deliver(*batch_of(1)));
}

}  // namespace
}  // namespace penstock::engine
