// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "broker/reply.h"
#include "io/event_loop.h"
#include "wire/messages/fetch.h"

namespace penstock::broker {

class broker_core;
struct partition;
struct topic;

/// A fetch that found less than it asked for: it is answered when enough was appended, or when its time is
/// over.
struct parked_fetch {
  parked_fetch(io::event_loop& loop, wire::fetch_request r, request_info i,
               responder<wire::fetch_response> to)
      : request(std::move(r)), info(std::move(i)), reply(std::move(to)), timer(loop) {}

  wire::fetch_request request;
  request_info info;
  responder<wire::fetch_response> reply;
  io::timer timer;
  std::int64_t missing = 0;         ///< bytes, until it is worth reading again
  std::vector<partition*> watched;  ///< those whose `waiting` lists have it
  bool answered = false;
};

/// `bytes` more can be read in a partition: answers the fetches for which that is enough.
void wake_fetches(broker_core& core, partition& p, std::uint64_t bytes);
/// Answers every fetch that waits for a partition of a topic that is going away.
void wake_all_fetches(broker_core& core, topic& t);

}  // namespace penstock::broker
