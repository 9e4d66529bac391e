// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/stream.h"
#include "wire/error_code.h"
#include "wire/messages/metadata.h"
#include "wire/uuid.h"

namespace penstock::client {

/// What is known of one partition.
struct partition_metadata {
  std::int32_t leader = -1;  ///< -1: none at the moment
  std::int32_t leader_epoch = -1;
  wire::error_code error = wire::error_code::none;
};

/// What is known of one topic.
struct topic_metadata {
  std::string name;
  wire::uuid id;
  wire::error_code error = wire::error_code::none;
  bool internal = false;
  std::vector<partition_metadata> partitions;  ///< by number
};

/// The brokers and the watched topics' partitions, as of the last answers. A partition's leader never goes
/// back to an older epoch: a broker that lags behind cannot undo what a newer one said.
class metadata_cache {
 public:
  void apply(const wire::metadata_response& response);
  void learn_broker(std::int32_t id, io::endpoint at) { brokers_[id] = std::move(at); }
  void forget(const std::string& topic) { topics_.erase(topic); }

  const topic_metadata* find(std::string_view topic) const noexcept {
    const auto it = topics_.find(topic);
    return it == topics_.end() ? nullptr : &it->second;
  }
  /// The partition's leader, or nullptr when the topic, the partition or its leader is not known.
  const partition_metadata* leader_of(std::string_view topic, std::int32_t partition) const noexcept;

  const std::map<std::int32_t, io::endpoint>& brokers() const noexcept { return brokers_; }
  const std::map<std::string, topic_metadata, std::less<>>& topics() const noexcept { return topics_; }
  std::int32_t controller() const noexcept { return controller_; }
  const std::string& cluster_id() const noexcept { return cluster_id_; }
  /// Counts the answers applied.
  std::uint64_t version() const noexcept { return version_; }

 private:
  std::map<std::int32_t, io::endpoint> brokers_;
  std::map<std::string, topic_metadata, std::less<>> topics_;
  std::int32_t controller_ = -1;
  std::string cluster_id_;
  std::uint64_t version_ = 0;
};

}  // namespace penstock::client
