// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/epoch_channel.h"

#include <gtest/gtest.h>

#include "connectors/kafka/transactional_producer.h"

namespace penstock::connectors {
namespace {

// Nobody listens there: records wait in its batches.
std::unique_ptr<transactional_producer> producer_without_broker() {
  kafka::producer_settings s;
  s.bootstrap_servers = "127.0.0.1:9";
  s.transactional_id = "test";
  auto made = transactional_producer::create(std::move(s));
  return made ? std::move(*made) : nullptr;
}

outgoing record(std::string_view value) {
  outgoing r;
  r.value = value;
  return r;
}

// A lane that is busy hears of the next epoch's beginning only after that epoch's end has reached it: what it
// wrote in between is of that epoch, which must not end without it.
TEST(epoch_channel, an_epoch_does_not_end_before_it_has_begun_here) {
  const auto producer = producer_without_broker();
  ASSERT_NE(producer, nullptr);
  io::event_loop lane;
  const auto channel = producer->open_channel(lane);
  bool first = false, second = false;
  channel->flush([&](const result<>& r) { first = r.has_value(); });
  EXPECT_TRUE(first) << "nothing was written";
  const outgoing mine = record("of the second epoch"), later = record("of the third");
  ASSERT_TRUE(channel->write("topic", 0, {&mine, 1}));
  channel->flush([&](const result<>&) { second = true; });
  EXPECT_FALSE(second) << "its record waits for the second transaction";
  ASSERT_TRUE(channel->write("topic", 0, {&later, 1}));
  channel->next_epoch();
  EXPECT_TRUE(second) << "the producer has it, and what is of the third epoch waits";
}

// Word that there is room, or that a topic is known, is for all channels, and reaches a busy lane with word
// of the next epoch or before it.
TEST(epoch_channel, an_epoch_that_has_not_begun_here_does_not_end_because_there_is_room) {
  const auto producer = producer_without_broker();
  ASSERT_NE(producer, nullptr);
  io::event_loop lane;
  const auto channel = producer->open_channel(lane);
  channel->flush([](const result<>&) {});
  const outgoing mine = record("of the second epoch");
  ASSERT_TRUE(channel->write("topic", 0, {&mine, 1}));
  bool second = false;
  channel->flush([&](const result<>&) { second = true; });
  channel->drain();
  EXPECT_FALSE(second) << "its record waits for the second transaction";
  channel->next_epoch();
  EXPECT_TRUE(second);
}

TEST(epoch_channel, an_empty_epoch_ends_when_it_has_begun_here) {
  const auto producer = producer_without_broker();
  ASSERT_NE(producer, nullptr);
  io::event_loop lane;
  const auto channel = producer->open_channel(lane);
  bool second = false;
  channel->flush([](const result<>&) {});
  channel->flush([&](const result<>&) { second = true; });
  EXPECT_FALSE(second);
  channel->next_epoch();
  EXPECT_TRUE(second);
}

}  // namespace
}  // namespace penstock::connectors
