// SPDX-License-Identifier: Apache-2.0
// How many bids a bidder makes: q11 while they keep at it, q12 by the clock on the wall.
#include "query.h"

namespace ps = penstock;
using namespace std::chrono_literals;

namespace nexmark {
namespace {

struct bids_row {
  std::int64_t bidder, bid_count;
  timestamp starttime, endtime;
};
BOOST_DESCRIBE_STRUCT(bids_row, (), (bidder, bid_count, starttime, endtime))

bids_row to_row(const ps::window_result<std::int64_t, std::int64_t>& w) {
  return {w.key, w.value, {w.start_ms}, {w.end_ms}};
}

/// The bids' bidders, as a stream by bidder.
auto by_bidder(const auto& events) {
  return select<bid>(events, &bid::bidder).key_by([](std::int64_t bidder) { return bidder; });
}

}  // namespace

/// Until a bidder pauses for ten seconds.
ps::topology q11(const event_input& in, const rows& out) {
  return over_events("q11", in, [&](const auto& events) {
    by_bidder(events)
        .window(ps::session{.gap = 10s})
        .aggregate("bids-of-bidder", ps::count())
        .map(to_row)
        .for_each("rows", out);
  });
}

/// In every ten seconds of the wall clock.
ps::topology q12(const event_input& in, const rows& out) {
  return over_events("q12", in, [&](const auto& events) {
    by_bidder(events)
        .window(ps::processing_time(ps::tumbling{.size = 10s}))
        .aggregate("bids-of-bidder", ps::count())
        .map(to_row)
        .for_each("rows", out);
  });
}

}  // namespace nexmark
