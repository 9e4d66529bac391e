// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "client/admin_client.h"
#include "wire/messages/describe_producers.h"
#include "wire/messages/describe_transactions.h"
#include "wire/messages/init_producer_id.h"
#include "wire/messages/list_transactions.h"
#include "wire/messages/write_txn_markers.h"

namespace penstock::client {

using kafka::topic_partition;
using wire::error_code;

namespace {

std::string transactional_id_title(const std::string& id) { return "transactional id '" + id + "'"; }

error_code first_transaction(const wire::describe_transactions_response& r) {
  return r.transaction_states.empty() ? error_code::none
                                      : static_cast<error_code>(r.transaction_states.front().error_code);
}

kafka::transaction_info info_of(wire::describe_transactions_response::transaction_state_t& t) {
  kafka::transaction_info info;
  info.transactional_id = std::move(t.transactional_id);
  info.state = std::move(t.transaction_state);
  info.producer_id = t.producer_id;
  info.producer_epoch = t.producer_epoch;
  info.timeout = std::chrono::milliseconds(t.transaction_timeout_ms);
  info.begun_ms = t.transaction_start_time_ms;
  for (const auto& topic : t.topics)
    for (const auto p : topic.partitions) info.partitions.push_back({topic.topic, p});
  return info;
}

using producers = std::vector<kafka::active_producer>;

producers producers_of(const wire::describe_producers_response::partition_response& p) {
  producers all;
  for (const auto& a : p.active_producers)
    all.push_back({a.producer_id, static_cast<std::int16_t>(a.producer_epoch), a.last_sequence,
                   a.last_timestamp, a.coordinator_epoch,
                   a.current_txn_start_offset < 0 ? kafka::no_offset : a.current_txn_start_offset});
  return all;
}

}  // namespace

void admin_client::list_transactions(kafka::transaction_filter filter,
                                     done_with<std::vector<kafka::transaction_listing>> done) {
  using listings = std::vector<kafka::transaction_listing>;
  wire::list_transactions_request request;
  request.state_filters = std::move(filter.states);
  request.producer_id_filters = std::move(filter.producer_ids);
  request.duration_filter = filter.open_longer_than ? filter.open_longer_than->count() : -1;
  request.transactional_id_pattern = std::move(filter.id_pattern);
  const std::int16_t min_version = request.transactional_id_pattern ? 2 : filter.open_longer_than ? 1 : 0;
  ask_every_broker<listings>(
      [this, request = std::move(request), min_version](std::int32_t broker, done_with<listings> done) {
        admin_call<wire::list_transactions_response>(
            cluster_, plan(route::broker(broker), "transactions", min_version), request,
            &top_code<wire::list_transactions_response>,
            [done = std::move(done)](result<wire::list_transactions_response> r) mutable {
              if (!r) return done(fail(r.error()));
              if (r->error_code != 0) return done(fail(answer_error(r->error_code, "transactions")));
              if (!r->unknown_state_filters.empty())
                return done(fail(errc::invalid_argument, fmt::format("'{}' is no state of a transaction",
                                                                     r->unknown_state_filters.front())));
              listings all;
              for (auto& t : r->transaction_states)
                all.push_back({std::move(t.transactional_id), t.producer_id, std::move(t.transaction_state)});
              done(std::move(all));
            });
      },
      [done = std::move(done)](result<each<listings>> r) mutable {
        if (!r) return done(fail(r.error()));
        std::map<std::string, kafka::transaction_listing> by_id;
        for (auto& broker : *r) {
          if (!broker) return done(fail(broker.error()));
          for (auto& t : *broker) by_id.insert_or_assign(t.transactional_id, t);
        }
        listings all;
        for (auto& [id, t] : by_id) all.push_back(std::move(t));
        done(std::move(all));
      });
}

void admin_client::describe_transactions(std::vector<std::string> ids,
                                         done_with<each<kafka::transaction_info>> done) {
  auto all = gathering<kafka::transaction_info>::of(ids.size(), std::move(done));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    wire::describe_transactions_request request;
    request.transactional_ids.push_back(ids[i]);
    admin_call<wire::describe_transactions_response>(
        cluster_, plan(route::transaction(ids[i]), transactional_id_title(ids[i])), std::move(request),
        &first_transaction,
        [this, id = ids[i], slot = all->slot(i)](result<wire::describe_transactions_response> r) mutable {
          if (!r) return slot(fail(r.error()));
          if (r->transaction_states.empty())
            return slot(fail(errc::corrupt, transactional_id_title(id) + ": the broker left out a result"));
          auto& t = r->transaction_states.front();
          if (t.error_code != 0) return slot(fail(answer_error(t.error_code, transactional_id_title(id))));
          find_coordinator(cluster_, coordinated::transaction, id,
                           [info = info_of(t), slot = std::move(slot)](result<std::int32_t> broker) mutable {
                             if (broker) info.coordinator = *broker;
                             slot(std::move(info));
                           });
        });
  }
}

void admin_client::describe_producers(std::vector<topic_partition> partitions,
                                      done_with<each<producers>> done) {
  using leaders = leader_call<producers>;
  leaders::start(
      cluster_, partitions, deadline(),
      [this, partitions](std::int32_t leader, std::vector<std::size_t> indexes,
                         unique_function<void(leaders::answers)> done) {
        wire::describe_producers_request request;
        std::map<topic_partition, std::size_t> places;
        std::map<std::string, std::vector<std::int32_t>> topics;
        for (const auto i : indexes) {
          places[partitions[i]] = i;
          topics[partitions[i].topic].push_back(partitions[i].partition);
        }
        for (auto& [topic, numbers] : topics) request.topics.push_back({topic, std::move(numbers)});
        admin_call<wire::describe_producers_response>(
            cluster_, plan(route::broker(leader), "producers"), std::move(request),
            &no_code<wire::describe_producers_response>,
            [places = std::move(places),
             done = std::move(done)](result<wire::describe_producers_response> r) mutable {
              leaders::answers all;
              if (r)
                for (const auto& t : r->topics)
                  for (const auto& p : t.partitions) {
                    const auto place = places.extract({t.name, p.partition_index});
                    if (place.empty()) continue;
                    if (p.error_code == 0)
                      all.emplace_back(place.mapped(), producers_of(p));
                    else
                      all.emplace_back(place.mapped(), fail(answer_error(p.error_code, to_string(place.key()),
                                                                         p.error_message)));
                  }
              for (const auto& [tp, i] : places)
                all.emplace_back(
                    i, fail(r ? error(errc::corrupt, to_string(tp) + ": the broker left out a result")
                              : r.error()));
              done(std::move(all));
            });
      },
      std::move(done));
}

// The leader of the partition writes the marker, as if the transaction's coordinator had sent it.
void admin_client::abort_transaction(kafka::hanging_transaction which, done_with<void> done) {
  using leaders = leader_call<bool>;
  const auto tp = which.partition;
  leaders::start(
      cluster_, {tp}, deadline(),
      [this, which = std::move(which)](std::int32_t leader, std::vector<std::size_t>,
                                       unique_function<void(leaders::answers)> done) {
        wire::write_txn_markers_request request;
        auto& marker = request.markers.emplace_back();
        marker.producer_id = which.producer_id;
        marker.producer_epoch = which.producer_epoch;
        marker.transaction_result = false;
        marker.topics.push_back({which.partition.topic, {which.partition.partition}});
        marker.coordinator_epoch = which.coordinator_epoch;
        admin_call<wire::write_txn_markers_response>(
            cluster_, plan(route::broker(leader), "abort of a transaction"), std::move(request),
            &no_code<wire::write_txn_markers_response>,
            [tp = which.partition,
             done = std::move(done)](result<wire::write_txn_markers_response> r) mutable {
              const auto what = "transaction on " + to_string(tp);
              leaders::answers one;
              if (!r)
                one.emplace_back(0, fail(r.error()));
              else if (r->markers.empty() || r->markers.front().topics.empty() ||
                       r->markers.front().topics.front().partitions.empty())
                one.emplace_back(0, fail(errc::corrupt, what + ": the broker left out a result"));
              else if (const auto code = r->markers.front().topics.front().partitions.front().error_code;
                       code != 0)
                one.emplace_back(0, fail(answer_error(code, what)));
              else
                one.emplace_back(0, true);
              done(std::move(one));
            });
      },
      [done = std::move(done)](result<each<bool>> r) mutable {
        if (!r) return done(fail(r.error()));
        if (!r->front()) return done(fail(r->front().error()));
        done({});
      });
}

void admin_client::fence_producers(std::vector<std::string> ids,
                                   done_with<each<kafka::fenced_producer>> done) {
  auto all = gathering<kafka::fenced_producer>::of(ids.size(), std::move(done));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    wire::init_producer_id_request request;
    request.transactional_id = ids[i];
    request.transaction_timeout_ms = broker_timeout();
    admin_call<wire::init_producer_id_response>(
        cluster_, plan(route::transaction(ids[i]), transactional_id_title(ids[i])), std::move(request),
        &top_code<wire::init_producer_id_response>,
        [id = ids[i], slot = all->slot(i)](result<wire::init_producer_id_response> r) mutable {
          if (!r) return slot(fail(r.error()));
          if (r->error_code != 0) return slot(fail(answer_error(r->error_code, transactional_id_title(id))));
          slot(kafka::fenced_producer{r->producer_id, r->producer_epoch});
        });
  }
}

}  // namespace penstock::client
