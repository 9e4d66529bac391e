// SPDX-License-Identifier: Apache-2.0
// Counts words: every word gives its running count.
#include "word_count.h"

#include <cctype>
#include <string>
#include <vector>

namespace ps = penstock;

namespace {

std::vector<std::string> words(const std::string& line) {
  std::vector<std::string> found(1);
  for (const char c : line) {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      found.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!found.back().empty()) {
      found.emplace_back();
    }
  }
  if (found.back().empty()) found.pop_back();
  return found;
}

}  // namespace

ps::topology word_count(std::vector<std::string> lines) {
  ps::topology topo("word-count");
  topo.read_elements("lines", std::move(lines))
      .flat_map(words)
      .key_by([](const std::string& word) { return word; })
      .aggregate("count", ps::count())
      .print("counts");
  return topo;
}
