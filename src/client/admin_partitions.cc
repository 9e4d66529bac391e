// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "client/admin_client.h"
#include "wire/messages/alter_partition_reassignments.h"
#include "wire/messages/create_partitions.h"
#include "wire/messages/delete_records.h"
#include "wire/messages/elect_leaders.h"
#include "wire/messages/list_partition_reassignments.h"

namespace penstock::client {

using kafka::topic_partition;
using wire::error_code;

namespace {

std::map<std::string, std::vector<std::int32_t>> by_topic(const std::vector<topic_partition>& partitions) {
  std::map<std::string, std::vector<std::int32_t>> all;
  for (const auto& tp : partitions) all[tp.topic].push_back(tp.partition);
  return all;
}

error_code code_of_growth(const wire::create_partitions_response& r) {
  for (const auto& t : r.results)
    if (t.error_code != static_cast<std::int16_t>(error_code::not_controller)) return error_code::none;
  return r.results.empty() ? error_code::none : error_code::not_controller;
}

// Version 0 has no code for the whole and only elects preferred leaders.
error_code code_of_election(const wire::elect_leaders_response& r) {
  const auto code = static_cast<error_code>(r.error_code);
  return code == error_code::not_controller ? code : error_code::none;
}

wire::delete_records_request deletion(const std::vector<kafka::start_position>& below,
                                      const std::vector<std::size_t>& indexes, std::int32_t timeout_ms) {
  wire::delete_records_request request;
  request.timeout_ms = timeout_ms;
  std::map<std::string, std::vector<wire::delete_records_request::delete_records_partition>> topics;
  for (const auto i : indexes)
    topics[below[i].partition.topic].push_back({below[i].partition.partition, below[i].offset});
  for (auto& [topic, partitions] : topics) request.topics.push_back({topic, std::move(partitions)});
  return request;
}

}  // namespace

void admin_client::create_partitions(std::vector<kafka::more_partitions> topics, bool validate_only,
                                     done_with<each<>> done) {
  wire::create_partitions_request request;
  request.timeout_ms = broker_timeout();
  request.validate_only = validate_only;
  std::vector<std::string> names;
  for (auto& t : topics) {
    names.push_back(t.topic);
    auto& wanted = request.topics.emplace_back();
    wanted.name = t.topic;
    wanted.count = t.total;
    if (t.assignment.empty()) continue;
    wanted.assignments.emplace();
    for (auto& brokers : t.assignment) wanted.assignments->push_back({std::move(brokers)});
  }
  admin_call<wire::create_partitions_response>(
      cluster_, plan(route::controller(), "create partitions"), std::move(request), &code_of_growth,
      [names = std::move(names), done = std::move(done)](result<wire::create_partitions_response> r) mutable {
        if (!r) return done(fail(r.error()));
        std::map<std::string, result<>> found;
        for (const auto& t : r->results)
          found.insert_or_assign(
              t.name, t.error_code == 0
                          ? result<>()
                          : fail(answer_error(t.error_code, "topic '" + t.name + "'", t.error_message)));
        done(in_order(names, std::move(found), "create partitions"));
      });
}

void admin_client::elect_leaders(kafka::election how, std::vector<topic_partition> partitions,
                                 done_with<each<>> done) {
  wire::elect_leaders_request request;
  request.election_type = static_cast<std::int8_t>(how);
  request.timeout_ms = broker_timeout();
  request.topic_partitions.emplace();
  for (auto& [topic, numbers] : by_topic(partitions))
    request.topic_partitions->push_back({topic, std::move(numbers)});
  admin_call<wire::elect_leaders_response>(
      cluster_, plan(route::controller(), "elect leaders", how == kafka::election::unclean ? 1 : 0),
      std::move(request), &code_of_election,
      [partitions = std::move(partitions),
       done = std::move(done)](result<wire::elect_leaders_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0) return done(fail(answer_error(r->error_code, "elect leaders")));
        std::map<topic_partition, result<>> found;
        // A broker leaves out those whose leader is the right one already.
        for (const auto& tp : partitions) found.insert_or_assign(tp, result<>());
        for (const auto& t : r->replica_election_results)
          for (const auto& p : t.partition_result) {
            const topic_partition tp{t.topic, p.partition_id};
            const bool fine = p.error_code == 0 ||
                              p.error_code == static_cast<std::int16_t>(error_code::election_not_needed);
            found.insert_or_assign(
                tp, fine ? result<>() : fail(answer_error(p.error_code, to_string(tp), p.error_message)));
          }
        done(in_order(partitions, std::move(found), "elect leaders"));
      });
}

void admin_client::alter_reassignments(std::vector<kafka::reassignment> wanted, done_with<each<>> done) {
  wire::alter_partition_reassignments_request request;
  request.timeout_ms = broker_timeout();
  std::map<std::string, std::vector<wire::alter_partition_reassignments_request::reassignable_partition>>
      topics;
  std::vector<topic_partition> partitions;
  for (auto& w : wanted) {
    partitions.push_back(w.partition);
    topics[w.partition.topic].push_back({w.partition.partition, std::move(w.replicas)});
  }
  for (auto& [topic, list] : topics) request.topics.push_back({topic, std::move(list)});
  admin_call<wire::alter_partition_reassignments_response>(
      cluster_, plan(route::controller(), "reassign partitions"), std::move(request),
      &top_code<wire::alter_partition_reassignments_response>,
      [partitions = std::move(partitions),
       done = std::move(done)](result<wire::alter_partition_reassignments_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0)
          return done(fail(answer_error(r->error_code, "reassign partitions", r->error_message)));
        std::map<topic_partition, result<>> found;
        for (const auto& t : r->responses)
          for (const auto& p : t.partitions) {
            const topic_partition tp{t.name, p.partition_index};
            found.insert_or_assign(
                tp, p.error_code == 0 ? result<>()
                                      : fail(answer_error(p.error_code, to_string(tp), p.error_message)));
          }
        done(in_order(partitions, std::move(found), "reassign partitions"));
      });
}

void admin_client::list_reassignments(std::vector<topic_partition> partitions,
                                      done_with<std::vector<kafka::ongoing_reassignment>> done) {
  wire::list_partition_reassignments_request request;
  request.timeout_ms = broker_timeout();
  if (!partitions.empty()) {
    request.topics.emplace();
    for (auto& [topic, numbers] : by_topic(partitions))
      request.topics->push_back({topic, std::move(numbers)});
  }
  admin_call<wire::list_partition_reassignments_response>(
      cluster_, plan(route::controller(), "list reassignments"), std::move(request),
      &top_code<wire::list_partition_reassignments_response>,
      [done = std::move(done)](result<wire::list_partition_reassignments_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0)
          return done(fail(answer_error(r->error_code, "list reassignments", r->error_message)));
        std::vector<kafka::ongoing_reassignment> all;
        for (auto& t : r->topics)
          for (auto& p : t.partitions)
            all.push_back({{t.name, p.partition_index},
                           std::move(p.replicas),
                           std::move(p.adding_replicas),
                           std::move(p.removing_replicas)});
        done(std::move(all));
      });
}

void admin_client::delete_records(std::vector<kafka::start_position> below,
                                  done_with<each<std::int64_t>> done) {
  using leaders = leader_call<std::int64_t>;
  std::vector<topic_partition> partitions;
  for (const auto& b : below) partitions.push_back(b.partition);
  leaders::start(
      cluster_, partitions, deadline(),
      [this, below = std::move(below)](std::int32_t leader, std::vector<std::size_t> indexes,
                                       unique_function<void(leaders::answers)> done) {
        std::map<topic_partition, std::size_t> places;
        for (const auto i : indexes) places[below[i].partition] = i;
        admin_call<wire::delete_records_response>(
            cluster_, plan(route::broker(leader), "delete records"),
            deletion(below, indexes, broker_timeout()), &no_code<wire::delete_records_response>,
            [places = std::move(places),
             done = std::move(done)](result<wire::delete_records_response> r) mutable {
              leaders::answers all;
              if (r)
                for (const auto& t : r->topics)
                  for (const auto& p : t.partitions) {
                    const auto place = places.extract({t.name, p.partition_index});
                    if (place.empty()) continue;
                    if (p.error_code == 0)
                      all.emplace_back(place.mapped(), p.low_watermark);
                    else
                      all.emplace_back(
                          place.mapped(),
                          fail(wire::make_error(p.error_code, "records of " + to_string(place.key()))));
                  }
              for (const auto& [tp, i] : places)
                all.emplace_back(i, fail(r ? error(errc::corrupt, "records of " + to_string(tp) +
                                                                      ": the broker left out a result")
                                           : r.error()));
              done(std::move(all));
            });
      },
      std::move(done));
}

}  // namespace penstock::client
