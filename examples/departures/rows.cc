// SPDX-License-Identifier: Apache-2.0
#include "rows.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <tuple>

namespace departures {
namespace {

auto key(const board_row& r) { return std::tie(r.origin, r.hour); }
auto key(const carrier_row& r) { return std::tie(r.carrier, r.day); }

std::string text(const std::optional<double>& v) { return v ? fmt::format("{}", *v) : "null"; }
std::string text(const std::optional<std::int64_t>& v) { return v ? fmt::format("{}", *v) : "null"; }

std::string text(const board_row& r) {
  return fmt::format("{} {}: {} departures, mean delay {}, largest {}, {} cancelled", r.origin, r.hour,
                     r.departures, text(r.mean_delay), text(r.max_delay), r.cancelled);
}
std::string text(const carrier_row& r) {
  return fmt::format("{} ({}) {}: {} departures, mean delay {}", r.carrier, r.name, r.day, r.departures,
                     r.mean_delay);
}

// Walks both sides in the order of their keys, as a merge does.
template <typename Row>
void compare(std::vector<Row> got, const std::vector<Row>& expected, std::vector<std::string>& out) {
  std::stable_sort(got.begin(), got.end(), [](const Row& a, const Row& b) { return key(a) < key(b); });
  auto g = got.begin();
  auto e = expected.begin();
  while (g != got.end() || e != expected.end()) {
    if (g != got.begin() && g != got.end() && key(*g) == key(*(g - 1))) {
      out.push_back("twice: " + text(*g++));
    } else if (e == expected.end() || (g != got.end() && key(*g) < key(*e))) {
      out.push_back("not in the batch answer: " + text(*g++));
    } else if (g == got.end() || key(*e) < key(*g)) {
      out.push_back("missing: " + text(*e++));
    } else {
      if (!(*g == *e)) out.push_back(fmt::format("{}; the batch answer has {}", text(*g), text(*e)));
      ++g;
      ++e;
    }
  }
}

auto utc(std::int64_t ms) { return fmt::gmtime(static_cast<std::time_t>(ms / 1000)); }

}  // namespace

std::string format_hour(std::int64_t ms) { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc(ms)); }
std::string format_day(std::int64_t ms) { return fmt::format("{:%Y-%m-%d}", utc(ms)); }

std::vector<std::string> differences(answer streamed, const answer& expected) {
  std::vector<std::string> out;
  compare(std::move(streamed.board), expected.board, out);
  compare(std::move(streamed.carriers), expected.carriers, out);
  return out;
}

}  // namespace departures
