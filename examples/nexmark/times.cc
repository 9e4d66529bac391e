// SPDX-License-Identifier: Apache-2.0
#include "times.h"

#include <chrono>
#include <cstdlib>

namespace nexmark {
namespace {

constexpr std::int64_t day_ms = 86'400'000;

// Floors, for times before 1970 too.
constexpr std::int64_t whole_days(std::int64_t ms) {
  return ms >= 0 ? ms / day_ms : -((day_ms - 1 - ms) / day_ms);
}

void append_digits(std::int64_t value, int digits, std::string& out) {
  char text[20];
  for (int i = digits; i-- > 0; value /= 10) text[i] = static_cast<char>('0' + value % 10);
  out.append(text, static_cast<std::size_t>(digits));
}

void append_date(date d, std::string& out) {
  const std::chrono::year_month_day ymd{std::chrono::sys_days(std::chrono::days(d.days))};
  append_digits(std::abs(int{ymd.year()}), 4, out);
  out.push_back('-');
  append_digits(unsigned{ymd.month()}, 2, out);
  out.push_back('-');
  append_digits(unsigned{ymd.day()}, 2, out);
}

/// Takes `digits` digits and the character after them, unless that is 0.
bool take_number(std::string_view& text, int digits, char after, int& value) {
  value = 0;
  if (text.size() < static_cast<std::size_t>(digits)) return false;
  for (int i = 0; i < digits; ++i) {
    const char c = text[static_cast<std::size_t>(i)];
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(static_cast<std::size_t>(digits));
  if (after == 0) return true;
  if (text.empty() || text.front() != after) return false;
  text.remove_prefix(1);
  return true;
}

/// What follows the seconds: up to nine digits, of which milliseconds count.
bool take_fraction(std::string_view& text, int& ms) {
  ms = 0;
  if (text.empty() || text.front() != '.') return true;
  text.remove_prefix(1);
  int digits = 0;
  for (; digits < 9 && !text.empty() && text.front() >= '0' && text.front() <= '9'; ++digits) {
    if (digits < 3) ms = ms * 10 + (text.front() - '0');
    text.remove_prefix(1);
  }
  for (int i = digits; i < 3; ++i) ms *= 10;
  return digits > 0;
}

}  // namespace

date day_of(timestamp t) { return {static_cast<std::int32_t>(whole_days(t.ms))}; }
minute minute_of(timestamp t) {
  return {static_cast<std::int32_t>((t.ms - whole_days(t.ms) * day_ms) / 60'000)};
}

bool parse(std::string_view text, timestamp& into) {
  int year, month, day, hour, minute, second, ms;
  if (!take_number(text, 4, '-', year) || !take_number(text, 2, '-', month) || !take_number(text, 2, 0, day))
    return false;
  if (text.empty() || (text.front() != ' ' && text.front() != 'T')) return false;
  text.remove_prefix(1);
  if (!take_number(text, 2, ':', hour) || !take_number(text, 2, ':', minute) ||
      !take_number(text, 2, 0, second) || !take_fraction(text, ms))
    return false;
  if (text == "Z") text = {};
  const std::chrono::year_month_day ymd{std::chrono::year(year),
                                        std::chrono::month(static_cast<unsigned>(month)),
                                        std::chrono::day(static_cast<unsigned>(day))};
  if (!text.empty() || !ymd.ok() || hour > 23 || minute > 59 || second > 59) return false;
  const std::int64_t days = std::chrono::sys_days(ymd).time_since_epoch().count();
  into.ms = days * day_ms + ((hour * 60 + minute) * 60 + second) * std::int64_t{1000} + ms;
  return true;
}

void append_text(timestamp t, std::string& out) {
  const date d = day_of(t);
  append_date(d, out);
  out.push_back(' ');
  const std::int64_t ms = t.ms - d.days * day_ms;
  append_digits(ms / 3'600'000, 2, out);
  out.push_back(':');
  append_digits(ms / 60'000 % 60, 2, out);
  out.push_back(':');
  append_digits(ms / 1000 % 60, 2, out);
  out.push_back('.');
  append_digits(ms % 1000, 3, out);
}

}  // namespace nexmark

namespace penstock {

void json_traits<nexmark::timestamp>::append(const nexmark::timestamp& t, std::string& out) {
  out.push_back('"');
  nexmark::append_text(t, out);
  out.push_back('"');
}
void json_traits<nexmark::date>::append(const nexmark::date& d, std::string& out) {
  out.push_back('"');
  nexmark::append_date(d, out);
  out.push_back('"');
}
void json_traits<nexmark::minute>::append(const nexmark::minute& m, std::string& out) {
  out.push_back('"');
  nexmark::append_digits(m.since_midnight / 60, 2, out);
  out.push_back(':');
  nexmark::append_digits(m.since_midnight % 60, 2, out);
  out.push_back('"');
}
void json_traits<nexmark::decimal3>::append(const nexmark::decimal3& d, std::string& out) {
  if (d.thousandths < 0) out.push_back('-');
  const std::int64_t size = std::abs(d.thousandths);
  detail::write_json(size / 1000, out);
  out.push_back('.');
  nexmark::append_digits(size % 1000, 3, out);
}

}  // namespace penstock
