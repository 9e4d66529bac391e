// SPDX-License-Identifier: Apache-2.0
// Offsets of partitions and of groups: requests that find the right broker and are repeated while errors
// pass.
#pragma once

#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <string>
#include <vector>

#include "base/unique_function.h"
#include "client/cluster.h"
#include "wire/messages/offset_commit.h"

namespace penstock::client {

struct offset_query {
  kafka::topic_partition partition;
  /// kafka::earliest_offset, kafka::latest_offset, or milliseconds since 1970.
  std::int64_t at = kafka::latest_offset;
};

/// Asks the leaders for offsets; answers in the order asked, kafka::no_offset where there is no record at or
/// after a time. Each partition has its own result, and an error names it; one that passes is tried again
/// until `deadline`. The topics are watched from then on.
void list_offsets(cluster& c, std::vector<offset_query> queries, kafka::isolation_level isolation,
                  io::instant deadline, unique_function<void(std::vector<result<std::int64_t>>)> done);

/// Who commits. Outside of a group's generation (a group without members): the group's name alone.
struct committer {
  std::string group_id;
  std::string member_id{};
  std::string instance_id{};
  std::int32_t generation = -1;
};

/// Commits offsets to the group's coordinator. A generation that is over is errc::kafka with
/// ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID or REBALANCE_IN_PROGRESS; nothing of it was
/// committed then.
void commit_offsets(cluster& c, committer who, std::vector<kafka::partition_offset> offsets,
                    io::instant deadline, unique_function<void(result<>)> done);

/// What is sent to commit these offsets, in any version with topic names (2 to 9).
wire::offset_commit_request commit_request(committer who, std::vector<kafka::partition_offset> offsets);

/// What a group has committed for these partitions, in the order asked (offset is kafka::no_offset where
/// there is none). Waits while a transaction's offsets are undecided.
void fetch_committed(cluster& c, std::string group_id, std::vector<kafka::topic_partition> partitions,
                     io::instant deadline,
                     unique_function<void(result<std::vector<kafka::partition_offset>>)> done);
/// Everything that a group has committed.
void fetch_all_committed(cluster& c, std::string group_id, io::instant deadline,
                         unique_function<void(result<std::vector<kafka::partition_offset>>)> done);

}  // namespace penstock::client
