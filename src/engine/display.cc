// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/detail/display.h>
#include <penstock/windows.h>

#include <chrono>
#include <iterator>

namespace penstock::detail {

void display_time(std::int64_t ms, std::string& out) {
  using namespace std::chrono;
  // Outside of the years that a calendar is good for, the number says more.
  constexpr std::int64_t first = -62'135'596'800'000;  // 0001-01-01
  constexpr std::int64_t last = 253'402'300'799'999;   // 9999-12-31
  if (ms < first || ms > last) {
    fmt::format_to(std::back_inserter(out), "{}", ms);
    return;
  }
  const sys_time<milliseconds> t{milliseconds(ms)};
  const auto day = floor<days>(t);
  const year_month_day date(day);
  const hh_mm_ss time(t - day);
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
                 static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                 static_cast<unsigned>(date.day()), time.hours().count(), time.minutes().count(),
                 time.seconds().count());
  if (time.subseconds().count() != 0)
    fmt::format_to(std::back_inserter(out), ".{:03}", time.subseconds().count());
  out.push_back('Z');
}

namespace {

std::string duration_text(std::chrono::milliseconds d) {
  const auto ms = d.count();
  if (ms % 3'600'000 == 0) return fmt::format("{} h", ms / 3'600'000);
  if (ms % 60'000 == 0) return fmt::format("{} min", ms / 60'000);
  if (ms % 1000 == 0) return fmt::format("{} s", ms / 1000);
  return fmt::format("{} ms", ms);
}

std::string window_text(std::string s, std::chrono::milliseconds offset, std::chrono::milliseconds lateness) {
  if (offset.count() != 0) s += ", offset " + duration_text(offset);
  if (lateness.count() != 0) s += ", allowed lateness " + duration_text(lateness);
  return s;
}

}  // namespace

std::string describe_window(const tumbling& w) {
  return window_text("tumbling " + duration_text(w.size), w.offset, w.allowed_lateness);
}

std::string describe_window(const hopping& w) {
  return window_text("hopping " + duration_text(w.size) + " every " + duration_text(w.slide), w.offset,
                     w.allowed_lateness);
}

std::string describe_window(const session& w) {
  return window_text("session, gap " + duration_text(w.gap), std::chrono::milliseconds(0),
                     w.allowed_lateness);
}

}  // namespace penstock::detail
