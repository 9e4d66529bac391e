// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "wire/messages/fetch.h"
#include "wire/uuid.h"

namespace penstock::client {

/// What a fetch wants of one partition.
struct fetch_wish {
  std::shared_ptr<const kafka::topic_partition> partition;
  wire::uuid topic_id;
  std::int64_t offset = 0;
  std::int32_t current_leader_epoch = -1;
  std::int32_t last_fetched_epoch = -1;
  std::int32_t max_bytes = 0;
};

/// One broker's fetch session (KIP-227): the broker remembers the partitions of the last request, so that the
/// next one says only what has changed, and answers only where there is something to say. A broker that keeps
/// no session is asked for everything each time.
class fetch_session {
 public:
  /// Puts into `request` what the broker has to be told to fetch exactly `wishes`. Whether topics go by id is
  /// the same for a whole session.
  void fill(wire::fetch_request& request, const std::vector<fetch_wish>& wishes, bool by_id);
  /// After each good answer.
  void answered(const wire::fetch_response& response);
  /// After an answer that did not come, or that the broker refused: the next request begins a new session.
  void reset(bool broker_forgot_it = false);

  /// Makes `request` the last of the session, if there is one: it lets go of what the broker keeps for it.
  bool close(wire::fetch_request& request);

  std::int32_t id() const noexcept { return id_; }

 private:
  struct told {
    fetch_wish wish;
    std::uint64_t round = 0;
  };

  std::int32_t id_ = 0;
  std::int32_t epoch_ = 0;  // of the next request; 0: a new session
  bool by_id_ = false;
  std::uint64_t round_ = 0;
  std::map<kafka::topic_partition, told> told_;
};

}  // namespace penstock::client
