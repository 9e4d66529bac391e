// SPDX-License-Identifier: Apache-2.0
#include "batch_answer.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <memory>
#include <string>

namespace departures {
namespace {

using penstock::errc;
using penstock::fail;
using penstock::result;

constexpr const char* schema = R"sql(
  CREATE TABLE flights(year, month, day, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, arr_delay,
                       carrier, flight, tailnum, origin, dest, air_time, distance, hour, minute, time_hour);
  CREATE TABLE airlines(carrier, name);
)sql";

// Event time in seconds: when it left, or for a cancelled flight when it should have. NULL is a cancelled
// one's delay.
constexpr const char* events = R"sql(
  CREATE TABLE events AS
    SELECT origin, carrier, CASE dep_time WHEN 'NA' THEN NULL ELSE CAST(dep_delay AS INTEGER) END AS delay,
           CAST(strftime('%s', time_hour) AS INTEGER) + 60 * CAST(minute AS INTEGER) +
             CASE dep_time WHEN 'NA' THEN 0 ELSE 60 * CAST(dep_delay AS INTEGER) END AS at
    FROM flights;
)sql";

constexpr const char* board_query = R"sql(
  SELECT origin, strftime('%Y-%m-%dT%H:00:00Z', at, 'unixepoch') AS hour, count(delay), avg(delay), max(delay),
         count(*) - count(delay)
  FROM events GROUP BY origin, hour ORDER BY origin, hour;
)sql";

constexpr const char* carriers_query = R"sql(
  SELECT e.carrier, a.name, strftime('%Y-%m-%d', e.at, 'unixepoch') AS day, count(*), avg(e.delay)
  FROM events e JOIN airlines a USING (carrier) WHERE e.delay IS NOT NULL
  GROUP BY e.carrier, day ORDER BY e.carrier, day;
)sql";

struct close_database {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct finalize {
  void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
};
using statement = std::unique_ptr<sqlite3_stmt, finalize>;

class database {
 public:
  database() {
    sqlite3* db = nullptr;
    sqlite3_open(":memory:", &db);
    db_.reset(db);
  }
  result<> run(const char* sql) {
    if (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
    return failed();
  }
  result<statement> prepare(const std::string& sql) {
    sqlite3_stmt* s = nullptr;
    if (sqlite3_prepare_v2(db_.get(), sql.c_str(), -1, &s, nullptr) != SQLITE_OK) return failed();
    return statement(s);
  }
  // Calls row(statement) for each row.
  template <typename Row>
  result<> query(const char* sql, Row row) {
    auto s = prepare(sql);
    if (!s) return fail(s.error());
    int state = SQLITE_ROW;
    while ((state = sqlite3_step(s->get())) == SQLITE_ROW) row(s->get());
    if (state != SQLITE_DONE) return failed();
    return {};
  }
  // Fills a table with the lines of a CSV text behind its header.
  result<> load(const std::string& table, int columns, std::string_view csv) {
    std::string marks = "?";
    for (int i = 1; i < columns; ++i) marks += ",?";
    auto insert = prepare(fmt::format("INSERT INTO {} VALUES({})", table, marks));
    if (!insert) return fail(insert.error());
    csv.remove_prefix(std::min(csv.find('\n'), csv.size() - 1) + 1);
    while (!csv.empty()) {
      const auto end = std::min(csv.find('\n'), csv.size());
      std::string_view line = csv.substr(0, end);
      csv.remove_prefix(std::min(end + 1, csv.size()));
      for (int column = 1; column <= columns; ++column) {
        const auto comma = std::min(line.find(','), line.size());
        sqlite3_bind_text(insert->get(), column, line.data(), static_cast<int>(comma), SQLITE_STATIC);
        line.remove_prefix(std::min(comma + 1, line.size()));
      }
      if (sqlite3_step(insert->get()) != SQLITE_DONE) return failed();
      sqlite3_reset(insert->get());
    }
    return {};
  }

 private:
  tl::unexpected<penstock::error> failed() {
    return fail(errc::internal, fmt::format("SQLite: {}", sqlite3_errmsg(db_.get())));
  }
  std::unique_ptr<sqlite3, close_database> db_;
};

std::string column_text(sqlite3_stmt* s, int i) {
  return reinterpret_cast<const char*>(sqlite3_column_text(s, i));
}
bool column_null(sqlite3_stmt* s, int i) { return sqlite3_column_type(s, i) == SQLITE_NULL; }

}  // namespace

result<answer> batch_answer(std::string_view flights_csv, std::string_view airlines_csv) {
  database db;
  for (auto step : {db.run(schema), db.run("BEGIN"), db.load("flights", 19, flights_csv),
                    db.load("airlines", 2, airlines_csv), db.run("COMMIT"), db.run(events)}) {
    if (!step) return fail(step.error());
  }
  answer all;
  auto board = db.query(board_query, [&](sqlite3_stmt* s) {
    board_row& row = all.board.emplace_back();
    row.origin = column_text(s, 0);
    row.hour = column_text(s, 1);
    row.departures = sqlite3_column_int64(s, 2);
    if (!column_null(s, 3)) row.mean_delay = sqlite3_column_double(s, 3);
    if (!column_null(s, 4)) row.max_delay = sqlite3_column_int64(s, 4);
    row.cancelled = sqlite3_column_int64(s, 5);
  });
  if (!board) return fail(board.error());
  auto carriers = db.query(carriers_query, [&](sqlite3_stmt* s) {
    all.carriers.push_back({.carrier = column_text(s, 0),
                            .name = column_text(s, 1),
                            .day = column_text(s, 2),
                            .departures = sqlite3_column_int64(s, 3),
                            .mean_delay = sqlite3_column_double(s, 4)});
  });
  if (!carriers) return fail(carriers.error());
  return all;
}

}  // namespace departures
