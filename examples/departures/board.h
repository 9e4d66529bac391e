// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/json.h>
#include <penstock/topology.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "flights.h"
#include "rows.h"

namespace departures {

// A flight is published in the order of its scheduled departure and leaves up to 43 minutes early or 22 hours
// late: a day covers what may come out of order.
inline constexpr std::chrono::hours disorder{24};

inline bool departed(const flight& f) { return !f.cancelled(); }

using delays = std::tuple<std::int64_t, std::optional<double>>;  // departures, mean delay

// An hour of one airport.
inline board_row to_board_row(
    const penstock::window_result<
        std::string, std::tuple<std::int64_t, std::optional<double>, std::optional<int>, std::int64_t>>& w) {
  const auto& [departures, mean_delay, max_delay, cancelled] = w.value;
  return {w.key, format_hour(w.start_ms), departures, mean_delay, max_delay, cancelled};
}

/// The job over any connectors, so that the program gives it Kafka and the test memory. `departures` allows
/// for `disorder`.
template <typename Source, typename Sink>
penstock::topology departure_board(Source airlines_topic, Source departures_topic, Sink board_topic,
                                   Sink carriers_topic) {
  namespace ps = penstock;
  using namespace std::chrono_literals;
  ps::topology topo("departure-board");

  auto airlines =
      topo.global_table("airlines", std::move(airlines_topic), ps::json<airline>, &airline::carrier);

  ps::stream<flight> flights = topo.read("departures", std::move(departures_topic), ps::json<flight>)
                                   .assign_timestamps(&flight::event_ms);

  flights.key_by(&flight::origin)
      .window(ps::tumbling{.size = 1h})
      .aggregate("by-origin-and-hour",
                 ps::all_of(ps::count_if(departed), ps::mean(&flight::delay_minutes),
                            ps::max(&flight::delay_minutes), ps::count_if(&flight::cancelled)))
      .map(to_board_row)
      .write("board", std::move(board_topic), ps::with_key(&board_row::origin, ps::as_json));

  flights.filter(departed)
      .key_by(&flight::carrier)
      .window(ps::tumbling{.size = 24h})
      .aggregate("by-carrier-and-day", ps::all_of(ps::count(), ps::mean(&flight::delay_minutes)))
      .join(
          "carrier-names", airlines, [](const ps::window_result<std::string, delays>& w) { return w.key; },
          [](const ps::window_result<std::string, delays>& w, const airline& a) {
            const auto& [departures, mean_delay] = w.value;
            return carrier_row{w.key, a.name, format_day(w.start_ms), departures, mean_delay.value_or(0)};
          })
      .write("carriers", std::move(carriers_topic), ps::with_key(&carrier_row::carrier, ps::as_json));

  return topo;
}

}  // namespace departures
