// SPDX-License-Identifier: Apache-2.0
// The inside of the fetcher.
#pragma once

#include <fmt/format.h>

#include <set>
#include <string>

#include "client/fetcher.h"
#include "wire/error_code.h"

namespace penstock::client {

// One partition that is read.
struct fetcher::partition {
  std::shared_ptr<const kafka::topic_partition> tp;
  std::int64_t tag = 0;
  std::uint64_t epoch = 0;  // raised by seek and remove: what was asked for before is not wanted any more
  std::int64_t wanted = kafka::no_offset;      // earliest or latest, still to be looked up
  std::int64_t next_fetch = kafka::no_offset;  // behind what has arrived
  std::int64_t position = kafka::no_offset;    // behind what was polled
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
  std::vector<entry> entries;
};

inline std::string name_of(const kafka::topic_partition& tp) {
  return fmt::format("topic '{}', partition {}", tp.topic, tp.partition);
}

}  // namespace penstock::client
