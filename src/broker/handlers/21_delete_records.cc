// SPDX-License-Identifier: Apache-2.0
// DeleteRecords (21), versions 0-2: v2 flexible. Readers do not see the records any more when it is answered;
// files go later.
#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

using response_partition = wire::delete_records_response::delete_records_partition_result;

error_code remove(broker_core& core, topic* t,
                  const wire::delete_records_request::delete_records_partition& want,
                  response_partition& out) {
  partition* p = t == nullptr ? nullptr : t->find(want.partition_index);
  if (p == nullptr) return error_code::unknown_topic_or_partition;
  if (t->internal) return error_code::invalid_topic_exception;
  if (!t->settings.deletes) return error_code::policy_violation;
  if (want.offset < -1) return error_code::offset_out_of_range;
  auto log = core.topics.open_log(*p);
  if (!log) return core.storage_error(log.error());
  const std::int64_t end = core.visible_end(**log);
  if (want.offset > end) return error_code::offset_out_of_range;
  auto start = (*log)->delete_records(want.offset == -1 ? end : want.offset);
  if (!start) return core.storage_error(start.error());
  out.low_watermark = *start;
  return error_code::none;
}

}  // namespace

void handle_delete_records(broker_core& core, const request_info&, wire::delete_records_request& q,
                           responder<wire::delete_records_response> reply) {
  wire::delete_records_response answer;
  for (const auto& t : q.topics) {
    auto& out_topic = answer.topics.emplace_back();
    out_topic.name = t.name;
    for (const auto& want : t.partitions) {
      auto& out = out_topic.partitions.emplace_back();
      out.partition_index = want.partition_index;
      out.low_watermark = -1;
      out.error_code = number(remove(core, core.topics.find(t.name), want, out));
    }
  }
  reply.send(answer);
}

}  // namespace penstock::broker
