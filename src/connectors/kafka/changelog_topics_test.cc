// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/changelog_topics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/kafka/offset_marks.h"

namespace penstock::connectors {
namespace {

TEST(changelog_names, are_one_for_each_operator) {
  const auto names = changelog_names("orders", {"count", "late ones"});
  ASSERT_TRUE(names);
  EXPECT_THAT(*names, ::testing::ElementsAre("orders-count-changelog", "orders-late_ones-changelog"));
}

TEST(changelog_names, two_operators_never_share_a_topic) {
  for (const char* other : {"a_b", "a.b", "a/b"}) {
    const auto names = changelog_names("orders", {"a b", "c", other});
    ASSERT_FALSE(names) << other;
    EXPECT_EQ(names.error().kind(), errc::invalid_argument);
    EXPECT_THAT(names.error().message(), ::testing::HasSubstr("'a b' and '" + std::string(other) + "'"));
  }
}

TEST(changelog_names, a_name_that_no_topic_may_have_is_an_error) {
  const auto names = changelog_names("orders", {std::string(300, 'x')});
  ASSERT_FALSE(names);
  EXPECT_THAT(names.error().message(), ::testing::HasSubstr("249"));
}

TEST(offset_marks, are_read_as_they_were_written) {
  const std::string all = encode_marks({"penstock/1 watermark=5 split=4", "MkTn9jCmS0Wj0WlGuDRl2w",
                                        "1a2b3c4d.MkTn9jCm.4", "0123456789abcdef"});
  const offset_marks m = decode_marks(all);
  EXPECT_EQ(m.metadata, "penstock/1 watermark=5 split=4");
  EXPECT_EQ(m.topic_id, "MkTn9jCmS0Wj0WlGuDRl2w");
  EXPECT_EQ(m.state, "1a2b3c4d.MkTn9jCm.4");
  EXPECT_EQ(m.run, "0123456789abcdef");
}

TEST(offset_marks, what_has_none_is_metadata) {
  for (const std::string text : {"", "hand-made", "penstock/1 watermark=5 idle"}) {
    const offset_marks m = decode_marks(text);
    EXPECT_EQ(m.metadata, text);
    EXPECT_EQ(m.topic_id, "");
    EXPECT_EQ(m.run, "");
    EXPECT_EQ(encode_marks({.metadata = text}), text);
  }
  EXPECT_EQ(decode_marks("x run=12").metadata, "x");
}

}  // namespace
}  // namespace penstock::connectors
