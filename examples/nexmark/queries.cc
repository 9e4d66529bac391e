// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "query.h"

namespace nexmark {

std::span<const std::pair<std::string_view, query_maker>> queries() {
  static constexpr std::array<std::pair<std::string_view, query_maker>, 18> all{{{"q0", q0},
                                                                                 {"q1", q1},
                                                                                 {"q2", q2},
                                                                                 {"q3", q3},
                                                                                 {"q4", q4},
                                                                                 {"q5", q5},
                                                                                 {"q7", q7},
                                                                                 {"q8", q8},
                                                                                 {"q9", q9},
                                                                                 {"q11", q11},
                                                                                 {"q12", q12},
                                                                                 {"q15", q15},
                                                                                 {"q16", q16},
                                                                                 {"q17", q17},
                                                                                 {"q18", q18},
                                                                                 {"q19", q19},
                                                                                 {"q20", q20},
                                                                                 {"q22", q22}}};
  return all;
}

query_maker query_named(std::string_view name) {
  const auto all = queries();
  return std::find_if(all.begin(), all.end(), [&](const auto& q) { return q.first == name; })->second;
}

}  // namespace nexmark
