// SPDX-License-Identifier: Apache-2.0
#include "client/offsets.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "client/coordinator.h"
#include "wire/messages/list_offsets.h"
#include "wire/messages/offset_commit.h"
#include "wire/messages/offset_fetch.h"

namespace penstock::client {
namespace {

using kafka::partition_offset;
using kafka::topic_partition;
using wire::error_code;

// A topic that the brokers deny for this long does not exist; before, it may be on its way.
constexpr std::chrono::seconds patience_for_topics{5};

std::string name_of(const topic_partition& tp) {
  return fmt::format("topic '{}', partition {}", tp.topic, tp.partition);
}

// Asks the leaders in rounds, until every query has its answer.
class offset_lookup : public std::enable_shared_from_this<offset_lookup> {
 public:
  offset_lookup(cluster& c, std::vector<offset_query> queries, kafka::isolation_level isolation,
                io::instant deadline, unique_function<void(std::vector<result<std::int64_t>>)> done)
      : cluster_(c),
        queries_(std::move(queries)),
        isolation_(isolation),
        started_(c.now()),
        deadline_(deadline),
        done_(std::move(done)),
        answers_(queries_.size(), fail(errc::internal, "no result")),
        settled_(queries_.size()),
        backoff_(c.settings().retry_backoff, c.settings().retry_backoff_max),
        timer_(c.loop()) {}

  void round() {
    if (!done_) return;
    std::map<std::int32_t, std::vector<std::size_t>> by_leader;
    std::set<topic_partition> asked;  // a broker takes a partition once a request
    progress_ = false;
    for (std::size_t i = 0; i < queries_.size(); ++i) {
      const auto& tp = queries_[i].partition;
      if (settled_[i] || !asked.insert(tp).second) continue;
      cluster_.watch_topic(tp.topic);
      const auto* leader = cluster_.metadata().leader_of(tp.topic, tp.partition);
      if (leader != nullptr)
        by_leader[leader->leader].push_back(i);
      else
        leaderless(i);
    }
    for (auto& [broker, which] : by_leader) ask(broker, std::move(which));
    if (by_leader.empty()) next();
  }

 private:
  // That passes, unless it is certain that the partition does not exist.
  void leaderless(std::size_t i) {
    const auto& tp = queries_[i].partition;
    cluster_.request_metadata();
    answers_[i] = fail(errc::not_found, fmt::format("{} has no leader at the moment", name_of(tp)),
                       recovery::retriable);
    const auto* topic = cluster_.metadata().find(tp.topic);
    if (topic == nullptr) return;
    if (topic->error != error_code::none && !wire::retriable(topic->error))
      return settle(i, fail(wire::make_error(topic->error, name_of(tp))));
    if (tp.partition >= 0 && static_cast<std::size_t>(tp.partition) < topic->partitions.size()) {
      denied_since_.erase(tp);
      return;
    }
    // Since it was denied first, not since it was asked for: brokers may have been away meanwhile.
    const auto since = denied_since_.try_emplace(tp, cluster_.now()).first->second;
    if (cluster_.now() - since < patience_for_topics) return;
    settle(i, fail(errc::not_found, topic->partitions.empty()
                                        ? fmt::format("topic '{}' does not exist", tp.topic)
                                        : fmt::format("topic '{}' has no partition {}, it has {}", tp.topic,
                                                      tp.partition, topic->partitions.size())));
  }

  void settle(std::size_t i, result<std::int64_t> answer) {
    settled_[i] = progress_ = true;
    answers_[i] = std::move(answer);
  }

  void ask(std::int32_t broker, std::vector<std::size_t> which) {
    wire::list_offsets_request request;
    request.replica_id = -1;
    request.isolation_level = static_cast<std::int8_t>(isolation_);
    request.timeout_ms = static_cast<std::int32_t>(cluster_.settings().request_timeout.count());
    for (const auto i : which) {
      const auto& tp = queries_[i].partition;
      if (request.topics.empty() || request.topics.back().name != tp.topic)
        request.topics.push_back({tp.topic, {}});
      auto& p = request.topics.back().partitions.emplace_back();
      p.partition_index = tp.partition;
      p.timestamp = queries_[i].at;
    }
    ++under_way_;
    // Version 1 brought one offset an answer; 10 is the last that says the same as before.
    cluster_.call<wire::list_offsets_response>(
        broker, std::move(request), {.min_version = 1, .max_version = 10},
        [self = shared_from_this(), which = std::move(which)](result<wire::list_offsets_response> response) {
          --self->under_way_;
          self->arrived(which, response);
        });
  }

  void arrived(const std::vector<std::size_t>& which, const result<wire::list_offsets_response>& response) {
    if (!done_) return;
    if (!response) {
      for (const auto i : which) {
        if (response.error().retriable())
          answers_[i] = fail(response.error());
        else
          settle(i, fail(response.error().with_context(name_of(queries_[i].partition))));
      }
      return next();
    }
    for (const auto& topic : response->topics) {
      for (const auto& p : topic.partitions) {
        for (const auto i : which) {
          const auto& tp = queries_[i].partition;
          if (!settled_[i] && tp.partition == p.partition_index && tp.topic == topic.name) take(i, p);
        }
      }
    }
    next();
  }

  void take(std::size_t i, const wire::list_offsets_response::list_offsets_partition_response& p) {
    const auto code = static_cast<error_code>(p.error_code);
    if (code == error_code::none) return settle(i, p.offset < 0 ? kafka::no_offset : p.offset);
    auto why = fail(wire::make_error(code, name_of(queries_[i].partition)));
    if (!wire::retriable(code)) return settle(i, std::move(why));
    answers_[i] = std::move(why);
    cluster_.request_metadata();
  }

  // The deadline is over for all that has no answer.
  void give_up() {
    for (std::size_t i = 0; i < queries_.size(); ++i) {
      if (settled_[i]) continue;
      const bool tried = !answers_[i] && answers_[i].error().retriable();
      answers_[i] =
          fail(errc::timeout,
               fmt::format("no offset of {} in time; the last attempt: {}", name_of(queries_[i].partition),
                           tried ? answers_[i].error().message() : std::string("no answer")),
               recovery::retriable);
    }
    finish();
  }

  void next() {
    if (under_way_ > 0) return;
    if (std::find(settled_.begin(), settled_.end(), false) == settled_.end()) return finish();
    if (cluster_.now() >= deadline_) return give_up();
    // Partitions whose leader is not known yet are waiting for metadata, which may be there in a moment.
    const auto wait = progress_      ? std::chrono::milliseconds(0)
                      : first_round_ ? std::chrono::milliseconds(5)
                                     : backoff_.next(cluster_.random());
    first_round_ = cluster_.metadata().version() == 0 && cluster_.now() - started_ < std::chrono::seconds(1);
    timer_.arm(wait, [self = shared_from_this(), alive = cluster_.alive()]() mutable {
      const auto lookup = std::move(self);
      if (!alive.expired()) lookup->round();
    });
  }

  void finish() {
    if (done_) std::exchange(done_, nullptr)(std::move(answers_));
  }

  cluster& cluster_;
  std::vector<offset_query> queries_;
  kafka::isolation_level isolation_;
  io::instant started_, deadline_;
  unique_function<void(std::vector<result<std::int64_t>>)> done_;
  std::vector<result<std::int64_t>> answers_;  // or why there is none yet
  std::vector<bool> settled_;
  std::map<topic_partition, io::instant> denied_since_;
  std::size_t under_way_ = 0;
  bool first_round_ = true;
  bool progress_ = false;
  backoff backoff_;
  io::timer timer_;
};

error_code code_of_commit(const wire::offset_commit_response& r) {
  auto worst = error_code::none;
  for (const auto& t : r.topics)
    for (const auto& p : t.partitions)
      if (p.error_code != 0) worst = static_cast<error_code>(p.error_code);
  return worst;
}

error_code code_of_fetch(const wire::offset_fetch_response& r) {
  if (r.error_code != 0) return static_cast<error_code>(r.error_code);
  for (const auto& g : r.groups) {
    if (g.error_code != 0) return static_cast<error_code>(g.error_code);
    for (const auto& t : g.topics)
      for (const auto& p : t.partitions)
        if (p.error_code != 0) return static_cast<error_code>(p.error_code);
  }
  for (const auto& t : r.topics)
    for (const auto& p : t.partitions)
      if (p.error_code != 0) return static_cast<error_code>(p.error_code);
  return error_code::none;
}

template <typename Partition>
partition_offset position_of(const std::string& topic, const Partition& p) {
  return {{topic, p.partition_index},
          {p.committed_offset < 0 ? kafka::no_offset : p.committed_offset, p.committed_leader_epoch,
           p.metadata.value_or(std::string())}};
}

// The request differs a lot between versions 7 and 8, so it is made when the version is known.
class committed_request {
 public:
  static constexpr auto key = wire::offset_fetch_request::key;
  static constexpr std::int16_t min_version = 1;
  static constexpr std::int16_t max_version = 9;  // 10 has topic ids instead of names

  std::string group_id;
  std::optional<std::vector<topic_partition>> partitions;  // nothing: all

  result<> encode(wire::writer& w, std::int16_t version) const {
    wire::offset_fetch_request r;
    r.require_stable = version >= 7;
    if (version < 8) {
      r.group_id = group_id;
      if (partitions) fill(r.topics.emplace());
    } else {
      auto& g = r.groups.emplace_back();
      g.group_id = group_id;
      if (partitions) fill(g.topics.emplace());
    }
    return r.encode(w, version);
  }

 private:
  template <typename Topics>
  void fill(Topics& topics) const {
    std::map<std::string, std::vector<std::int32_t>> by_topic;
    for (const auto& tp : *partitions) by_topic[tp.topic].push_back(tp.partition);
    for (auto& [topic, numbers] : by_topic) {
      auto& t = topics.emplace_back();
      t.name = topic;
      t.partition_indexes = std::move(numbers);
    }
  }
};

void fetch_positions(cluster& c, committed_request request, io::instant deadline,
                     unique_function<void(result<std::vector<partition_offset>>)> done) {
  auto group = request.group_id;
  coordinator_call<wire::offset_fetch_response, committed_request>::start(
      c, group, std::move(request), {}, &code_of_fetch, deadline,
      [group, done = std::move(done)](result<wire::offset_fetch_response> response) mutable {
        if (!response) return done(fail(std::move(response.error())));
        if (const auto code = code_of_fetch(*response); code != error_code::none)
          return done(fail(wire::make_error(code, fmt::format("offsets of group '{}'", group))));
        std::vector<partition_offset> found;
        for (const auto& t : response->topics)
          for (const auto& p : t.partitions) found.push_back(position_of(t.name, p));
        for (const auto& g : response->groups)
          for (const auto& t : g.topics)
            for (const auto& p : t.partitions) found.push_back(position_of(t.name, p));
        done(std::move(found));
      });
}

}  // namespace

void list_offsets(cluster& c, std::vector<offset_query> queries, kafka::isolation_level isolation,
                  io::instant deadline, unique_function<void(std::vector<result<std::int64_t>>)> done) {
  auto lookup = std::make_shared<offset_lookup>(c, std::move(queries), isolation, deadline, std::move(done));
  c.loop().post([lookup, alive = c.alive()] {
    if (!alive.expired()) lookup->round();
  });
}

wire::offset_commit_request commit_request(committer who, std::vector<partition_offset> offsets) {
  wire::offset_commit_request request;
  request.group_id = std::move(who.group_id);
  request.generation_id_or_member_epoch = who.generation;
  request.member_id = std::move(who.member_id);
  if (!who.instance_id.empty()) request.group_instance_id = std::move(who.instance_id);
  std::map<std::string, std::vector<wire::offset_commit_request::offset_commit_request_partition>> by_topic;
  for (auto& o : offsets) {
    auto& p = by_topic[o.partition.topic].emplace_back();
    p.partition_index = o.partition.partition;
    p.committed_offset = o.position.offset;
    p.committed_leader_epoch = o.position.leader_epoch;
    p.committed_metadata = std::move(o.position.metadata);
  }
  for (auto& [topic, partitions] : by_topic) request.topics.push_back({topic, {}, std::move(partitions)});
  return request;
}

void commit_offsets(cluster& c, committer who, std::vector<partition_offset> offsets, io::instant deadline,
                    unique_function<void(result<>)> done) {
  auto group = who.group_id;
  // Version 2 keeps offsets in Kafka; 9 is the last with topic names.
  coordinator_call<wire::offset_commit_response, wire::offset_commit_request>::start(
      c, group, commit_request(std::move(who), std::move(offsets)), {.min_version = 2, .max_version = 9},
      &code_of_commit, deadline,
      [group, done = std::move(done)](result<wire::offset_commit_response> response) mutable {
        if (!response) return done(fail(std::move(response.error())));
        for (const auto& t : response->topics)
          for (const auto& p : t.partitions)
            if (p.error_code != 0)
              return done(
                  fail(wire::make_error(p.error_code, fmt::format("commit of group '{}' for {}", group,
                                                                  name_of({t.name, p.partition_index})))));
        done({});
      });
}

void fetch_committed(cluster& c, std::string group_id, std::vector<topic_partition> partitions,
                     io::instant deadline,
                     unique_function<void(result<std::vector<partition_offset>>)> done) {
  committed_request request;
  request.group_id = std::move(group_id);
  request.partitions = partitions;
  fetch_positions(c, std::move(request), deadline,
                  [asked = std::move(partitions), done = std::move(done)](auto found) mutable {
                    if (!found) return done(fail(std::move(found.error())));
                    std::map<topic_partition, kafka::offset_and_metadata> by_partition;
                    for (auto& f : *found) by_partition[f.partition] = std::move(f.position);
                    std::vector<partition_offset> in_order;
                    for (auto& tp : asked) in_order.push_back({tp, by_partition[tp]});
                    done(std::move(in_order));
                  });
}

void fetch_all_committed(cluster& c, std::string group_id, io::instant deadline,
                         unique_function<void(result<std::vector<partition_offset>>)> done) {
  committed_request request;
  request.group_id = std::move(group_id);
  fetch_positions(c, std::move(request), deadline, std::move(done));
}

}  // namespace penstock::client
