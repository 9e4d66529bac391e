// SPDX-License-Identifier: Apache-2.0
// Bids, one at a time: q0, q1, q2 and q22. Their rows borrow texts from the event, which is there until the
// row has been taken: nothing is allocated.
#include <optional>
#include <string_view>

#include "query.h"

namespace ps = penstock;

namespace nexmark {
namespace {

struct q0_row {
  std::int64_t auction, bidder, price;
  timestamp dateTime;
  std::string_view extra;
};
BOOST_DESCRIBE_STRUCT(q0_row, (), (auction, bidder, price, dateTime, extra))

struct q1_row {
  std::int64_t auction, bidder;
  decimal3 price;
  timestamp dateTime;
  std::string_view extra;
};
BOOST_DESCRIBE_STRUCT(q1_row, (), (auction, bidder, price, dateTime, extra))

struct q2_row {
  std::int64_t auction, price;
};
BOOST_DESCRIBE_STRUCT(q2_row, (), (auction, price))

struct q22_row {
  std::int64_t auction, bidder, price;
  std::string_view channel;
  std::optional<std::string_view> dir1, dir2, dir3;
};
BOOST_DESCRIBE_STRUCT(q22_row, (), (auction, bidder, price, channel, dir1, dir2, dir3))

/// Takes the text up to the next slash, with the slash; nothing when all has been taken.
std::optional<std::string_view> next_part(std::optional<std::string_view>& rest) {
  if (!rest) return std::nullopt;
  const std::size_t slash = rest->find('/');
  const std::string_view part = rest->substr(0, slash);
  if (slash == rest->npos) {
    rest.reset();
  } else {
    rest->remove_prefix(slash + 1);
  }
  return part;
}

}  // namespace

/// All bids, without channel and URL.
ps::topology q0(const event_input& in, const rows& out) {
  return over_events("q0", in, [&](const auto& events) {
    select<bid>(events, [](const bid& b) {
      return q0_row{b.auction, b.bidder, b.price, b.dateTime, b.extra};
    }).for_each("rows", out);
  });
}

/// All bids, in euros: a dollar is 0.908 of one.
ps::topology q1(const event_input& in, const rows& out) {
  return over_events("q1", in, [&](const auto& events) {
    select<bid>(events, [](const bid& b) {
      return q1_row{b.auction, b.bidder, decimal3{b.price * 908}, b.dateTime, b.extra};
    }).for_each("rows", out);
  });
}

/// The bids for one in 123 auctions.
ps::topology q2(const event_input& in, const rows& out) {
  return over_events("q2", in, [&](const auto& events) {
    select<bid>(events, [](const bid& b) {
      return q2_row{b.auction, b.price};
    }).filter([](const q2_row& r) {
        return r.auction % 123 == 0;
      }).for_each("rows", out);
  });
}

/// The first three directories of the bids' URLs: of scheme://host/dir1/dir2/dir3/...
ps::topology q22(const event_input& in, const rows& out) {
  return over_events("q22", in, [&](const auto& events) {
    select<bid>(events, [](const bid& b) {
      std::optional<std::string_view> rest = b.url;
      for (int before = 0; before < 3; ++before) next_part(rest);
      const auto dir1 = next_part(rest), dir2 = next_part(rest), dir3 = next_part(rest);
      return q22_row{b.auction, b.bidder, b.price, b.channel, dir1, dir2, dir3};
    }).for_each("rows", out);
  });
}

}  // namespace nexmark
