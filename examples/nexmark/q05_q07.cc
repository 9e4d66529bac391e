// SPDX-License-Identifier: Apache-2.0
// The best of a window: q5 and q7. Both give all that are equally good.
#include <array>
#include <string>
#include <vector>

#include "query.h"

namespace ps = penstock;
using namespace std::chrono_literals;

namespace nexmark {
namespace {

// q5

struct q5_row {
  std::int64_t auction, num;
};
BOOST_DESCRIBE_STRUCT(q5_row, (), (auction, num))

using bid_count = ps::window_result<std::int64_t, std::int64_t>;

/// The auctions with the most bids.
struct most_bids {
  using accumulator = std::vector<q5_row>;
  void add(accumulator& best, const bid_count& c) const {
    if (!best.empty() && c.value < best.front().num) return;
    if (!best.empty() && c.value > best.front().num) best.clear();
    best.push_back({c.key, c.value});
  }
  accumulator result(const accumulator& best) const { return best; }
};

// q7

struct q7_row {
  std::int64_t auction, bidder, price;
  timestamp dateTime;
  std::string extra;
};
BOOST_DESCRIBE_STRUCT(q7_row, (), (auction, bidder, price, dateTime, extra))

constexpr std::int64_t q7_size = 10'000;

struct contender {
  std::int64_t window_end;
  bool inside;  ///< of the window, not on its end
  q7_row row;
};

/// The bids that may be the highest of their window: those that no earlier one of the lane has beaten. There
/// are so few of them that one lane can compare them.
class contenders {
 public:
  template <typename Emit>
  void operator()(const event& e, Emit emit) {
    const bid* b = std::get_if<bid>(&e);
    if (b == nullptr) return;
    const std::int64_t at = b->dateTime.ms;
    const std::int64_t start = ps::detail::window_start(at, 0, q7_size);
    offer(*b, start + q7_size, true, emit);
    // The end belongs to the window here: a bid on it is compared, though the maximum is that of those
    // before.
    if (start == at) offer(*b, start, false, emit);
  }

 private:
  struct highest {
    std::int64_t window_end = -1, price = -1;
  };
  template <typename Emit>
  void offer(const bid& b, std::int64_t window_end, bool inside, Emit& emit) {
    highest& h = seen_[static_cast<std::size_t>(window_end / q7_size) % seen_.size()];
    if (h.window_end == window_end && b.price < h.price) return;
    if (inside && h.window_end <= window_end) h = {window_end, b.price};
    emit(contender{window_end, inside, {b.auction, b.bidder, b.price, b.dateTime, b.extra}});
  }
  std::array<highest, 8> seen_{};
};

/// The highest bids of a window, when it is over.
struct highest_bids {
  using output = q7_row;
  ps::value_state<std::int64_t> price;
  ps::list_state<q7_row> bids;
  explicit highest_bids(auto& state) : price(state, "price"), bids(state, "bids") {}

  void process(const contender& c, auto& ctx) {
    if (c.window_end - 1 <= ctx.watermark() && c.inside) return;  // late
    if (c.window_end <= ctx.watermark()) return;
    ctx.set_event_timer(c.window_end);
    const std::int64_t highest = price.value_or(0);
    if (c.row.price < highest) return;
    if (c.inside && c.row.price > highest) price.set(c.row.price);
    bids.add(c.row);
  }
  void on_timer(const ps::timer&, auto& ctx) {
    for (const q7_row& b : bids.get())
      if (b.price == price.value_or(0)) ctx.emit(b);
    bids.clear();
    price.clear();
  }
};

}  // namespace

/// The auctions with the most bids in ten seconds, every two seconds.
ps::topology q5(const event_input& in, const rows& out) {
  return over_events("q5", in, [&](const auto& events) {
    select<bid>(events, &bid::auction)
        .key_by([](std::int64_t auction) { return auction; })
        .window(ps::hopping{.size = 10s, .slide = 2s})
        .aggregate("bids-of-auction", ps::count())
        // One hopping window ends every two seconds: its counts are one window of these.
        .window_all(ps::tumbling{.size = 2s})
        .aggregate("most-bids", most_bids{})
        .flat_map([](const auto& window) { return window.value; })
        .for_each("rows", out);
  });
}

/// The highest bids of every ten seconds.
ps::topology q7(const event_input& in, const rows& out) {
  return over_events("q7", in, [&](const auto& events) {
    events.template flat_map<contender>(contenders{})
        .key_by(&contender::window_end)
        .template process<highest_bids>("highest-bids")
        .for_each("rows", out);
  });
}

}  // namespace nexmark
