// SPDX-License-Identifier: Apache-2.0
// Our assignors against what Kafka's Java client gave (tests/conformance/assignor_vectors.py asked it).
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <set>

#include "client/assignors.h"

namespace penstock::client {
namespace {

using kafka::assignor;
using kafka::topic_partition;

std::vector<topic_partition> partitions_of(simdjson::dom::object by_topic) {
  std::vector<topic_partition> all;
  for (const auto topic : by_topic)
    for (const auto p : topic.value.get_array())
      all.push_back({std::string(topic.key), static_cast<std::int32_t>(p.get_int64())});
  std::sort(all.begin(), all.end());
  return all;
}

struct vector {
  assignor how = assignor::range;
  partition_counts topics;
  std::vector<group_subscription> members;
  group_assignment java;

  explicit vector(simdjson::dom::element from) {
    const std::string name(from["assignor"].get_string().value());
    how = name == "range"        ? assignor::range
          : name == "roundrobin" ? assignor::round_robin
          : name == "sticky"     ? assignor::sticky
                                 : assignor::cooperative_sticky;
    for (const auto t : from["topics"].get_object())
      topics[std::string(t.key)] = static_cast<std::int32_t>(t.value.get_int64());
    for (const auto m : from["members"].get_array()) {
      auto& to = members.emplace_back();
      to.member_id = m["id"].get_string().value();
      to.instance_id = m["instance"].get_string().value();
      for (const auto t : m["topics"].get_array()) to.topics.emplace_back(t.get_string().value());
      to.owned = partitions_of(m["owned"].get_object());
      to.generation = static_cast<std::int32_t>(m["generation"].get_int64());
    }
    for (const auto s : from["shares"].get_object())
      java[std::string(s.key)] = partitions_of(s.value.get_object());
  }

  bool want_the_same() const {
    return std::all_of(members.begin(), members.end(),
                       [&](const auto& m) { return m.topics == members.front().topics; });
  }
  bool is_new() const {
    return std::all_of(members.begin(), members.end(), [](const auto& m) { return m.owned.empty(); });
  }
  std::size_t kept(const group_assignment& shares) const {
    std::size_t n = 0;
    for (const auto& m : members)
      for (const auto& tp : shares.at(m.member_id))
        n += std::count(m.owned.begin(), m.owned.end(), tp) > 0 ? 1 : 0;
    return n;
  }
  // How uneven shares are: the smaller the better.
  static std::size_t unevenness(const group_assignment& shares) {
    std::size_t squares = 0;
    for (const auto& [member, list] : shares) squares += list.size() * list.size();
    return squares;
  }
};

std::vector<vector> vectors() {
  simdjson::dom::parser parser;
  std::vector<vector> all;
  for (const auto one : parser.load(PENSTOCK_SOURCE_DIR "/src/client/testdata/assignments.json").get_array())
    all.emplace_back(one);
  return all;
}

std::string show(const group_assignment& a) {
  std::string text;
  for (const auto& [member, partitions] : a) {
    text += member + ":";
    for (const auto& tp : partitions) text += fmt::format(" {}-{}", tp.topic, tp.partition);
    text += "; ";
  }
  return text;
}

// Range and round-robin have one right answer, and so has sticky in a new group whose members want the same.
// Of what sticky members own, the Java client keeps and moves what the order of its hash tables says: there
// the shares must be as even, and what all keep as much.
TEST(assignors, share_out_as_kafkas_java_client_does) {
  int n = 0;
  for (const auto& v : vectors()) {
    SCOPED_TRACE(fmt::format("vector {} of assignments.json", ++n));
    auto ours = share_out(v.how, v.members, v.topics);
    for (auto& [member, list] : ours) std::sort(list.begin(), list.end());
    const bool sticky = v.how == assignor::sticky || v.how == assignor::cooperative_sticky;
    if (!sticky || (v.is_new() && v.want_the_same())) {
      EXPECT_EQ(show(ours), show(v.java));
      continue;
    }
    const auto even = v.unevenness(ours), as_even = v.unevenness(v.java);
    // The cooperative one leaves out what others have to let go of first, so that its shares say little.
    if (v.how == assignor::sticky) {
      EXPECT_LE(even, as_even) << show(ours) << "\n" << show(v.java);
    }
    if (v.want_the_same() || even == as_even) {
      EXPECT_GE(v.kept(ours), v.kept(v.java)) << show(ours) << "\n" << show(v.java);
    }
  }
  EXPECT_GT(n, 100);
}

}  // namespace
}  // namespace penstock::client
