// SPDX-License-Identifier: Apache-2.0
// ListTransactions (66), versions 0-2: v1 those that run for some time already, v2 those whose id a regular
// expression matches (Kafka's is RE2, ours ECMAScript without back-references).
#include <algorithm>
#include <optional>
#include <regex>

#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

constexpr std::size_t longest_matched = 1000;  // of a pattern, and of an id that one is tried on

// A whole id must match. Nothing without a pattern, an error when it is none. The expression is run without
// backtracking, so that no pattern takes for ever.
result<std::optional<std::regex>> compile(const std::optional<std::string>& pattern) {
  if (!pattern || pattern->empty()) return std::optional<std::regex>();
  if (pattern->size() > longest_matched) return fail(errc::invalid_argument, "the pattern is too long");
  try {
    return std::optional(std::regex(*pattern, std::regex::ECMAScript | std::regex_constants::__polynomial));
  } catch (const std::regex_error& e) {
    return fail(errc::invalid_argument, e.what());
  }
}

template <typename Values, typename Value>
bool wanted(const Values& filter, const Value& v) {
  return filter.empty() || std::find(filter.begin(), filter.end(), v) != filter.end();
}

}  // namespace

void handle_list_transactions(broker_core& core, const request_info&, wire::list_transactions_request& q,
                              responder<wire::list_transactions_response> reply) {
  wire::list_transactions_response answer;
  std::vector<transaction_state> states;
  for (const auto& name : q.state_filters) {
    if (const auto s = parse_transaction_state(name))
      states.push_back(*s);
    else
      answer.unknown_state_filters.push_back(name);
  }
  const auto pattern = compile(q.transactional_id_pattern);
  if (!pattern) {
    answer.error_code = number(error_code::invalid_regular_expression);
    return reply.send(answer);
  }
  const std::int64_t now = core.env.time->wall_ms();
  for (const auto& [id, e] : core.transactions.all()) {
    const transaction& t = e.now;
    if (t.producer.id < 0) continue;
    const bool state_wanted = q.state_filters.empty() || (!states.empty() && wanted(states, t.state));
    const bool long_enough =
        q.duration_filter < 0 || (t.start_ms >= 0 && (t.is(transaction_state::ongoing) || t.deciding()) &&
                                  now - t.start_ms > q.duration_filter);
    const bool matches = !*pattern || (id.size() <= longest_matched && std::regex_match(id, **pattern));
    if (state_wanted && wanted(q.producer_id_filters, t.producer.id) && long_enough && matches)
      answer.transaction_states.push_back({id, t.producer.id, std::string(to_string(t.state))});
  }
  reply.send(answer);
}

}  // namespace penstock::broker
