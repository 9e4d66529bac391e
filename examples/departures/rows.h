// SPDX-License-Identifier: Apache-2.0
// The demo's output: a row of the topic `board` and one of `carriers`, which are also the lines of the NDJSON
// files.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace departures {

/// What left one airport in one hour. An hour with cancellations only has 0 departures and no delays.
struct board_row {
  std::string origin;
  std::string hour;  ///< its start: "2013-01-01T10:00:00Z"
  std::int64_t departures = 0;
  std::optional<double> mean_delay;  ///< minutes
  std::optional<std::int64_t> max_delay;
  std::int64_t cancelled = 0;

  friend bool operator==(const board_row&, const board_row&) = default;
};
BOOST_DESCRIBE_STRUCT(board_row, (), (origin, hour, departures, mean_delay, max_delay, cancelled))

/// What one carrier let leave in one UTC day; a day without a departure has no row.
struct carrier_row {
  std::string carrier;
  std::string name;
  std::string day;  ///< "2013-01-01"
  std::int64_t departures = 0;
  double mean_delay = 0;  ///< minutes

  friend bool operator==(const carrier_row&, const carrier_row&) = default;
};
BOOST_DESCRIBE_STRUCT(carrier_row, (), (carrier, name, day, departures, mean_delay))

/// The whole answer, each part ordered by its key (origin, hour) or (carrier, day).
struct answer {
  std::vector<board_row> board;
  std::vector<carrier_row> carriers;
};

std::string format_hour(std::int64_t ms);  ///< "2013-01-01T10:00:00Z"
std::string format_day(std::int64_t ms);   ///< "2013-01-01"

/// What differs between the stream's rows and the batch answer, one sentence each; empty when nothing does. A
/// row that is missing, one too many and one that is there twice are differences too.
std::vector<std::string> differences(answer streamed, const answer& expected);

}  // namespace departures
