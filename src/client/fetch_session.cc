// SPDX-License-Identifier: Apache-2.0
#include "client/fetch_session.h"

#include <limits>

namespace penstock::client {
namespace {

bool same(const fetch_wish& a, const fetch_wish& b) {
  return a.offset == b.offset && a.current_leader_epoch == b.current_leader_epoch &&
         a.last_fetched_epoch == b.last_fetched_epoch && a.max_bytes == b.max_bytes &&
         a.topic_id == b.topic_id;
}

// Topics come one after the other, so the one that is needed is nearly always the last.
template <typename Topics>
auto& topic_of(Topics& topics, const fetch_wish& w) {
  if (topics.empty() || topics.back().topic_id != w.topic_id || topics.back().topic != w.partition->topic) {
    auto& t = topics.emplace_back();
    t.topic = w.partition->topic;
    t.topic_id = w.topic_id;
  }
  return topics.back();
}

void add(wire::fetch_request& request, const fetch_wish& w) {
  auto& p = topic_of(request.topics, w).partitions.emplace_back();
  p.partition = w.partition->partition;
  p.current_leader_epoch = w.current_leader_epoch;
  p.fetch_offset = w.offset;
  p.last_fetched_epoch = w.last_fetched_epoch;
  p.partition_max_bytes = w.max_bytes;
}

}  // namespace

void fetch_session::fill(wire::fetch_request& request, const std::vector<fetch_wish>& wishes, bool by_id) {
  if (by_id != by_id_) reset();
  by_id_ = by_id;
  request.session_id = id_;
  request.session_epoch = epoch_;
  const bool all = epoch_ == 0;
  if (all) told_.clear();
  ++round_;
  for (const auto& w : wishes) {
    const auto [it, added] = told_.try_emplace(*w.partition, told{w, round_});
    auto& before = it->second;
    before.round = round_;
    if (added || !same(before.wish, w)) {
      // The same name under another id is another topic.
      if (!added && before.wish.topic_id != w.topic_id)
        topic_of(request.forgotten_topics_data, before.wish).partitions.push_back(w.partition->partition);
      before.wish = w;
      add(request, w);
    }
  }
  if (told_.size() == wishes.size()) return;
  for (auto it = told_.begin(); it != told_.end();) {
    if (it->second.round == round_) {
      ++it;
      continue;
    }
    const auto& w = it->second.wish;
    topic_of(request.forgotten_topics_data, w).partitions.push_back(w.partition->partition);
    it = told_.erase(it);
  }
}

void fetch_session::answered(const wire::fetch_response& response) {
  if (response.session_id == 0) return reset(true);
  id_ = response.session_id;
  epoch_ = epoch_ == std::numeric_limits<std::int32_t>::max() ? 1 : epoch_ + 1;
}

bool fetch_session::close(wire::fetch_request& request) {
  constexpr std::int32_t last_epoch = -1;
  if (id_ == 0) return false;
  request.session_id = id_;
  request.session_epoch = last_epoch;
  request.max_wait_ms = 0;
  request.min_bytes = 0;
  reset(true);
  return true;
}

void fetch_session::reset(bool broker_forgot_it) {
  if (broker_forgot_it) id_ = 0;  // otherwise the next request closes it
  epoch_ = 0;
  told_.clear();
}

}  // namespace penstock::client
