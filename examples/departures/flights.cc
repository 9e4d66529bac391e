// SPDX-License-Identifier: Apache-2.0
#include "flights.h"

#include <fmt/format.h>
#include <zstd.h>

#include <charconv>
#include <chrono>
#include <fstream>
#include <iterator>
#include <span>

namespace departures {
namespace {

using penstock::errc;
using penstock::fail;
using penstock::result;

template <typename Int>
bool parse_int(std::string_view text, Int& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

// "2013-01-01T10:00:00Z"
bool parse_utc(std::string_view text, std::int64_t& ms) {
  int year = 0;
  unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (text.size() != 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':' || text[19] != 'Z' || !parse_int(text.substr(0, 4), year) ||
      !parse_int(text.substr(5, 2), month) || !parse_int(text.substr(8, 2), day) ||
      !parse_int(text.substr(11, 2), hour) || !parse_int(text.substr(14, 2), minute) ||
      !parse_int(text.substr(17, 2), second)) {
    return false;
  }
  using namespace std::chrono;
  const year_month_day date{std::chrono::year{year}, std::chrono::month{month}, std::chrono::day{day}};
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return false;
  const auto at = sys_days{date} + hours{hour} + minutes{minute} + seconds{second};
  ms = duration_cast<milliseconds>(at.time_since_epoch()).count();
  return true;
}

// Calls row(fields) for every line behind the header. These files quote nothing.
template <typename Row>
result<> for_each_row(std::string_view csv, std::string_view name, std::string_view header, Row row) {
  std::size_t line_number = 0;
  std::vector<std::string_view> fields;
  while (!csv.empty()) {
    const auto end = csv.find('\n');
    std::string_view line = csv.substr(0, end);
    csv.remove_prefix(end == std::string_view::npos ? csv.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (++line_number == 1) {
      if (line != header) return fail(errc::corrupt, fmt::format("{} has other columns than expected", name));
      continue;
    }
    if (line.empty()) continue;
    fields.clear();
    for (std::size_t at = 0; at <= line.size();) {
      const auto comma = std::min(line.find(',', at), line.size());
      fields.push_back(line.substr(at, comma - at));
      at = comma + 1;
    }
    if (!row(std::span<const std::string_view>(fields))) {
      return fail(errc::corrupt, fmt::format("{} line {} cannot be read: {}", name, line_number, line));
    }
  }
  return {};
}

constexpr std::string_view flights_header =
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,"
    "tailnum,"
    "origin,dest,air_time,distance,hour,minute,time_hour";

bool parse_flight(std::span<const std::string_view> f, flight& out) {
  if (f.size() != 19) return false;
  const auto dep_time = f[3], delay = f[5], minute = f[17], time_hour = f[18];
  int minutes = 0;
  if (!parse_utc(time_hour, out.scheduled_ms) || !parse_int(minute, minutes)) return false;
  out.scheduled_ms += std::int64_t{minutes} * 60'000;
  if (dep_time != "NA") {
    int value = 0;
    if (!parse_int(delay, value)) return false;
    out.delay_minutes = value;
  }
  out.carrier = f[9];
  if (f[11] != "NA") out.tailnum = f[11];
  out.origin = f[12];
  out.dest = f[13];
  return parse_int(f[10], out.number) && !out.carrier.empty() && !out.origin.empty();
}

}  // namespace

result<std::vector<flight>> parse_flights(std::string_view csv) {
  std::vector<flight> flights;
  auto read = for_each_row(csv, "flights.csv", flights_header,
                           [&](auto fields) { return parse_flight(fields, flights.emplace_back()); });
  if (!read) return fail(read.error());
  return flights;
}

result<std::vector<airline>> parse_airlines(std::string_view csv) {
  std::vector<airline> airlines;
  auto read = for_each_row(csv, "airlines.csv", "carrier,name", [&](auto fields) {
    if (fields.size() != 2) return false;
    airlines.push_back({std::string(fields[0]), std::string(fields[1])});
    return true;
  });
  if (!read) return fail(read.error());
  return airlines;
}

result<std::string> read_data(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in.good() && !in.eof()) return fail(errc::not_found, fmt::format("cannot read {}", path));
  if (bytes.empty()) return fail(errc::not_found, fmt::format("{} is missing or empty", path));
  if (!path.ends_with(".zst")) return bytes;
  const auto size = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
  constexpr unsigned long long limit = 1u << 30;
  std::string out;
  if (size != ZSTD_CONTENTSIZE_UNKNOWN && size != ZSTD_CONTENTSIZE_ERROR && size <= limit) {
    out.resize(size);
    const auto got = ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(got) == 0 && got == size) return out;
  }
  return fail(errc::corrupt, fmt::format("{} is not a whole zstd file", path));
}

}  // namespace departures
