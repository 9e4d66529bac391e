// SPDX-License-Identifier: Apache-2.0
// The demo's input: the CSV files under data/, as values.
#pragma once

#include <penstock/result.h>

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace departures {

/// One scheduled departure: the record of the topic `departures`, as JSON, keyed by its origin.
struct flight {
  std::string carrier;
  int number = 0;
  std::string tailnum;  ///< "" where the file has none
  std::string origin;
  std::string dest;
  std::int64_t scheduled_ms = 0;     ///< UTC, milliseconds since 1970
  std::optional<int> delay_minutes;  ///< early is negative; none when the flight was cancelled

  bool cancelled() const noexcept { return !delay_minutes.has_value(); }
  /// The event time: when it left; for a cancelled flight, when it should have.
  std::int64_t event_ms() const noexcept {
    return scheduled_ms + std::int64_t{delay_minutes.value_or(0)} * 60'000;
  }
};
BOOST_DESCRIBE_STRUCT(flight, (), (carrier, number, tailnum, origin, dest, scheduled_ms, delay_minutes))

struct airline {
  std::string carrier;
  std::string name;
};
BOOST_DESCRIBE_STRUCT(airline, (), (carrier, name))

/// Parses flights.csv. A line that is not as it should be is an error with its number.
penstock::result<std::vector<flight>> parse_flights(std::string_view csv);
/// Parses airlines.csv.
penstock::result<std::vector<airline>> parse_airlines(std::string_view csv);

/// Reads a data file whole; decompresses it when its name ends in .zst.
penstock::result<std::string> read_data(const std::string& path);

}  // namespace departures
