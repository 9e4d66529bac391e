// SPDX-License-Identifier: Apache-2.0
// ListOffsets (2), versions 1-10.
//
// v1    one offset a partition
// v2    isolation level: with read_committed, latest is the last stable offset
// v4    leader epochs
// v6    flexible
// v7    -3, the largest timestamp
// v8    -4, the earliest local offset: as -2, there being no other storage
// v9    -5, the latest offset in remote storage: none
// v10   a timeout, for remote storage
#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

constexpr std::int64_t latest = -1, earliest = -2, max_timestamp = -3, earliest_local = -4,
                       latest_tiered = -5;
using response_partition = wire::list_offsets_response::list_offsets_partition_response;
using request_partition = wire::list_offsets_request::list_offsets_partition;

error_code find_time(broker_core& core, const log::partition_log& log, std::int64_t target,
                     std::int64_t bound, response_partition& out) {
  auto found = target == max_timestamp ? log.max_timestamp() : log.offset_for_timestamp(target);
  if (!found) return core.storage_error(found.error());
  if (!*found || (*found)->offset >= bound) return error_code::none;
  out.offset = (*found)->offset;
  out.timestamp = (*found)->timestamp_ms;
  out.leader_epoch = (*found)->leader_epoch;
  return error_code::none;
}

error_code list(broker_core& core, const request_info& info, const wire::list_offsets_request& q,
                partition* p, const request_partition& want, response_partition& out) {
  if (p == nullptr) return error_code::unknown_topic_or_partition;
  if (const auto e = core.check_leader_epoch(want.current_leader_epoch); e != error_code::none) return e;
  auto opened = core.topics.open_log(*p);
  if (!opened) return core.storage_error(opened.error());
  const log::partition_log& log = **opened;
  const std::int64_t bound = q.isolation_level == 1 ? core.stable_end(log) : core.visible_end(log);
  const auto at = [&](std::int64_t offset) {
    out.offset = offset;
    out.leader_epoch = info.version >= 4 ? core.leader_epoch() : -1;
    if (offset < log.end_offset() && info.version >= 4)
      if (const auto epoch = log.leader_epoch_of(offset); epoch >= 0) out.leader_epoch = epoch;
    return error_code::none;
  };
  if (want.timestamp == latest) return at(bound);
  if (want.timestamp == earliest || (want.timestamp == earliest_local && info.version >= 8))
    return at(log.log_start_offset());
  if (want.timestamp == latest_tiered && info.version >= 9) return error_code::none;
  if (want.timestamp < 0 && !(want.timestamp == max_timestamp && info.version >= 7))
    return error_code::unsupported_version;
  return find_time(core, log, want.timestamp, bound, out);
}

}  // namespace

void handle_list_offsets(broker_core& core, const request_info& info, wire::list_offsets_request& q,
                         responder<wire::list_offsets_response> reply) {
  wire::list_offsets_response answer;
  for (const auto& t : q.topics) {
    auto& out_topic = answer.topics.emplace_back();
    out_topic.name = t.name;
    topic* found = core.topics.find(t.name);
    for (const auto& want : t.partitions) {
      auto& out = out_topic.partitions.emplace_back();
      out.partition_index = want.partition_index;
      out.error_code = number(
          list(core, info, q, found == nullptr ? nullptr : found->find(want.partition_index), want, out));
      if (info.version < 4) out.leader_epoch = -1;
    }
  }
  reply.send(answer);
}

}  // namespace penstock::broker
