// SPDX-License-Identifier: Apache-2.0
// People and the auctions that they open: q3 and q8.
#include <algorithm>
#include <string>
#include <vector>

#include "query.h"

namespace ps = penstock;
using namespace std::chrono_literals;

namespace nexmark {
namespace {

struct q3_row {
  std::string name, city, state;
  std::int64_t id;
};
BOOST_DESCRIBE_STRUCT(q3_row, (), (name, city, state, id))

struct q3_person {
  std::int64_t id;
  std::string name, city, state;
};
struct q3_auction {
  std::int64_t id, seller;
};

/// Both sides of a join without an end: whoever comes later finds the other.
struct local_offers {
  using output = q3_row;
  ps::value_state<q3_person> seller;
  ps::list_state<q3_auction> waiting;  // for the seller, who is new
  explicit local_offers(auto& state) : seller(state, "seller"), waiting(state, "waiting") {}

  void process_first(const q3_person& p, auto& ctx) {
    for (const q3_auction& a : waiting.get()) ctx.emit(row(p, a));
    waiting.clear();
    seller.set(p);
  }
  void process_second(const q3_auction& a, auto& ctx) {
    if (const q3_person* p = seller.get(); p != nullptr) {
      ctx.emit(row(*p, a));
    } else {
      waiting.add(a);
    }
  }
  static q3_row row(const q3_person& p, const q3_auction& a) { return {p.name, p.city, p.state, a.id}; }
};

struct q8_row {
  std::int64_t id;
  std::string name;
  timestamp stime;
};
BOOST_DESCRIBE_STRUCT(q8_row, (), (id, name, stime))

struct q8_person {
  std::int64_t id;
  std::string name;
};

}  // namespace

/// Who, in Oregon, Idaho or California, opens auctions of category 10.
ps::topology q3(const event_input& in, const rows& out) {
  return over_events("q3", in, [&](const auto& events) {
    ps::stream<event> chosen = events.filter([](const event& e) {
      if (const auto* p = std::get_if<person>(&e))
        return p->state == "OR" || p->state == "ID" || p->state == "CA";
      const auto* a = std::get_if<auction>(&e);
      return a != nullptr && a->category == 10;
    });
    auto people = select<person>(chosen, [](const person& p) {
      return q3_person{p.id, p.name, p.city, p.state};
    });
    auto auctions = select<auction>(chosen, [](const auction& a) { return q3_auction{a.id, a.seller}; });
    people.key_by(&q3_person::id)
        .connect(auctions.key_by(&q3_auction::seller))
        .template process<local_offers>("local-offers")
        .for_each("rows", out);
  });
}

/// Who opens an auction in the same ten seconds in which they came.
ps::topology q8(const event_input& in, const rows& out) {
  return over_events("q8", in, [&](const auto& events) {
    ps::stream<event> chosen = events.filter([](const event& e) { return !std::holds_alternative<bid>(e); });
    auto people = select<person>(chosen, [](const person& p) { return q8_person{p.id, p.name}; });
    auto sellers = select<auction>(chosen, &auction::seller);
    people.key_by(&q8_person::id)
        .co_group(sellers.key_by([](std::int64_t seller) { return seller; }))
        .window(ps::tumbling{.size = 10s})
        .template process<q8_row>(
            "new-sellers",
            [](std::int64_t id, const ps::time_window& w, const std::vector<q8_person>& came,
               const std::vector<std::int64_t>& sold, auto emit) {
              if (sold.empty()) return;
              std::vector<std::string> names;
              for (const q8_person& p : came) {
                if (std::find(names.begin(), names.end(), p.name) != names.end()) continue;
                names.push_back(p.name);
                emit(q8_row{id, p.name, {w.start_ms}});
              }
            })
        .for_each("rows", out);
  });
}

}  // namespace nexmark
