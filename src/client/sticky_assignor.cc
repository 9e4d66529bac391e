// SPDX-License-Identifier: Apache-2.0
// Kafka's sticky assignment. Where all members want the same topics it is a matter of quotas; otherwise
// single partitions move until nobody could do with one that somebody else has two more of.
#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "client/assignors.h"

namespace penstock::client {
namespace {

using kafka::topic_partition;

using member_list = std::vector<group_subscription>;

/// What each member may keep: what it owned in the latest generation, each partition at most once. What two
/// claim from the same generation is nobody's.
group_assignment valid_claims(const member_list& members, const partition_counts& partitions) {
  struct claim {
    const group_subscription* by = nullptr;
    bool disputed = false;
  };
  std::map<topic_partition, claim> claims;
  for (const auto& m : members) {
    for (const auto& tp : m.owned) {
      const auto known = partitions.find(tp.topic);
      if (known == partitions.end() || tp.partition < 0 || tp.partition >= known->second) continue;
      auto& c = claims[tp];
      if (c.by == &m) continue;
      if (c.by == nullptr || c.by->generation < m.generation)
        c = {&m, false};
      else if (c.by->generation == m.generation)
        c.disputed = true;
    }
  }
  group_assignment kept;
  for (const auto& m : members) {
    auto& mine = kept[m.member_id];
    for (const auto& tp : m.owned) {
      const auto it = claims.find(tp);
      if (it == claims.end() || it->second.by != &m || it->second.disputed) continue;
      mine.push_back(tp);
      claims.erase(it);  // whoever names a partition twice has it once
    }
  }
  return kept;
}

std::vector<topic_partition> unassigned(const group_assignment& shares, const partition_counts& partitions) {
  std::set<topic_partition> taken;
  for (const auto& [member, list] : shares) taken.insert(list.begin(), list.end());
  std::vector<topic_partition> rest;
  for (const auto& [topic, count] : partitions)
    for (std::int32_t p = 0; p < count; ++p)
      if (topic_partition tp{topic, p}; !taken.contains(tp)) rest.push_back(std::move(tp));
  return rest;
}

/// Everybody wants the same: each gets the quota or one more.
class quotas {
 public:
  quotas(const member_list& members, const partition_counts& partitions, group_assignment claims)
      : partitions_(partitions), claims_(std::move(claims)) {
    std::size_t total = 0;
    for (const auto& [topic, count] : partitions) total += static_cast<std::size_t>(count);
    min_ = total / members.size();
    over_allowed_ = total % members.size();
    max_ = min_ + (over_allowed_ > 0 ? 1 : 0);
  }

  group_assignment share_out() {
    for (const auto& [member, owned] : claims_) keep(member, owned);
    // Those below the quota take one each in turn; then those at the quota, one more.
    std::size_t next = 0;
    for (auto& tp : unassigned(shares_, partitions_)) {
      if (!below_.empty()) {
        if (next >= below_.size()) next = 0;
        const auto member = below_[next];
        auto& mine = shares_[member];
        mine.push_back(std::move(tp));
        if (mine.size() == min_) {
          below_.erase(below_.begin() + static_cast<std::ptrdiff_t>(next));
          if (over_ < over_allowed_) at_.push_back(member);
        } else {
          ++next;
        }
      } else if (!at_.empty()) {
        shares_[at_.front()].push_back(std::move(tp));
        at_.pop_front();
        if (++over_ == over_allowed_) at_.clear();
      }
    }
    return std::move(shares_);
  }

 private:
  void keep(const std::string& member, const std::vector<topic_partition>& owned) {
    auto& mine = shares_[member];
    if (owned.size() < min_) {
      mine = owned;
      below_.push_back(member);
      return;
    }
    const bool over = owned.size() >= max_ && over_ < over_allowed_;
    mine.assign(owned.begin(), owned.begin() + static_cast<std::ptrdiff_t>(over ? max_ : min_));
    if (over) {
      if (++over_ == over_allowed_) at_.clear();
    } else if (over_ < over_allowed_) {
      at_.push_back(member);
    }
  }

  const partition_counts& partitions_;
  group_assignment claims_;
  group_assignment shares_;
  std::vector<std::string> below_;  // members with less than the quota
  std::deque<std::string> at_;      // members with exactly the quota, who may get one more
  std::size_t min_ = 0, max_ = 0, over_ = 0, over_allowed_ = 0;
};

/// Members want different topics.
class balance {
 public:
  balance(const member_list& members, const partition_counts& partitions, group_assignment claims)
      : partitions_(partitions), shares_(std::move(claims)) {
    for (const auto& m : members) {
      std::set<std::string> topics(m.topics.begin(), m.topics.end());
      std::erase_if(shares_[m.member_id], [&](const auto& tp) { return !topics.contains(tp.topic); });
      for (const auto& t : topics)
        if (partitions.contains(t)) who_wants_[t].push_back(m.member_id);
    }
    for (auto& [topic, list] : who_wants_) std::sort(list.begin(), list.end());
  }

  group_assignment share_out() {
    // What few want comes first, so that the others even it out.
    auto rest = unassigned(shares_, partitions_);
    std::stable_sort(rest.begin(), rest.end(), [&](const auto& a, const auto& b) {
      return who_wants_[a.topic].size() < who_wants_[b.topic].size();
    });
    for (auto& tp : rest)
      if (auto* least = least_of(tp.topic)) least->push_back(std::move(tp));
    while (move_some() || move_in_a_row()) {
    }
    return std::move(shares_);
  }

 private:
  std::vector<topic_partition>* least_of(const std::string& topic) {
    std::vector<topic_partition>* least = nullptr;
    for (const auto& member : who_wants_[topic]) {
      auto& his = shares_[member];
      if (least == nullptr || his.size() < least->size()) least = &his;
    }
    return least;
  }
  // Each move makes the sum of squares smaller, so this comes to an end.
  bool move_some() {
    bool moved = false;
    for (auto& [member, mine] : shares_) {
      for (std::size_t i = mine.size(); i-- > 0;) {
        auto* other = least_of(mine[i].topic);
        if (other == &mine || other->size() + 1 >= mine.size()) continue;
        other->push_back(std::move(mine[i]));
        mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(i));
        moved = true;
      }
    }
    return moved;
  }

  // Where no single move helps, several may: a gives to b, who gives to c something that a does not want.
  bool move_in_a_row() {
    std::vector<std::string> members;
    for (const auto& [member, mine] : shares_) members.push_back(member);
    std::stable_sort(members.begin(), members.end(),
                     [&](const auto& a, const auto& b) { return shares_[a].size() > shares_[b].size(); });
    const auto fewest = shares_[members.back()].size();
    for (const auto& m : members) {
      if (shares_[m].size() < fewest + 2) return false;  // as all behind it
      if (give_from(m)) return true;
    }
    return false;
  }
  // The shortest row from this member to one who has at least two less.
  bool give_from(const std::string& first) {
    struct step {
      std::string from, topic;
    };
    std::map<std::string, step> reached{{first, {}}};
    std::set<std::string> topics;
    std::deque<std::string> next{first};
    for (; !next.empty(); next.pop_front()) {
      const auto giver = next.front();
      for (const auto& tp : shares_[giver]) {
        if (!topics.insert(tp.topic).second) continue;  // all who want it have been reached
        for (const auto& taker : who_wants_[tp.topic]) {
          if (!reached.try_emplace(taker, step{giver, tp.topic}).second) continue;
          if (shares_[taker].size() + 1 >= shares_[first].size()) {
            next.push_back(taker);
            continue;
          }
          for (auto to = taker; to != first;) {
            const auto [from, topic] = reached[to];
            hand_over(from, to, topic);
            to = from;
          }
          return true;
        }
      }
    }
    return false;
  }
  void hand_over(const std::string& from, const std::string& to, const std::string& topic) {
    auto& mine = shares_[from];
    const auto last =
        std::find_if(mine.rbegin(), mine.rend(), [&](const auto& tp) { return tp.topic == topic; });
    shares_[to].push_back(std::move(*last));
    mine.erase(std::next(last).base());
  }

  const partition_counts& partitions_;
  group_assignment shares_;
  std::map<std::string, std::vector<std::string>> who_wants_;
};

bool want_the_same(const member_list& members) {
  const std::set<std::string> first(members.front().topics.begin(), members.front().topics.end());
  return std::all_of(members.begin(), members.end(), [&](const auto& m) {
    return std::set<std::string>(m.topics.begin(), m.topics.end()) == first;
  });
}

}  // namespace

group_assignment share_out_sticky(const member_list& members, const partition_counts& partitions) {
  if (members.empty()) return {};
  partition_counts wanted;
  for (const auto& m : members)
    for (const auto& t : m.topics)
      if (const auto it = partitions.find(t); it != partitions.end()) wanted.insert(*it);
  auto claims = valid_claims(members, wanted);
  auto shares = want_the_same(members) ? quotas(members, wanted, std::move(claims)).share_out()
                                       : balance(members, wanted, std::move(claims)).share_out();
  for (auto& [member, list] : shares) std::sort(list.begin(), list.end());
  return shares;
}

}  // namespace penstock::client
