// SPDX-License-Identifier: Apache-2.0
#include "generator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace nexmark {
namespace {

// Of so many events in a row, one is a person, three are auctions.
constexpr std::int64_t people = 1, auctions = 3, round_size = 50;
constexpr std::int64_t first_person = 1000, first_auction = 1000, first_category = 10;
constexpr std::uint32_t categories = 5;
// Ids that are not there yet but may be referred to: their events come a little later.
constexpr std::int64_t lead = 10;
constexpr std::int64_t active_people = 1000, auctions_in_flight = 100;
// One in so many ids is hot, and all but one in so many events choose a hot one.
constexpr std::int64_t hot_every = 100;
constexpr std::uint32_t hot_auction_odds = 2, hot_bidder_odds = 4, hot_seller_odds = 4, hot_channel_odds = 2;
constexpr std::uint32_t channels = 10'000;
// Mean sizes of events in bytes.
constexpr std::size_t person_size = 200, auction_size = 500, bid_size = 100;

constexpr std::array<std::string_view, 6> states{"AZ", "CA", "ID", "OR", "WA", "WY"};
constexpr std::array<std::string_view, 10> cities{"Phoenix",  "Los Angeles", "San Francisco", "Boise",
                                                  "Portland", "Bend",        "Redmond",       "Seattle",
                                                  "Kent",     "Cheyenne"};
constexpr std::array<std::string_view, 11> first_names{"Peter", "Paul",  "Luke",  "John",   "Saul",  "Vicky",
                                                       "Kate",  "Julie", "Sarah", "Deiter", "Walter"};
constexpr std::array<std::string_view, 9> last_names{"Shultz", "Abrams", "Spencer", "White", "Bartels",
                                                     "Walton", "Smith",  "Jones",   "Noris"};
constexpr std::array<std::string_view, 4> hot_channels{"Google", "Facebook", "Baidu", "Apple"};

constexpr std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// The last person at event `id`, counted from 0: that of its round.
constexpr std::int64_t last_person(std::int64_t id) {
  return id / round_size * people + std::min(id % round_size, people - 1);
}
/// The last auction at event `id`, counted from 0; -1 at the first event of all.
constexpr std::int64_t last_auction(std::int64_t id) {
  const std::int64_t round = id / round_size, place = id % round_size;
  if (place < people) return round * auctions - 1;
  return round * auctions + std::min(place - people, auctions - 1);
}

}  // namespace

/// SplitMix64, begun anew for each event.
class generator::dice {
 public:
  dice(std::uint64_t seed, std::uint64_t id) : state_(mixed(seed * 0x9e3779b97f4a7c15 + 1) ^ mixed(id)) {}
  std::uint64_t next() { return mixed(state_ += 0x9e3779b97f4a7c15); }
  /// 0 <= x < n, which is below 2^32.
  template <std::integral N>
  N below(N n) {
    return static_cast<N>(((next() >> 32) * static_cast<std::uint32_t>(n)) >> 32);
  }
  template <std::size_t N>
  std::string_view one_of(const std::array<std::string_view, N>& all) {
    return all[below(static_cast<std::uint32_t>(N))];
  }
  /// Between 100 and 100 million, each order of magnitude as often as the others.
  std::int64_t price() {
    const double u = static_cast<double>(next() >> 11) * 0x1p-53;
    return std::llround(std::pow(10.0, u * 6.0) * 100.0);
  }
  /// Letters with a `special` here and there; none of them at either end if that is a blank.
  void append_word(std::uint32_t longest, char special, std::string& out) {
    const std::size_t start = out.size();
    for (std::uint32_t n = 3 + below(longest - 3); n > 0; --n)
      out.push_back(below(13) == 0 ? special : static_cast<char>('a' + below(26)));
    while (out.size() > start && out.back() == ' ') out.pop_back();
    out.erase(start, std::min(out.find_first_not_of(' ', start), out.size()) - start);
  }

 private:
  std::uint64_t state_;
};

/// What events take their texts from.
struct generator::texts {
  struct channel {
    std::string name, url;
  };
  std::string letters;
  std::vector<channel> hot, others;

  explicit texts(std::uint64_t seed) {
    dice d(seed, ~std::uint64_t{0});
    letters.resize(1 << 20);
    for (char& c : letters) c = static_cast<char>('a' + d.below(26));
    for (const auto name : hot_channels) hot.push_back({std::string(name), url(d)});
    for (std::uint32_t i = 0; i < channels; ++i) {
      others.push_back({"channel-" + std::to_string(i), url(d)});
      if (d.below(10) > 0) others.back().url += "&channel_id=" + std::to_string(mixed(i) >> 33);
    }
  }
  static std::string url(dice& d) {
    std::string made = "https://www.nexmark.com/";
    for (int i = 0; i < 3; ++i) {
      d.append_word(5, '_', made);
      made.push_back('/');
    }
    return made + "item.htm?query=1";
  }
};

generator::generator(generator_options o) : options_(o), texts_(std::make_shared<const texts>(o.seed)) {
  options_.events_per_second = std::max<std::int64_t>(1, o.events_per_second);
  options_.out_of_order = std::max<std::int64_t>(1, o.out_of_order);
}

timestamp generator::time_at(std::int64_t number) const {
  const std::int64_t rate = options_.events_per_second;
  return {options_.first_ms + number / rate * 1000 + number % rate * 1000 / rate};
}

void generator::make(std::int64_t number, event& into) const {
  // Within a group the order is another, the same for each: 953 is prime to any sensible size of it.
  const std::int64_t group = options_.out_of_order;
  const std::int64_t id = number / group * group + number % group * 953 % group;
  const timestamp at = time_at(id);
  dice d(options_.seed, static_cast<std::uint64_t>(id));
  const auto fill_as = [&]<typename Kind>(std::in_place_type_t<Kind>) {
    Kind* same = std::get_if<Kind>(&into);
    fill(id, at, d, same != nullptr ? *same : into.emplace<Kind>());
  };
  const std::int64_t place = id % round_size;
  if (place < people) {
    fill_as(std::in_place_type<person>);
  } else if (place < people + auctions) {
    fill_as(std::in_place_type<auction>);
  } else {
    fill_as(std::in_place_type<bid>);
  }
}

namespace {
/// Of the people who are active at event `id`, or soon will be.
template <typename Dice>
std::int64_t any_person(std::int64_t id, Dice& d) {
  const std::int64_t all = last_person(id) + 1, active = std::min(all, active_people);
  return all - active + d.below(active + lead);
}
}  // namespace

void generator::fill(std::int64_t id, timestamp at, dice& d, person& p) const {
  p.id = first_person + last_person(id);
  p.name.assign(d.one_of(first_names)).append(" ").append(d.one_of(last_names));
  p.emailAddress.clear();
  d.append_word(7, ' ', p.emailAddress);
  p.emailAddress.push_back('@');
  d.append_word(5, ' ', p.emailAddress);
  p.emailAddress.append(".com");
  p.creditCard.clear();
  for (int group = 0; group < 4; ++group) {
    if (group != 0) p.creditCard.push_back(' ');
    const std::uint32_t digits = d.below(10'000);
    for (std::uint32_t place = 1000; place > 0; place /= 10)
      p.creditCard.push_back(static_cast<char>('0' + digits / place % 10));
  }
  p.city.assign(d.one_of(cities));
  p.state.assign(d.one_of(states));
  p.dateTime = at;
  const std::size_t so_far =
      8 + p.name.size() + p.emailAddress.size() + p.creditCard.size() + p.city.size() + p.state.size();
  append_extra(d, so_far, person_size, p.extra);
}

void generator::fill(std::int64_t id, timestamp at, dice& d, auction& a) const {
  a.id = first_auction + last_auction(id);
  const bool hot_seller = d.below(hot_seller_odds) > 0;
  a.seller = first_person + (hot_seller ? last_person(id) / hot_every * hot_every : any_person(id, d));
  a.category = first_category + d.below(categories);
  a.initialBid = d.price();
  // On average as long as it takes for as many new auctions to open as are in flight.
  const std::int64_t horizon = time_at(id + auctions_in_flight * round_size / auctions).ms - at.ms;
  a.dateTime = at;
  a.expires.ms = at.ms + 1 + d.below(std::max<std::int64_t>(1, horizon * 2));
  a.itemName.clear();
  d.append_word(20, ' ', a.itemName);
  a.description.clear();
  d.append_word(100, ' ', a.description);
  a.reserve = a.initialBid + d.price();
  append_extra(d, 8 + a.itemName.size() + a.description.size() + 5 * 8, auction_size, a.extra);
}

void generator::fill(std::int64_t id, timestamp at, dice& d, bid& b) const {
  const std::int64_t newest = last_auction(id);
  if (d.below(hot_auction_odds) > 0) {
    b.auction = first_auction + newest / hot_every * hot_every;
  } else {
    const std::int64_t oldest = std::max<std::int64_t>(0, newest - auctions_in_flight);
    b.auction = first_auction + oldest + d.below(newest - oldest + 1 + lead);
  }
  // The hot bidder is the neighbour of the hot seller.
  const bool hot_bidder = d.below(hot_bidder_odds) > 0;
  b.bidder = first_person + (hot_bidder ? last_person(id) / hot_every * hot_every + 1 : any_person(id, d));
  b.price = d.price();
  const bool hot_channel = d.below(hot_channel_odds) > 0;
  const texts::channel& c = hot_channel ? texts_->hot[d.below(static_cast<std::uint32_t>(texts_->hot.size()))]
                                        : texts_->others[d.below(channels)];
  b.channel.assign(c.name);
  b.url.assign(c.url);
  b.dateTime = at;
  append_extra(d, 4 * 8, bid_size, b.extra);
}

void generator::append_extra(dice& d, std::size_t so_far, std::size_t mean, std::string& out) const {
  out.clear();
  if (so_far > mean) return;
  const std::size_t wanted = mean - so_far;
  const auto spread = static_cast<std::uint32_t>((wanted * 2 + 5) / 10);  // a fifth, rounded
  const std::size_t size = wanted - spread + (spread == 0 ? 0 : d.below(2 * spread));
  const std::string& from = texts_->letters;
  out.assign(from, d.below(static_cast<std::uint32_t>(from.size() - size)), size);
}

}  // namespace nexmark
