// SPDX-License-Identifier: Apache-2.0
// The events of the Nexmark benchmark: people who open auctions and bid in them. The members have the
// benchmark's own names, by which JSON knows them.
#pragma once

#include <penstock/format.h>
#include <penstock/json.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "times.h"

namespace nexmark {

struct person {
  std::int64_t id = 0;
  std::string name, emailAddress, creditCard, city, state;
  timestamp dateTime;
  std::string extra;
  friend bool operator==(const person&, const person&) = default;
};
BOOST_DESCRIBE_STRUCT(person, (), (id, name, emailAddress, creditCard, city, state, dateTime, extra))

struct auction {
  std::int64_t id = 0;
  std::string itemName, description;
  std::int64_t initialBid = 0, reserve = 0;
  timestamp dateTime, expires;
  std::int64_t seller = 0, category = 0;
  std::string extra;
  friend bool operator==(const auction&, const auction&) = default;
};
BOOST_DESCRIBE_STRUCT(auction, (),
                      (id, itemName, description, initialBid, reserve, dateTime, expires, seller, category,
                       extra))

struct bid {
  std::int64_t auction = 0, bidder = 0, price = 0;
  std::string channel, url;
  timestamp dateTime;
  std::string extra;
  friend bool operator==(const bid&, const bid&) = default;
};
BOOST_DESCRIBE_STRUCT(bid, (), (auction, bidder, price, channel, url, dateTime, extra))

using event = std::variant<bid, auction, person>;

inline timestamp time_of(const event& e) {
  return std::visit([](const auto& one) { return one.dateTime; }, e);
}

struct event_fields {
  std::optional<nexmark::person> person;
  std::optional<nexmark::auction> auction;
  std::optional<nexmark::bid> bid;
};
BOOST_DESCRIBE_STRUCT(event_fields, (), (person, auction, bid))

/// Events as JSON, one of {"person":{...}}, {"auction":{...}}, {"bid":{...}}.
class event_format {
 public:
  using value_type = event;
  penstock::result<> decode(const penstock::raw& record, event& into) const;
  void encode(const event& e, std::string& out) const;

 private:
  penstock::json_format<event_fields> json_;
  mutable event_fields read_;  // used again for each record, so that strings keep their memory
};
}  // namespace nexmark
