// SPDX-License-Identifier: Apache-2.0
// The types of the benchmark's columns that C++ has no name for, and how they look in JSON.
#pragma once

#include <penstock/json.h>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace nexmark {

/// TIMESTAMP(3): milliseconds since 1970, UTC. Read as `2015-07-15 00:00:00.000` (a `T` between date and time
/// and a `Z` at the end are taken too) or as a number of milliseconds, written as the former.
struct timestamp {
  std::int64_t ms = 0;
  friend auto operator<=>(const timestamp&, const timestamp&) = default;
};

/// A day in UTC: `2015-07-15`.
struct date {
  std::int32_t days = 0;  ///< since 1970
  friend auto operator<=>(const date&, const date&) = default;
};
date day_of(timestamp t);

/// A minute of a day: `23:59`.
struct minute {
  std::int32_t since_midnight = 0;
  friend auto operator<=>(const minute&, const minute&) = default;
};
minute minute_of(timestamp t);

/// DECIMAL(23, 3): a number of thousandths, written with all three digits of the fraction.
struct decimal3 {
  std::int64_t thousandths = 0;
  friend auto operator<=>(const decimal3&, const decimal3&) = default;
};

bool parse(std::string_view text, timestamp& into);
void append_text(timestamp t, std::string& out);

}  // namespace nexmark

namespace penstock {

template <>
struct json_traits<nexmark::timestamp> {
  static constexpr const char* expected = "a time as 2015-07-15 00:00:00.000 or in milliseconds since 1970";
  static bool read(std::string_view text, nexmark::timestamp& into) { return nexmark::parse(text, into); }
  static bool read(std::int64_t ms, nexmark::timestamp& into) {
    into.ms = ms;
    return true;
  }
  static void append(const nexmark::timestamp& t, std::string& out);
};
template <>
struct json_traits<nexmark::date> {
  static void append(const nexmark::date& d, std::string& out);
};
template <>
struct json_traits<nexmark::minute> {
  static void append(const nexmark::minute& m, std::string& out);
};
template <>
struct json_traits<nexmark::decimal3> {
  static void append(const nexmark::decimal3& d, std::string& out);
};

}  // namespace penstock
