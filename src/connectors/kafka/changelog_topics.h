// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/state_log.h>
#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::kafka {
class admin;
}  // namespace penstock::kafka

namespace penstock::connectors {

/// The topic that keeps the state of one operator.
struct changelog_topic {
  std::string name;
  std::int32_t partitions = 0;
  std::string id{};  ///< empty before Kafka 2.8
  /// Where rows of a key partition are: neighbouring ones together, so that a lane reads few partitions.
  std::int32_t partition_of(std::uint32_t key_partition) const noexcept {
    if (key_partition >= detail::key_partitions) return 0;
    return static_cast<std::int32_t>(key_partition * static_cast<std::uint32_t>(partitions) /
                                     detail::key_partitions);
  }
};

/// "orders-count-changelog"; letters that no topic may have become '_'.
std::string changelog_name(std::string_view application, std::string_view op);

/// One for each operator, in their order; an error when two would share one, or when the name is too long.
result<std::vector<std::string>> changelog_names(std::string_view application,
                                                 const std::vector<std::string>& operators);

/// Finds the topics and makes those that are missing. An error when one cannot keep state (its records go by
/// age), or when it is not the one that the application's offsets were committed with: deleted, made anew,
/// grown (S18).
result<std::vector<changelog_topic>> prepare_changelogs(
    kafka::admin& admin, const std::string& application, const std::vector<std::string>& operators,
    const std::vector<kafka::partition_offset>& committed);

/// Goes beside every offset that is committed with these topics, so that the next start knows them again:
/// "NAME.ID.PARTITIONS,..." in short. A topic's own offsets would not do: they go when it is deleted.
std::string changelog_mark(const std::vector<changelog_topic>& topics);

}  // namespace penstock::connectors
