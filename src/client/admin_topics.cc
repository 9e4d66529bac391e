// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "client/admin_client.h"
#include "wire/messages/create_topics.h"
#include "wire/messages/delete_topics.h"
#include "wire/messages/describe_topic_partitions.h"

namespace penstock::client {

using kafka::topic_info;
using wire::error_code;

namespace {

std::string title(const std::string& name) { return "topic '" + name + "'"; }

// Only if the whole request went to the wrong broker may it be sent again without harm.
template <typename Results>
error_code wrong_broker(const Results& results) {
  for (const auto& r : results)
    if (r.error_code != static_cast<std::int16_t>(error_code::not_controller)) return error_code::none;
  return results.empty() ? error_code::none : error_code::not_controller;
}

template <typename Item>
result<> outcome_of(const Item& item, const std::string& thing) {
  if (item.error_code == 0) return {};
  return fail(answer_error(item.error_code, thing, item.error_message));
}

struct delete_topics_ask {
  static constexpr auto key = wire::delete_topics_request::key;
  static constexpr std::int16_t min_version = 0;
  static constexpr std::int16_t max_version = wire::delete_topics_request::max_version;
  std::vector<std::string> names;
  std::vector<wire::uuid> ids;
  std::int32_t timeout_ms = 0;

  result<> encode(wire::writer& w, std::int16_t version) const {
    wire::delete_topics_request r;
    r.timeout_ms = timeout_ms;
    if (version < 6) {
      r.topic_names = names;
    } else {
      for (const auto& n : names) r.topics.push_back({n, {}});
      for (const auto& id : ids) r.topics.push_back({std::nullopt, id});
    }
    return r.encode(w, version);
  }
};

error_code code_of_delete(const wire::delete_topics_response& r) { return wrong_broker(r.responses); }
error_code code_of_create(const wire::create_topics_response& r) { return wrong_broker(r.topics); }

result<topic_info> info_of(const wire::metadata_response::metadata_response_topic& t,
                           const std::string& name) {
  const auto code = static_cast<error_code>(t.error_code);
  if (code != error_code::none && code != error_code::leader_not_available)
    return fail(answer_error(t.error_code, title(name)));
  topic_info info{name, t.topic_id.is_zero() ? std::string() : t.topic_id.to_string(), t.is_internal, {}};
  for (const auto& p : t.partitions)
    info.partitions.push_back({p.partition_index,
                               p.leader_id,
                               p.leader_epoch,
                               p.replica_nodes,
                               p.isr_nodes,
                               p.offline_replicas,
                               {}});
  return info;
}

void sort(topic_info& info) {
  std::sort(info.partitions.begin(), info.partitions.end(),
            [](const auto& a, const auto& b) { return a.partition < b.partition; });
}

// A page after the other, until the broker has no more (KIP-966).
class topic_pages : public std::enable_shared_from_this<topic_pages> {
 public:
  topic_pages(cluster& c, call_plan plan, std::vector<std::string> names, done_with<each<topic_info>> done)
      : cluster_(c), plan_(std::move(plan)), names_(std::move(names)), done_(std::move(done)) {
    for (const auto& n : names_) request_.topics.push_back({n});
    // The broker wants them sorted, to go on from a name.
    std::sort(request_.topics.begin(), request_.topics.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  void ask() {
    admin_call<wire::describe_topic_partitions_response>(
        cluster_, plan_, request_, &no_code<wire::describe_topic_partitions_response>,
        [self = shared_from_this()](result<wire::describe_topic_partitions_response> r) {
          if (!r) return self->done_(fail(r.error()));
          self->take(*r);
        });
  }

 private:
  void take(const wire::describe_topic_partitions_response& r) {
    for (const auto& t : r.topics) {
      const auto name = t.name.value_or(std::string());
      if (t.error_code != 0) {
        found_.insert_or_assign(name, fail(answer_error(t.error_code, title(name))));
        continue;
      }
      auto [it, fresh] =
          found_.try_emplace(name, topic_info{name, t.topic_id.to_string(), t.is_internal, {}});
      if (!it->second) continue;
      for (const auto& p : t.partitions)
        it->second->partitions.push_back({p.partition_index, p.leader_id, p.leader_epoch, p.replica_nodes,
                                          p.isr_nodes, p.offline_replicas,
                                          p.eligible_leader_replicas.value_or(std::vector<std::int32_t>())});
    }
    if (r.next_cursor && goes_on(r.next_cursor->topic_name, r.next_cursor->partition_index)) return ask();
    for (auto& [name, info] : found_)
      if (info) sort(*info);
    done_(in_order(names_, std::move(found_), "topics"));
  }
  // A cursor that does not move would never end.
  bool goes_on(const std::string& topic, std::int32_t partition) {
    if (request_.cursor &&
        std::tie(topic, partition) <= std::tie(request_.cursor->topic_name, request_.cursor->partition_index))
      return false;
    request_.cursor.emplace();
    request_.cursor->topic_name = topic;
    request_.cursor->partition_index = partition;
    std::erase_if(request_.topics, [&](const auto& t) { return t.name < topic; });
    return true;
  }

  cluster& cluster_;
  call_plan plan_;
  std::vector<std::string> names_;
  done_with<each<topic_info>> done_;
  wire::describe_topic_partitions_request request_;
  std::map<std::string, result<topic_info>> found_;
};

}  // namespace

void admin_client::create_topics(std::vector<kafka::new_topic> topics, bool validate_only,
                                 done_with<each<>> done) {
  wire::create_topics_request request;
  request.validate_only = validate_only;
  request.timeout_ms = broker_timeout();
  std::int16_t min_version = validate_only ? 1 : 0;
  std::vector<std::string> names;
  for (const auto& t : topics) {
    if (t.assignment.empty() && (t.partitions == -1 || t.replication_factor == -1)) min_version = 4;
    names.push_back(t.name);
    auto& wanted = request.topics.emplace_back();
    wanted.name = t.name;
    wanted.num_partitions = t.partitions;
    wanted.replication_factor = t.replication_factor;
    for (std::size_t p = 0; p < t.assignment.size(); ++p)
      wanted.assignments.push_back({static_cast<std::int32_t>(p), t.assignment[p]});
    for (const auto& [name, value] : t.configs) wanted.configs.push_back({name, value});
  }
  const char* what = min_version == 4 ? "create topics with the broker's own number of partitions or copies "
                                        "(say the numbers instead)"
                                      : "create topics";
  admin_call<wire::create_topics_response>(
      cluster_, plan(route::controller(), what, min_version), std::move(request), &code_of_create,
      [names = std::move(names), done = std::move(done)](result<wire::create_topics_response> r) mutable {
        if (!r) return done(fail(r.error()));
        std::map<std::string, result<>> found;
        for (const auto& t : r->topics) found.insert_or_assign(t.name, outcome_of(t, title(t.name)));
        done(in_order(names, std::move(found), "create topics"));
      });
}

void admin_client::delete_topics(std::vector<std::string> names, done_with<each<>> done) {
  admin_call<wire::delete_topics_response>(
      cluster_, plan(route::controller(), "delete topics"), delete_topics_ask{names, {}, broker_timeout()},
      &code_of_delete, [names, done = std::move(done)](result<wire::delete_topics_response> r) mutable {
        if (!r) return done(fail(r.error()));
        std::map<std::string, result<>> found;
        for (const auto& t : r->responses) {
          const auto name = t.name.value_or(std::string());
          found.insert_or_assign(name, outcome_of(t, title(name)));
        }
        done(in_order(names, std::move(found), "delete topics"));
      });
}

void admin_client::delete_topics_by_id(std::vector<std::string> ids, done_with<each<>> done) {
  std::vector<wire::uuid> uuids;
  for (const auto& id : ids) {
    const auto parsed = wire::uuid::parse(id);
    if (!parsed) return done(fail(errc::invalid_argument, "'" + id + "' is no topic id"));
    uuids.push_back(*parsed);
  }
  admin_call<wire::delete_topics_response>(
      cluster_, plan(route::controller(), "delete topics by id", 6),
      delete_topics_ask{{}, uuids, broker_timeout()}, &code_of_delete,
      [ids = std::move(ids), done = std::move(done)](result<wire::delete_topics_response> r) mutable {
        if (!r) return done(fail(r.error()));
        std::map<std::string, result<>> found;
        for (const auto& t : r->responses) {
          const auto id = t.topic_id.to_string();
          found.insert_or_assign(id, outcome_of(t, "topic with id " + id));
        }
        done(in_order(ids, std::move(found), "delete topics"));
      });
}

void admin_client::list_topics(bool with_internal, done_with<std::vector<std::string>> done) {
  ask_metadata(cluster_, {}, deadline(),
               [with_internal, done = std::move(done)](result<wire::metadata_response> r) mutable {
                 if (!r) return done(fail(r.error()));
                 std::vector<std::string> names;
                 for (auto& t : r->topics)
                   if (t.name && (with_internal || !t.is_internal)) names.push_back(std::move(*t.name));
                 std::sort(names.begin(), names.end());
                 done(std::move(names));
               });
}

void admin_client::describe_topics(std::vector<std::string> names, done_with<each<topic_info>> done) {
  if (names.empty()) return done(each<topic_info>());  // to a broker none means all
  auto by_metadata = [this, names, done = std::move(done)](result<each<topic_info>> r) mutable {
    if (!r && r.error().kind() == errc::unsupported) return describe_by_metadata(names, std::move(done));
    done(std::move(r));
  };
  std::make_shared<topic_pages>(cluster_, plan({}, "topics"), names, std::move(by_metadata))->ask();
}

void admin_client::describe_by_metadata(std::vector<std::string> names, done_with<each<topic_info>> done) {
  ask_metadata(cluster_, {names}, deadline(),
               [names, done = std::move(done)](result<wire::metadata_response> r) mutable {
                 if (!r) return done(fail(r.error()));
                 std::map<std::string, result<topic_info>> found;
                 for (const auto& n : names)
                   found.insert_or_assign(n, fail(errc::not_found, title(n) + " does not exist"));
                 for (const auto& t : r->topics) {
                   const auto name = t.name.value_or(std::string());
                   auto info = info_of(t, name);
                   if (info) sort(*info);
                   found.insert_or_assign(name, std::move(info));
                 }
                 done(in_order(names, std::move(found), "topics"));
               });
}

}  // namespace penstock::client
