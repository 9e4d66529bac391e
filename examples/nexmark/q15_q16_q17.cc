// SPDX-License-Identifier: Apache-2.0
// Statistics by day that every bid changes: q15, q16 and q17. Bids are of three ranks: below 10,000, below a
// million, and above.
#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "query.h"

namespace ps = penstock;

namespace nexmark {
namespace {

template <int Rank>
bool has_rank(std::int64_t price) {
  if (Rank == 1) return price < 10'000;
  if (Rank == 2) return price >= 10'000 && price < 1'000'000;
  return price >= 1'000'000;
}
int rank_of(std::int64_t price) { return has_rank<1>(price) ? 1 : has_rank<2>(price) ? 2 : 3; }

/// A number for all ranks and for each.
struct by_rank {
  std::int64_t total = 0, rank1 = 0, rank2 = 0, rank3 = 0;
  void add(int rank) { ++(rank == 1 ? rank1 : rank == 2 ? rank2 : rank3); }
};

/// How many different ids there are, in all and of each rank: one look for the four of them.
class distinct_by_rank {
 public:
  void add(std::int64_t id, int rank) {
    std::uint8_t& ranks = seen_[id];
    if (ranks == 0) ++count_.total;
    const auto bit = static_cast<std::uint8_t>(1 << rank);
    if ((ranks & bit) != 0) return;
    ranks |= bit;
    count_.add(rank);
  }
  const by_rank& count() const noexcept { return count_; }

 private:
  by_rank count_;
  boost::unordered_flat_map<std::int64_t, std::uint8_t> seen_;  // bit r: with rank r
  BOOST_DESCRIBE_CLASS(distinct_by_rank, (), (), (), (count_, seen_))
};

/// What q15 and q16 know of a bid.
struct q15_bid {
  std::int64_t auction, bidder, price;
  timestamp at;
};
struct q16_bid : q15_bid {
  std::string channel;
};

struct bid_statistics {
  struct accumulator {
    minute latest;
    by_rank bids;
    distinct_by_rank bidders, auctions;
  };
  struct summary {
    minute latest;
    by_rank bids, bidders, auctions;
  };
  void add(accumulator& a, const q15_bid& b) const {
    const int rank = rank_of(b.price);
    a.latest = std::max(a.latest, minute_of(b.at));
    ++a.bids.total;
    a.bids.add(rank);
    a.bidders.add(b.bidder, rank);
    a.auctions.add(b.auction, rank);
  }
  summary result(const accumulator& a) const {
    return {a.latest, a.bids, a.bidders.count(), a.auctions.count()};
  }
};

struct q15_row {
  date day;
  std::int64_t total_bids, rank1_bids, rank2_bids, rank3_bids;
  std::int64_t total_bidders, rank1_bidders, rank2_bidders, rank3_bidders;
  std::int64_t total_auctions, rank1_auctions, rank2_auctions, rank3_auctions;
};
BOOST_DESCRIBE_STRUCT(q15_row, (),
                      (day, total_bids, rank1_bids, rank2_bids, rank3_bids, total_bidders, rank1_bidders,
                       rank2_bidders, rank3_bidders, total_auctions, rank1_auctions, rank2_auctions,
                       rank3_auctions))

struct q16_row {
  std::string channel;
  date day;
  nexmark::minute minute;
  std::int64_t total_bids, rank1_bids, rank2_bids, rank3_bids;
  std::int64_t total_bidders, rank1_bidders, rank2_bidders, rank3_bidders;
  std::int64_t total_auctions, rank1_auctions, rank2_auctions, rank3_auctions;
};
BOOST_DESCRIBE_STRUCT(q16_row, (),
                      (channel, day, minute, total_bids, rank1_bids, rank2_bids, rank3_bids, total_bidders,
                       rank1_bidders, rank2_bidders, rank3_bidders, total_auctions, rank1_auctions,
                       rank2_auctions, rank3_auctions))

struct q17_row {
  std::int64_t auction;
  date day;
  std::int64_t total_bids, rank1_bids, rank2_bids, rank3_bids;
  std::int64_t min_price, max_price, avg_price, sum_price;
};
BOOST_DESCRIBE_STRUCT(q17_row, (),
                      (auction, day, total_bids, rank1_bids, rank2_bids, rank3_bids, min_price, max_price,
                       avg_price, sum_price))

struct q17_bid {
  std::int64_t auction, price;
  date day;
};
template <int Rank>
auto count_rank() {
  return ps::count_if([](const q17_bid& b) { return has_rank<Rank>(b.price); });
}

}  // namespace

/// Bids, bidders and auctions of a day.
ps::topology q15(const event_input& in, const rows& out) {
  return over_events("q15", in, [&](const auto& events) {
    select<bid>(events,
                [](const bid& b) {
                  return q15_bid{b.auction, b.bidder, b.price, b.dateTime};
                })
        .key_by([](const q15_bid& b) { return day_of(b.at).days; })
        .aggregate("statistics", bid_statistics{})
        .map([](const std::pair<std::int32_t, bid_statistics::summary>& day) {
          const auto& [latest, bids, bidders, auctions] = day.second;
          return q15_row{{day.first},    bids.total,     bids.rank1,    bids.rank2,    bids.rank3,
                         bidders.total,  bidders.rank1,  bidders.rank2, bidders.rank3, auctions.total,
                         auctions.rank1, auctions.rank2, auctions.rank3};
        })
        .for_each("rows", out);
  });
}

/// The same for each channel, with the minute of its last bid.
ps::topology q16(const event_input& in, const rows& out) {
  using channel_day = std::pair<std::string, std::int32_t>;
  return over_events("q16", in, [&](const auto& events) {
    select<bid>(events,
                [](const bid& b) {
                  return q16_bid{{b.auction, b.bidder, b.price, b.dateTime}, b.channel};
                })
        .key_by([](const q16_bid& b) { return channel_day(b.channel, day_of(b.at).days); })
        .aggregate("statistics", bid_statistics{})
        .map([](const std::pair<channel_day, bid_statistics::summary>& day) {
          const auto& [latest, bids, bidders, auctions] = day.second;
          return q16_row{day.first.first, {day.first.second}, latest,         bids.total,     bids.rank1,
                         bids.rank2,      bids.rank3,         bidders.total,  bidders.rank1,  bidders.rank2,
                         bidders.rank3,   auctions.total,     auctions.rank1, auctions.rank2, auctions.rank3};
        })
        .for_each("rows", out);
  });
}

/// Bids and prices of an auction's day.
ps::topology q17(const event_input& in, const rows& out) {
  using auction_day = std::pair<std::int64_t, std::int32_t>;
  return over_events("q17", in, [&](const auto& events) {
    select<bid>(events,
                [](const bid& b) {
                  return q17_bid{b.auction, b.price, day_of(b.dateTime)};
                })
        .key_by([](const q17_bid& b) { return auction_day(b.auction, b.day.days); })
        .aggregate("prices",
                   ps::all_of(ps::count(), count_rank<1>(), count_rank<2>(), count_rank<3>(),
                              ps::min(&q17_bid::price), ps::max(&q17_bid::price), ps::sum(&q17_bid::price)))
        .map([](const auto& day) {
          const auto& [total, rank1, rank2, rank3, least, most, sum] = day.second;
          return q17_row{
              day.first.first, {day.first.second}, total, rank1, rank2, rank3, least, most, sum / total, sum};
        })
        .for_each("rows", out);
  });
}

}  // namespace nexmark
