// SPDX-License-Identifier: Apache-2.0
// The inside of the fetcher.
#pragma once

#include <fmt/format.h>

#include <set>
#include <string>

#include "client/fetcher.h"
#include "wire/error_code.h"

namespace penstock::client {

// Where to read on.
struct fetcher::place {
  std::int64_t offset = kafka::no_offset;  // or earliest_offset or latest_offset
  std::int32_t leader_epoch = -1;          // of the record before it
  std::optional<std::int64_t> time{};      // instead of an offset
};

// One partition that is read.
struct fetcher::partition {
  std::shared_ptr<const kafka::topic_partition> tp;
  std::int64_t tag = 0;
  std::uint64_t epoch = 0;  // raised by seek and remove: what was asked for before is not wanted any more
  std::int64_t wanted = kafka::no_offset;      // earliest, latest or a time, still to be looked up
  std::int64_t next_fetch = kafka::no_offset;  // behind what has arrived
  std::int64_t position = kafka::no_offset;    // behind what was polled
  std::int32_t fetched_epoch = -1;             // the leader epoch of the record before next_fetch
  std::int32_t checked_epoch = -1;             // the leader's, when that record was known to be there
  bool checking = false;
  wire::uuid topic_id;        // of the topic that the position is in
  std::int32_t replica = -1;  // to be read instead of the leader, until:
  io::instant replica_until{};
  std::optional<std::int64_t> high_watermark;
  bool paused = false;
  bool stopped = false;  // by an error
  io::instant not_before{};
  std::optional<io::instant> unknown_since;
  std::deque<section> parked;  // arrived while paused
};

// The records that one answer brought for one partition, as far as they were not polled yet.
struct fetcher::section {
  partition_ptr p;
  std::uint64_t epoch = 0;
  base::shared_buffer frame;
  wire::records_reader reader{bytes_view(), {}};
  std::size_t left = 0;  // bytes that count as buffered
  std::int64_t high_watermark = 0;
  std::vector<wire::fetch_response::aborted_transaction> aborted;  // by first offset
  std::size_t next_aborted = 0;
  std::set<std::int64_t> aborting;  // producers whose transaction is an aborted one at this point
};

struct fetcher::request {
  struct entry {
    partition_ptr p;
    std::uint64_t epoch;
    std::int64_t offset;
  };
  std::int32_t broker = -1;
  std::vector<entry> entries;  // by partition
  bool by_id = false;
};

inline std::string name_of(const kafka::topic_partition& tp) {
  return fmt::format("topic '{}', partition {}", tp.topic, tp.partition);
}

}  // namespace penstock::client
