// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "events.h"
#include "generator.h"

namespace nexmark {
namespace {

std::string text_of(const event& e) {
  std::string out;
  event_format{}.encode(e, out);
  return out;
}
std::string text_of(timestamp t) {
  std::string out;
  append_text(t, out);
  return out;
}
penstock::result<event> decoded(std::string_view text) {
  penstock::raw r;
  r.value = text;
  event e;
  if (auto done = event_format{}.decode(r, e); !done) return penstock::fail(done.error());
  return e;
}

template <typename Kind>
std::vector<Kind> all(const generator& make, std::int64_t count) {
  std::vector<Kind> found;
  event e;
  for (std::int64_t i = 0; i < count; ++i) {
    make.make(i, e);
    if (const Kind* k = std::get_if<Kind>(&e)) found.push_back(*k);
  }
  return found;
}

/// The share of those for which f holds.
template <typename Kind, typename F>
double share(const std::vector<Kind>& of, F f) {
  return static_cast<double>(std::count_if(of.begin(), of.end(), f)) / static_cast<double>(of.size());
}

TEST(nexmark_times, are_read_and_written) {
  timestamp t;
  ASSERT_TRUE(parse("2015-07-15 00:00:00.000", t));
  EXPECT_EQ(t.ms, 1'436'918'400'000);
  for (const char* text : {"2015-07-15 13:05:09.070", "1970-01-01 00:00:00.000", "1969-12-31 23:59:59.999",
                           "2016-02-29 12:00:00.001", "0001-01-01 00:00:00.000"}) {
    ASSERT_TRUE(parse(text, t)) << text;
    EXPECT_EQ(text_of(t), text);
  }
  ASSERT_TRUE(parse("2015-07-15T00:00:00.25Z", t));
  EXPECT_EQ(text_of(t), "2015-07-15 00:00:00.250");
  ASSERT_TRUE(parse("2015-07-15 00:00:01.123456789", t));
  EXPECT_EQ(t.ms % 10'000, 1'123);
  for (const char* text :
       {"", "2015-07-15", "2015-02-29 00:00:00", "2015-07-15 24:00:00", "2015-07-15 00:60:00",
        "2015-07-15 00:00:00.", "2015-07-15 00:00:00.1 ", "15-07-2015 00:00:00", "x"})
    EXPECT_FALSE(parse(text, t)) << text;
}

TEST(nexmark_times, days_and_minutes_are_those_of_utc) {
  EXPECT_EQ(day_of({86'399'999}).days, 0);
  EXPECT_EQ(day_of({86'400'000}).days, 1);
  EXPECT_EQ(day_of({-1}).days, -1);
  EXPECT_EQ(minute_of({-1}).since_midnight, 1439);
  std::string out;
  penstock::as_json.encode(day_of({1'436'918'400'000}), out);
  penstock::as_json.encode(minute_of({1'436'918'400'000 + 3'720'000}), out);
  penstock::as_json.encode(decimal3{-1'050}, out);
  EXPECT_EQ(out, R"("2015-07-15""01:02"-1.050)");
}

TEST(nexmark_events, are_read_as_they_were_written) {
  const generator make;
  for (std::int64_t i = 0; i < 200; ++i) {
    const event e = make(i);
    const auto again = decoded(text_of(e));
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(*again, e);
  }
}

TEST(nexmark_events, take_times_as_numbers_and_nothing_but_one_event) {
  const auto e = decoded(
      R"({"bid":{"auction":1,"bidder":2,"price":3,"channel":"c","url":"u","dateTime":1436918400000,"extra":""}})");
  ASSERT_TRUE(e) << e.error().message();
  EXPECT_EQ(text_of(time_of(*e)), "2015-07-15 00:00:00.000");
  EXPECT_EQ(decoded("{}").error().message(), "an event is one of a person, an auction and a bid");
  EXPECT_EQ(decoded(R"({"bid":{"auction":"x"}})").error().message(),
            "field 'bid': field 'auction': expected an integer, found a string");
  const auto bad_time = decoded(
      R"({"bid":{"auction":1,"bidder":2,"price":3,"channel":"c","url":"u","dateTime":"now","extra":""}})");
  EXPECT_EQ(
      bad_time.error().message(),
      "field 'bid': field 'dateTime': expected a time as 2015-07-15 00:00:00.000 or in milliseconds since "
      "1970, found a string");
}

TEST(nexmark_generator, an_event_is_the_same_in_whatever_order_it_is_made) {
  const generator one, two;
  event reused;
  for (const std::int64_t i : std::vector<std::int64_t>{999, 0, 50, 1, 2, 3, 4, 7'000'000'000, 1}) {
    two.make(i, reused);
    EXPECT_EQ(one(i), reused) << i;
  }
  EXPECT_NE(one(7), generator({.seed = 2})(7));
}

TEST(nexmark_generator, of_fifty_events_one_is_a_person_and_three_are_auctions) {
  const generator make;
  for (std::int64_t i = 0; i < 1000; ++i) {
    const std::size_t kind = i % 50 == 0 ? 2 : i % 50 < 4 ? 1 : 0;
    EXPECT_EQ(make(i).index(), kind) << i;
  }
  const auto people = all<person>(make, 5'000);
  const auto auctions = all<auction>(make, 5'000);
  for (std::size_t i = 0; i < people.size(); ++i)
    EXPECT_EQ(people[i].id, 1000 + static_cast<std::int64_t>(i));
  for (std::size_t i = 0; i < auctions.size(); ++i)
    EXPECT_EQ(auctions[i].id, 1000 + static_cast<std::int64_t>(i));
}

TEST(nexmark_generator, times_ascend_at_the_rate_unless_they_are_to_be_out_of_order) {
  const generator even({.events_per_second = 4});
  for (std::int64_t i = 0; i < 20; ++i) EXPECT_EQ(time_of(even(i)).ms, 1'436'918'400'000 + i * 250);
  const generator shuffled({.events_per_second = 1000, .out_of_order = 100});
  std::multiset<std::int64_t> group;
  std::int64_t behind = 0, newest = 0;
  for (std::int64_t i = 0; i < 100; ++i) {
    const std::int64_t ms = time_of(shuffled(i)).ms;
    group.insert(ms - 1'436'918'400'000);
    newest = std::max(newest, ms);
    behind = std::max(behind, newest - ms);
  }
  EXPECT_EQ(group.size(), std::set(group.begin(), group.end()).size());
  EXPECT_EQ(*group.rbegin(), 99);
  EXPECT_GT(behind, 50);
}

TEST(nexmark_generator, half_of_the_bids_go_to_a_hot_auction_and_three_quarters_come_from_a_hot_bidder) {
  const auto bids = all<bid>(generator(), 200'000);
  // A hot one is chosen by the others too, now and then.
  EXPECT_NEAR(share(bids, [](const bid& b) { return b.auction % 100 == 0; }), 0.5 + 0.5 / 100, 0.01);
  EXPECT_NEAR(share(bids, [](const bid& b) { return b.bidder % 100 == 1; }), 0.75 + 0.25 / 100, 0.01);
  EXPECT_NEAR(share(bids, [](const bid& b) { return b.channel.starts_with("channel-"); }), 0.5, 0.01);
  EXPECT_NEAR(share(bids, [](const bid& b) { return b.channel == "Apple"; }), 0.125, 0.01);
  std::map<std::string, std::set<std::string>> urls;
  for (const bid& b : bids) urls[b.channel].insert(b.url);
  for (const auto& [channel, its] : urls) EXPECT_EQ(its.size(), 1u) << channel;
}

TEST(nexmark_generator, every_order_of_magnitude_of_prices_is_as_likely) {
  const auto bids = all<bid>(generator(), 200'000);
  for (double low = 100; low < 1e8; low *= 10)
    EXPECT_NEAR(share(bids,
                      [&](const bid& b) {
                        return static_cast<double>(b.price) >= low && static_cast<double>(b.price) < low * 10;
                      }),
                1.0 / 6, 0.01);
}

TEST(nexmark_generator, auctions_have_a_seller_a_category_and_a_length) {
  const auto auctions = all<auction>(generator(), 500'000);
  EXPECT_NEAR(share(auctions, [](const auction& a) { return a.seller % 100 == 0; }), 0.75 + 0.25 / 100, 0.01);
  for (int category = 10; category < 15; ++category)
    EXPECT_NEAR(share(auctions, [&](const auction& a) { return a.category == category; }), 0.2, 0.01);
  // 100 auctions are open at a time: at 600 a second, for a sixth of a second each.
  double mean = 0;
  for (const auction& a : auctions) {
    EXPECT_GE(a.reserve, a.initialBid + 100);
    EXPECT_GT(a.expires, a.dateTime);
    mean += static_cast<double>(a.expires.ms - a.dateTime.ms) / static_cast<double>(auctions.size());
  }
  EXPECT_NEAR(mean, 1000.0 / 6, 5);
}

TEST(nexmark_generator, bids_are_for_auctions_and_from_people_who_are_there_or_soon_will_be) {
  event e;
  const generator make;
  std::int64_t newest_auction = 999, newest_person = 999;
  for (std::int64_t i = 0; i < 100'000; ++i) {
    make.make(i, e);
    if (const auto* p = std::get_if<person>(&e)) newest_person = p->id;
    if (const auto* a = std::get_if<auction>(&e)) newest_auction = a->id;
    if (const auto* b = std::get_if<bid>(&e)) {
      ASSERT_LE(b->auction, newest_auction + 10);
      ASSERT_GE(b->auction, std::min(newest_auction - 100, newest_auction / 100 * 100));
      ASSERT_LE(b->bidder, newest_person + 10);
      ASSERT_GE(b->bidder, std::max<std::int64_t>(1000, newest_person - 1000));
    }
  }
}

TEST(nexmark_generator, events_have_the_sizes_of_the_benchmark) {
  const generator make;
  const auto mean = [](const auto& of, auto size) {
    double sum = 0;
    for (const auto& one : of) sum += static_cast<double>(size(one));
    return sum / static_cast<double>(of.size());
  };
  EXPECT_NEAR(mean(all<bid>(make, 50'000), [](const bid& b) { return 32 + b.extra.size(); }), 100, 2);
  EXPECT_NEAR(
      mean(all<auction>(make, 50'000),
           [](const auction& a) { return 48 + a.itemName.size() + a.description.size() + a.extra.size(); }),
      500, 5);
  EXPECT_NEAR(mean(all<person>(make, 50'000),
                   [](const person& p) {
                     return 8 + p.name.size() + p.emailAddress.size() + p.creditCard.size() + p.city.size() +
                            p.state.size() + p.extra.size();
                   }),
              200, 5);
}

}  // namespace
}  // namespace nexmark
