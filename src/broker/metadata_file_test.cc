// SPDX-License-Identifier: Apache-2.0
#include "broker/metadata_file.h"

#include <gtest/gtest.h>

namespace penstock::broker {
namespace {

broker_metadata example() {
  broker_metadata m;
  m.cluster_id = "abc";
  m.leader_epoch = 7;
  m.next_producer_id = 3000;
  m.broker_configs[""]["log.retention.ms"] = "5";
  m.broker_configs["1"]["log.retention.ms"] = "";
  topic_record t;
  t.name = "orders";
  t.id = {1, 2};
  t.partitions = 12;
  t.configs["cleanup.policy"] = "compact,delete";
  t.configs["odd"] = "a b\n%\xc3\xa4";
  m.topics["orders"] = t;
  t.name = "gone";
  t.configs.clear();
  m.deleted.push_back(t);
  return m;
}

TEST(MetadataFileTest, ComesBackAsItWasWritten) {
  const auto back = decode_metadata(encode(example()));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(*back, example());
}

TEST(MetadataFileTest, NotAByteMayChangeOrBeMissing) {
  const std::string good = encode(example());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 1;
    EXPECT_FALSE(decode_metadata(bad)) << i;
    EXPECT_FALSE(decode_metadata(good.substr(0, i))) << i;
  }
}

}  // namespace
}  // namespace penstock::broker
