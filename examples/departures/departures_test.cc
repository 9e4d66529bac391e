// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <penstock/testing.h>

#include <random>
#include <string>

#include "batch_answer.h"
#include "board.h"
#include "flights.h"
#include "rows.h"

namespace departures {
namespace {

const std::string header =
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,"
    "tailnum,"
    "origin,dest,air_time,distance,hour,minute,time_hour\n";
// On time, late over midnight, and cancelled.
const std::string three =
    header +
    "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n"
    "2013,1,1,130,2350,100,230,129,81,B6,22,N504JB,EWR,BQN,192,1576,23,50,2013-01-01T23:00:00Z\n"
    "2013,1,2,NA,1545,NA,NA,1910,NA,AA,133,NA,JFK,LAX,NA,2475,15,45,2013-01-02T20:00:00Z\n";
const std::string airlines_csv = "carrier,name\nAA,American\nB6,JetBlue\nUA,United\n";

TEST(flights, are_parsed_with_their_event_time) {
  const auto flights = parse_flights(three);
  ASSERT_TRUE(flights.has_value()) << flights.error().message();
  ASSERT_EQ(flights->size(), 3u);
  EXPECT_EQ((*flights)[0].origin, "EWR");
  EXPECT_EQ((*flights)[0].delay_minutes, 2);
  EXPECT_EQ(format_hour((*flights)[0].event_ms()), "2013-01-01T10:17:00Z");
  EXPECT_EQ(format_hour((*flights)[1].event_ms()), "2013-01-02T01:30:00Z");
  EXPECT_TRUE((*flights)[2].cancelled());
  EXPECT_EQ((*flights)[2].tailnum, "");
  EXPECT_EQ(format_hour((*flights)[2].event_ms()), "2013-01-02T20:45:00Z");
}

TEST(flights, a_line_that_cannot_be_read_is_named) {
  const auto cut = parse_flights(header + "2013,1,1,517\n");
  ASSERT_FALSE(cut.has_value());
  EXPECT_NE(cut.error().message().find("line 2"), std::string::npos) << cut.error().message();
  EXPECT_FALSE(parse_flights("a,b\n").has_value());
}

TEST(batch_answer, groups_by_event_time) {
  const auto answer = batch_answer(three, airlines_csv);
  ASSERT_TRUE(answer.has_value()) << answer.error().message();
  const std::vector<board_row> board{{"EWR", "2013-01-01T10:00:00Z", 1, 2.0, 2, 0},
                                     {"EWR", "2013-01-02T01:00:00Z", 1, 100.0, 100, 0},
                                     {"JFK", "2013-01-02T20:00:00Z", 0, std::nullopt, std::nullopt, 1}};
  EXPECT_EQ(answer->board, board);
  const std::vector<carrier_row> carriers{{"B6", "JetBlue", "2013-01-02", 1, 100.0},
                                          {"UA", "United", "2013-01-01", 1, 2.0}};
  EXPECT_EQ(answer->carriers, carriers);
}

/// Three days of flights that leave early, on time, late by up to 20 hours, or not at all.
std::string many_flights() {
  std::mt19937 random(1);
  std::string csv = header;
  const char* const carriers[] = {"AA", "B6", "UA"};
  const char* const origins[] = {"EWR", "JFK", "LGA"};
  for (int hour = 0; hour < 72; ++hour) {
    for (int n = 0; n < 10; ++n) {
      const bool cancelled = random() % 20 == 0;
      const int delay = static_cast<int>(random() % (random() % 10 == 0 ? 1200 : 60)) - 20;
      csv +=
          fmt::format("2013,1,{},NA,NA,{},NA,NA,NA,{},{},NA,{},ORD,NA,700,{},{},2013-01-{:02}T{:02}:00:00Z\n",
                      1 + hour / 24, cancelled ? "NA" : std::to_string(delay), carriers[random() % 3], n,
                      origins[random() % 3], hour % 24, n * 6, 1 + hour / 24, hour % 24);
    }
  }
  return csv;
}

std::string outcome(const penstock::result<>& r) { return r ? "" : r.error().message(); }

template <typename Row>
void read_into(std::vector<Row>& rows, const penstock::testing::topic& from) {
  const auto format = penstock::json<Row>;
  for (const auto& r : from.records()) {
    penstock::raw bytes;
    bytes.value = *r.value;
    ASSERT_TRUE(format.decode(bytes, rows.emplace_back()));
  }
}

// On several lanes, and crashed in the middle: what SQLite says of the same flights.
TEST(departure_board, gives_the_batch_answer) {
  namespace pt = penstock::testing;
  const std::string csv = many_flights();
  const auto flights = parse_flights(csv);
  ASSERT_TRUE(flights.has_value()) << flights.error().message();
  const auto names = parse_airlines(airlines_csv);
  ASSERT_TRUE(names.has_value());
  for (const unsigned lanes : {1u, 2u, 3u}) {
    pt::topic airlines("airlines"), departures("departures", 4), board("board", 2), carriers("carriers", 2);
    for (const airline& a : *names) {
      std::string row;
      penstock::as_json.encode(a, row);
      airlines.append({.key = a.carrier, .value = row});
    }
    for (const flight& f : *flights) {
      std::string record;
      penstock::as_json.encode(f, record);
      departures.append({.key = f.origin, .value = record}, f.origin == "EWR"   ? 0
                                                            : f.origin == "JFK" ? 1
                                                                                : 3);
    }
    auto flights_topic = departures.source({.max_lag = disorder});
    flights_topic.poll_size = 16;
    const auto topo = departure_board(airlines.source(), flights_topic, board.sink(), carriers.sink());
    pt::driver d(topo, {.lanes = lanes, .exactly_once = true, .seed = lanes});
    ASSERT_EQ(outcome(d.run_rounds(10)), "");
    ASSERT_EQ(outcome(d.commit_now()), "");
    ASSERT_EQ(outcome(d.run_rounds(3)), "");
    ASSERT_EQ(outcome(d.crash_and_restore(4 - lanes)), "");
    ASSERT_EQ(outcome(d.finish()), "");
    answer streamed;
    read_into(streamed.board, board);
    read_into(streamed.carriers, carriers);
    EXPECT_GT(streamed.board.size(), 200u);
    const auto wrong = differences(streamed, batch_answer(csv, airlines_csv).value());
    EXPECT_TRUE(wrong.empty()) << wrong.front();
  }
}

TEST(differences, finds_what_is_missing_wrong_twice_or_too_much) {
  const auto expected = batch_answer(three, airlines_csv).value();
  EXPECT_TRUE(differences(expected, expected).empty());

  answer missing = expected;
  missing.board.erase(missing.board.begin());
  EXPECT_EQ(differences(missing, expected).size(), 1u);

  answer wrong = expected;
  wrong.carriers[0].mean_delay += 0.001;
  EXPECT_EQ(differences(wrong, expected).size(), 1u);

  answer twice = expected;
  twice.board.push_back(twice.board[1]);
  EXPECT_EQ(differences(twice, expected).size(), 1u);

  answer more = expected;
  more.board.push_back({"LGA", "2013-01-01T10:00:00Z", 1, 0.0, 0, 0});
  EXPECT_EQ(differences(more, expected).size(), 1u);
}

}  // namespace
}  // namespace departures
