// SPDX-License-Identifier: Apache-2.0
// Auctions and what they went for: q4 and q9. A bid counts from the opening of its auction to its expiry,
// both included. Both are tables without an end: every bid that beats the one before changes them.
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "query.h"

namespace ps = penstock;

namespace nexmark {
namespace {

// q4

struct q4_row {
  std::int64_t id;  ///< of the category
  std::int64_t final;
};
BOOST_DESCRIBE_STRUCT(q4_row, (), (id, final))

struct q4_auction {
  std::int64_t id, category;
  timestamp opened, expires;
};
struct q4_bid {
  std::int64_t auction, price;
  timestamp at;
};
using q4_event = std::variant<q4_auction, q4_bid>;

/// What a bid changes in its category.
struct price_change {
  std::int64_t category, more_auctions, more_price;
};

/// The highest bid of an auction.
struct final_price {
  using output = price_change;
  struct so_far {
    q4_auction auction;
    std::optional<std::int64_t> price;
  };
  ps::value_state<so_far> seen;
  ps::list_state<q4_bid> early;  // bids that came before their auction
  explicit final_price(auto& state) : seen(state, "seen"), early(state, "early") {}

  void process(const q4_event& e, auto& ctx) {
    if (const auto* b = std::get_if<q4_bid>(&e)) {
      if (seen.get() == nullptr) return early.add(*b);
      offer(*b, ctx);
    } else {
      seen.set({std::get<q4_auction>(e), {}});
      for (const q4_bid& b : early.get()) offer(b, ctx);
      early.clear();
    }
  }
  void offer(const q4_bid& b, auto& ctx) {
    const auto& [auction, price] = *seen.get();
    if (b.at < auction.opened || b.at > auction.expires || (price && b.price <= *price)) return;
    ctx.emit({auction.category, price ? 0 : 1, b.price - price.value_or(0)});
    seen.set({auction, b.price});
  }
};

struct mean_price {
  struct accumulator {
    std::int64_t auctions = 0, price = 0;
  };
  void add(accumulator& a, const price_change& c) const {
    a.auctions += c.more_auctions;
    a.price += c.more_price;
  }
  std::int64_t result(const accumulator& a) const { return a.price / a.auctions; }
};

// q9

struct q9_row {
  std::int64_t id;
  std::string itemName, description;
  std::int64_t initialBid, reserve;
  timestamp dateTime, expires;
  std::int64_t seller, category;
  std::string extra;
  std::int64_t auction, bidder, price;
  timestamp bid_dateTime;
  std::string bid_extra;
};
BOOST_DESCRIBE_STRUCT(q9_row, (),
                      (id, itemName, description, initialBid, reserve, dateTime, expires, seller, category,
                       extra, auction, bidder, price, bid_dateTime, bid_extra))

struct q9_bid {
  std::int64_t auction, bidder, price;
  timestamp at;
  std::string extra;
};
using q9_event = std::variant<auction, q9_bid>;

/// The bid that wins an auction so far: the highest, of several the first.
struct winning_bid {
  using output = q9_row;
  struct rank {
    std::int64_t price;
    timestamp at;
  };
  ps::value_state<auction> opened;
  ps::value_state<rank> best;
  ps::list_state<q9_bid> early;
  explicit winning_bid(auto& state) : opened(state, "opened"), best(state, "best"), early(state, "early") {}

  void process(const q9_event& e, auto& ctx) {
    if (const auto* b = std::get_if<q9_bid>(&e)) {
      const auction* a = opened.get();
      if (a == nullptr) return early.add(*b);
      offer(*a, *b, ctx);
    } else {
      const auction& a = std::get<auction>(e);
      opened.set(a);
      for (const q9_bid& b : early.get()) offer(a, b, ctx);
      early.clear();
    }
  }
  void offer(const auction& a, const q9_bid& b, auto& ctx) {
    if (b.at < a.dateTime || b.at > a.expires) return;
    if (const rank* r = best.get(); r != nullptr && std::pair(-r->price, r->at) <= std::pair(-b.price, b.at))
      return;
    best.set({b.price, b.at});
    ctx.emit({a.id, a.itemName, a.description, a.initialBid, a.reserve, a.dateTime, a.expires, a.seller,
              a.category, a.extra, b.auction, b.bidder, b.price, b.at, b.extra});
  }
};

}  // namespace

/// The mean of what the auctions of a category went for.
ps::topology q4(const event_input& in, const rows& out) {
  struct pick {
    q4_event operator()(const auction& a) const {
      return q4_auction{a.id, a.category, a.dateTime, a.expires};
    }
    q4_event operator()(const bid& b) const { return q4_bid{b.auction, b.price, b.dateTime}; }
  };
  return over_events("q4", in, [&](const auto& events) {
    select<bid, auction>(events, pick{})
        .key_by([](const q4_event& e) {
          const auto* b = std::get_if<q4_bid>(&e);
          return b != nullptr ? b->auction : std::get<q4_auction>(e).id;
        })
        .template process<final_price>("final-price")
        .key_by(&price_change::category)
        .aggregate("mean-price", mean_price{})
        .map([](const std::pair<std::int64_t, std::int64_t>& mean) {
          return q4_row{mean.first, mean.second};
        })
        .for_each("rows", out);
  });
}

/// Auctions with the bid that wins them.
ps::topology q9(const event_input& in, const rows& out) {
  struct pick {
    q9_event operator()(const auction& a) const { return a; }
    q9_event operator()(const bid& b) const {
      return q9_bid{b.auction, b.bidder, b.price, b.dateTime, b.extra};
    }
  };
  return over_events("q9", in, [&](const auto& events) {
    select<bid, auction>(events, pick{})
        .key_by([](const q9_event& e) {
          const auto* b = std::get_if<q9_bid>(&e);
          return b != nullptr ? b->auction : std::get<auction>(e).id;
        })
        .template process<winning_bid>("winning-bid")
        .for_each("rows", out);
  });
}

}  // namespace nexmark
