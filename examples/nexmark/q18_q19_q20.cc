// SPDX-License-Identifier: Apache-2.0
// Whole bids that are chosen or completed: q18, q19 and q20.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "query.h"

namespace ps = penstock;

namespace nexmark {
namespace {

/// The newest bid of a bidder and auction; of several at one time the one that came last.
struct last_bid {
  using output = bid;
  ps::value_state<timestamp> newest;
  explicit last_bid(auto& state) : newest(state, "newest") {}
  void process(const bid& b, auto& ctx) {
    if (const timestamp* t = newest.get(); t != nullptr && b.dateTime < *t) return;
    newest.set(b.dateTime);
    ctx.emit(b);
  }
};

struct q19_row {
  std::int64_t auction, bidder, price;
  std::string channel, url;
  timestamp dateTime;
  std::string extra;
  std::int64_t rank_number;
};
BOOST_DESCRIBE_STRUCT(q19_row, (), (auction, bidder, price, channel, url, dateTime, extra, rank_number))

/// The highest bids of an auction, of equal ones the earlier first. Gives the rows of the ranks that change.
struct top_bids {
  using output = q19_row;
  static constexpr std::size_t shown = 10;
  struct ranking {
    struct place {
      std::int64_t price;
      std::int32_t slot;
    };
    std::array<place, shown> places;  // the best first
    std::size_t size = 0;
  };
  ps::value_state<ranking> ranks;
  ps::map_state<std::int32_t, bid> bids;  // by slot: a bid stays where it is while its rank changes
  explicit top_bids(auto& state) : ranks(state, "ranks"), bids(state, "bids") {}

  void process(const bid& b, auto& ctx) {
    ranking r = ranks.value_or({});
    const bool full = r.size == shown;
    if (full && b.price <= r.places.back().price) return;
    const std::int32_t slot = full ? r.places.back().slot : static_cast<std::int32_t>(r.size++);
    const auto better = [&](const ranking::place& p) { return p.price >= b.price; };
    const auto first = std::partition_point(r.places.begin(), r.places.begin() + r.size - 1, better);
    std::copy_backward(first, r.places.begin() + r.size - 1, r.places.begin() + r.size);
    *first = {b.price, slot};
    bids.put(slot, b);
    ranks.set(r);
    for (auto rank = static_cast<std::size_t>(first - r.places.begin()); rank < r.size; ++rank)
      ctx.emit(row(*bids.get(r.places[rank].slot), static_cast<std::int64_t>(rank) + 1));
  }
  static q19_row row(const bid& b, std::int64_t rank) {
    return {b.auction, b.bidder, b.price, b.channel, b.url, b.dateTime, b.extra, rank};
  }
};

struct q20_row {
  std::int64_t auction, bidder, price;
  std::string channel, url;
  timestamp bid_dateTime;
  std::string bid_extra, itemName, description;
  std::int64_t initialBid, reserve;
  timestamp auction_dateTime, expires;
  std::int64_t seller, category;
  std::string auction_extra;
};
BOOST_DESCRIBE_STRUCT(q20_row, (),
                      (auction, bidder, price, channel, url, bid_dateTime, bid_extra, itemName, description,
                       initialBid, reserve, auction_dateTime, expires, seller, category, auction_extra))

constexpr std::int64_t q20_category = 10;

/// An auction of another category: it is known that its bids are not wanted.
struct other_auction {
  std::int64_t id;
};
using q20_event = std::variant<bid, auction, other_auction>;

std::int64_t auction_of(const q20_event& e) {
  if (const bid* b = std::get_if<bid>(&e)) return b->auction;
  const auction* a = std::get_if<auction>(&e);
  return a != nullptr ? a->id : std::get<other_auction>(e).id;
}

/// Bids with their auction.
struct expanded_bids {
  using output = q20_row;
  ps::value_state<auction> wanted;
  ps::value_state<bool> unwanted;
  ps::list_state<bid> early;  // bids that came before their auction
  explicit expanded_bids(auto& state)
      : wanted(state, "wanted"), unwanted(state, "unwanted"), early(state, "early") {}

  void process(const q20_event& e, auto& ctx) {
    if (const bid* b = std::get_if<bid>(&e)) {
      if (const auction* a = wanted.get(); a != nullptr) {
        ctx.emit(row(*b, *a));
      } else if (unwanted.get() == nullptr) {
        early.add(*b);
      }
      return;
    }
    if (const auction* a = std::get_if<auction>(&e)) {
      for (const bid& b : early.get()) ctx.emit(row(b, *a));
      wanted.set(*a);
    } else {
      unwanted.set(true);
    }
    early.clear();
  }
  static q20_row row(const bid& b, const auction& a) {
    return {b.auction,     b.bidder,     b.price,   b.channel,  b.url,     b.dateTime, b.extra,    a.itemName,
            a.description, a.initialBid, a.reserve, a.dateTime, a.expires, a.seller,   a.category, a.extra};
  }
};

}  // namespace

/// The last bid of each bidder for each auction.
ps::topology q18(const event_input& in, const rows& out) {
  return over_events("q18", in, [&](const auto& events) {
    select<bid>(events, std::identity{})
        .key_by([](const bid& b) { return std::pair(b.bidder, b.auction); })
        .template process<last_bid>("last-bid")
        .for_each("rows", out);
  });
}

/// The ten highest bids of each auction.
ps::topology q19(const event_input& in, const rows& out) {
  return over_events("q19", in, [&](const auto& events) {
    select<bid>(events, std::identity{})
        .key_by(&bid::auction)
        .template process<top_bids>("top-bids")
        .for_each("rows", out);
  });
}

/// The bids for auctions of category 10, with their auctions.
ps::topology q20(const event_input& in, const rows& out) {
  struct pick {
    q20_event operator()(const bid& b) const { return b; }
    q20_event operator()(const auction& a) const {
      if (a.category == q20_category) return a;
      return other_auction{a.id};
    }
  };
  return over_events("q20", in, [&](const auto& events) {
    select<bid, auction>(events, pick{})
        .key_by(auction_of)
        .template process<expanded_bids>("expanded-bids")
        .for_each("rows", out);
  });
}

}  // namespace nexmark
