// SPDX-License-Identifier: Apache-2.0
#include "io/failpoint.h"

#ifndef NDEBUG

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace penstock::io {
namespace {

struct action {
  enum class kind : std::uint8_t { kill, error, delay, note };
  kind what = kind::note;
  int ms = 0;
  int at = 0;  // 0: every time
  std::atomic<int> seen{0};
};
using actions = std::map<std::string, std::unique_ptr<action>, std::less<>>;

int number(std::string_view text) {
  int n = 0;
  std::from_chars(text.data(), text.data() + text.size(), n);
  return n;
}

/// "name=what@n"; nothing for what makes no sense.
void add(std::string_view one, actions& to) {
  const auto eq = one.find('=');
  if (eq == std::string_view::npos) return;
  std::string_view what = one.substr(eq + 1);
  auto a = std::make_unique<action>();
  if (const auto at = what.find('@'); at != std::string_view::npos) {
    a->at = number(what.substr(at + 1));
    what = what.substr(0, at);
  }
  if (what == "kill") a->what = action::kind::kill;
  if (what == "error") a->what = action::kind::error;
  if (what.starts_with("delay:")) {
    a->what = action::kind::delay;
    a->ms = number(what.substr(6));
  }
  to[std::string(one.substr(0, eq))] = std::move(a);
}

const actions& wanted() {
  static const actions all = [] {
    actions found;
    const char* const set = std::getenv("PENSTOCK_FAILPOINTS");
    std::string_view rest = set == nullptr ? "" : set;
    while (!rest.empty()) {
      const auto comma = std::min(rest.find(','), rest.size());
      add(rest.substr(0, comma), found);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return found;
  }();
  return all;
}

}  // namespace

result<> failpoint(std::string_view name) {
  if (wanted().empty()) return {};
  const auto found = wanted().find(name);
  if (found == wanted().end()) return {};
  action& a = *found->second;
  const int n = ++a.seen;
  if (a.at != 0 && n != a.at) return {};
  switch (a.what) {
    case action::kind::kill: std::raise(SIGKILL); break;
    case action::kind::error:
      return fail(errc::io, "a test made the step '" + std::string(name) + "' fail", recovery::retriable);
    case action::kind::delay:
      std::fprintf(stderr, "a test delays the step '%s'\n", std::string(name).c_str());
      std::this_thread::sleep_for(std::chrono::milliseconds(a.ms));
      break;
    case action::kind::note: break;
  }
  return {};
}

bool broken(std::string_view rule) {
  static const char* const set = std::getenv("PENSTOCK_BREAK");
  return set != nullptr && rule == set;
}

}  // namespace penstock::io

#endif
