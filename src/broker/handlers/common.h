// SPDX-License-Identifier: Apache-2.0
// What several handlers share.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "broker/core.h"
#include "broker/handlers/handlers.h"
#include "wire/error_code.h"

namespace penstock::broker {

using wire::error_code;

constexpr std::int16_t number(error_code e) noexcept { return static_cast<std::int16_t>(e); }

/// The answer's code for an error that core or topics gave.
inline std::int16_t code_of(const error& e) noexcept {
  return e.kind() == errc::kafka ? e.kafka_code() : number(error_code::unknown_server_error);
}

// Without an authorizer everybody may do everything: the operations as bits, numbered as in Kafka's ACLs.
inline constexpr std::int32_t operations_not_asked = INT32_MIN;
inline constexpr std::int32_t topic_operations =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
inline constexpr std::int32_t group_operations = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;
inline constexpr std::int32_t cluster_operations =
    1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// A topic by name, or by id in the versions that name it so; nullptr with the error that says why.
struct topic_lookup {
  topic* found = nullptr;
  error_code error = error_code::none;
};
inline topic_lookup find_topic(broker_core& core, const std::string& name, const wire::uuid& id, bool by_id) {
  topic* t = by_id ? core.topics.find(id) : core.topics.find(name);
  if (t != nullptr) return {t, error_code::none};
  return {nullptr, by_id ? error_code::unknown_topic_id : error_code::unknown_topic_or_partition};
}

/// Answers when `appended` is as durable as the broker promises: at once, or behind a sync. What could not be
/// synced is not answered; the connection closes, and the client asks again.
template <typename Response>
void answer_when_durable(broker_core& core, std::vector<syncer::target> appended, Response answer,
                         responder<Response> reply) {
  if (!core.answers_after_sync() || appended.empty()) return reply.send(answer);
  core.syncs.when_synced(std::move(appended),
                         [reply = std::move(reply), answer = std::move(answer)](bool synced) mutable {
                           if (!synced) return reply.slot().close();
                           reply.send(answer);
                         });
}

/// Counts what is still under way of a request with several parts, and answers when the last is done.
///
///     auto all = answer_together(std::move(response), std::move(reply));
///     for (...) start(..., [all, i](auto e) { all->response.results[i].error_code = e; });
/// The answer goes out when the last holder lets go.
template <typename Response>
struct joint_answer {
  joint_answer(Response r, responder<Response> to) : response(std::move(r)), reply(std::move(to)) {}
  ~joint_answer() { reply.send(response); }
  joint_answer(const joint_answer&) = delete;
  joint_answer& operator=(const joint_answer&) = delete;

  Response response;
  responder<Response> reply;
};
template <typename Response>
std::shared_ptr<joint_answer<Response>> answer_together(Response r, responder<Response> to) {
  return std::make_shared<joint_answer<Response>>(std::move(r), std::move(to));
}

}  // namespace penstock::broker
