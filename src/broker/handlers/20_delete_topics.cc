// SPDX-License-Identifier: Apache-2.0
// DeleteTopics (20), versions 1-6: v4 flexible, v5 messages, v6 topics by id. Answered when the files are
// gone and the names are free again.
#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

using state = wire::delete_topics_request::delete_topic_state;

// Which topic is meant, with what is wrong with that.
topic_lookup resolve(broker_core& core, const state& want) {
  if (want.name && !want.topic_id.is_zero()) return {nullptr, error_code::invalid_request};
  const auto found = find_topic(core, want.name.value_or(""), want.topic_id, !want.name);
  if (found.found != nullptr && found.found->internal) return {nullptr, error_code::invalid_request};
  return found;
}

}  // namespace

void handle_delete_topics(broker_core& core, const request_info& info, wire::delete_topics_request& q,
                          responder<wire::delete_topics_response> reply) {
  std::vector<state> wanted = std::move(q.topics);
  if (info.version < 6)
    for (auto& name : q.topic_names) wanted.push_back({name, {}});
  wire::delete_topics_response answer;
  answer.responses.resize(wanted.size());
  const auto all = answer_together(std::move(answer), std::move(reply));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    auto& out = all->response.responses[i];
    const auto found = resolve(core, wanted[i]);
    out.name = wanted[i].name;
    out.topic_id = wanted[i].topic_id;
    out.error_code = number(found.error);
    if (found.found == nullptr) continue;
    out.name = found.found->name();
    out.topic_id = found.found->record.id;
    core.remove_topic(*found.found,
                      [all, i](error_code e) { all->response.responses[i].error_code = number(e); });
  }
}

}  // namespace penstock::broker
